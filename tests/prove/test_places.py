"""Whose machine, which path, which Python, how many at once, and with what network."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import assert_same, copy, digests, end, finish, repro, start

PYTHONS = ("3.11", "3.12", "3.13")
OURS = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_another_user(reference, record_property):
    """As another user with a HOME that cannot be written to, without a network, one training at a time: the data set
    is there, and the results are those of two trainings at once"""
    finish(reference.other)
    folder = reference.other.folder
    assert_same(folder, reference.folder)
    assert not list((folder.parent / "home").iterdir())
    left_out = ", ".join(word for word in ("setpriv", "unshare") if word not in reference.words)
    equal = f"{len(digests(folder))} files equal"
    record_property("outcome", equal + f"; not allowed here: {left_out}" * bool(left_out))


def test_two_at_once(untouched, reference, tmp_path, record_property):
    """Two `make repro` at once in one clone: the second waits or says so, and nothing is lost"""
    folder = copy(untouched, tmp_path)
    (first, said), (second, also_said) = map(end, [start(folder, *repro()), start(folder, *repro())])
    assert 0 in (first, second), said[-2000:] + also_said[-2000:]
    if first or second:
        refusal = re.search(r"^ERROR: .*", said if first else also_said, re.MULTILINE)
        assert refusal and "lock" in refusal[0], (said if first else also_said)[-3000:]
    finish(start(folder, *repro()))
    assert_same(folder, reference.folder)
    record_property("outcome", "one says that DVC is locked; the other ends" if first or second else "both end")


def installed(number):
    """A Python of this number that runs, on the PATH or of pyenv."""
    places = [shutil.which(f"python{number}"), *Path.home().glob(f".pyenv/versions/{number}.*/bin/python")]
    for place in filter(None, places):
        if subprocess.run([place, "--version"], capture_output=True).returncode == 0:
            return str(place)
    return None


def by_python(python, folder, reference):
    """Make the environment and train in a clone; whether the predictions are the reference's."""
    venv = folder.parent / "venv"
    elsewhere = {"PATH": f"{venv}/bin:{os.environ['PATH']}"}
    finish(start(folder, "make", "venv", f"VENV={venv}", f"PYTHON={python}", env=elsewhere))
    for stage in ("code", "dataset", "train@half_width"):
        finish(start(folder, "dvc", "repro", "-s", stage, env=elsewhere))
    name = "data/train/half_width/predictions.npz"
    same = digests(folder)[name] == digests(reference.folder)[name]
    return "the reference's predictions" if same else "other last bits than the reference's"


@pytest.fixture(scope="module")
def by_others(untouched, reference, tmp_path_factory):
    """What `by_python` says of each other Python that is here, two at once."""
    here = {number: installed(number) for number in PYTHONS if number != OURS}
    with ThreadPoolExecutor(2) as pool:
        yield {
            number: pool.submit(by_python, python, copy(untouched, tmp_path_factory.mktemp(number)), reference)
            for number, python in here.items()
            if python
        }


@pytest.mark.parametrize("number", PYTHONS)
def test_pythons(by_others, record_property, number):
    """`make venv` and a training by another Python"""
    if number == OURS:
        pytest.skip("the rest runs on it")
    if number not in by_others:
        pytest.skip("not installed here")
    record_property("outcome", by_others[number].result())
