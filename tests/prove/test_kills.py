"""Kills, interrupts and full disks: the same command again ends in the results of an uninterrupted run."""

import os
import re
import shutil
import signal
import time

import numpy as np
import pytest
from conftest import assert_same, copy, end, finish, kill, left, processes, repro, start
from tqdm import tqdm

KILLS = int(os.environ.get("KILLS", 20))
OF_A_CLONE = 5  # kills, one after the other
LAST_BEGINS = 48  # minutes after the whole run's beginning

# The size of a file, in bytes, beyond which nothing can be written, and the stages that make what is larger.
FULL = {
    "the data set": (2**24, ["code", "dataset"]),
    "a checkpoint": (2**20, ["train@squeezenet", "train@complex_bypass", "train@half_width"]),
    "compressed networks": (2**20, ["compress@squeezenet", "authors", "imagenet", "transfer", "advantages@squeezenet"]),
    "the report": (2**19, ["report"]),
}


@pytest.fixture(scope="module")
def again(reference):
    """Seconds that `make repro` takes where nothing is to be done."""
    began = time.monotonic()
    finish(start(reference[0], *repro()))
    return time.monotonic() - began


def test_interrupts(untouched, reference, tmp_path, record_property):
    """Ctrl-C in `make repro`, twice: no process goes on, and the same command ends in the same results"""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & leaves it ignored, which is inherited
    folder = copy(untouched, tmp_path)
    for _ in range(2):
        process = start(folder, *repro())
        time.sleep(reference[1] / 3)
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
    assert_same(folder, reference[0])
    record_property("tried", 2)


def test_full_disks(untouched, reference, tmp_path, record_property):
    """A disk is full when the data set, a checkpoint, compressed networks, the report are written: a line says so,
    and the same command ends in the same results once there is room"""
    folder = copy(untouched, tmp_path)
    for what, (most, stages) in tqdm(FULL.items(), "full disks"):
        bounded = start(folder, "prlimit", f"--fsize={most}", *repro())
        status, text = end(bounded)
        assert status, f"{what}: {most} bytes were enough"
        assert re.search("File too large|disk is full", text), f"{what}: {text[-3000:]}"
        for stage in stages:
            finish(start(folder, "dvc", "repro", "-s", stage))
    finish(start(folder, *repro()))
    assert_same(folder, reference[0])
    record_property("tried", len(FULL))


def moments(seconds, count=KILLS, seed=0):
    """One moment at random in each of `count` equal parts of an uninterrupted run."""
    return (np.arange(count) + np.random.default_rng(seed).random(count)) * seconds / count


def killed(folder, moments, seconds, again):
    """Run, kill, run, kill, ...: how many kills found the run still at work.

    A run first passes what is done already, which takes its share of `again`.
    """
    count, before = 0, 0
    for moment in moments:
        process = start(folder, *repro())
        time.sleep(moment - before + again * before / seconds)
        count += process.poll() is None
        kill(folder)
        status, text = end(process)
        assert status in (0, -signal.SIGKILL), text[-3000:]
        before = moment
    return count


def test_kills(untouched, reference, again, tmp_path, record_property):
    """SIGKILL of every process of `make repro` at random moments, the same command after each: the same results"""
    folder, seconds = reference
    clones = -(-KILLS // OF_A_CLONE)
    count, good, wrong = 0, 0, []
    for i in tqdm(range(clones), "clones, killed time and again"):
        if left(LAST_BEGINS) < 0:
            break
        (tmp_path / str(i)).mkdir()
        ours = copy(untouched, tmp_path / str(i))
        try:
            count += killed(ours, moments(seconds)[i::clones], seconds, again)
            finish(start(ours, *repro()))
            assert_same(ours, folder)
        except AssertionError as error:
            wrong.append(f"clone {i}, kills at {moments(seconds)[i::clones].round()} s: {error}")
            kill(ours)
            continue
        good += 1
        shutil.rmtree(tmp_path / str(i))
    record_property("tried", count)
    record_property("outcome", f"{good} of {good + len(wrong)} clones, killed up to {OF_A_CLONE} times each, are equal")
    assert good and not wrong, "\n\n".join(wrong)
