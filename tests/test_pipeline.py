"""The whole pipeline in a temporary clone on a tiny budget: parallel, serial, interrupted, edited, pushed, pulled."""

import json
import os
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

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
VARIANTS = ("squeezenet", "complex_bypass", "half_width")


def environment(folder):
    return os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": f"{folder}/src", "JOBS": "2"}


def run(folder, *command):
    result = subprocess.run(
        command, cwd=folder, env=environment(folder), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert result.returncode == 0, result.stdout[-5000:]
    return result.stdout


def edit(folder, **changes):
    """Change values of params.yaml, named section__key."""
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for name, value in changes.items():
        section, key = name.split("__")
        params[section][key] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def clone(folder):
    """A clone with the working tree's files on a tiny budget; the download is shared through DVC's cache."""
    run(ROOT, "git", "clone", "-q", ".", str(folder))
    for name in run(ROOT, "git", "ls-files", "-m", "-o", "--exclude-standard").split():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    run(folder, "dvc", "cache", "dir", "--local", str(ROOT / ".dvc/cache"))
    for row in (folder / "data/evidence").rglob("*.json"):  # of other parameters than the tiny budget's
        row.unlink()
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["dataset"]["limit"] = 300
    params["train"] |= {"epochs": 2, "seeds": [1]}
    params["evidence"]["parts"] = {"longer": {"epochs": 3, "seeds": [2], "variants": ["squeezenet"], "compress": True}}
    params["evidence"]["rates"]["variants"] = {}
    params["variants"] = {name: params["variants"][name] for name in VARIANTS}
    compressed = params["compress"]["variants"]["squeezenet"]
    params["authors"] |= {"ours": params["authors"]["ours"][:1], "calibration": 2}
    params["imagenet"]["agreement"] = 4
    params["transfer"] |= {"per_class": 2, "test": 20, "side": 64, "epochs": 1}
    params["export"] = {"images": 20, "photographs": 2, "calibration": 4, "calls": 2}
    params["compress"]["variants"] = {"squeezenet": compressed | {"retrain": {"pruned": 100, "shared": 100}}}
    measured = params["advantages"]["variants"]["squeezenet"]
    measured |= {
        "images": {"dense": 100, "pruned": 100, "shared": 100},
        "arenas": {"half_width": {"model": "squeezenet", "compression": 0.25}},
    }
    params["advantages"]["variants"] = {"squeezenet": measured}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return folder


def planned(folder):
    """The stages that `dvc repro` would run."""
    output = run(folder, "dvc", "repro", "--dry")
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def weights(folder, variant):
    with np.load(folder / f"data/train/{variant}/1/predictions.npz") as arrays:
        return arrays["probabilities"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = clone(tmp_path_factory.mktemp("a päth with spaces") / "squeezenet")
    run(folder, "make", "repro", f"VENV={BIN.parent}")
    return folder


def test_every_variant_leaves_its_results(project):
    for variant in VARIANTS:
        metrics = json.loads((project / f"data/train/{variant}/1/metrics.json").read_text())
        assert (metrics["dataset"], metrics["epochs"], metrics["test_images"]) == ("CIFAR-10", 2, 300)
        assert metrics["accuracy_low"] < metrics["accuracy"] < metrics["accuracy_high"]
        assert np.isclose((weights(project, variant)).sum(1), 1, atol=1e-3).all()
        assert json.loads((project / f"data/runs/train/{variant}/run.json").read_text())["1"]["seconds"] > 0


def test_a_variant_is_compressed(project):
    metrics = json.loads((project / "data/compress/squeezenet/metrics.json").read_text())
    assert [row["bits"] for row in metrics["rows"]] == [32, 8, 6, 32, 32] and metrics["dataset"] == "CIFAR-10"
    for row in metrics["rows"]:
        assert (project / "data/compress/squeezenet" / row["file"]).stat().st_size == row["bytes"]
        assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"] and row["n"] == 300
    assert "Deep Compression of our networks" in (project / "reports/README.md").read_text()


def test_downloads_and_updates_are_measured(project):
    found = json.loads((project / "data/advantages/squeezenet/advantages.json").read_text())
    rows = {(row["form"], row["how"]): row for row in found["updates"]}
    assert len(rows) == 1 + 2 * 3 and {form for form, _ in rows} == {"32 bits", "pruned", "8 bits", "6 bits"}
    assert rows["6 bits", "shared values tuned"]["update"] < rows["6 bits", "compressed anew"]["update"]
    assert "The three advantages" in (project / "reports/README.md").read_text()


def test_the_released_networks_are_looked_at_and_put_to_use(project):
    found = json.loads((project / "data/imagenet/imagenet.json").read_text())
    assert "squeezenet_11" not in found["missing"] and found["evaluated"] == {}
    transferred = json.loads((project / "data/transfer/transfer.json").read_text())
    assert len(transferred["rows"]) == 4 and transferred["test_images"] == 20


def test_the_networks_with_weights_are_exported(project):
    found = json.loads((project / "data/export/export.json").read_text())
    runs = {(row["data"], row["network"]) for row in found["rows"]}
    assert len(runs) + len(found["missing"]) == 6 and len(found["rows"]) == 6 * len(runs)
    times = json.loads((project / "data/runs/export/run.json").read_text())["times"]
    assert len(times) == 7 * len(runs) and all(row["ms_low"] <= row["ms"] <= row["ms_high"] for row in times)
    assert "| LiteRT, 8 bits" in (project / "reports/README.md").read_text()


def test_nothing_changed_is_fast_and_runs_nothing(project):
    began = time.perf_counter()
    output = run(project, "dvc", "repro")
    assert "Running stage" not in output
    assert time.perf_counter() - began < 15  # 5 s on a machine that does nothing else


def test_one_edited_variant_reruns_alone(project):
    edit(project, variants__half_width={"model": "squeezenet", "compression": 0.25})
    try:
        assert [stage for stage in planned(project) if stage.startswith("train")] == ["train@half_width"]
    finally:
        edit(project, variants__half_width={"model": "squeezenet", "compression": 0.5})


def test_a_saved_output_or_an_edited_sentence_reruns_no_training(project):
    """As JupyterLab leaves a notebook after Run All, with a changed paragraph."""
    path = project / "notebooks/train.ipynb"
    before = path.read_text()
    notebook = nbformat.reads(before, as_version=4)
    notebook.metadata["language_info"] = {"name": "python", "file_extension": ".py", "version": "3.12.1"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count = 7
            cell.outputs = [nbformat.v4.new_output("stream", text="hello")]
        else:
            cell.source += " A new sentence."
    try:
        nbformat.write(notebook, path)
        assert planned(project)[0] == "code"
        run(project, "dvc", "repro", "code")
        assert planned(project) == []
        notebook.cells[-1].source += "\nprint(1)"
        nbformat.write(notebook, path)
        run(project, "dvc", "repro", "code")
        assert {"train@squeezenet", "train@half_width"} <= set(planned(project))
    finally:
        path.write_text(before)
        run(project, "dvc", "repro", "code")


def test_an_identical_training_reruns_nothing_behind_it(project):
    run(project, "dvc", "repro", "-f", "-s", "--no-run-cache", "train@squeezenet")
    assert planned(project) == []


def test_a_longer_training_leaves_its_row_and_reruns_the_report_once_it_is_whole(project):
    output = run(project, "make", "evidence", f"VENV={BIN.parent}")
    assert "squeezenet_1_0: kept the file that is there" in output  # of the package: trained for longer
    assert len(json.loads((project / "data/evidence/compress/squeezenet-3-2.json").read_text())["rows"]) == 5
    row = json.loads((project / "data/evidence/squeezenet-3-2.json").read_text())
    assert (row["variant"], row["seed"], row["epochs"], len(row["history"]["epoch"])) == ("squeezenet", 2, 3, 3)
    assert (project / "data/checkpoints/squeezenet-3-2/model.keras").exists()
    assert planned(project) == ["evidence"]
    run(project, "dvc", "repro", "-s", "evidence")
    assert planned(project) == ["report"]
    assert "squeezenet-3-2" not in run(project, sys.executable, "-m", "replication.evidence", "list")
    run(project, "make", "evidence", f"VENV={BIN.parent}")  # nothing is left to do, which is no error
    edit(project, train__momentum=0.8)
    try:
        command = [sys.executable, "-m", "replication.evidence", "list"]
        refused = subprocess.run(command, cwd=project, env=environment(project), text=True, capture_output=True)
        assert refused.returncode == 1 and "squeezenet-3-2" in refused.stderr
    finally:
        edit(project, train__momentum=0.9)


def test_a_second_clone_pulls_the_networks_and_trains_nothing(project, tmp_path):
    """README's push and pull, by a remote on the same machine."""
    run(project, "dvc", "remote", "add", "--local", "-d", "store", str(tmp_path / "store"))
    run(project, "dvc", "push")
    second = tmp_path / "second"
    shutil.copytree(project, second, ignore=shutil.ignore_patterns("cache", "tmp"))
    for stage in ("train", "compress", "runs", "dataset"):
        shutil.rmtree(second / "data" / stage)
    run(second, "dvc", "cache", "dir", "--local", str(tmp_path / "cache"))
    run(second, "dvc", "pull")
    for variant in VARIANTS:
        model = keras.models.load_model(second / f"data/train/{variant}/1/model.keras")
        assert model.predict(np.zeros((1, 32, 32, 3)), verbose=0).shape == (1, 10)
    assert not [stage for stage in planned(second) if stage.startswith("train")]


def test_of_half_a_lock_file_nothing_trains_again(project):
    """As DVC leaves it, killed while it writes."""
    lock = project / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(whole[: whole.rindex(b"- path") + 1])
    assert "dvc.lock is damaged" in run(project, "make", "unlock", f"VENV={BIN.parent}")
    assert "is cached - skipping run" in run(project, "dvc", "repro", "-s", "train@half_width")
    lock.write_bytes(whole)


def test_serial_and_interrupted_training_equal_the_parallel_one(project, tmp_path):
    """Killed after its first epoch, a training goes on to the same bits, in plain `dvc repro` too."""
    folder = clone(tmp_path / "squeezenet")
    run(folder, "dvc", "repro", "code", "dataset")
    target = "train@half_width"
    process = subprocess.Popen(
        ["dvc", "repro", "--no-run-cache", "-s", target],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
    )
    while not list(folder.glob("data/interrupted/half_width-1-*/state.keras")):
        assert process.poll() is None, "the training ended before it could be interrupted"
        time.sleep(0.05)
    whole = psutil.Process(process.pid)
    for each in [whole, *whole.children(recursive=True)]:  # the kernel is in a session of its own
        each.kill()
    (folder / ".dvc/tmp/rwlock").write_text("")  # as DVC leaves it, killed while it writes
    process.wait()
    run(folder, "make", "unlock", f"VENV={BIN.parent}")
    output = run(folder, "dvc", "repro", "--no-run-cache", "-f", "-s", target)
    assert "going on after epoch" in output
    assert not list(folder.glob("data/interrupted/half_width-1-*"))
    np.testing.assert_array_equal(weights(folder, "half_width"), weights(project, "half_width"))
