"""Recorded runs: what they freeze, what counts as theirs, and that a row is compared and never overwritten."""

import functools
import sys
from contextlib import nullcontext
from unittest.mock import Mock

import keras
import numpy as np
import pandas as pd
import pytest
import yaml

from replication import params, paths
from replication.dataset.splits import Dataset, save
from replication.train import __main__ as command
from replication.train import recipe, runs

VALUES = yaml.safe_load(paths.PARAMS.read_text())
RUNS = runs.plan()


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """A function that has trainings read another params.yaml."""

    def edit(values):
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
        for module in (recipe, runs):
            monkeypatch.setattr(module, "read", functools.partial(params.read, path=tmp_path / "params.yaml"))

    return edit


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """No row is there, and none is written into the clone."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "EVIDENCE", tmp_path / "data/evidence")
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "data/checkpoints")
    monkeypatch.setattr(paths, "TRAIN", tmp_path / "data/train")


def test_no_change_outside_of_a_run_strands_its_rows(edited, monkeypatch):
    """All of sections train and dataset, the rate of a variant, and a key that section train gains later."""
    other = {"momentum": 0.8, "epochs": 7, "learning_rate": 0.5, "crop": 24, "dropout": 0.1, "nesterov": False}
    variants = VALUES["variants"] | {"squeezenet": VALUES["variants"]["squeezenet"] | {"learning_rate": 0.01}}
    data = VALUES["dataset"] | {"name": "imagenette", "validation": 10, "limit": 100}
    edited(VALUES | {"train": VALUES["train"] | other | {"later": 2}, "dataset": data, "variants": variants})

    class Later(recipe.Train):
        later: int = 1

    for module in (recipe, runs):
        monkeypatch.setattr(module, "Train", Later)
    for name in RUNS:
        assert len(runs.recorded(name)) == len([*(paths.EVIDENCE / name).glob("*.json")]), name
    assert {path.name for path in paths.EVIDENCE.iterdir() if path.is_dir()} <= {*RUNS, "communication"}


TABLE3 = VALUES["runs"]["table3"]
RECIPE, DATA = TABLE3["recipe"] | {"momentum": 0.8}, TABLE3["dataset"] | {"validation": 10}


@pytest.mark.parametrize("change", [{"recipe": RECIPE}, {"dataset": DATA}, {"epochs": 5}, {"backend": "jax"}])
def test_a_row_of_other_parameters_than_its_runs_is_refused_by_name(change, edited):
    edited(VALUES | {"runs": VALUES["runs"] | {"table3": TABLE3 | change}})
    with pytest.raises(ValueError, match=r"-0\.json does not match runs\.table3 in params\.yaml"):
        runs.recorded("table3")


def test_a_row_of_no_training_of_its_run_is_refused_by_name(elsewhere):
    (paths.EVIDENCE / "table3").mkdir(parents=True)
    (paths.EVIDENCE / "table3/squeezenet-99.json").write_text("{}")
    with pytest.raises(ValueError, match=r"squeezenet-99\.json does not match runs\.table3"):
        runs.recorded("table3")
    (paths.EVIDENCE / "table3/squeezenet-0.json").write_text("<<<<<<< HEAD")
    with pytest.raises(ValueError, match=r"squeezenet-0\.json is damaged: take it from git again"):
        runs.training("table3", "squeezenet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("table4", "squeezenet"), r"runs has no 'table4'\. It has .*table3.*; 'laptop' is section train"),
        (("table3", "alexnet"), r"runs\.table3 has no training of 'alexnet', seed 0 and rate any"),
        (("rates", "squeezenet", 0, 9.0), r"runs\.rates has no training of 'squeezenet', seed 0 and rate 9\.0"),
        (("laptop", "resnet"), r"variants has no 'resnet'"),
        (("laptop", "squeezenet", 0, 0.06), r"the laptop.s seed and learning_rate are train"),
    ],
)
def test_a_training_that_is_not_planned_is_one_clear_error(arguments, message):
    with pytest.raises(ValueError, match=rf"^params\.yaml: {message}") as caught:
        runs.training(*arguments)
    assert "\n" not in str(caught.value)


def test_every_training_of_a_run_has_a_file_of_its_own_and_the_recipe_of_the_run():
    trainings = [each for name in RUNS for each in runs.trainings(name)]
    assert len({each.path for each in trainings}) == len(trainings) > 100
    for each in trainings:
        run = RUNS[each.run]
        values = each.recipe.model_dump()
        assert {key: values[key] for key in run.recipe} == run.recipe and values["epochs"] == run.epochs
        assert each.data == Dataset.model_validate(run.dataset)
    assert runs.training(each.run, each.variant, each.recipe.seed, each.recipe.learning_rate) == each


def test_a_seed_or_rate_given_twice_is_one_training_and_no_rate_an_error(edited):
    for rates, outcome in (([0.1, 0.1], nullcontext()), ([], pytest.raises(ValueError, match="at least 1 item"))):
        edited(VALUES | {"runs": {"mine": TABLE3 | {"seeds": [0, 0], "networks": {"squeezenet": rates}}}})
        with outcome:
            assert len(runs.trainings("mine")) == 1


@pytest.fixture
def row(elsewhere):
    """A function that records a training of table3, made up, which got this share of 200 test images right."""

    def record(share, loss=1.0):
        metrics = dict(variant="squeezenet", seed=0, epochs=20, test_images=200, accuracy=share, loss=loss)
        history = pd.DataFrame({"epoch": [1, 2], "val_accuracy": [0.5, share]})
        provenance = {"hardware": "an abacus", "seconds": 1.0, "backend": "tensorflow"}
        training = runs.training("table3", "squeezenet")
        return runs.record(training, metrics, history, np.arange(200) < 200 * share, provenance)

    return record


def test_a_row_is_read_as_it_was_recorded(row):
    assert row(0.75) == "data/evidence/table3/squeezenet-0.json is written: commit it"
    (read,) = runs.recorded("table3").to_dict("records")
    assert read["accuracy"] == 0.75 and read["learning_rate"] == RUNS["table3"].networks["squeezenet"]
    assert read["correct"].tolist() == [True] * 150 + [False] * 50 and read["history"]["epoch"] == [1, 2]


def test_a_row_that_is_there_is_compared_and_not_overwritten(row):
    row(0.75)
    path = runs.training("table3", "squeezenet").path
    before = path.read_bytes()
    assert row(0.75).startswith("equal bits: every epoch, and every test image, is as in data/evidence/table3")
    assert row(0.75, loss=1.1).startswith("+0.00 points of test accuracy")
    assert row(0.765).endswith("which was made on an abacus: within 2")
    with pytest.raises(RuntimeError, match=r"^-2\.50 points .* more than 2: this is another training, or too short"):
        row(0.725)
    assert path.read_bytes() == before
    path.write_bytes(before.replace(b'"accuracy": 0.75', b'"accuracy": 0.76'))
    with pytest.raises(ValueError, match=r"squeezenet-0\.json is damaged, as its test images do not give its accuracy"):
        runs.recorded("table3")
    path.write_bytes(before.replace(b'"seed": 0', b'"seed": 1'))
    with pytest.raises(ValueError, match=r"squeezenet-0\.json does not match runs\.table3 in params\.yaml"):
        runs.training("table3", "squeezenet")  # before anything is trained


@pytest.fixture
def listed(elsewhere, monkeypatch, capsys):
    """A function that gives what `python -m replication.train` lists: (run, variant, seed, rate) each."""
    monkeypatch.setattr(command, "make_dataset", lambda data: None)

    def read(*arguments):
        monkeypatch.setattr(sys, "argv", ["replication.train", *arguments])
        command.main()
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert {line[0] for line in lines} <= {"notebooks/train.ipynb"}
        named = [dict(zip(line[3::3], line[4::3], strict=True)) for line in lines]
        assert len({line[1] for line in lines}) == len(lines)  # no notebook overwrites another one
        return [(each["run"], each["variant"], int(each["seed"]), float(each["learning_rate"])) for each in named]

    return read


def planned(name):
    return [(name, each.variant, each.recipe.seed, each.recipe.learning_rate) for each in runs.trainings(name)]


def test_the_command_lists_what_has_no_row_seed_by_seed(listed, row):
    ours = [name for name, run in RUNS.items() if run.backend == keras.backend.backend()]
    assert listed() == [each for name in ours for each in planned(name)] and 0 < len(ours) < len(RUNS)
    seeds = [seed for *_, seed, _ in listed("table3")]
    assert seeds == sorted(seeds) and len(set(seeds)) == len(RUNS["table3"].seeds)
    row(0.75)
    assert listed("table3") == planned("table3")[1:]
    assert listed("table3", "--variant", "squeezenet", "--seed", "0") == planned("table3")[:1]


def test_a_run_of_another_backend_says_so(listed, capsys):
    with pytest.raises(SystemExit):
        listed("table3", "figure3")  # whichever of them it is
    assert "run figure3 is trained on jax: set KERAS_BACKEND=jax" in capsys.readouterr().err


def test_the_data_set_of_a_run_is_made_once(elsewhere, monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "DATASET", tmp_path)
    execute = Mock(side_effect=lambda notebook, output, given, **_: save(tmp_path / "cifar10", {}, given))
    monkeypatch.setattr(command.papermill, "execute_notebook", execute)
    data = runs.training("table3", "squeezenet").data
    command.make_dataset(data)
    command.make_dataset(data)
    assert [call.args[2] for call in execute.mock_calls] == [{"name": "cifar10", "validation": 5000}]


def test_a_network_that_is_not_there_says_what_to_run(elsewhere):
    there = r"squeezenet.*/model\.keras is not there: run "
    with pytest.raises(FileNotFoundError, match=there + "dvc repro train@squeezenet first"):
        runs.training("laptop", "squeezenet").load()
    with pytest.raises(FileNotFoundError, match=there + "make train RUN=table3 VARIANT=squeezenet SEED=3 first"):
        runs.training("table3", "squeezenet", 3).load()
