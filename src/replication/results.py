"""What trainings left, as tidy frames: one row a training, one row an epoch, and which test images each got right."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from replication import paths


class Run(NamedTuple):
    """Trainings of one budget, which may be compared with each other and with no others.

    Attributes:
        name: "laptop", or a part of `evidence`.
        trainings: one row a training, with the columns of metrics.json.
        history: one row an epoch, with variant and seed.
        correct: (variant, seed) -> bool array over the test images.
        seeds: all that each network of the run is to have.
    """

    name: str
    trainings: pd.DataFrame
    history: pd.DataFrame
    correct: dict
    seeds: list


def read(variants, seeds, folder=paths.TRAIN):
    """What stage `train` left, as the run "laptop"; folders of other variants are left alone.

    Raises:
        FileNotFoundError: a training is missing; the message names the stage that makes it.
    """
    trainings, history, correct = [], [], {}
    for variant in variants:
        for seed in seeds:
            source = Path(folder) / variant / str(seed)
            try:
                trainings.append(json.loads((source / "metrics.json").read_text()))
                history.append(pd.read_csv(source / "history.csv").assign(variant=variant, seed=seed))
                with np.load(source / "predictions.npz") as predictions:
                    correct[variant, seed] = predictions["probabilities"].argmax(1) == predictions["labels"]
            except FileNotFoundError as error:
                raise FileNotFoundError(f"{error.filename} is missing: `dvc repro train@{variant}` makes it") from None
    return Run("laptop", pd.DataFrame(trainings), pd.concat(history, ignore_index=True), correct, list(seeds))


def strongest(variants, runs):
    """The run by which networks are compared: of those that have all of them with all seeds, the longest.

    One or two seeds hardly tell how far seeds differ: it takes three to be chosen.

    Args:
        variants: names of networks.
        runs: the laptop's first, which answers where no other can.

    Returns:
        That run, with the trainings of these networks alone.
    """

    def whole(run):
        rows = run.trainings[run.trainings.variant.isin(variants)] if len(run.trainings) else run.trainings
        return len(rows) == len(set(variants)) * len(run.seeds)

    laptop, *longer = runs
    longer = [run for run in longer if len(run.seeds) >= 3 and whole(run)]
    best = max(longer, key=lambda run: (run.trainings.epochs.max(), len(run.seeds)), default=laptop)
    chosen = best.trainings.variant.isin(variants)
    return best._replace(trainings=best.trainings[chosen], history=best.history[best.history.variant.isin(variants)])


def conditions(trainings):
    """What no accuracy stands without: "CIFAR-10, 45,000 training images, 20 epochs, seeds 0, 1, 2"."""

    def one(column, form="{}"):
        return ", ".join(map(form.format, trainings[column].unique()))

    epochs, seeds = one("epochs"), sorted(trainings.seed.unique())
    return (
        f"{one('dataset')}, {one('train_images', '{:,}')} training images, {epochs} epoch{'s' * (epochs != '1')}, "
        f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    )
