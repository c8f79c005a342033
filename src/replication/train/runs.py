"""Recorded runs: section `runs` of params.yaml, and a row in git for each of their trainings.

A run freezes its data set, recipe, networks with their learning rates, seeds and backend, so that no other edit of
params.yaml changes what its rows mean. A row, data/evidence/RUN/NETWORK-SEED.json, contains metrics.json, the
parameters, the history, the test images that the network classified correctly (bits, base64), seconds and provenance.
"""

import json
from typing import Annotated, Literal, NamedTuple

import keras
import pandas as pd
from pydantic import Field, PositiveFloat, PositiveInt

from replication import paths, records
from replication.accuracy import pack, unpack
from replication.dataset.splits import Dataset
from replication.params import Section, read, validate
from replication.train.recipe import Seed, Train, variant_of

LAPTOP = "laptop"  # the run of sections `dataset` and `train`, which has no rows
OTHER = "{} does not match runs.{} in params.yaml, or its network: restore them, or rename what you changed"
TOLERANCE = 2.0  # points of test accuracy by which a training on another machine may differ from its row


class Run(Section):
    """An entry of section runs: trainings that may be compared with each other, as only the networks differ."""

    dataset: dict
    recipe: dict
    epochs: PositiveInt
    seeds: list[Seed] = Field(min_length=1)
    # variant -> its rate, or several
    networks: dict[str, PositiveFloat | Annotated[list[PositiveFloat], Field(min_length=1)]] = Field(min_length=1)
    backend: Literal["tensorflow", "jax"] = "tensorflow"


class Training(NamedTuple):
    """One training of a run, or of the laptop's."""

    run: str
    variant: str
    options: dict  # keywords of `models.create`
    recipe: Train
    data: Dataset
    name: str
    backend: str | None = None
    params: dict | None = None  # parameters that its row must have; None on the laptop

    @property
    def folder(self):
        """Where the network goes, with history.csv, predictions.npz and metrics.json."""
        return paths.TRAIN / self.variant if self.run == LAPTOP else paths.CHECKPOINTS / self.run / self.name

    @property
    def path(self):
        """Of a recorded training's row in git."""
        return paths.EVIDENCE / self.run / f"{self.name}.json"

    def load(self):
        """Load the network; a FileNotFoundError names the command that trains it."""
        path = self.folder / "model.keras"
        if not path.exists():
            asked = f"make train RUN={self.run} VARIANT={self.variant} SEED={self.recipe.seed}"
            command = f"dvc repro train@{self.variant}" if self.run == LAPTOP else asked
            raise FileNotFoundError(f"{path.relative_to(paths.ROOT)} is not there: run {command} first")
        return keras.models.load_model(path)

    def row(self):
        """The row in git, or None; a ValueError if it is damaged, or not of what params.yaml has."""
        asked = {"params": self.params, "epochs": self.recipe.epochs, "seed": self.recipe.seed, "backend": self.backend}
        if not self.path.exists():
            return None
        row = records.read(self.path)
        if not asked.items() <= row.items():
            raise ValueError(OTHER.format(self.path, self.run))
        try:
            whole = row["history"] and unpack(row["correct"], row["test_images"]).mean() == row["accuracy"]
        except (KeyError, TypeError, ValueError):
            whole = False
        if not whole:
            raise ValueError(f"{self.path} is damaged, as its test images do not give its accuracy: take it from git")
        return row


def plan():
    """Section runs of params.yaml: name -> `Run`."""
    return read("runs", dict[str, Run])


def trainings(name):
    """All trainings of a run, seed by seed, so that an interrupted run leaves whole seeds.

    Raises:
        ValueError: params.yaml has no such run, or it has a value that section train may not have.
    """
    runs = plan()
    if name not in runs:
        raise ValueError(f"params.yaml: runs has no {name!r}. It has {', '.join(runs)}; {LAPTOP!r} is section train")
    run, found = runs[name], []
    if wrong := {"epochs", "learning_rate", "seed"} & {*run.recipe}:
        raise ValueError(f"params.yaml: runs.{name}.recipe.{min(wrong)}: set it in epochs, seeds or networks")
    data = validate(f"runs.{name}.dataset", Dataset, run.dataset)
    if data.name == "folder":
        raise ValueError(f"params.yaml: runs.{name}.dataset.name: only section dataset may be a folder")
    networks = [(variant, rates, variant_of(variant)[0]) for variant, rates in run.networks.items()]
    for seed in dict.fromkeys(run.seeds):
        for variant, rates, options in networks:
            for rate in dict.fromkeys(rates) if isinstance(rates, list) else [rates]:
                values = run.recipe | {"learning_rate": rate}
                recipe = validate(f"runs.{name}.recipe", Train, values | {"epochs": run.epochs, "seed": seed})
                params = {"dataset": run.dataset, "train": values, "variant": options}
                title = f"{variant}-{seed}" + f"-{rate}" * isinstance(rates, list)
                found.append(Training(name, variant, options, recipe, data, title, run.backend, params))
    return found


def training(run, variant, seed=0, learning_rate=0.0):
    """One training.

    Args:
        run: "laptop" for sections `dataset` and `train`, or a name under `runs`.
        seed, learning_rate: of a recorded run's; the rate only where the run tries several of this network.

    Raises:
        ValueError: the run has no such training or another backend, or the laptop's is asked for by seed or rate.
    """
    if run == LAPTOP:
        if seed or learning_rate:
            raise ValueError("params.yaml: the laptop's seed and learning_rate are train.seed and train.learning_rate")
        options, recipe = variant_of(variant)
        return Training(run, variant, options, recipe, read("dataset", Dataset), f"{variant}-{recipe.seed}")
    found = [each for each in trainings(run) if (each.variant, each.recipe.seed) == (variant, seed)]
    found = [each for each in found if learning_rate in (0, each.recipe.learning_rate)]
    if len(found) != 1:
        count, rate = "several trainings (give learning_rate)" if found else "no training", learning_rate or "any"
        raise ValueError(f"params.yaml: runs.{run} has {count} of {variant!r}, seed {seed} and rate {rate}")
    if found[0].backend != keras.backend.backend():
        raise ValueError(f"run {run} is trained on {found[0].backend}: set KERAS_BACKEND={found[0].backend}")
    found[0].row()  # a damaged one, or another training's, is an error before hours of training
    return found[0]


def record(of, metrics, history, correct, provenance):
    """Write the row of a training, or compare the training with the row that exists already.

    Args:
        of: `Training`.
        metrics: what metrics.json has.
        history: frame of history.csv.
        correct: bool array over the test images.
        provenance: seconds and `records.provenance`.

    Returns:
        A sentence that says what was done.

    Raises:
        RuntimeError: the training differs from its row by more than `TOLERANCE`.
    """
    row = metrics | {"params": of.params, "history": history.to_dict("list"), "correct": pack(correct), **provenance}
    name, there = of.path.relative_to(paths.ROOT), of.row()
    if there is None:
        records.write(of.path, json.dumps(row, indent=1) + "\n")
        return f"{name} is written: commit it"
    if all(there[key] == row[key] for key in ("history", "correct", "loss")):
        return f"equal bits: every epoch, and every test image, is as in {name}"
    off = 100 * (row["accuracy"] - there["accuracy"])
    # Pillow's versions decode to other pixels
    pixels = ", from other pixels" if there.get("dataset_sha256") != row.get("dataset_sha256") else ""
    said = f"{off:+.2f} points of test accuracy from {name}, which was made on {there['hardware']}{pixels}"
    if abs(off) > TOLERANCE:
        raise RuntimeError(f"{said}: more than {TOLERANCE:g}: this is another training, or too short a one to compare")
    return f"{said}: within {TOLERANCE:g}"


def recorded(name):
    """The rows of a run in git, one for each training, with `learning_rate` added and `correct` as bool arrays.

    Raises:
        ValueError: a row is of other parameters than params.yaml's, or of no training of the run.
    """
    asked, rows = {each.path: each for each in trainings(name)}, []
    for path in sorted((paths.EVIDENCE / name).glob("*.json")):
        if path not in asked:
            raise ValueError(OTHER.format(path, name))
    for each in asked.values():
        if row := each.row():
            right = unpack(row["correct"], row["test_images"])
            rows.append(row | {"learning_rate": each.recipe.learning_rate, "correct": right})
    return pd.DataFrame(rows)
