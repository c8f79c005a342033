"""What the report takes from the stages, and the frames that its tables and figures are made of."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from replication import paths
from replication.report import claims, readings
from replication.report.comparison import estimate
from replication.results import strongest
from squeezenet import costs

PANELS = {  # a figure or table of the paper -> what its networks vary
    "Table 3": "macroarchitecture (Table 3)",
    "Figure 3(a)": "squeeze ratio (Figure 3a)",
    "Figure 3(b)": "share of 3x3 filters (Figure 3b)",
}
POOLING = ("squeezenet", "early_pools", "pools_11", "stem_11", "squeezenet_11")
DOWNSAMPLING = "downsampling (Section 3.1, v1.1)"
OTHERS = "other networks"
MOST_CURVES = 5  # in one panel
CONTROLS = {  # a method of Table 2 -> what the same network is without it, after as much training
    "SVD": "none",
    "Network Pruning": "none, retrained",
    "Deep Compression": "none, retrained and fine-tuned",
}


class Others(NamedTuple):
    """What the stages behind `train` left, where they have run.

    Attributes:
        compression: variant -> its metrics.json, and `correct`: file -> bool array over the test images.
        authors, imagenet, transfer, export: their authors.json, imagenet.json, transfer.json and export.json, or None.
        timed: what `export` left in data/runs, if it is there: no stage depends on it.
    """

    compression: dict
    authors: dict | None
    imagenet: dict | None
    transfer: dict | None
    export: dict | None = None
    timed: dict | None = None


def read_others(variants, folder=paths.DATA):
    """Read what stages `compress` (of these variants), `authors`, `imagenet`, `transfer` and `export` left."""

    def read(path):
        path = Path(folder) / path
        return json.loads(path.read_text()) if path.exists() else None

    compression = {name: read(f"compress/{name}/metrics.json") for name in variants}
    compression = {name: found for name, found in compression.items() if found}
    for name, found in compression.items():
        with np.load(Path(folder) / "compress" / name / "correct.npz") as arrays:
            found["correct"] = dict(arrays)
    stages = (read(f"{stage}/{stage}.json") for stage in ("authors", "imagenet", "transfer", "export"))
    return Others(compression, *stages, read("runs/export/run.json"))


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
                "family": family_of(variant, set(places)),
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


def printed_networks(paper):
    """What the paper prints or draws of its networks of 32 bits: variant, family, mebibytes and top-5 accuracy in %."""
    rows = paper[paper["where"].isin([*PANELS, "Table 2"]) & paper.variant.ne("") & paper.bits.isin(["", "32"])]
    rows = rows[rows.quantity.isin(["size", "top-5"])]
    found = rows.pivot_table("printed", "variant", "quantity", "first").astype(float).dropna().reset_index()
    places = rows.groupby("variant")["where"].agg(set)
    family = [family_of(variant, places[variant]) for variant in found.variant]
    return found.rename(columns={"size": "mebibytes", "top-5": "accuracy"}).assign(family=family)


def family_of(variant, places):
    found = next((title for place, title in PANELS.items() if place in places), None)
    return found or (DOWNSAMPLING if variant in POOLING else OTHERS)


def families(paper, trained):
    """Family -> its networks among the trained, in the paper's order; a network may be in several."""
    found = {}
    for place, title in PANELS.items():
        found[title] = [name for name in paper.variant[paper["where"] == place].unique() if name in trained]
    found[DOWNSAMPLING] = [name for name in POOLING if name in trained] if set(POOLING[1:]) & set(trained) else []
    found[OTHERS] = [name for name in trained if not any(name in names for names in found.values())]
    return {title: names for title, names in found.items() if names}


def curves(paper, run):
    """A run's history with family and panel, once for each panel that shows a network: of `MOST_CURVES` at most."""
    parts = []
    for title, names in families(paper, list(run.trainings.variant.unique())).items():
        for part, few in enumerate(names[i : i + MOST_CURVES] for i in range(0, len(names), MOST_CURVES)):
            shown = {"family": title, "panel": title + ", continued" * bool(part)}
            parts += [run.history[run.history.variant == name].assign(**shown) for name in few]
    return pd.concat(parts, ignore_index=True)


def strongest_of_each(variants, runs):
    """The trainings of each network in the strongest run that has it with all seeds, with the run's name."""
    found = [strongest([name], runs) for name in variants]
    return pd.concat([run.trainings.assign(run=run.name) for run in found], ignore_index=True)


def lengths(bypasses, runs, vanilla="squeezenet"):
    """What a bypass gains at each training length: effect in points with its interval, and training accuracies.

    Args:
        bypasses: names of networks.
        runs: whole or not; the seeds that both networks have count.
    """
    rows = []
    for run in runs:
        for bypass in bypasses:
            seeds = [seed for seed in run.seeds if {(bypass, seed), (vanilla, seed)} <= set(run.correct)]
            if not seeds:
                continue
            pool = run.trainings[run.trainings.seed.isin(seeds)]
            found = estimate({bypass: 1, vanilla: -1}, run._replace(seeds=seeds), pool)
            low, high = found.interval()
            last = run.history[run.history.seed.isin(seeds)].groupby(["variant", "seed"]).accuracy.last()
            rows.append(
                {
                    "run": run.name,
                    "epochs": int(pool.epochs.iloc[0]),
                    "seeds": len(seeds),
                    "bypass": bypass,
                    "effect": found.value,
                    "low": low,
                    "high": high,
                    "training accuracy": 100 * last[bypass].mean(),
                    "of vanilla": 100 * last[vanilla].mean(),
                }
            )
    columns = ["run", "epochs", "seeds", "bypass", "effect", "low", "high", "training accuracy", "of vanilla"]
    rows = pd.DataFrame(rows, columns=columns).sort_values("seeds", kind="stable")  # of one length: the most seeds
    return rows.drop_duplicates(["bypass", "epochs"], keep="last").sort_values(["bypass", "epochs"], ignore_index=True)


def ranking(runs, fewest=4):
    """How far the laptop's ranking of the networks agrees with each longer run's: Spearman's rho with its interval."""
    laptop, *longer = runs
    rows = []
    for run in longer:
        whole = [name for name, group in run.trainings.groupby("variant", sort=False) if len(group) == len(run.seeds)]
        names = [name for name in whole if name in set(laptop.trainings.variant)]
        if len(names) >= fewest:
            first, second = (each.trainings.groupby("variant").accuracy.mean()[names].rank() for each in (laptop, run))
            found = stats.pearsonr(first, second)  # of ranks: Spearman's rho
            low, high = found.confidence_interval()
            if first.equals(second):  # of a perfect order the interval is a point: take that of one swap instead
                low, _ = stats.pearsonr(first, second.replace({1.0: 2.0, 2.0: 1.0})).confidence_interval()
            rows.append((run.name, len(names), found.statistic, low, high))
    return pd.DataFrame(rows, columns=["run", "networks", "rho", "low", "high"])


def compressed_summary(runs):
    """One row for each network, method and bits of `claims.compressed` runs: bytes, accuracy, cost against its control.

    The cost is in points, with its 95% interval, against the same network trained on for as long without compression.
    """
    rows = []
    for run in runs:
        every = set(run.trainings.variant)
        for name, group in run.trainings.groupby("variant", sort=False):
            network, method, bits = name.split("/")
            method = method.replace("_", " ")
            control = f"{network}/{CONTROLS.get(method, '').replace(' ', '_')}/32"
            cost = (np.nan,) * 3
            if control in every:
                pool = claims.pool_of([name, control], run)  # as the claim of the same two has it
                found = estimate({name: 1, control: -1}, run._replace(seeds=list(group.seed)), pool)
                cost = found.value, *found.interval()
            accuracy = 100 * group.accuracy
            low, high = 100 * group.accuracy_low.mean(), 100 * group.accuracy_high.mean()
            if len(group) > 1:
                low, high = stats.t.interval(0.95, len(group) - 1, accuracy.mean(), accuracy.sem() or 1e-9)
            sizes = (group.bytes.mean(), group.ratio.mean(), accuracy.mean(), low, high)
            rows.append((run.name, network, method, bits, len(group), group.n.iloc[0], *sizes, *cost))
    columns = ["run", "network", "method", "bits", "seeds", "n", "bytes", "ratio", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "cost", "cost_low", "cost_high"])


def exports(others):
    """One row for each network and format: what `export` found, with milliseconds where they have been measured."""
    of = ["data", "network", "format"]
    found = pd.DataFrame(others.export["rows"]).set_index(of)
    times = pd.DataFrame(others.timed["times"] if others.timed else [], columns=[*of, "ms_low", "ms", "ms_high"])
    times = times.set_index(of)
    return found.reindex(times.index.union(found.index, sort=False)).join(times).reset_index()


KINDS = {
    "holds": (claims.REPLICATED, claims.HOLDS, claims.HOLDS_MEASURED),
    "opposite": (claims.OPPOSITE, claims.FAILS, claims.FAILS_MEASURED),
    "towards": (claims.TOWARDS,),
    "against": (claims.AGAINST,),
    "undecided": (claims.UNDECIDED,),
}


def kind_of(verdict):
    """A claim's verdict as one of `KINDS`, or "untested"."""
    return next((kind for kind, verdicts in KINDS.items() if verdict in verdicts), "untested")


def metrics_of(summary, audited, tested):
    """reports/metrics.json, what `dvc metrics` compares between runs: accuracies in %, and how many of each verdict."""

    def count(kinds):
        return {name: int(n) for name, n in kinds.value_counts().sort_index().items()}

    holds = audited.verdict.where(~audited.verdict.isin(readings.HOLDS), "holds")
    holds = holds.where(holds.isin(["holds", readings.CONTRADICTED, readings.AS_BUILT]), "open").str.replace(" ", "_")
    return {
        "accuracy": summary.set_index("variant").accuracy.round(2).to_dict(),
        "audit": count(holds),
        "claims": count(tested.verdict.map(kind_of)),
    }
