"""Rows of longer trainings: what is asked for, in order; what counts; what is left out by name."""

import json
import sys

import keras
import numpy as np
import pandas as pd
import pytest

from replication import paths, results
from replication.evidence import __main__ as command
from replication.evidence import gathered, rows
from replication.params import read

PLAN = read("evidence", rows.Plan)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "EVIDENCE", tmp_path / "evidence")
    return tmp_path / "evidence"


@pytest.fixture
def trained(tmp_path):
    """What `loop.train` leaves, made up."""
    (tmp_path / "result").mkdir()
    labels = np.arange(50) % 10
    probabilities = np.eye(10)[np.where(np.arange(50) < 37, labels, (labels + 1) % 10)]
    np.savez(tmp_path / "result/predictions.npz", probabilities=probabilities, labels=labels)
    pd.DataFrame({"epoch": [1], "val_accuracy": [0.5]}).to_csv(tmp_path / "result/history.csv", index=False)
    metrics = {"variant": "squeezenet", "epochs": 20, "seed": 1, "test_images": 50, "accuracy": 0.74}
    (tmp_path / "result/metrics.json").write_text(json.dumps(metrics))
    return tmp_path / "result"


def test_every_training_is_asked_for_once_in_the_order_of_params():
    jobs = rows.jobs()
    assert len(set(jobs)) == len({job.path for job in jobs}) == len(jobs)
    longer = [job for job in jobs if not job.learning_rate]
    first, *_ = PLAN.parts.values()
    assert [job.variant for job in longer[: len(first.variants)]] == first.variants
    assert {job.seed for job in longer[: len(first.variants)]} == {first.seeds[0]}


def test_a_row_differs_from_the_laptops_recipe_as_params_say():
    job = next(job for job in rows.jobs() if not job.learning_rate)
    laptop, longer = read("train", dict), job.settings()[1].model_dump()
    differ = {key for key in laptop if laptop[key] != longer[key]}
    assert differ <= {"epochs", "seeds", "learning_rate", *PLAN.recipe} and {"epochs", *PLAN.recipe} <= differ


def test_committed_rows_are_of_the_committed_parameters():
    assert rows.strange() == []


def test_a_training_waits_for_the_backend_of_its_part(folder, monkeypatch, capsys):
    others = [job.name for job in rows.jobs() if job.backend != keras.backend.backend()]
    monkeypatch.setattr(sys, "argv", ["evidence", "list"])
    command.main()
    listed = capsys.readouterr().out.split()
    assert others and listed == [job.name for job in rows.jobs() if job.name not in others]
    monkeypatch.setattr(sys, "argv", ["evidence", "train", others[0]])
    with pytest.raises(SystemExit):
        command.main()
    assert f"{others[0]} is trained with KERAS_BACKEND=jax" in capsys.readouterr().err


def gather(folder):
    (folder / "gathered.json").write_text(json.dumps(rows.gather()))
    return gathered.read(folder / "gathered.json")


def test_a_network_is_gathered_once_it_has_all_its_seeds(folder, trained):
    name, part = "figure3", PLAN.parts["figure3"]
    for seed in part.seeds:
        longer = {run.name: run for run in gather(trained).runs}[name]
        assert longer.trainings.empty and not longer.correct
        metrics = json.loads((trained / "metrics.json").read_text())
        (trained / "metrics.json").write_text(json.dumps(metrics | {"variant": "sr_250", "seed": seed}))
        rows.record(rows.Job("sr_250", part.epochs, seed, backend=part.backend), trained, {"seconds": 3.0})
    longer = gather(trained)
    run = {run.name: run for run in longer.runs}[name]
    assert run.seeds == run.trainings.seed.tolist() == part.seeds and set(run.trainings.variant) == {"sr_250"}
    assert run.correct["sr_250", 1].tolist() == [True] * 37 + [False] * 13 and len(run.history) == len(part.seeds)
    assert name in longer.incomplete and longer.strange == [] and longer.compressed[name] == {}


def test_a_compressed_network_is_gathered_with_what_it_got_right(folder, trained, monkeypatch):
    monkeypatch.setattr(rows, "jobs", lambda: [job])
    job = rows.Job("squeezenet", 20, 1)
    part = rows.Part(variants=["squeezenet"], epochs=20, seeds=[1], compress=True)
    plan = PLAN.model_copy(update={"parts": {"only": part}})
    monkeypatch.setattr(rows, "read", lambda section, kind: plan if section == "evidence" else read(section, kind))
    rows.record(job, trained, {})
    assert gather(trained).runs[0].trainings.empty and not rows.is_done(job)
    correct = np.random.default_rng(0).random(10_001) < 0.7
    made = {"variant": "squeezenet", "seed": 1, "rows": [{"file": "a.sqnt", "n": 10_001}]}
    made |= {"correct": {"a.sqnt": rows.pack(correct)}, "params": rows.compress_params(job)}
    job.compressed.parent.mkdir(parents=True)
    job.compressed.write_text(json.dumps(made))
    longer = gather(trained)
    assert rows.is_done(job) and longer.incomplete == [] and len(longer.runs[0].trainings) == 1
    np.testing.assert_array_equal(longer.compressed["only"][1]["squeezenet"]["correct"]["a.sqnt"], correct)


@pytest.mark.parametrize("change", [("train", "momentum"), ("dataset", "limit"), ("variant", "model")])
def test_a_row_of_other_parameters_is_left_out_by_name(folder, trained, change):
    job = rows.Job("sr_250", 6, 1)
    rows.record(job, trained, {})
    assert rows.is_done(job) and rows.strange() == []
    section, key = change
    row = json.loads(job.path.read_text())
    row["params"][section][key] = "another"
    job.path.write_text(json.dumps(row))
    assert not rows.is_done(job) and rows.strange() == [job.name]


def test_a_compressed_row_of_other_parameters_is_left_out_by_name(folder):
    job = next(job for job in rows.jobs() if rows.is_compressed(job))
    job.compressed.parent.mkdir(parents=True)
    job.compressed.write_text(json.dumps({"params": rows.compress_params(job)}))
    assert rows.strange() == []
    job.compressed.write_text(json.dumps({"params": rows.compress_params(job) | {"compress": {}}}))
    assert rows.strange() == [f"compress/{job.name}"]


def run_of(name, epochs, seeds, variants):
    trainings = pd.DataFrame([{"variant": v, "seed": s, "epochs": epochs} for v in variants for s in seeds])
    return results.Run(name, trainings, trainings, {}, list(seeds))


def test_the_longest_whole_run_of_three_seeds_answers():
    laptop = run_of("laptop", 2, [42], "abc")
    longer = [run_of("whole", 20, range(3), "ab"), run_of("short", 6, range(3), "ab"), run_of("pair", 60, [0, 1], "ab")]
    assert results.strongest(["a", "b"], [laptop, *longer]).name == "whole"
    assert results.strongest(["a", "c"], [laptop, *longer]).name == "laptop"
    cut = longer[0]._replace(trainings=longer[0].trainings.iloc[:-1])
    assert results.strongest(["a", "b"], [laptop, cut, *longer[1:]]).name == "short"
