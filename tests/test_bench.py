"""Benchmarks: what is measured once is left alone, tables of what was measured, the same networks in PyTorch."""

import json

import numpy as np
import pytest

from replication import params, paths
from replication.bench import plan, recipes, steps
from replication.report import advantages, benchmarks, page
from squeezenet import models

SPEEDS = {"Keras on TensorFlow": [110, 100, 120], "Keras on JAX": [30, 31, 29], "PyTorch": [100, 100, 100]}
SPEEDS |= {"PyTorch, compiled": [80, 50, 90]}


def test_a_row_is_added_for_git_and_known_again(monkeypatch, tmp_path):
    monkeypatch.setattr(plan, "ROWS", tmp_path)
    plan.add("steps", {"network": "a"})
    plan.add("steps", {"network": "b"})
    assert [row["network"] for row in plan.rows_of("steps")] == ["a", "b"] and plan.rows_of("files") == []
    assert {"commit", "versions", "hardware"} <= set(plan.rows_of("steps")[0])


def test_what_is_measured_is_left_alone():
    settings = plan.settings()
    cells = [(n, d, b) for n in settings.networks for d in settings.dtypes for b in settings.batches]
    done = [dict(zip(("network", "dtype", "batch"), cell, strict=True)) for cell in cells]
    assert list(steps.measure(settings, done)) == []
    ours = [f"ours, {epochs} epochs" for epochs in settings.recipes.epochs.values()]
    done = [
        {"recipe": name, "seed": seed} for name in (*ours, *settings.recipes.others) for seed in settings.recipes.seeds
    ]
    assert list(recipes.measure(settings, done)) == []


def test_speeds_are_compared_round_by_round_with_the_best_of_pytorch():
    row = {"network": "squeezenet", "dtype": "float32", "batch": 64, "images_per_second": SPEEDS}
    np.testing.assert_allclose(benchmarks.ratios(row), [1.1, 1.0, 1.2])
    assert benchmarks.steps([row]).iloc[0].tolist()[3:] == [
        "110 [100, 120]", "30 [29, 31]", "100 [100, 100]", "80 [50, 90]", "1.10 [1.00, 1.20]",
    ]  # fmt: skip


def curve(*points):
    return [{"seconds": seconds, "val_accuracy": accuracy} for seconds, accuracy in points]


def test_seconds_to_an_accuracy_are_those_of_a_whole_schedule_or_of_the_epoch_that_reaches_it():
    rows = [
        {"recipe": "ours, 2 epochs", "seed": 0, "curve": curve((20, 0.66), (40, 0.65))},
        {"recipe": "slow", "seed": 0, "curve": curve((200, 0.6), (400, 0.66), (600, 0.7))},
        {"recipe": "never", "seed": 0, "curve": curve((200, 0.1), (400, 0.2))},
    ]
    table = benchmarks.recipes(rows, {65: 2}).set_index("recipe")
    assert table["seconds"].tolist() == ["40 [40, 40]", "400 [400, 400]", "more than 400; best 20.0%"]
    assert table["by ours"].tolist() == ["1.0 [1.0, 1.0]", "10.0 [10.0, 10.0]", "> 10.0"]
    assert table["seeds that reach it"].tolist() == ["1 of 1", "1 of 1", "0 of 1"]


def test_the_page_is_that_of_the_committed_rows():
    found = benchmarks.read()
    text = page.TEMPLATES.get_template("benchmarks.md.j2").render(benchmarks.context(found, advantages.read()))
    assert text.strip() == (paths.ROOT / "docs/benchmarks.md").read_text().strip()
    for topic in found:
        assert json.loads((plan.ROWS / f"{topic}.json").read_text()) == found[topic]


def test_other_recipes_change_keys_of_section_train_alone():
    known = set(params.read("train", dict)) | {"constant"}
    assert all(set(changes) <= known for changes in plan.settings().recipes.others.values())


@pytest.mark.parametrize("network", plan.settings().networks)
def test_the_networks_in_pytorch_have_the_same_parameters(network):
    pytest.importorskip("torch")
    import torch

    from replication.bench import pytorch

    options = params.read("variants", dict)[network]
    kind = options["model"]
    metaparameters = {key: value for key, value in options.items() if key not in ("model", "learning_rate")}
    ours = models.create(kind, (32, 32, 3), 10, **metaparameters)
    theirs = pytorch.NETWORKS[kind](10, **metaparameters)
    assert theirs(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert sum(parameter.numel() for parameter in theirs.parameters()) == ours.count_params()
