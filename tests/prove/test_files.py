"""Damaged and overgrown files: documented errors, bounded memory, nothing written, nothing run.

Every file is read by readers.py, in a process whose addresses are limited.
"""

import concurrent.futures
import io
import json
import os
import subprocess
import sys

import h5py
import pytest
import readers
from damage import members, zipped

from squeezenet.weights import caffe

MUTATIONS = int(os.environ.get("MUTATIONS", 10_000))
SECONDS = 1200  # for all mutations of a reader
AT_ONCE = 2


def read(reader, folder, *files, count=0):
    """What readers.py says of files; a crash is a fault of the file that it had in hand."""
    folder.mkdir(exist_ok=True)
    home = {"HOME": str(folder), "TMPDIR": str(folder)}
    command = [sys.executable, readers.__file__, reader, str(count), str(folder), *map(str, files)]
    try:
        process = subprocess.run(command, env=os.environ | home, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return {"ended": {}, "faults": {f"not done after {SECONDS} s": "input"}}
    if process.returncode:
        return {"ended": {}, "faults": {f"status {process.returncode}: {process.stderr[-1000:]}": "input"}}
    said = json.loads(process.stdout.splitlines()[-1])
    expected = {*said["faults"].values(), ".keras", ".cache", ".config"}  # settings of libraries go to HOME
    if left := {path.name for path in folder.iterdir()} - expected:
        said["faults"][f"leaves {left}"] = "input"
    return said


@pytest.fixture(scope="module")
def campaigns(tmp_path_factory, request):
    """The mutations of every reader that is asked for, two readers at once."""
    folder = tmp_path_factory.mktemp("mutations")
    wanted = [item.callspec.params["reader"] for item in request.session.items if item.originalname == "test_mutations"]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: pool.submit(read, name, folder / str(i), count=MUTATIONS)
            for i, name in enumerate(dict.fromkeys(wanted))
        }


@pytest.mark.parametrize("reader", readers.READERS)
def test_mutations(campaigns, reader, record_property):
    """Damaged files, in 1 GiB"""
    said = campaigns[reader].result()
    ended = said["ended"]
    record_property("tried", sum(ended.values()))
    record_property("outcome", f"{ended.get('refused', 0)} refused as documented, {ended.get('read', 0)} read")
    assert not said["faults"] and sum(ended.values()) >= MUTATIONS, said


def hdf5_bomb():
    """A kernel that inflates to 2^32 numbers, in place of one of 54."""
    files = members(readers.saved(readers.tiny().save, ".keras"))
    content = io.BytesIO(files["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        found = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        del file[found[-1]]
        file.create_dataset(found[-1], (2**16, 2**16), "f4", chunks=(2**10, 2**10), compression="gzip", fillvalue=1)
    return zipped(files | {"model.weights.h5": content.getvalue()})


def huge_blob():
    net = caffe.net_parameter()()
    net.layer.add(name="conv1").blobs.add(data=[1.0]).shape.dim.extend([2**31] * 4)
    return net.SerializeToString()


BOMBS = {  # beside those of the unit tests
    "HDF5 that inflates to 16 GiB": (".keras", hdf5_bomb),
    "protobuf of 100,000 nested groups": (".caffemodel", lambda: b"\x0b" * 100_000),
    "protobuf that claims 2^62 bytes": (".caffemodel", lambda: b"\xa2\x06" + b"\x80" * 8 + b"\x40"),
    "protobuf of a blob of 2^124 weights": (".caffemodel", huge_blob),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name, tmp_path, monkeypatch, record_property):
    """A bomb"""
    monkeypatch.chdir(tmp_path)
    reader, make = BOMBS[name]
    (tmp_path / "bomb").write_bytes(make())
    said = read(reader, tmp_path / "read", tmp_path / "bomb")
    assert said == {"ended": {"refused": 1}, "faults": {}}, said
    record_property("outcome", "refused in 1 GiB")
