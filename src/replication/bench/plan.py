"""What is timed, by section bench of params.yaml, and its rows in git: data/evidence/bench/TOPIC.json."""

import json
import os
import subprocess
import sys

from pydantic import PositiveFloat, PositiveInt

from replication import paths, records
from replication.params import Section, read

ROWS = paths.EVIDENCE / "bench"


class Recipes(Section):
    """How long other recipes take to an accuracy that ours is known to reach."""

    variant: str
    seeds: list[int]
    epochs: dict[PositiveInt, PositiveInt]  # accuracy in % -> of our schedule that reaches it
    patience: PositiveFloat  # times our seconds to the highest of them
    others: dict[str, dict]  # name -> what it changes of section train


class Photographs(Section):
    """A folder of JPEG files."""

    files: PositiveInt
    more: PositiveInt  # files, for memory alone
    width: PositiveInt
    height: PositiveInt


class ImageNet(Section):
    """What a training on ImageNet would run on."""

    gpu: str
    tflops: PositiveFloat
    utilisation: PositiveFloat
    cores: PositiveInt  # beside each GPU
    link: PositiveFloat  # GB/s between GPUs
    batch_size: PositiveInt


class Plan(Section):
    """The section bench of params.yaml."""

    rounds: PositiveInt
    seconds: PositiveFloat
    networks: list[str]
    dtypes: list[str]
    batches: list[PositiveInt]
    recipes: Recipes
    photographs: Photographs
    memory: list[PositiveInt]
    imagenet: ImageNet


def settings():
    return read("bench", Plan)


def rows_of(topic):
    """The rows that a topic has so far."""
    path = ROWS / f"{topic}.json"
    return json.loads(path.read_text()) if path.exists() else []


def add(topic, row):
    """Add a row to a topic, for git, with where it comes from."""
    rows = [*rows_of(topic), row | records.provenance()]
    records.write(ROWS / f"{topic}.json", json.dumps(rows, indent=1) + "\n")


def child(module, *arguments, **environment):
    """What a module of this package prints last, as JSON, in a process of its own."""
    command = [sys.executable, "-m", f"replication.bench.{module}", *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])
