"""What the report takes from the stages, and its own figures of merit."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from replication import paths
from replication.report import audit
from squeezenet import costs

PANELS = {  # a figure or table of the paper -> what its networks vary
    "Table 3": "macroarchitecture (Table 3)",
    "Figure 3(a)": "squeeze ratio (Figure 3a)",
    "Figure 3(b)": "share of 3x3 filters (Figure 3b)",
}
OTHERS = "other networks"


class Others(NamedTuple):
    """What the stages behind `train` left, where they have run.

    Attributes:
        compression: variant -> its metrics.json, and `correct`: file -> bool array over the test images.
        authors, imagenet, transfer: their authors.json, imagenet.json and transfer.json, or None.
    """

    compression: dict
    authors: dict | None
    imagenet: dict | None
    transfer: dict | None


def read_others(variants, folder=paths.DATA):
    """Read what stages `compress` (of these variants), `authors`, `imagenet` and `transfer` left under data/."""

    def read(path):
        path = Path(folder) / path
        return json.loads(path.read_text()) if path.exists() else None

    compression = {name: read(f"compress/{name}/metrics.json") for name in variants}
    compression = {name: found for name, found in compression.items() if found}
    for name, found in compression.items():
        with np.load(Path(folder) / "compress" / name / "correct.npz") as arrays:
            found["correct"] = dict(arrays)
    return Others(compression, *(read(f"{stage}/{stage}.json") for stage in ("authors", "imagenet", "transfer")))


def summarise(trainings, paper):
    """One row a network: where the paper has it, size, MACs, mean accuracy in % with its 95% interval.

    The interval is Wilson's over the test images for one seed, Student's over the seeds for several.
    """
    rows = []
    for variant, group in trainings.groupby("variant", sort=False):
        accuracy = 100 * group.accuracy
        if len(group) == 1:
            low, high = 100 * group.accuracy_low.iloc[0], 100 * group.accuracy_high.iloc[0]
        else:
            low, high = stats.t.interval(0.95, len(group) - 1, accuracy.mean(), accuracy.sem() or 1e-9)
        places = paper["where"][
            (paper.variant == variant) & ~paper["where"].str.startswith(("Section", "Title", "Abs"))
        ]
        first = group.iloc[0]
        rows.append(
            {
                "variant": variant,
                "paper": ", ".join(places.unique()),
                "family": next((title for place, title in PANELS.items() if place in set(places)), OTHERS),
                "parameters": first.parameters,
                "mebibytes": costs.mebibytes(first.parameters),
                "macs": first.macs,
                "accuracy": accuracy.mean(),
                "low": low,
                "high": high,
                "spread": accuracy.std(),
                "dataset": first.dataset,
                "train_images": first.train_images,
                "epochs": first.epochs,
                "seeds": " ".join(map(str, group.seed)),
                "test_images": first.test_images,
            }
        )
    return pd.DataFrame(rows)


def metrics_of(summary, audited, tested):
    """reports/metrics.json: what `dvc metrics` compares between runs."""
    networks = summary.drop(columns="family").set_index("variant").to_dict("index")
    return {
        "networks": networks,
        "audit": {re.sub(r"\W+", "_", verdict): int((audited.verdict == verdict).sum()) for verdict in audit.VERDICTS},
        "claims": dict(zip(tested.id, tested.verdict, strict=True)),
    }
