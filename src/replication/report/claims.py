"""The paper's claims, each as differences that must all be large enough: effect, interval, test and verdict.

A claim with several differences (a rise has steps, a plateau has networks beyond its knee) is judged by its weakest
one, and one that is significantly reversed refutes it: the largest p counts in the first case, and the smallest, times
their number, in the second. `statistics` says what an interval counts.
"""

from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from replication.report import advantages
from replication.report.ours import network_of
from replication.report.statistics import difference, estimate, points

ALPHA = 0.05  # for a family of claims (Holm)
SEEDS = 3  # of each network, before a claim gets a verdict
VERDICTS = (  # in the order of the table of claims
    "replicated", "holds as measured", "holds by computation",
    "opposite found", "does not hold as measured", "does not hold by computation",
    "a loss; whether within one point, undecided", "undecided", "awaits three seeds",
)  # fmt: skip
REPLICATED, MEASURED, COMPUTED, OPPOSITE, MEASURED_NOT, COMPUTED_NOT, A_LOSS, UNDECIDED, NOT_YET = VERDICTS
HOLD = (REPLICATED, COMPUTED, MEASURED)
STATISTICAL = ("trend", "plateau", "better", "no worse")
SECTION1 = {"proportional": advantages.proportional, "less to send": advantages.less_to_send}
COLUMNS = ["effect", "low", "high", "threshold", "upper", "lower", "p", "fails", "seeds", "words"]


class Difference(NamedTuple):
    """One of a claim's differences, `upper` minus `lower`."""

    upper: str
    lower: str
    # name -> weight in the sum that must exceed -margin: the difference, and for a plateau a share of the rise from
    # the base to `upper`, so that the error of this rise counts too
    tested: dict
    margin: float  # in points


def differences_of(claim):
    """The differences that make up a row of data/paper/claims.csv with a statistical test."""
    first, second = claim.first.split(), claim.second.split()
    pairs = [(b, a) for a, b in pairwise(first)] if claim.test == "trend" else product(first, second)
    margin, share, rise = float(claim.margin.strip("%") or 0), 0, {}
    if claim.base:
        margin, share, rise = 0, margin / 100, {claim.base: -margin / 100}
    return [Difference(upper, lower, {upper: 1 + share, lower: -1, **rise}, margin) for upper, lower in pairs]


def assess(claims, runs, numbers, section1=None):
    """Test each claim of data/paper/claims.csv.

    Args:
        claims: the file's frame, of strings. `run` names the run that decides; `verdict` stands where the experiment
            cannot decide, and its effect is then an estimate. `test` is one of
            trend: accuracy rises from each network of `first` to the next;
            plateau: no network of `second` is above `first` by more than `margin`, a share of the rise from `base`;
            better: `first` is above `second`;
            no worse: `first` is above `second` minus `margin` points;
            smaller: how many times smaller the file `first` is than `second`, and what it loses against `base`;
            smaller as printed: the 32-bit weights of `first` are smaller than the size that Table 2 prints of `second`;
            fits: the 32-bit weights of `first`, for ImageNet, take less than `margin` MB;
            proportional: an update's bytes grow as the first power of the parameters of `first`, within `margin`;
            less to send: each download and update of `first` is more than `margin` times smaller than of `second`.
        runs: name -> frame with name, seed, accuracy, correct, bytes and hardware, a row per training or file made from
            one (named NETWORK/METHOD/BITS).
        numbers: of `paper.numbers`.
        section1: of `advantages.read`.

    Returns:
        The claims with the effect of the difference that decides, its 95% interval, p (two-sided, of the whole claim),
        p_holm, seeds, words, verdict, and what the paper's own numbers say: paper_words, of `calibrate`.

    Raises:
        ValueError: an unknown test, or predictions for different test sets.
    """
    table = claims.reset_index(drop=True)
    found = [_assess(claim, runs, numbers, section1) for claim in table.itertuples()]
    table = table.join(pd.DataFrame(found, columns=COLUMNS))
    tested = table.test.isin(STATISTICAL) & (table.verdict == "")
    family = table.run == "photographs"  # or the others; what is not yet measured counts in its family
    p = table.p.astype(float).fillna(1)[tested].groupby(family)
    table["p_holm"] = p.transform(lambda values: multipletests(values, ALPHA, method="holm")[1])
    table["verdict"] = [_verdict(row) for row in table.itertuples()]
    theirs = calibrate(claims, numbers).set_index("id").words.rename("paper_words")
    return table.drop(columns="fails").join(theirs, on="id")


def _assess(claim, runs, numbers, section1):
    """The columns COLUMNS of one claim."""
    if claim.test in STATISTICAL:
        return _compare(claim, runs)
    if claim.test in SECTION1:
        return SECTION1[claim.test](claim, section1)
    if claim.test == "smaller":
        size = runs[claim.run].groupby("name").bytes.mean()
        ratio = size[claim.second] / size[claim.first]
        loss = points(*difference(claim.first, claim.base, runs[claim.run]))
        return {"effect": ratio, "words": f"{ratio:.1f}x (range coding) at {loss} points"}
    if claim.test in ("fits", "smaller as printed"):
        size, margin = 4 * network_of(claim.first).count_params() / 1e6, float(claim.margin)
        if claim.test == "fits":
            words = f"{size:.2f} MB of weights"
            return {"effect": size, "threshold": margin, "fails": size >= margin, "words": words}
        theirs = float(numbers[(numbers.network == claim.second) & (numbers.quantity == "size")].printed.item())
        words = f"{size:.2f} MB against the printed {theirs:g} MB, {theirs / size:.1f}x"
        return {"effect": theirs / size, "threshold": margin, "fails": theirs / size <= margin, "words": words}
    if claim.test:
        raise ValueError(f"data/paper/claims.csv, {claim.id}: unknown test. Received: {claim.test!r}")
    return {}


def _compare(claim, runs):
    """A claim with a statistical test, once its run has `SEEDS` seeds of all its networks."""
    differences = differences_of(claim)
    names = {name for difference in differences for name in difference.tested}
    trained = runs.get(claim.run, pd.DataFrame(columns=["name", "seed"]))
    if (trained[trained.name.isin(names)].groupby("seed").size() == len(names)).sum() < SEEDS:
        return {}
    rows = []
    for each in differences:
        shown = estimate({each.upper: 1, each.lower: -1}, trained)
        tested = estimate(each.tested, trained) if claim.base else shown
        bounds = dict(zip(("low", "high"), shown.interval(), strict=True))
        t = tested.distribution()
        p = {"holds": t.cdf(-each.margin), "fails": t.sf(-each.margin)}
        threshold = shown.value - tested.value - each.margin
        rows.append((p, {"effect": shown.value, **bounds, "threshold": threshold,
                         "upper": each.upper, "lower": each.lower, "seeds": shown.seeds}))  # fmt: skip
    p, weakest = max(rows, key=lambda row: (row[0]["holds"], -row[1]["effect"]))
    holds, fails = p["holds"], min(1, len(rows) * min(p["fails"] for p, _ in rows))
    machines = trained.hardware[trained.name.isin([weakest["upper"], weakest["lower"]])].nunique()
    words = "trained on different machines" * (machines > 1)
    return weakest | {"p": min(1, 2 * min(holds, fails)), "fails": len(rows) * (fails < holds), "words": words}


def _verdict(row):
    if row.verdict:
        return row.verdict
    if pd.isna(row.effect):
        return NOT_YET
    if row.test in STATISTICAL:
        if row.p_holm < ALPHA:
            return OPPOSITE if row.fails else REPLICATED
        return A_LOSS if row.test == "no worse" and row.high < 0 else UNDECIDED
    if pd.isna(row.fails):
        return UNDECIDED
    holds, fails = (COMPUTED, COMPUTED_NOT) if row.test in ("fits", "smaller as printed") else (MEASURED, MEASURED_NOT)
    return fails if row.fails else holds


# The paper's own numbers


def calibrate(claims, numbers):
    """Test each claim on the paper's own numbers by the rule for ours, without their unknown errors.

    Args:
        claims: as in `assess`.
        numbers: of `paper.numbers`. A table or panel counts if it has numbers of one measure for all of a claim's
            networks.

    Returns:
        A frame with a row for each claim with such numbers: `id`; `words`; `says`, whether the numbers give the claim;
        `lower`, of the difference that decides. The paper has no dense control: the network as trained stands for it.
    """
    printed = numbers[numbers["where"].str.match("Table [23]|Figure 3") & numbers.quantity.isin(["top-1", "top-5"])]
    tables, rows = list(printed.astype({"printed": float}).groupby(["quantity", "where"], sort=False)), {}
    for claim in claims[claims.test.isin(STATISTICAL)].itertuples():
        for (measure, _), table in tables:
            number, differences = table.set_index("network").printed, differences_of(claim)
            source = table.set_index("network").source
            slack = [_sum(each.tested, number) + each.margin for each in differences]
            if (claim.id, measure) not in rows and not np.isnan(slack).any():
                weakest = differences[np.argmin(slack)]
                words = f"{_sum({weakest.upper: 1, weakest.lower: -1}, number):+.1f} {measure}"
                pair = [name.partition("/none")[0] for name in (weakest.upper, weakest.lower)]
                words += " (drawn)" * bool((source[pair] == "drawn").any())
                rows[claim.id, measure] = (claim.id, words, min(slack) > 0, weakest.lower)
    found = pd.DataFrame(rows.values(), columns=["id", "words", "says", "lower"])
    return found.groupby("id", sort=False).agg({"words": ", ".join, "says": "first", "lower": "first"}).reset_index()


def _sum(weights, number):
    """NaN where a number is missing; rounded, as 0.3 - 0.1 - 0.2 is not 0."""
    return round(sum(weight * number.get(name.partition("/none")[0], np.nan) for name, weight in weights.items()), 9)
