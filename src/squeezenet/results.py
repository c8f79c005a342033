"""What the stages left, as tidy frames: one row a training, one row an epoch, one row a network."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from squeezenet import audit, config, costs, training

PANELS = {  # a figure or table of the paper -> what its networks vary
    "Table 3": "macroarchitecture (Table 3)",
    "Figure 3(a)": "squeeze ratio (Figure 3a)",
    "Figure 3(b)": "share of 3x3 filters (Figure 3b)",
}
OTHERS = "other networks"


class Results(NamedTuple):
    """What stage `train` left: one row a training, one row an epoch, and which test images each network got right."""

    trainings: pd.DataFrame
    history: pd.DataFrame
    correct: dict


def read_results(params, folder=config.TRAIN):
    """Read the trainings of every variant and seed in params.yaml; folders of other variants are left alone.

    Raises:
        FileNotFoundError: a training is missing; the message names the stage that makes it.
    """
    trainings, history, correct = [], [], {}
    for variant in params.variants:
        for seed in params.train.seeds:
            source = Path(folder) / variant / str(seed)
            try:
                trainings.append(json.loads((source / "metrics.json").read_text()))
                history.append(pd.read_csv(source / "history.csv").assign(variant=variant, seed=seed))
                with np.load(source / "predictions.npz") as predictions:
                    correct[variant, seed] = predictions["probabilities"].argmax(1) == predictions["labels"]
            except FileNotFoundError as error:
                raise FileNotFoundError(f"{error.filename} is missing: `dvc repro train@{variant}` makes it") from None
    return Results(pd.DataFrame(trainings), pd.concat(history, ignore_index=True), correct)


class Full(NamedTuple):
    """The rows of reports/full that params.yaml's full budget made.

    Attributes:
        trainings: one row a training, with the columns of `Results.trainings`, `params` and `history`.
        convergence: the same of each network and seed that were trained for several numbers of epochs.
        seeds: of the budget; networks that have them all may be compared.
        left_out: names of the files that other parameters made.
    """

    trainings: pd.DataFrame
    convergence: pd.DataFrame
    seeds: list
    left_out: list


def _params_of(params, variant):
    """What trainings have in common that may be compared, but for epochs, which a row has already."""
    no_matter = {"source"} if params.dataset.name == "folder" else {"source", "folder"}
    return {
        "dataset": params.dataset.model_dump(mode="json", exclude=no_matter),
        "train": params.train.model_dump(exclude={"seeds", "epochs", "threads"}),
        "variant": params.variants[variant],
    }


def record(source, target, params):
    """Leave a training's result for git, in one JSON file: its metrics, parameters and history."""
    row = json.loads((source / "metrics.json").read_text())
    row |= {"params": _params_of(params, row["variant"])}
    row |= {"history": pd.read_csv(source / "history.csv").to_dict("list")}
    target.parent.mkdir(parents=True, exist_ok=True)
    training.write(target, json.dumps(row, indent=1) + "\n")


def read_full(params, folder=config.FULL):
    """Read the trainings at the full budget that are there.

    Args:
        params: `config.load_params(budget="full")`.
    """
    rows, left_out = [], []
    for path in sorted(Path(folder).glob("*.json")):
        row = json.loads(path.read_text())
        if row["variant"] in params.variants and row["params"] == _params_of(params, row["variant"]):
            rows.append(row)
        else:
            left_out.append(path.name)
    order = list(params.variants)
    rows.sort(key=lambda row: (order.index(row["variant"]), row["epochs"], row["seed"]))
    rows = pd.DataFrame(rows, columns=None if rows else ["variant", "seed", "epochs"])
    rows = rows.drop_duplicates(["variant", "epochs", "seed"])
    lengths = rows.groupby(["variant", "seed"]).epochs.transform("nunique")
    return Full(rows[rows.epochs == params.train.epochs], rows[lengths > 1], params.train.seeds, left_out)


def comparable(variants, trainings, full):
    """The trainings by which networks are compared: the full budget's, where all have every seed of it.

    Args:
        variants: names of networks.
        trainings: of the default run, which answers else.
        full: `Full`.
    """
    default = trainings[trainings.variant.isin(variants)]
    part = full.trainings[full.trainings.variant.isin(default.variant) & full.trainings.seed.isin(full.seeds)]
    whole = len(full.seeds) > 1 and len(part) == default.variant.nunique() * len(full.seeds)
    return part if whole else default


class Others(NamedTuple):
    """What the other stages left, where they have run.

    Attributes:
        compression: variant -> its metrics.json, and `correct`: file -> bool array over the test images.
        authors, imagenet: authors.json and imagenet.json, or None.
    """

    compression: dict
    authors: dict | None
    imagenet: dict | None


def read_others(variants, folder=config.DATA):
    """Read what stages `compress` (of these variants), `authors` and `imagenet` left under data/."""

    def read(path):
        path = Path(folder) / path
        return json.loads(path.read_text()) if path.exists() else None

    compression = {name: read(f"compress/{name}/metrics.json") for name in variants}
    compression = {name: found for name, found in compression.items() if found}
    for name, found in compression.items():
        with np.load(Path(folder) / "compress" / name / "correct.npz") as arrays:
            found["correct"] = dict(arrays)
    return Others(
        compression,
        read("authors/authors.json"),
        read("imagenet/imagenet.json"),
    )


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
                "dataset": first.dataset,
                "train_images": first.train_images,
                "epochs": first.epochs,
                "seeds": " ".join(map(str, group.seed)),
                "test_images": first.test_images,
                "seconds": group.seconds.sum(),
            }
        )
    return pd.DataFrame(rows)


def conditions(summary):
    """What no accuracy stands without: "CIFAR-10, 45,000 training images, 20 epochs, seed 42"."""

    def one(column, form="{}"):
        return ", ".join(map(form.format, summary[column].unique()))

    epochs, seeds = one("epochs"), one("seeds").replace(" ", ", ")
    return (
        f"{one('dataset')}, {one('train_images', '{:,}')} training images, {epochs} epoch{'s' * (epochs != '1')}, "
        f"seed{'s' * (',' in seeds)} {seeds}"
    )


def metrics_of(summary, audited, tested):
    """reports/metrics.json: every network's result, the audit's and the claims' verdicts."""
    networks = summary.drop(columns="family").set_index("variant").to_dict("index")
    return {
        "networks": networks,
        "audit": {re.sub(r"\W+", "_", verdict): int((audited.verdict == verdict).sum()) for verdict in audit.VERDICTS},
        "claims": dict(zip(tested.id, tested.verdict, strict=True)),
    }
