"""What trainings left, as tidy frames: one row a training, one row an epoch, and which test images each got right."""

import base64
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


class Longer(NamedTuple):
    """What stage `evidence` gathered.

    Attributes:
        runs: a `Run` for each part of params.yaml's evidence, of the networks that have all their seeds.
        compressed: name of a part -> seed -> network -> {"rows", "correct": file -> bool array}.
        rates: one row for each short training at several learning rates: variant, learning_rate, validation_accuracy.
        incomplete: names of parts that have not all their networks.
        strange: names of rows that other parameters made.
    """

    runs: list
    compressed: dict
    rates: pd.DataFrame
    incomplete: list
    strange: list


def read_longer(path=paths.GATHERED):
    """Read what stage `evidence` gathered.

    Raises:
        FileNotFoundError: it has not; the message names the stage.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} is missing: `dvc repro evidence` makes it")
    gathered = json.loads(Path(path).read_text())
    runs, compressed = [], {}
    for name, part in gathered["parts"].items():
        trainings, correct, history = part["trainings"], {}, []
        for row in trainings:
            correct[row["variant"], row["seed"]] = _unpack(row.pop("correct"), row["test_images"])
            history.append(pd.DataFrame(row.pop("history")).assign(variant=row["variant"], seed=row["seed"]))
        history = pd.concat(history, ignore_index=True) if history else pd.DataFrame(columns=["variant", "seed"])
        trainings = pd.DataFrame(trainings, columns=None if trainings else ["variant", "seed", "epochs", "accuracy"])
        runs.append(Run(name, trainings, history, correct, part["seeds"]))
        compressed[name] = {seed: {} for seed in part["seeds"] if part["compressed"]}
        for row in part["compressed"]:
            sizes = {each["file"]: each["n"] for each in row["rows"]}
            correct = {file: _unpack(bits, sizes[file]) for file, bits in row["correct"].items()}
            compressed[name][row["seed"]][row["variant"]] = {"rows": row["rows"], "correct": correct}
    return Longer(runs, compressed, pd.DataFrame(gathered["rates"]), gathered["incomplete"], gathered["strange"])


def _unpack(text, count):
    """The first `count` values that `evidence.rows.pack` packed."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=count).astype(bool)


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
