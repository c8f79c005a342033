"""What is timed, by section bench of params.yaml, and its rows in git: data/bench/TOPIC.json."""

import importlib.metadata
import json
import subprocess
import sys

from pydantic import PositiveFloat, PositiveInt

from replication import paths, records
from replication.params import Section, read

PACKAGES = ("jax", "torch", "torchvision", "scikit-learn")  # that are compared with


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
    """A GPU that trains at ImageNet's size, and what the paper's training would run on."""

    images: PositiveInt  # in the accelerator's memory
    batch: PositiveInt
    cores: PositiveInt  # beside each GPU
    link: PositiveFloat  # GB/s between GPUs


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


def path_of(topic):
    return paths.BENCH / f"{topic}.json"


def rows_of(topic):
    """The rows that a topic has so far."""
    return json.loads(path_of(topic).read_text()) if path_of(topic).exists() else []


def add(topic, row):
    """Add a row to a topic, for git, with where it comes from.

    Raises:
        ValueError: the others come from another machine.
    """
    rows, made = rows_of(topic), records.provenance()
    if rows and rows[0]["hardware"] != made["hardware"]:
        raise ValueError(f"{path_of(topic)} is of {rows[0]['hardware']}: delete it to measure on {made['hardware']}")
    installed = {each.name: each.version for each in importlib.metadata.distributions()}
    made["versions"] |= {name: installed[name] for name in PACKAGES if name in installed}
    records.write(path_of(topic), json.dumps([*rows, row | made], indent=1) + "\n")


def child(module, *arguments):
    """What a module of this package prints last, as JSON, in a process of its own."""
    command = [sys.executable, "-m", f"replication.bench.{module}", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def peak():
    """The most memory that this process has had, in MB."""
    with open("/proc/self/status") as status:
        (kibibytes,) = [int(line.split()[1]) for line in status if line.startswith("VmHWM")]
    return kibibytes * 1024 / 1e6
