"""Renews the tables of docs/benchmarks.md from data/bench, between <!-- NAME --> and <!-- /NAME -->."""

import itertools

import numpy as np
import pandas as pd

from benchmarks import common, recipes, speed
from replication import paths, records
from replication.report import __main__


def spread(values, digits=0):
    """Median, lowest and highest, as text."""
    median, low, high = (f"{value:,.{digits}f}" for value in (np.median(values), min(values), max(values)))
    return f"{median} [{low}, {high}]"


def latency(rows):
    """Milliseconds of a call by runtime, in a column for each network and number of photographs."""
    columns = {f"`{row['network']}`, {row['batch']}": row["ms"] for row in rows}
    texts = {name: {each: spread(ms, 1) for each, ms in column.items()} for name, column in columns.items()}
    return pd.DataFrame(texts).rename_axis("ms per call: network, photographs").reset_index()


def training(rows):
    """Images a second of each framework, and how many times as fast as PyTorch's better form Keras is, by round."""
    table = []
    for row in rows:
        speeds = row["images_per_second"]
        best = max((name for name in speeds if "PyTorch" in name), key=lambda name: np.median(speeds[name]))
        cell = {"pixels": row["side"], "network": f"`{row['network']}`", "dtype": row["dtype"], "batch": row["batch"]}
        cell |= {name: spread(each) for name, each in speeds.items()}
        ratio = spread(np.divide(speeds[speed.KERAS], speeds[best]), 2)
        table.append(cell | {"ratio": ratio, "machine": row["hardware"]})
    return pd.DataFrame(table)


def profile(rows):
    """Shares of a training step's time in %; kinds of work that are below 5% everywhere are left out."""
    table = {}
    for row in (row for row in rows if "profile" in row):
        step = 1000 * row["batch"] / np.median(row["images_per_second"][speed.KERAS])
        name = f"`{row['network']}`, {row['side']} pixels, {row['dtype']}, batch {row['batch']}"
        table[name] = {kind: 100 * ms / step for kind, ms in row["profile"].items()}
    shares = pd.DataFrame(table).T.fillna(0)
    shares["outside oneDNN"] = (100 - shares.sum(axis=1)).clip(lower=0)
    return shares.loc[:, shares.max() >= 5].round().astype(int).rename_axis("training").reset_index()


def schedules(rows):
    """Epochs, seed by seed, after which each recipe first reaches an accuracy, beside the length of our schedule."""
    table = []
    for (accuracy, length), name in itertools.product(recipes.OURS.items(), recipes.OTHERS):
        runs = [row["val_accuracy"] for row in sorted(rows, key=lambda row: row["seed"]) if row["recipe"] == name]
        epochs = [next((i for i, x in enumerate(run, 1) if 100 * x >= accuracy), np.inf) for run in runs]
        shown = [f"{i}" if np.isfinite(i) else f"over {len(run)}" for i, run in zip(epochs, runs, strict=True)]
        ratio = spread(np.divide(epochs, length), 1) if np.isfinite(epochs).all() else ""
        cell = {"accuracy": f"{accuracy}%", "our epochs": length, "recipe": name, "its epochs": ", ".join(shown)}
        table.append(cell | {"ratio": ratio})
    return pd.DataFrame(table)


TABLES = {"latency": ("inference", latency), "training": ("speed", training)}
TABLES |= {"profile": ("speed", profile), "schedules": ("recipes", schedules)}


def renew(text):
    """A document with its tables as data/bench has them; a table that has no rows yet is left as it is."""
    for name, (topic, table) in TABLES.items():
        if rows := common.load(topic):
            machines = " and ".join(sorted({row["hardware"] for row in rows}))
            made = f"{table(rows).to_markdown(index=False, disable_numparse=True)}\n\nMeasured on {machines}."
            text = __main__.renew(text, name, made)
    return text


if __name__ == "__main__":
    document = paths.ROOT / "docs/benchmarks.md"
    records.write(document, renew(document.read_text()))
