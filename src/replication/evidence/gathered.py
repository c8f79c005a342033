"""What stage `evidence` gathered, as the runs that the report takes."""

import base64
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from replication import paths
from replication.results import Run


class Gathered(NamedTuple):
    """What stage `evidence` gathered.

    Attributes:
        runs: a `Run` for each part of params.yaml's evidence, of the networks that have all their seeds.
        compressed: name of a part -> seed -> network -> {"rows", "correct": file -> bool array}.
        rates: one row for each short training at several learning rates: variant, learning_rate, validation_accuracy.
        incomplete: names of parts that have not all their networks.
        strange: names of rows that no job asks for or that other parameters made.
    """

    runs: list
    compressed: dict
    rates: pd.DataFrame
    incomplete: list
    strange: list


def read(path=paths.GATHERED):
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
    return Gathered(runs, compressed, pd.DataFrame(gathered["rates"]), gathered["incomplete"], gathered["strange"])


def _unpack(text, count):
    """The first `count` values that `rows.pack` packed."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=count).astype(bool)
