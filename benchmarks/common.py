"""What the scripts share: the length of a measurement, and the rows in data/bench."""

import importlib.metadata
import json

from replication import paths, records

ROUNDS, SECONDS = 5, 3  # each runs once in every round, for about this long
PACKAGES = ("jax", "torch", "torchvision", "onnxruntime")  # compared with, besides the backend


def load(topic):
    """The rows that a topic has so far."""
    path = paths.BENCH / f"{topic}.json"
    try:
        return json.loads(path.read_text()) if path.exists() else []
    except ValueError as error:
        raise ValueError(f"{path} is damaged: take it from git again ({error})") from None


def fill(topic, cells, measure):
    """Measure each cell, a dict of keywords, that has no row yet, and add its row to data/bench/TOPIC.json."""
    path, source = paths.BENCH / f"{topic}.json", records.provenance()
    installed = {each.name: each.version for each in importlib.metadata.distributions()}
    source["versions"] |= {name: installed[name] for name in PACKAGES if name in installed}
    for cell in cells:
        if any(cell.items() <= row.items() for row in load(topic)):
            continue
        print(topic, cell, flush=True)
        row = cell | measure(**cell) | source
        records.write(path, json.dumps([*load(topic), row], indent=1) + "\n")
