"""The recorded runs as the report takes them: trainings, and the files that Deep Compression made of them."""

import pandas as pd

from replication import paths, records
from replication.train import runs


def read():
    """Runs that have rows, and apart those that try learning rates: name -> frame, a row per training.

    It has name, variant, seed, accuracy and correct. A file that was made from a training is a row too, with method,
    bits and bytes, and all else of its training; its name is NETWORK/METHOD/BITS.
    """
    found, tried = {}, {}
    for name, run in runs.plan().items():
        if len(trained := runs.recorded(name)):
            trained = trained.assign(name=trained.variant)
            if any(isinstance(rates, list) for rates in run.networks.values()):
                tried[name] = trained
            else:
                found[name] = pd.concat([trained, files(name, trained)], ignore_index=True)
    return found, tried


def files(run, trained):
    """The rows of data/evidence/RUN/compress, one for each file."""
    origin, rows = trained.set_index(["variant", "seed"], drop=False), []
    for path in sorted((paths.EVIDENCE / run / "compress").glob("*.json")):
        made = records.read(path)
        key = made["variant"], made["seed"]
        if key not in origin.index or not origin.params[key].items() <= made["params"].items():
            raise ValueError(runs.OTHER.format(path, run))
        for row in made["rows"]:
            name = f"{made['variant']}/{row['method'].replace(' ', '_')}/{row['bits']}"
            right = runs.unpack(made["correct"][row["file"]], row["n"])
            row |= made["params"]["compress"]["retrain"]  # images after pruning, and for the shared values
            rows.append({**origin.loc[key], **row, "name": name, "correct": right})
    return pd.DataFrame(rows)


def own(folder=paths.TRAIN):
    """What stage `train` left here, whatever subset of the networks it is: a row for each metrics.json."""
    whole = [path for path in sorted(folder.glob("*/metrics.json")) if path.parent.suffix != ".tmp"]
    return pd.DataFrame([records.read(path, "train it again") for path in whole])
