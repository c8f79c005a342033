"""Damaged files: documented errors, bounded memory, nothing written, nothing run.

Every file is read by readers.py, in a process whose addresses are limited.
"""

import concurrent.futures
import json
import os
import subprocess
import sys

import pytest
import readers

MUTATIONS = int(os.environ.get("MUTATIONS", 10_000))
SECONDS = 1200  # for all mutations of a reader
AT_ONCE = 2


def read(reader, folder):
    """What readers.py says of its files; a crash is a fault of the file that it had in hand."""
    folder.mkdir(exist_ok=True)
    home = {"HOME": str(folder), "TMPDIR": str(folder)}
    command = [sys.executable, readers.__file__, reader, str(MUTATIONS), str(folder)]
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
        yield {name: pool.submit(read, name, folder / str(i)) for i, name in enumerate(dict.fromkeys(wanted))}


@pytest.mark.parametrize("reader", readers.READERS)
def test_mutations(campaigns, reader, record_property):
    """Damaged files, read with 1 GiB of memory to spare"""
    said = campaigns[reader].result()
    ended = said["ended"]
    record_property("tried", sum(ended.values()))
    record_property("outcome", f"{ended.get('refused', 0)} refused as documented, {ended.get('read', 0)} read")
    assert not said["faults"] and sum(ended.values()) >= MUTATIONS, said
