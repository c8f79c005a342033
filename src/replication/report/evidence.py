"""The recorded runs as the report takes them: trainings, and the files that Deep Compression made of them."""

import json

import pandas as pd

from replication import paths
from replication.train import runs


def read():
    """Every run that has rows: name -> a frame with name, variant, seed, accuracy and correct, one row a training.

    A file that was made from a training is a row too, with method, bits and bytes, and all else of its training; its
    name is NETWORK/METHOD/BITS.
    """
    found = {}
    for run in runs.plan():
        trained = runs.recorded(run)
        if len(trained) and not trained.duplicated(["variant", "seed"]).any():  # not of several learning rates
            trained = trained.assign(name=trained.variant)
            found[run] = pd.concat([trained, files(run, trained)], ignore_index=True)
    return found


def files(run, trained):
    """The rows of data/evidence/RUN/compress, one for each file."""
    origin, rows = trained.set_index(["variant", "seed"], drop=False), []
    for path in sorted((paths.EVIDENCE / run / "compress").glob("*.json")):
        made = json.loads(path.read_text())
        for row in made["rows"]:
            name = f"{made['variant']}/{row['method'].replace(' ', '_')}/{row['bits']}"
            right = runs.unpack(made["correct"][row["file"]], row["n"])
            row |= made["params"]["compress"]["retrain"]  # images after pruning, and for the shared values
            rows.append({**origin.loc[(made["variant"], made["seed"])], **row, "name": name, "correct": right})
    return pd.DataFrame(rows)


def own(folder=paths.TRAIN):
    """What stage `train` left here, whatever subset of the networks it is: a row for each metrics.json."""
    return pd.DataFrame([json.loads(path.read_text()) for path in sorted(folder.rglob("metrics.json"))])
