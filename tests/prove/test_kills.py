"""Kills, interrupts and full disks: the same command again ends in the results of an uninterrupted run."""

import os
import re
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import assert_same, copy, end, finish, kill, left, processes, repro, start
from tqdm import tqdm

KILLS = int(os.environ.get("KILLS", 20))
OF_A_CLONE = 5  # kills, one after the other; two clones at a time
LAST_BEGINS = 48  # minutes after the whole run's beginning

# The size of a file, in bytes, beyond which nothing can be written, and the stages that make what is larger.
FULL = {
    "the data set": (2**24, ["code", "dataset"]),
    "a checkpoint": (2**20, ["train@squeezenet", "train@half_width"]),
    "compressed networks": (
        2**20,
        ["compress@squeezenet", "authors", "imagenet", "transfer", "advantages@squeezenet", "export"],
    ),
    "the report": (2**18, ["report"]),
}


def interrupt(folder, reference):
    """Ctrl-C, twice: no process goes on, and the same command ends in the same results."""
    for _ in range(2):
        process = start(folder, *repro())
        time.sleep(reference.seconds / 3)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does; notebooks' kernels are in sessions of their own
        status, text = end(process)
        assert status, text[-3000:]
        for _ in range(30):
            if not processes(folder):
                break
            time.sleep(1)
        stay = [each.name() for each in processes(folder)]
        kill(folder)
        assert not stay, f"still there half a minute later: {stay}"
    finish(start(folder, *repro()))
    assert_same(folder, reference.folder)


def fill(folder, reference):
    """No room when the files of FULL are written: a line says so, and with room the same command goes on."""
    for what, (most, stages) in tqdm(FULL.items(), "full disks"):
        # The report has no file as large as DVC's own tables.
        command = ("papermill", "notebooks/report.ipynb", "data/runs/report.ipynb") if stages == ["report"] else repro()
        bounded = start(folder, "prlimit", f"--fsize={most}", *command)
        status, text = end(bounded)
        assert status, f"{what}: {most} bytes were enough"
        assert re.search("File too large|disk is full", text), f"{what}: {text[-3000:]}"
        for stage in stages:
            finish(start(folder, "dvc", "repro", "-s", stage))
    finish(start(folder, *repro()))
    assert_same(folder, reference.folder)


@pytest.fixture(scope="module")
def disturbed(untouched, reference, tmp_path_factory):
    """A clone for `interrupt` and one for `fill`, at once."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & leaves it ignored, which is inherited
    with ThreadPoolExecutor(2) as pool:
        yield {
            act: pool.submit(act, copy(untouched, tmp_path_factory.mktemp(act.__name__)), reference)
            for act in (interrupt, fill)
        }


def test_interrupts(disturbed, record_property):
    """Ctrl-C in `make repro`, twice: no process goes on, and the same command ends in the same results"""
    disturbed[interrupt].result()
    record_property("tried", 2)


def test_full_disks(disturbed, record_property):
    """A disk is full when the data set, a checkpoint, compressed networks, the report are written: a line says so,
    and the same command ends in the same results once there is room"""
    disturbed[fill].result()
    record_property("tried", len(FULL))


def killed(folder, waits):
    """Run, kill, run, kill, ..., each time after so many seconds: how many kills found the run still at work."""
    count = 0
    for wait in waits:
        process = start(folder, *repro())
        time.sleep(wait)
        count += process.poll() is None
        kill(folder)
        status, text = end(process)
        assert status in (0, -signal.SIGKILL), text[-3000:]
    return count


def test_kills(untouched, reference, tmp_path, record_property):
    """SIGKILL of every process of `make repro` at random moments, the same command after each: the same results"""
    began, clones = time.monotonic(), -(-KILLS // OF_A_CLONE)
    finish(start(reference.folder, *repro()))
    nothing = (time.monotonic() - began) / reference.seconds  # a run's share, in which it passes what is done already
    parts = (np.arange(KILLS) + np.random.default_rng(0).random(KILLS)) / KILLS  # a moment at random in each part of it

    def torment(i):
        """How many kills a clone took, and what is wrong with its results then, if anything is."""
        if left(LAST_BEGINS) < 0:
            return 0, None
        (tmp_path / str(i)).mkdir()
        ours, chosen = copy(untouched, tmp_path / str(i)), (parts * reference.seconds)[i::clones]
        before = np.append(0, chosen[:-1])
        try:
            count = killed(ours, chosen - before + nothing * before)
            finish(start(ours, *repro()))
            assert_same(ours, reference.folder)
        except AssertionError as error:
            kill(ours)
            return len(chosen), f"clone {i}, kills at {chosen.round()} s: {error}"
        shutil.rmtree(tmp_path / str(i))
        return count, ""

    with ThreadPoolExecutor(2) as pool:
        ends = list(tqdm(pool.map(torment, range(clones)), "clones killed time and again", clones))
    tried = [wrong for _, wrong in ends if wrong is not None]
    record_property("tried", sum(count for count, _ in ends))
    good = f"{tried.count('')} of {len(tried)} clones, killed up to {OF_A_CLONE} times each, are equal"
    record_property("outcome", good)
    assert tried and not any(tried), "\n\n".join(filter(None, tried))
