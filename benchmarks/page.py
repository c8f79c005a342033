"""Renews the tables of docs/benchmarks.md from data/bench, between <!-- NAME --> and <!-- /NAME -->."""

import numpy as np
import pandas as pd

from benchmarks import common, speed
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
    """Shares of a training step's time that take at least 5% somewhere, in %; the rest is outside oneDNN."""
    table = {}
    for row in (row for row in rows if "profile" in row):
        step = 1000 * row["batch"] / np.median(row["images_per_second"][speed.KERAS])
        name = f"`{row['network']}`, {row['side']} pixels, {row['dtype']}, batch {row['batch']}"
        table[name] = {kind: 100 * ms / step for kind, ms in row["profile"].items()}
    shares = pd.DataFrame(table).T.fillna(0)
    shares["outside oneDNN"] = (100 - shares.sum(axis=1)).clip(lower=0)
    return shares.loc[:, shares.max() >= 5].round().astype(int).rename_axis("training").reset_index()


TABLES = {"latency": ("inference", latency), "training": ("speed", training), "profile": ("speed", profile)}


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
