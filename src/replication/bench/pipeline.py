"""The pipeline's own time: nothing changed, one variant edited, what is not training, the library's import.

Reads what `make repro` has left, so that this comes after it.
"""

import json
import shutil
import subprocess
import sys
import tempfile

import yaml

from replication import paths
from replication.bench.files import in_turn


def measure(settings, done):
    """A row for each of: nothing changed, one variant edited, what is not training, the import."""
    done = {row["what"] for row in done}
    if "nothing changed" not in done:
        yield {"what": "nothing changed", "seconds": in_turn({"dvc repro": nothing_changed}, settings.rounds)}
    if "one variant edited" not in done:
        stages, run = one_edited("sr_250")
        yield {"what": "one variant edited", "stages": stages, "run": run}
    if "training" not in done:
        yield {"what": "training", **training()}
    if "import" not in done:
        works = {name: lambda name=name: python(f"import {name}") for name in ("keras", "squeezenet")}
        yield {"what": "import", "seconds": in_turn(works, settings.rounds)}


def nothing_changed():
    said = subprocess.run(["dvc", "repro"], cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout
    if "Running stage" in said:
        raise RuntimeError("dvc repro ran a stage: first `make repro`")


def python(code):
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)


def one_edited(variant):
    """How many stages there are, and which run, once a variant has another squeeze ratio."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "-q", paths.ROOT, folder], check=True)
        shutil.copy(paths.ROOT / "dvc.lock", folder)
        shutil.copytree(paths.DATA, f"{folder}/data", dirs_exist_ok=True)
        params = yaml.safe_load(paths.PARAMS.read_text())
        params["variants"][variant]["squeeze_ratio"] += 0.01
        with open(f"{folder}/params.yaml", "w") as file:
            yaml.safe_dump(params, file, sort_keys=False)
        cache = ["cache", "dir", "--local", str(paths.ROOT / ".dvc/cache")]
        _, said, listed = (
            subprocess.run(["dvc", *command], cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout
            for command in (cache, ["repro", "--dry"], ["stage", "list", "--name-only"])
        )
    run = [line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")]
    return len(listed.split()), run


def training():
    """Seconds of fitting with its validation, of the whole stage, and multiplications: a row for each network."""
    rows = []
    for path in sorted((paths.RUNS / "train").glob("*/notebook.ipynb")):
        runs = json.loads(path.with_name("run.json").read_text())
        metrics = json.loads((paths.train_dir(path.parent.name, next(iter(runs))) / "metrics.json").read_text())
        row = {key: metrics[key] for key in ("variant", "macs", "epochs", "train_images")}
        row |= {"seeds": len(runs), "seconds": sum(run["seconds"] for run in runs.values())}
        rows.append(row | {"stage_seconds": json.loads(path.read_text())["metadata"]["papermill"]["duration"]})
    return {"networks": rows}
