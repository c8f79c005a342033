"""The whole pipeline in a temporary clone, in miniature; marked slow: interrupted, repeated, pushed and pulled."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import keras
import nbformat
import numpy as np
import psutil
import pytest
import yaml
from dvc.utils.hydra import apply_overrides

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
VARIANTS = ("squeezenet", "half_width")
MAKE = ("make", "-o", "venv", f"VENV={BIN.parent}", f"NETWORKS={'|'.join(VARIANTS)}")


def environment(folder):
    return os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": f"{folder}/src", "JOBS": "2"}


def run(folder, *command):
    result = subprocess.run(
        command, cwd=folder, env=environment(folder), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert result.returncode == 0, result.stdout[-5000:]
    return result.stdout


def clone(folder):
    """A clone with the working tree's files, committed, on a tiny budget; downloads are shared."""
    run(ROOT, "git", "clone", "-q", ".", str(folder))
    for name in run(ROOT, "git", "ls-files", "-m", "-o", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        elif not (ROOT / name).exists():
            (folder / name).unlink(missing_ok=True)
    (ROOT / "data/external").mkdir(exist_ok=True)
    (folder / "data/external").symlink_to(ROOT / "data/external")
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["dataset"] |= {"name": "cifar10", "limit": 300, "validation": 5000}
    params["train"] |= {"epochs": 2, "seed": 1}
    params["authors"]["calibration"] = 2
    params["imagenet"]["photographs"] = 4
    params["transfer"] |= {"per_class": 2, "test": 20, "side": 64, "epochs": 1}
    params["export"] |= {"networks": ["squeezenet_1_0_simple"], "images": 20}
    params["export"] |= {"photographs": 2, "calibration": 4, "calls": 2}
    params["compress"]["variants"]["squeezenet"] |= {"bits": {"6": 6}, "retrain": {"pruned": 100, "shared": 100}}
    params["advantages"]["variants"]["squeezenet"] |= {
        "bits": [6],
        "images": {"dense": 100, "pruned": 100, "shared": 100},
        "arenas": {"half_width": {"model": "squeezenet", "compression": 0.25}},
    }
    recorded = params["runs"]["epochs_2"] | {"epochs": 1, "seeds": [3], "networks": {"half_width": 0.12}}
    params["runs"]["tiny"] = recorded | {"dataset": params["dataset"]}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    run(folder, "git", "add", "-A")
    run(folder, "git", *identity, "commit", "-qm", "In miniature")
    return folder


def planned(folder):
    """The stages that have changed, but for those of the networks that nobody trains here."""
    output = run(folder, "dvc", "status", "--json")
    changed = json.loads(output[output.index("{") :])
    return [stage for stage in changed if re.fullmatch(rf"[a-z]+(@({'|'.join(VARIANTS)}))?", stage)]


def read(folder, name):
    return json.loads((folder / name).read_text())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = clone(tmp_path_factory.mktemp("a päth with spaces") / "squeezenet")
    # `dvc exp run --temp` notes this path in ASCII.
    run(folder, "dvc", "cache", "dir", "--local", str(tmp_path_factory.mktemp("cache")))
    said = run(folder, *MAKE, "repro")
    assert "train@squeezenet" in said and len(said.splitlines()) < 60, said  # a line a stage, with a bar
    return folder


def test_every_variant_leaves_its_results(project):
    for variant in VARIANTS:
        metrics = read(project, f"data/train/{variant}/metrics.json")
        assert (metrics["dataset"], metrics["epochs"], metrics["test_images"]) == ("CIFAR-10", 2, 300)
        with np.load(project / f"data/train/{variant}/predictions.npz") as predictions:
            right = predictions["probabilities"].argmax(1) == predictions["labels"]
        assert right.mean() == metrics["accuracy"]
        assert read(project, f"data/metrics/train/{variant}.json")["accuracy"] == round(metrics["accuracy"], 4)
        assert (project / f"data/runs/train/{variant}.ipynb").exists()


def test_a_variant_is_compressed(project):
    metrics = read(project, "data/compress/squeezenet/metrics.json")
    assert [row["bits"] for row in metrics["rows"]] == [32, 6, 32, 32] and metrics["dataset"] == "CIFAR-10"
    correct = dict(np.load(project / "data/compress/squeezenet/correct.npz"))
    assert 8 * metrics["rows"][1]["bytes"] < metrics["rows"][0]["bytes"]
    for row in metrics["rows"]:
        assert (project / "data/compress/squeezenet" / row["file"]).stat().st_size == row["bytes"]
        assert row["n"] == 300
        assert correct[row["file"]].mean() == row["accuracy"] and row["ratio"] == 4 * 23_322_506 / row["bytes"]


def test_downloads_and_updates_are_measured(project):
    found = read(project, "data/advantages/squeezenet/advantages.json")
    rows = {(row["form"], row["how"]): row for row in found["updates"]}
    assert len(rows) == 1 + 2 * 2 and {form for form, _ in rows} == {"32 bits", "pruned", "6 bits"}
    assert rows["6 bits", "shared values tuned"]["update"] < rows["6 bits", "compressed anew"]["update"]


def test_the_released_networks_are_looked_at_and_put_to_use(project):
    found = read(project, "data/imagenet/imagenet.json")
    assert "squeezenet_11" not in found["missing"] and found["evaluated"] == {}
    transferred = read(project, "data/transfer/transfer.json")
    assert len(transferred["rows"]) == 4 and transferred["test_images"] == 20


def test_the_networks_with_weights_are_exported(project):
    found = read(project, "data/export/export.json")
    networks = {(row["data"], row["network"]) for row in found["rows"]}
    assert networks == {("CIFAR-10", "squeezenet_1_0_simple")} and len(found["rows"]) == 6
    assert min(row["accuracy"] for row in found["rows"]) > 0.5  # of 20 images; its card says 83%


def test_the_report_has_a_section_of_this_run(project):
    assert "| `half_width` |" in re.sub(" +", " ", (project / "reports/your_run.md").read_text())
    assert (project / "reports/report.html").stat().st_size > 10_000


def test_nothing_changed_is_fast_and_runs_nothing(project):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert planned(project) == []
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 10  # seconds of a core


def test_one_edited_variant_reruns_alone(project):
    apply_overrides(project / "params.yaml", ["variants.half_width.compression=0.25"])
    try:
        assert [stage for stage in planned(project) if stage.startswith("train")] == ["train@half_width"]
    finally:
        run(project, "git", "checkout", "-q", "params.yaml")


def test_an_edit_elsewhere_trains_nothing_again(project):
    """Of a reader of weights, of an exporter, of the report's words. Of a notebook's prose: test_house.py."""
    for name in ("squeezenet/weights/caffe.py", "replication/export/formats.py", "replication/report/page.py"):
        with (project / "src" / name).open("a") as file:
            file.write("# edited\n")
    try:
        assert set(planned(project)) == {"imagenet", "transfer", "export", "report"}
    finally:
        run(project, "git", "checkout", "-q", "src")


def test_a_stage_runs_the_code_of_its_own_folder(tmp_path):
    """As in `dvc exp run --temp`, which works in a copy, whatever PYTHONPATH or the installed package name."""
    shutil.copytree(ROOT / "src", tmp_path / "src")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("from replication import paths\npaths.ROOT")])
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "where.ipynb")
    (prefix,) = [entry["run"] for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["vars"] if "run" in entry]
    command = ["sh", "-c", f"{prefix} where.ipynb told.ipynb"]
    subprocess.run(command, cwd=tmp_path, env=environment(ROOT), check=True, capture_output=True)
    (output,) = nbformat.read(tmp_path / "told.ipynb", as_version=4).cells[0].outputs
    assert str(tmp_path) in output["data"]["text/plain"]


@pytest.mark.slow
def test_an_experiment_elsewhere_leaves_the_workspace_alone(project):
    before = {path: path.read_bytes() for path in (project / "data/train").rglob("*") if path.is_file()}
    run(project, "dvc", "exp", "run", "--temp", "-S", "train.epochs=1", "train@half_width")
    assert {path: path.read_bytes() for path in (project / "data/train").rglob("*") if path.is_file()} == before
    run(project, "git", "diff", "--exit-code", "params.yaml")
    shown = run(project, "dvc", "exp", "show", "--json", "--only-changed")
    assert re.search(r'"epochs": 1\b', shown) and "data/metrics/train/half_width.json" in shown


@pytest.mark.slow
def test_a_recorded_training_leaves_its_row_and_is_compared_with_it(project):
    run(project, *MAKE, "evidence", "RUN=tiny")
    row = read(project, "data/evidence/tiny/half_width-3.json")
    assert (row["variant"], row["seed"], row["epochs"], len(row["history"]["epoch"])) == ("half_width", 3, 1, 1)
    assert (project / "data/checkpoints/tiny/half_width-3/model.keras").exists()
    run(project, *MAKE, "evidence", "RUN=tiny")  # nothing is left to do, which is no error
    apply_overrides(project / "params.yaml", ["train.momentum=0.8"])  # which is the laptop's
    said = run(project, *MAKE, "train", "RUN=tiny", "VARIANT=half_width", "SEED=3")
    run(project, "git", "checkout", "-q", "params.yaml")
    assert "equal bits: every epoch, and every test image, is as in data/evidence/tiny/half_width-3.json" in said
    assert planned(project) == ["report"]
    shutil.rmtree(project / "data/evidence/tiny")


@pytest.mark.slow
def test_a_second_clone_pulls_the_networks_and_trains_nothing(project, tmp_path):
    """docs/data.md's push and pull, by a remote on the same machine."""
    run(project, "dvc", "remote", "add", "--local", "-d", "store", str(tmp_path / "store"))
    run(project, "dvc", "push", *(f"train@{variant}" for variant in VARIANTS), "code", "dataset")
    second = tmp_path / "second"
    shutil.copytree(project, second, symlinks=True, ignore=shutil.ignore_patterns("cache", "tmp"))
    for stage in ("train", "compress", "runs", "dataset"):
        shutil.rmtree(second / "data" / stage)
    run(second, "dvc", "cache", "dir", "--local", str(tmp_path / "cache"))
    run(second, "dvc", "pull", *(f"train@{variant}" for variant in VARIANTS), "code", "dataset")
    for variant in VARIANTS:
        model = keras.models.load_model(second / f"data/train/{variant}/model.keras")
        assert model.predict(np.zeros((1, 32, 32, 3)), verbose=0).shape == (1, 10)
    assert not [stage for stage in planned(second) if stage.startswith("train")]


@pytest.mark.slow
def test_half_a_lock_file_retrains_nothing(project):
    """As DVC leaves it, killed while it writes. What the lock file has lost, DVC's cache of runs knows."""
    lock = project / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(whole[: whole.rindex(b"- path") + 1])
    assert "dvc.lock is damaged" in run(project, *MAKE, "unlock")
    assert "is cached - skipping run" in run(project, "dvc", "repro", "-s", "train@half_width")
    lock.write_bytes(whole)


@pytest.mark.slow
def test_serial_and_interrupted_training_equal_the_parallel_one(project, tmp_path):
    """Killed after its first epoch, a training resumes to the same bits, in plain `dvc repro` too."""
    folder = clone(tmp_path / "squeezenet")
    run(folder, "dvc", "repro", "code", "dataset")
    command = ["dvc", "repro", "--no-run-cache", "-f", "-s", "train@half_width"]
    process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL)
    while not list(folder.glob("data/interrupted/laptop-half_width-1-*/state.keras")):
        assert process.poll() is None, "the training ended before it could be interrupted"
        time.sleep(0.05)
    whole = psutil.Process(process.pid)
    for each in [whole, *whole.children(recursive=True)]:  # the kernel is in a session of its own
        each.kill()
    (folder / ".dvc/tmp/rwlock").write_text("")  # as DVC leaves it, killed while it writes
    process.wait()
    run(folder, *MAKE, "unlock")
    run(folder, *command)
    assert "resuming after epoch" in (folder / "data/runs/train/half_width.ipynb").read_text()
    assert not list(folder.glob("data/interrupted/*"))
    for path in (folder / "data/train/half_width").iterdir():  # equal bytes: no later stage runs again
        assert path.read_bytes() == (project / "data/train/half_width" / path.name).read_bytes(), path.name
