"""The paper's claims, each as differences that must all be large enough: effect, interval, test and verdict.

A claim with several differences (a rise has steps, a plateau has networks behind its knee) is judged by its weakest
one, and one that is significantly reversed refutes it: the largest p counts in the first case, and the smallest, times
their number, in the second. `statistics` says what an interval counts.
"""

from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from replication import params, paths
from replication.report.ours import network_of
from replication.report.statistics import estimate, points

ALPHA = 0.05  # for a family of claims (Holm)
SEEDS = 3  # of each network, before a claim gets a verdict
REPLICATED, OPPOSITE, UNDECIDED = "replicated", "opposite found", "undecided"
SUPPORTED, UNSUPPORTED = "supported", "not supported"  # an intuition, for which the paper has no experiment
COMPUTED, COMPUTED_NOT = "holds by computation", "does not hold by computation"
MEASURED, MEASURED_NOT = "holds as measured", "does not hold as measured"
NOT_YET = "not yet measured"
HOLD = (REPLICATED, SUPPORTED, COMPUTED, MEASURED)
STATISTICAL = ("trend", "plateau", "better", "no worse", "supported")
PRINTED = {"top-1 (%)": "top-1", "top-5 (%)": "top-5", "size (MB)": "size"}  # columns of the paper's tables
COLUMNS = ["effect", "low", "high", "threshold", "upper", "lower", "p", "fails", "seeds", "words", "estimate"]


class Difference(NamedTuple):
    """One of a claim's differences: `upper` minus `lower` must be above -(margin + share x rise).

    Attributes:
        margin: in points.
        share: of the rise from network `base` to network `upper`.
    """

    upper: str
    lower: str
    margin: float = 0.0
    share: float = 0.0
    base: str = ""

    def weights(self):
        return {self.upper: 1, self.lower: -1}

    def tested(self):
        """The weights with the share of the rise added: our estimate of the rise has an error too."""
        if not self.share:
            return self.weights()
        return {self.upper: 1 + self.share, self.lower: -1, self.base: -self.share}


def differences_of(claim):
    """The differences that make up a row of data/paper/claims.csv with a statistical test."""
    first, second = claim.first.split(), claim.second.split()
    pairs = [(b, a) for a, b in pairwise(first)] if claim.test == "trend" else product(first, second)
    if claim.margin.endswith("%"):
        return [Difference(*pair, share=float(claim.margin.strip("%")) / 100, base=claim.base) for pair in pairs]
    return [Difference(*pair, margin=float(claim.margin or 0)) for pair in pairs]


def assess(claims, runs, numbers, measured):
    """Test each claim of data/paper/claims.csv.

    Args:
        claims: the file's frame, of strings. `run` names the run that decides; `verdict` stands where the experiment
            cannot decide, and its effect is then an estimate. `test` is one of
            trend: accuracy rises from each network of `first` to the next;
            plateau: no network of `second` is above `first` by more than `margin`, a share of the rise from `base`;
            better: `first` is above `second`;
            supported: the same of an intuition, for which the paper has no experiment;
            no worse: `first` is above `second` minus `margin` points;
            smaller: the file `first` is more than `margin` times smaller than the file `second`;
            smaller as printed: the 32-bit weights of `first` are smaller than the size that Table 2 prints of `second`;
            fits: the 32-bit weights of `first`, for ImageNet, take less than `margin` MB;
            proportional: an update's bytes grow as the first power of the parameters of `first`, within `margin`;
            less to send: each download and update of `first` is more than `margin` times smaller than of `second`.
        runs: name -> frame with name, seed, accuracy, correct, bytes and hardware, one row a training, or a file made
            from one, which is named NETWORK/METHOD/BITS.
        numbers: of `printed`.
        measured: test -> function of a claim that gives some of COLUMNS; `fails` None is undecided.

    Returns:
        The claims with the effect of the difference that decides, its 95% interval, p (two-sided, of the whole claim),
        p_holm, seeds, words, verdict, seeds_needed (of `statistics`), and what the paper's own numbers
        say: paper_words and paper_says, of `calibrate`.

    Raises:
        ValueError: an unknown test, or predictions for different test sets.
    """
    table = claims.reset_index(drop=True)
    found = [_assess(claim, runs, numbers, measured) for claim in table.itertuples()]
    table = table.join(pd.DataFrame(found, columns=COLUMNS))
    table["p_holm"] = np.nan
    tested = table.test.isin(STATISTICAL) & (table.test != "supported") & (table.verdict == "")
    on_photographs = table.run == "photographs"
    for family in (tested & on_photographs, tested & ~on_photographs):
        if family.any():  # what is not yet measured counts in its family
            table.loc[family, "p_holm"] = multipletests(table.p[family].fillna(1), ALPHA, method="holm")[1]
    sizes = np.where(on_photographs, (tested & on_photographs).sum(), (tested & ~on_photographs).sum())
    table["verdict"] = [_verdict(row) for row in table.itertuples()]
    table["seeds_needed"] = [_seeds_needed(row, size) for row, size in zip(table.itertuples(), sizes, strict=True)]
    theirs = calibrate(claims, numbers)[["id", "words", "says"]].add_prefix("paper_")
    return table.drop(columns=["fails", "estimate"]).merge(theirs, "left", left_on="id", right_on="paper_id")


def _assess(claim, runs, numbers, measured):
    """The columns COLUMNS of one claim."""
    if claim.test in STATISTICAL:
        return _compare(claim, runs)
    if claim.test in measured:
        return measured[claim.test](claim)
    margin = float(claim.margin or 0)
    if claim.test == "smaller":
        size = runs[claim.run].groupby("name").bytes.mean()
        ratio = size[claim.second] / size[claim.first]
        words = f"{size[claim.first]:,.0f} against {size[claim.second]:,.0f} bytes (range coding), {ratio:.2f}x"
        return {"effect": ratio, "threshold": margin, "fails": ratio <= margin, "words": words}
    if claim.test in ("fits", "smaller as printed"):
        size = 4 * network_of(params.read("variants", dict)[claim.first]).count_params() / 1e6
        if claim.test == "fits":
            words = f"{size:.2f} MB of weights"
            return {"effect": size, "threshold": margin, "fails": size >= margin, "words": words}
        theirs = numbers[(numbers.network == claim.second) & (numbers.measure == "size")].number.item()
        words = f"{size:.2f} MB against the printed {theirs:g} MB, {theirs / size:.1f}x"
        return {"effect": theirs / size, "threshold": margin, "fails": theirs / size <= margin, "words": words}
    if claim.test not in ("", "narrow squeeze"):
        raise ValueError(f"data/paper/claims.csv, {claim.id}: unknown test. Received: {claim.test!r}")
    return {}


def _compare(claim, runs):
    """A claim with a statistical test, once its run has `SEEDS` seeds of all its networks."""
    differences = differences_of(claim)
    names = {name for difference in differences for name in difference.tested()}
    trained = runs.get(claim.run, pd.DataFrame(columns=["name", "seed"]))
    seeds = [set(trained.seed[trained.name == name]) for name in names]
    if len(set.intersection(*seeds)) < SEEDS:
        return {}
    rows = []
    for each in differences:
        shown = estimate(each.weights(), trained)
        tested = estimate(each.tested(), trained) if each.share else shown
        bounds = dict(zip(("low", "high"), shown.interval(), strict=True))
        p = {"holds": tested.p_above(-each.margin), "fails": tested.p_below(-each.margin)}
        threshold = shown.value - tested.value - each.margin
        rows.append((p, {"effect": shown.value, **bounds, "threshold": threshold, "estimate": (tested, -each.margin),
                         "upper": each.upper, "lower": each.lower, "seeds": shown.seeds}))  # fmt: skip
    p, weakest = max(rows, key=lambda row: (row[0]["holds"], -row[1]["effect"]))
    holds, fails = p["holds"], min(1, len(rows) * min(p["fails"] for p, _ in rows))
    machines = trained.hardware[trained.name.isin([weakest["upper"], weakest["lower"]])].nunique()
    words = "{} minus {}: ".format(*(named(weakest[key]) for key in ("upper", "lower")))
    words += points(*(weakest[key] for key in ("effect", "low", "high")))
    words += ", trained on different machines" * (machines > 1)
    return weakest | {"p": min(1, 2 * min(holds, fails)), "fails": len(rows) * (fails < holds), "words": words}


def named(name):
    """A network, or a file of one, in words."""
    network, *file = name.split("/")
    if not file:
        return f"`{network}`"
    method = file[0].replace("_", " ").replace("none, retrained", "dense, retrained")
    return f"`{network}` ({method}{'' if method.startswith(('none', 'dense')) else f', {file[1]} bits'})"


def _verdict(row):
    if row.verdict:
        return row.verdict
    if pd.isna(row.effect):
        return NOT_YET
    if row.test == "supported":
        return SUPPORTED if row.p < ALPHA and not row.fails else UNSUPPORTED
    if row.test in STATISTICAL:
        return UNDECIDED if row.p_holm >= ALPHA else OPPOSITE if row.fails else REPLICATED
    if pd.isna(row.fails):
        return UNDECIDED
    holds, fails = (COMPUTED, COMPUTED_NOT) if row.test in ("fits", "smaller as printed") else (MEASURED, MEASURED_NOT)
    return fails if row.fails else holds


def _seeds_needed(row, family):
    if row.verdict != UNDECIDED or row.test not in STATISTICAL:
        return None
    tested, threshold = row.estimate
    return tested.seeds_needed(threshold, ALPHA / family / 2 / (row.fails or 1))


# The paper's own numbers


def printed(folder=paths.PAPER):
    """The paper's numbers of networks and files: a frame with place, measure, network and number."""
    table2, table3, figure3 = (
        pd.read_csv(folder / f"{name}.csv", dtype=str) for name in ("table2", "table3", "figure3")
    )
    files = table2.compression.str.partition(" (")[0].str.replace(" ", "_") + "/" + table2.bits
    table2["network"] = table2.architecture.str.lower() + ("/" + files).where(table2.compression != "none", "")
    rows = pd.concat(
        [table2.assign(place="Table 2"), table3.assign(place="Table 3"), figure3.assign(place=figure3.panel)]
    )
    rows = rows.melt(["place", "network"], list(PRINTED), "measure", "number").dropna()
    return rows.astype({"number": float}).replace({"measure": PRINTED})


def calibrate(claims, numbers):
    """Each claim put to the paper's own numbers by the rule that ours are put to, without their unknown errors.

    Args:
        claims: as in `assess`.
        numbers: of `printed`. A table or panel counts if it has numbers of one measure for all of a claim's networks.

    Returns:
        A frame with id, words, says (whether the numbers give the claim by the rule) and lower (of the difference that
        decides), for claims with such numbers. The paper has no dense control: the network as trained stands for it.
    """
    found = {}
    for claim in claims[claims.test.isin(STATISTICAL)].itertuples():
        differences = differences_of(claim)
        names = {name for each in differences for name in each.tested()}
        for (measure, _), rows in numbers[numbers.measure != "size"].groupby(["measure", "place"], sort=False):
            number = rows.set_index("network").number
            if (claim.id, measure) in found or not {name.partition("/none")[0] for name in names} <= set(number.index):
                continue
            number = {name: number[name.partition("/none")[0]] for name in names}
            slack = {each: _sum(each.tested(), number) + each.margin for each in differences}
            weakest = min(slack, key=slack.get)
            words = f"{_sum(weakest.weights(), number):+.1f} {measure}"
            found[claim.id, measure] = (claim.id, words, slack[weakest] > 0, weakest.lower)
    table = pd.DataFrame(found.values(), columns=["id", "words", "says", "lower"])
    return table.groupby("id", sort=False).agg({"words": ", ".join, "says": "first", "lower": "first"}).reset_index()


def _sum(weights, number):
    return round(sum(weight * number[name] for name, weight in weights.items()), 9)  # 0.3 - 0.1 - 0.2 is 0
