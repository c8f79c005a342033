"""The authors' `compressed_SqueezeNet.net`: SqueezeNet 1.0 for ImageNet after Deep Compression.

Little-endian, without magic, padding or checksum. First, for each layer in the order conv1; squeeze1x1,
expand1x1, expand3x3 of fire2 to fire9; conv10, the number n of its stored entries as uint32. Then, for
each layer:

    256 x float32        codebook; entry 0 is 0, the rest is not sorted
    outputs x float32    biases
    n x uint8            codes
    ceil(n / 2) x uint8  gaps of 4 bits, low nibble first

A gap is the number of zeros before an entry, in the kernel flattened as (out, in, height, width). An
entry of code 0 after gap 15 is a filler. There is no Huffman coding. The layers' names and shapes are
not in the file. It is the only one of its kind, and known by its sha256: no other is read.
"""

import hashlib
import io
import math
from pathlib import Path

import keras
import numpy as np

NAME = "compressed_SqueezeNet.net"
URL = f"https://github.com/songhan/SqueezeNet-Deep-Compression/raw/master/{NAME}"
SHA256 = "e4ab6960ae8cd81505e1c2136921201507e930966c53deaf15862a395b3a3261"
CODEBOOK = 256
SHAPES = {"conv1": (7, 7, 3, 96)}  # layer -> (height, width, in, out), in the order of the file
for i, wide in enumerate((96, 128, 128, 256, 256, 384, 384, 512)):
    squeeze = 16 * (i // 2 + 1)
    SHAPES[f"fire{i + 2}_squeeze1x1"] = (1, 1, wide, squeeze)
    SHAPES |= {f"fire{i + 2}_expand{side}x{side}": (side, side, squeeze, 4 * squeeze) for side in (1, 3)}
SHAPES["conv10"] = (1, 1, 512, 1000)


def find(copy=None):
    """The path of the file: a copy, or Keras' cache, or else a download from the authors' repository; verified.

    Args:
        copy: path of the user's own file, used if it exists.

    Raises:
        FileNotFoundError: there is no copy and the download failed.
        ValueError: the copy is not the authors' file.
    """
    if copy is None or not Path(copy).exists():
        return download(URL, SHA256, copy)
    _verified(Path(copy))
    return Path(copy)


def download(url, sha256=None, copy=None, remedy=""):
    """The path of a released file in Keras' cache, to which it is downloaded unless it is there.

    Args:
        url: of the file.
        sha256: of its bytes, if known.
        copy: another place where the caller looks for it, for the message.
        remedy: what else can be done, for the message.

    Raises:
        FileNotFoundError: the download failed.
    """
    name = url.rpartition("/")[-1]
    try:
        return Path(keras.utils.get_file(name, url, cache_subdir="models", file_hash=sha256))
    except Exception as error:  # Keras raises a bare one, whatever went wrong
        place = f"to {copy}, or" if copy else "and"
        raise FileNotFoundError(
            f"the released ImageNet weights are not here, and could not be downloaded ({error}). Download {url} "
            f"{place} give its path as weights{remedy}"
        ) from None


def read(path, _=None):
    """The weights of the authors' file; a ValueError if it is another file."""
    return decode(_verified(path))[0], {}


def _verified(path):
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise ValueError(f"{path} is not the authors' file, its sha256 differs: download {URL}")
    return data


def decode(data):
    """Decode the bytes of the authors' file.

    Returns:
        Tensors by name; and a dict for each layer: its name, stored entries (fillers among them), weights, weights
        that are not zero, biases.
    """
    stream, tensors, rows = io.BytesIO(data), {}, []
    for (name, shape), n in zip(SHAPES.items(), _counts(stream.read(4 * len(SHAPES))), strict=True):
        height, width, inputs, outputs = shape
        codebook = np.frombuffer(stream.read(4 * CODEBOOK), "<f4")
        bias = np.frombuffer(stream.read(4 * outputs), "<f4")
        codes = np.frombuffer(stream.read(n), np.uint8)
        pairs = np.frombuffer(stream.read(-(-n // 2)), np.uint8)
        gaps = np.stack([pairs & 15, pairs >> 4], axis=1).ravel()[:n]
        kernel = np.zeros(math.prod(shape), np.float32)
        kernel[np.cumsum(gaps + 1, dtype=np.int64) - 1] = codebook[codes]
        kernel = kernel.reshape(outputs, inputs, height, width).transpose(2, 3, 1, 0)
        tensors |= {f"{name}/kernel": np.ascontiguousarray(kernel), f"{name}/bias": bias}
        counts = {"stored": n, "weights": kernel.size, "nonzero": np.count_nonzero(kernel), "biases": outputs}
        rows.append({"layer": name, **counts})
    return tensors, rows


def byte_table(data):
    """Bytes of the counts, codebooks, biases, codes and gaps; they sum to the size of the file."""
    counts = _counts(data[: 4 * len(SHAPES)])
    return {
        "counts": 4 * len(SHAPES),
        "codebooks": 4 * CODEBOOK * len(SHAPES),
        "biases": 4 * sum(shape[-1] for shape in SHAPES.values()),
        "codes": sum(counts),
        "gaps": sum(-(-n // 2) for n in counts),
    }


def _counts(data):
    """Stored entries of each layer."""
    return np.frombuffer(data, "<u4").tolist()
