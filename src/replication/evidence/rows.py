"""The longer trainings: which are to be done, a row in git for each that is, and which of them the report takes.

A row, data/evidence/NETWORK-EPOCHS-SEED.json, has what metrics.json has, the history, the parameters, which test images
the network got right (bits, base64), seconds and provenance; its name ends in -jax where JAX trained. A row that other
parameters made is left out by name.
"""

import base64
import json
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from replication import paths, records
from replication.dataset.splits import Dataset
from replication.params import Section, read, validate
from replication.train.recipe import Train, variant_of


class Part(Section):
    """Trainings that answer a question together, on one backend."""

    variants: list[str] = Field(min_length=1)
    epochs: PositiveInt
    seeds: list[NonNegativeInt] = Field(min_length=1)
    compress: bool = False
    backend: Literal["tensorflow", "jax"] = "tensorflow"

    def jobs_of(self, variant):
        return [Job(variant, self.epochs, seed, backend=self.backend) for seed in self.seeds]


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
    backend: str = "tensorflow"

    @property
    def name(self):
        rate = f"-{self.learning_rate:g}" if self.learning_rate else ""
        backend = "" if self.backend == "tensorflow" else f"-{self.backend}"
        return f"{self.variant}-{self.epochs}-{self.seed}{rate}{backend}"

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
        return options, validate("evidence.recipe", Train, recipe.model_dump() | changes)

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
        job
        for part in plan.parts.values()
        for of_one_seed in zip(*map(part.jobs_of, part.variants), strict=True)
        for job in of_one_seed
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
        part.compress and job.variant in part.variants and job in part.jobs_of(job.variant)
        for part in read("evidence", Plan).parts.values()
    )


def is_done(job):
    """Whether all that a job leaves is there, made by the parameters that params.yaml has."""
    made = [job.path, job.compressed] if is_compressed(job) else [job.path]
    return all(path.exists() and _is_asked_for(path, job) for path in made)


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


def compress_params(job):
    """What a row of a compressed network has to have in common with params.yaml, so as to count."""
    settings = read("compress", dict)
    plan = {"learning_rate": settings["learning_rate"], **settings["variants"][job.variant]}
    return job.params() | {"compress": plan}


def gather():
    """What the report takes, as plain data: of each part of params.yaml the networks that have all their seeds.

    Returns:
        "parts": name -> its seeds, and the rows of trainings and of compressed networks; "rates": the short trainings
        at several learning rates; "incomplete": the parts of which a network is not whole; "strange": the names of rows
        that no job asks for or that other parameters made.
    """
    parts, incomplete = {}, []
    for name, part in read("evidence", Plan).parts.items():
        whole = [job for of_one in map(part.jobs_of, part.variants) if all(map(is_done, of_one)) for job in of_one]
        if len(whole) < len(part.variants) * len(part.seeds):
            incomplete.append(name)
        parts[name] = {
            "seeds": part.seeds,
            "trainings": [json.loads(job.path.read_text()) for job in whole],
            "compressed": [json.loads(job.compressed.read_text()) for job in whole if is_compressed(job)],
        }
    rates = [job for job in jobs() if job.learning_rate and is_done(job)]
    rates = [json.loads(job.path.read_text()) | {"learning_rate": job.learning_rate} for job in rates]
    return {"parts": parts, "rates": rates, "incomplete": incomplete, "strange": strange()}


def strange():
    """Names of rows that no job asks for or that other parameters made."""
    there = {path for folder in (".", "compress", "rates") for path in (paths.EVIDENCE / folder).glob("*.json")}
    job_of = {path: job for job in jobs() for path in (job.path, job.compressed)}
    found = [path for path in there if path not in job_of or not _is_asked_for(path, job_of[path])]
    return sorted(path.relative_to(paths.EVIDENCE).with_suffix("").as_posix() for path in found)


def _is_asked_for(path, job):
    """Whether a row was made by the parameters that params.yaml has for its job."""
    params = job.params() if path == job.path else compress_params(job) if is_compressed(job) else None
    return json.loads(path.read_text())["params"] == params
