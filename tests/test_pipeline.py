"""The whole pipeline in a temporary clone on a tiny budget: parallel, serial, interrupted, edited."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
VARIANTS = ("squeezenet", "complex_bypass", "half_width")


def run(folder, *command, **options):
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": f"{folder}/src", "JOBS": "2"}
    result = subprocess.run(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
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
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["dataset"]["limit"] = 300
    params["budgets"]["laptop"] |= {"epochs": 2, "seeds": [1]}
    params["budgets"]["full"] |= {"epochs": 3, "dtype": "float32"}
    params["variants"] = {name: params["variants"][name] for name in VARIANTS}
    compressed = params["compress"]["variants"]["squeezenet"]
    params["imagenet"]["agreement"] = 4
    params["imagenet"]["transfer"] |= {"per_class": 2, "test": 20, "side": 64, "epochs": 1}
    params["compress"]["variants"] = {"squeezenet": compressed | {"retrain": {"pruned": 100, "shared": 100}}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return folder


def weights(folder, variant):
    with np.load(folder / f"data/train/{variant}/1/predictions.npz") as arrays:
        return arrays["probabilities"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = clone(tmp_path_factory.mktemp("parallel") / "squeezenet")
    run(folder, "make", "repro", f"VENV={BIN.parent}")
    return folder


def test_every_variant_leaves_its_results(project):
    for variant in VARIANTS:
        metrics = json.loads((project / f"data/train/{variant}/1/metrics.json").read_text())
        assert (metrics["dataset"], metrics["epochs"], metrics["test_images"]) == ("CIFAR-10", 2, 300)
        assert metrics["accuracy_low"] < metrics["accuracy"] < metrics["accuracy_high"]
        assert np.isclose((weights(project, variant)).sum(1), 1, atol=1e-3).all()


def test_a_variant_is_compressed(project):
    metrics = json.loads((project / "data/compress/squeezenet/metrics.json").read_text())
    assert [row["bits"] for row in metrics["rows"]] == [32, 8, 6] and metrics["dataset"] == "CIFAR-10"
    for row in metrics["rows"]:
        assert (project / "data/compress/squeezenet" / row["file"]).stat().st_size == row["bytes"]
        assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"] and row["n"] == 300
    assert "Deep Compression of our networks" in (project / "reports/README.md").read_text()


def test_the_released_networks_are_looked_at_and_put_to_use(project):
    found = json.loads((project / "data/imagenet/imagenet.json").read_text())
    assert "squeezenet_11" not in found["missing"] and found["evaluated"] == {}
    assert len(found["transfer"]["rows"]) == 2 and found["transfer"]["test_images"] == 20
    assert "not run: no ImageNet folder" in (project / "reports/README.md").read_text()


def test_nothing_changed_is_fast_and_runs_nothing(project):
    began = time.perf_counter()
    output = run(project, "dvc", "repro")
    assert "Running stage" not in output
    assert time.perf_counter() - began < 15  # 5 s on a machine that does nothing else


def test_one_edited_variant_reruns_alone(project):
    edit(project, variants__half_width={"model": "squeezenet", "compression": 0.25})
    try:
        planned = [
            line for line in run(project, "dvc", "repro", "--dry").splitlines() if "Running stage 'train" in line
        ]
        assert planned == ["Running stage 'train@half_width':"]
    finally:
        edit(project, variants__half_width={"model": "squeezenet", "compression": 0.5})


def test_a_training_at_the_full_budget_leaves_its_row(project):
    """It is a stage of its own; the default run reports it, and neither trains again for it nor trains the others."""
    run(project, "dvc", "repro", "reports/full/dvc.yaml:train@half_width-2")
    row = json.loads((project / "reports/full/half_width-2.json").read_text())
    assert (row["variant"], row["seed"], row["epochs"], len(row["history"]["epoch"])) == ("half_width", 2, 3, 3)
    assert (project / "data/full/half_width/2/model.keras").exists()
    planned = [line for line in run(project, "dvc", "repro", "--dry").splitlines() if "Running stage" in line]
    assert planned == ["Running stage 'report':"]


def test_serial_and_interrupted_training_equal_the_parallel_one(project, tmp_path):
    """Killed after its first epoch, a training goes on to the same bits, in plain `dvc repro` too."""
    folder = clone(tmp_path / "squeezenet")
    run(folder, "dvc", "repro", "dataset")
    target = "train@half_width"
    process = subprocess.Popen(
        ["dvc", "repro", "--no-run-cache", "-s", target],
        cwd=folder,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": f"{folder}/src"},
        stdout=subprocess.DEVNULL,
    )
    while not list(folder.glob("data/interrupted/half_width-1-*/state.keras")):
        assert process.poll() is None, "the training ended before it could be interrupted"
        time.sleep(0.05)
    whole = psutil.Process(process.pid)
    for each in [*whole.children(recursive=True), whole]:  # the kernel is in a session of its own
        each.kill()
    process.wait()
    output = run(folder, "dvc", "repro", "--no-run-cache", "-f", "-s", target)
    assert "going on after epoch" in output
    assert not list(folder.glob("data/interrupted/half_width-1-*"))
    np.testing.assert_array_equal(weights(folder, "half_width"), weights(project, "half_width"))
