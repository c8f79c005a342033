"""Benchmarks: what is measured once is left alone, tables of what was measured, the same networks in PyTorch."""

import json

import numpy as np
import pytest

from replication import params, paths
from replication.bench import files, imagenet, pipeline, plan, recipes, steps
from replication.report import benchmarks
from squeezenet import models

SPEEDS = {"Keras on TensorFlow": [110, 100, 120], "Keras on JAX": [30, 31, 29], "PyTorch": [100, 100, 100]}
SPEEDS |= {"PyTorch, compiled": [80, 50, 90]}


def test_a_row_is_added_for_git_and_known_again(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "BENCH", tmp_path)
    plan.add("steps", {"network": "a"})
    plan.add("steps", {"network": "b"})
    assert [row["network"] for row in plan.rows_of("steps")] == ["a", "b"] and plan.rows_of("files") == []
    assert {"commit", "versions", "hardware"} <= set(plan.rows_of("steps")[0])


def test_what_is_measured_is_left_alone():
    settings = plan.settings()
    cells = [(n, d, b) for n in settings.networks for d in settings.dtypes for b in settings.batches]
    done = [dict(zip(("network", "dtype", "batch"), cell, strict=True)) for cell in cells]
    assert list(steps.measure(settings, done)) == []
    recipe = {"ours": settings.recipes.epochs.values()}
    recipe |= {name: [changes["epochs"]] for name, changes in settings.recipes.others.items()}
    done = [{"seconds": {}}] + [
        {"recipe": name, "epochs": epochs, "seed": seed}
        for name, lengths in recipe.items()
        for epochs in lengths
        for seed in settings.recipes.seeds
    ]
    assert list(recipes.measure(settings, done)) == []
    done = [{"what": what} for what in ("kmeans", "photographs", "nothing changed", "one variant edited", "training")]
    assert list(files.measure(settings, done)) == list(pipeline.measure(settings, [*done, {"what": "import"}])) == []


def test_another_machine_does_not_add_to_rows(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "BENCH", tmp_path)
    (tmp_path / "steps.json").write_text(json.dumps([{"hardware": "an abacus"}]))
    with pytest.raises(ValueError, match=r"steps.json is of an abacus: delete it to measure on"):
        plan.add("steps", {})


def test_an_accelerator_is_not_measured_where_there_is_none():
    with pytest.raises(RuntimeError, match="on an accelerator, with KERAS_BACKEND=jax"):
        next(imagenet.measure(plan.settings(), []))


def test_speeds_are_compared_round_by_round_with_the_best_of_pytorch():
    row = {"network": "squeezenet", "dtype": "float32", "batch": 64, "images_per_second": SPEEDS}
    np.testing.assert_allclose(benchmarks.ratios(row), [1.1, 1.0, 1.2])
    assert benchmarks.steps([row]).iloc[0].tolist()[3:] == [
        "110 [100, 120]", "30 [29, 31]", "100 [100, 100]", "80 [50, 90]", "1.10 [1.00, 1.20]",
    ]  # fmt: skip


def test_seconds_to_an_accuracy_are_those_of_a_whole_schedule_or_of_the_epoch_that_reaches_it():
    def run(recipe, epochs, seed, *accuracies):
        return {"recipe": recipe, "epochs": epochs, "seed": seed, "val_accuracy": accuracies}

    rows = [
        {"seconds": {"ours": [19, 20, 30], "slow": [100, 99, 101], "never": [200, 200, 200]}},
        run("ours", 2, 0, 0.66, 0.65),
        run("ours", 2, 1, 0.66, 0.64),
        run("ours", 4, 0, 0.66, 0.7, 0.7, 0.75),
        run("slow", 9, 0, 0.5, 0.6, 0.6, 0.66, 0.66, 0.7),
        run("slow", 9, 1, 0.5, 0.6, 0.66),
        run("never", 9, 0, 0.1, 0.2),
    ]
    table = benchmarks.recipes(rows, {65: 2, 75: 4})
    assert table.recipe.tolist() == ["ours, 2 epochs", "slow", "never", "ours, 4 epochs", "slow", "never"]
    assert table["seconds an epoch"].tolist()[:2] == ["20 [19, 30]", "100 [99, 101]"]
    assert table["seconds"].tolist()[:3] == ["40 [40, 40]", "400 [400, 400]", "not in 400; best 20.0 [20.0, 20.0]%"]
    assert table["by ours"].tolist()[:3] == ["1.0 [1.0, 1.0]", "10.0 [10.0, 10.0]", "over 10.0"]
    assert table["by ours"].tolist()[3:] == ["1.0 [1.0, 1.0]", "over 7.5", "over 5.0"]
    assert table["seeds that reach it"].tolist() == ["1 of 1", "1 of 1", "0 of 1", "1 of 1", "0 of 1", "0 of 1"]


def test_a_recipe_that_fails_loses_no_other(monkeypatch):
    def child(module, name, *job):
        if name == "paper":
            raise RuntimeError("killed")
        return [0.5]

    monkeypatch.setattr(plan, "child", child)
    rows = []
    with pytest.raises(RuntimeError, match="killed"):
        rows.extend(recipes.measure(plan.settings(), [{"seconds": {}}]))
    settings = plan.settings().recipes
    assert len(rows) == len(settings.seeds) * (len(settings.epochs) + len(settings.others) - 1)


def test_other_recipes_change_keys_of_section_train_alone():
    known = set(params.read("train", dict)) | {"divide_every"}
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
