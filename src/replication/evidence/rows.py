"""The longer trainings: which are to be done, a row in git for each that is, and the runs that they make up.

A row, data/evidence/NETWORK-EPOCHS-SEED.json, has what metrics.json has, the history, the parameters, which test images
the network got right (bits, base64), seconds and provenance. A row that other parameters made is left out by name.
"""

import base64
import json
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from replication import paths, records
from replication.dataset.splits import Dataset
from replication.params import Section, read
from replication.results import Run
from replication.train.recipe import variant_of


class Part(Section):
    """Trainings that answer a question together."""

    variants: list[str] = Field(min_length=1)
    epochs: PositiveInt
    seeds: list[NonNegativeInt] = Field(min_length=1)
    compress: bool = False


class Rates(Section):
    """Short trainings that the learning rates were chosen by, on validation images."""

    epochs: PositiveInt
    seed: NonNegativeInt
    variants: dict[str, list[PositiveFloat]]


class Plan(Section):
    """The section evidence of params.yaml."""

    recipe: dict
    shipped: list[str]
    parts: dict[str, Part]
    rates: Rates


class Job(NamedTuple):
    """One training; with a learning rate one of `rates`, which leaves a row in data/evidence/rates."""

    variant: str
    epochs: int
    seed: int
    learning_rate: float | None = None

    @property
    def name(self):
        rate = f"-{self.learning_rate:g}" if self.learning_rate else ""
        return f"{self.variant}-{self.epochs}-{self.seed}{rate}"

    @property
    def path(self):
        return paths.EVIDENCE / ("rates" if self.learning_rate else "") / f"{self.name}.json"

    @property
    def compressed(self):
        return paths.EVIDENCE / "compress" / f"{self.name}.json"

    def settings(self):
        """Keywords of `models.create`, and the recipe."""
        options, recipe = variant_of(self.variant)
        changes = {"epochs": self.epochs, "seeds": [self.seed]}
        if self.learning_rate:
            changes["learning_rate"] = self.learning_rate
        else:
            changes |= read("evidence", Plan).recipe
        return options, type(recipe).model_validate(recipe.model_dump() | changes)

    def params(self):
        """What a row has to have in common with params.yaml, so as to count."""
        options, recipe = self.settings()
        data = read("dataset", Dataset)
        no_matter = {"source"} if data.name == "folder" else {"source", "folder"}
        return {
            "dataset": data.model_dump(mode="json", exclude=no_matter),
            "train": recipe.model_dump(mode="json", exclude={"seeds", "epochs"}),
            "variant": options,
        }


def jobs():
    """All trainings of params.yaml's evidence, each once, in the order to run them."""
    plan = read("evidence", Plan)
    rates = [
        Job(variant, plan.rates.epochs, plan.rates.seed, rate)
        for variant, learning_rates in plan.rates.variants.items()
        for rate in learning_rates
    ]
    parts = [
        Job(variant, part.epochs, seed)
        for part in plan.parts.values()
        for seed in part.seeds
        for variant in part.variants
    ]
    return list(dict.fromkeys(rates + parts))


def is_compressed(job):
    """Whether a training's network is compressed right after it, for Table 2."""
    return job.variant in read("compress", dict)["variants"] and _of_a_compressed_part(job)


def is_shipped(job):
    """Whether a training's network goes into the package, if it is the best."""
    return job.variant in read("evidence", Plan).shipped and _of_a_compressed_part(job)


def _of_a_compressed_part(job):
    return any(
        part.compress and job.variant in part.variants and job.epochs == part.epochs and job.seed in part.seeds
        for part in read("evidence", Plan).parts.values()
    )


def is_done(job):
    """Whether all that a job leaves is there."""
    return job.path.exists() and (job.compressed.exists() or not is_compressed(job))


def record(job, folder, run):
    """Leave the row of a training for git.

    Args:
        folder: what `loop.train` wrote.
        run: what it returned: seconds and provenance.
    """
    row = json.loads((folder / "metrics.json").read_text())
    with np.load(folder / "predictions.npz") as predictions:
        correct = predictions["probabilities"].argmax(1) == predictions["labels"]
    row |= {"params": job.params(), "history": pd.read_csv(folder / "history.csv").to_dict("list")}
    row |= {"correct": pack(correct), **run}
    records.write(job.path, json.dumps(row, indent=1) + "\n")


def pack(correct):
    """A bool array as text, eight to a byte."""
    return base64.b64encode(np.packbits(correct)).decode()


def unpack(text, count):
    """The first `count` values that `pack` packed."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=count).astype(bool)


def _load(job):
    """The row of a job, or None where there is none, or one that other parameters made."""
    if not job.path.exists():
        return None
    row = json.loads(job.path.read_text())
    return row if row["params"] == job.params() else None


def read_runs():
    """The rows that params.yaml's evidence asks for, as one `Run` for each part, whole or not."""
    runs = []
    for name, part in read("evidence", Plan).parts.items():
        rows = [_load(Job(variant, part.epochs, seed)) for variant in part.variants for seed in part.seeds]
        rows = [row for row in rows if row]
        correct, history = {}, []
        for row in rows:
            correct[row["variant"], row["seed"]] = unpack(row.pop("correct"), row["test_images"])
            history.append(pd.DataFrame(row.pop("history")).assign(variant=row["variant"], seed=row["seed"]))
        history = pd.concat(history, ignore_index=True) if history else pd.DataFrame(columns=["variant", "seed"])
        trainings = pd.DataFrame(rows, columns=None if rows else ["variant", "seed", "epochs"])
        runs.append(Run(name, trainings, history, correct, part.seeds))
    return runs


def read_compressed(run):
    """What compressing the networks of a run left: seed -> network -> {"rows", "correct": file -> bool array}."""
    part, found = read("evidence", Plan).parts[run.name], {}
    for job in (Job(variant, part.epochs, seed) for seed in part.seeds for variant in part.variants):
        if not is_compressed(job) or not job.compressed.exists():
            continue
        row = json.loads(job.compressed.read_text())
        if row["params"] != compress_params(job):
            continue
        sizes = {each["file"]: each["n"] for each in row["rows"]}
        correct = {file: unpack(bits, sizes[file]) for file, bits in row["correct"].items()}
        found.setdefault(job.seed, {})[job.variant] = {"rows": row["rows"], "correct": correct}
    return found


def compress_params(job):
    """What a row of a compressed network has to have in common with params.yaml, so as to count."""
    settings = read("compress", dict)
    plan = {"learning_rate": settings["learning_rate"], **settings["variants"][job.variant]}
    return job.params() | {"compress": plan}


def read_rates():
    """The short trainings at several learning rates, one row each: variant, learning_rate, validation_accuracy, ..."""
    found = [(job, _load(job)) for job in jobs() if job.learning_rate]
    return pd.DataFrame([row | {"learning_rate": job.learning_rate} for job, row in found if row])


def left_out():
    """Names of rows that no job asks for or that other parameters made, and of trainings that are not done."""
    asked = jobs()
    there = {path for folder in (".", "compress", "rates") for path in (paths.EVIDENCE / folder).glob("*.json")}
    job_of = {path: job for job in asked for path in (job.path, job.compressed)}
    strange = [path for path in there if path not in job_of or not _is_asked_for(path, job_of[path])]
    names = sorted(path.relative_to(paths.EVIDENCE).with_suffix("").as_posix() for path in strange)
    return names, [job.name for job in asked if job.path not in there]


def _is_asked_for(path, job):
    """Whether a row was made by the parameters that params.yaml has for its job."""
    params = job.params() if path == job.path else compress_params(job) if is_compressed(job) else None
    return json.loads(path.read_text())["params"] == params
