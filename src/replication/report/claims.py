"""The paper's claims, each as differences that must all be large enough: effect, interval, test and verdict.

A claim of several differences (a rise has steps, a plateau has networks behind its knee) holds when every one of
them does, and its opposite is found when that of any one is: the largest p counts in the first case, and the
smallest, times their number, in the second. `comparison` says what an interval counts.
"""

from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from replication import params
from replication.report.answers import model_of, widths_of
from replication.report.comparison import estimate
from replication.results import Run, conditions, strongest

ALPHA = 0.05  # for the family of all claims tested (Holm)
SMALLEST_P = 1e-4  # below this a p value says more of the normal distribution than of the networks
REPLICATED, OPPOSITE, UNDECIDED = "replicated", "opposite found", "undecided"  # on our images
TOWARDS, AGAINST = "leans towards", "leans against"  # one seed: no verdict
HOLDS, FAILS = "holds by computation", "does not hold by computation"
HOLDS_MEASURED, FAILS_MEASURED = "holds as measured", "does not hold as measured"
NOT_TESTED = "not tested: its networks or files are missing"
STATISTICAL = ("trend", "plateau", "better", "no worse")
COMPUTED = ("smaller", "fits", "narrow squeeze")
MEASURED = ("proportional", "less to send")  # of `advantages`
MEASURES = {"top-1": "points", "top-5": "points", "size": ""}
COLUMNS = [
    *("effect", "low", "high", "unit", "threshold", "upper", "lower", "p", "against"),
    *("n", "seeds", "run", "conditions", "words", "estimate"),
]


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


def compressed(found, run):
    """What stage `compress` left, as a Run whose networks are files, named NETWORK/METHOD/BITS.

    Args:
        found: seed -> network -> its `rows`, and `correct` (file -> bool array over the test images), as in
            `summaries.Others.compression`.
        run: where these networks were trained, for the conditions.
    """
    trained = run.trainings.drop_duplicates("variant").set_index("variant")[["dataset", "train_images", "epochs"]]
    rows, correct = [], {}
    for seed, networks in found.items():
        for network, metrics in networks.items():
            origin = {"network": network, "training": f"{network} {seed}", "seed": seed, **trained.loc[network]}
            for row in metrics["rows"]:
                name = f"{network}/{row['method'].replace(' ', '_')}/{row['bits']}"
                rows.append({**row, **origin, "variant": name})
                correct[name, seed] = metrics["correct"][row["file"]]
    return Run(run.name, pd.DataFrame(rows), run.history.iloc[:0], correct, run.seeds)


def assess(claims, runs, compression, paper, measured=None):
    """Test each claim of data/paper/claims.csv.

    Args:
        claims: the file's frame, of strings. `test` is one of
            trend: accuracy rises from each network of `first` to the next;
            plateau: no network of `second` is above `first` by more than `margin`, a share of the rise from `base`;
            better: `first` is above `second`;
            no worse: `first` is above `second` minus `margin` points;
            smaller: the file `first` is more than `margin` times smaller than the file `second`;
            fits: the 32-bit weights of `first`, for ImageNet, take less than `margin` MB;
            narrow squeeze: each fire module of the networks `first` has fewer squeeze than expand filters;
            proportional: an update's bytes grow as the first power of the parameters of `first`, within `margin`;
            less to send: each download and update of `first` is more than `margin` times smaller than of `second`;
            none: `needs` says what is missing.
            A network may be a file of stage `compress`, named as by `compressed`.
        runs: `results.Run`s, the laptop's first.
        compression: Runs of files, as by `compressed`, the laptop's first; or none.
        paper: the frame of `audit.read_paper`.
        measured: claim -> some of COLUMNS, for "proportional" and "less to send"; `against` None is undecided.

    Returns:
        The claims with
            effect, low, high (95%), unit, threshold: of the difference between `upper` and `lower` that decides;
            p, p_holm (seeds only), p_words: two-sided, of the whole claim;
            n, seeds, run, conditions: what answered;
            paper_effect, paper_measure, paper_words, paper_says, paper_parts: of `calibrate`;
            verdict, words; seeds_needed, for undecided claims with several seeds (inf: no number of them would do).

    Raises:
        ValueError: an unknown test, or predictions for different test sets.
    """
    table = claims.reset_index(drop=True)
    found = [_answer(claim, runs, compression, measured) for claim in table.itertuples()]
    table = table.join(pd.DataFrame(found, columns=COLUMNS))
    tested = table.p.notna() & (table.seeds > 1)
    table["p_holm"] = np.nan
    if tested.any():
        table.loc[tested, "p_holm"] = multipletests(table.p[tested], ALPHA, method="holm")[1]
    table["p_words"] = table.p_holm.fillna(table.p).map(p_words)
    table["verdict"] = [_verdict(row) for row in table.itertuples()]
    table["seeds_needed"] = [_seeds_needed(row, ALPHA / max(tested.sum(), 1)) for row in table.itertuples()]
    theirs = calibrate(claims, paper).reset_index(drop=True)
    for column in ("effect", "measure", "words", "says", "parts"):
        table[f"paper_{column}"] = theirs[column]
    return table.drop(columns=["against", "estimate"])


def differences(claims, runs, compression):
    """Every difference of every claim with a statistical test, where its networks are there, one a row."""
    rows = []
    for claim in claims[claims.test.isin(STATISTICAL)].itertuples():
        rows += [{"id": claim.id, **row} for row in _differences(claim, runs, compression)]
    return pd.DataFrame(rows).drop(columns="estimate", errors="ignore")


def p_words(p):
    if pd.isna(p):
        return ""
    return f"at most {SMALLEST_P:.4f}" if p < SMALLEST_P else f"{p:.4f}"


def _differences(claim, runs, compression):
    wanted = differences_of(claim)
    names = {name for difference in wanted for name in difference.tested()}
    run = answering(names, compression if "/" in claim.first else runs)
    if run is None:
        return []
    pool = pool_of(names, run)
    rows = []
    for each in wanted:
        shown, tested = (estimate(weights, run, pool) for weights in (each.weights(), each.tested()))
        low, high = shown.interval()
        rows.append(
            {
                "upper": each.upper,
                "lower": each.lower,
                "effect": shown.value,
                "low": low,
                "high": high,
                "threshold": shown.value - tested.value - each.margin,
                "p_above": tested.p_above(-each.margin),
                "p_below": tested.p_below(-each.margin),
                "error_by_seeds": np.sqrt(shown.by_seeds),
                "error_by_images": np.sqrt(shown.by_images),
                "seeds": shown.seeds,
                "images": int(shown.df_images + 1),
                "run": run.name,
                "conditions": conditions(run.trainings),
                "estimate": (tested, -each.margin),
            }
        )
    return rows


def answering(names, runs):
    """The strongest run that has all of these networks, with the trainings of all its networks; None if none has."""
    runs = [run for run in runs if len(run.trainings)]
    best = strongest(names, runs) if runs else None
    if best is None or not {(name, seed) for name in names for seed in best.seeds} <= set(best.correct):
        return None
    return next(run for run in runs if run.correct is best.correct)


def pool_of(names, run):
    """The trainings of a run by which the spread between seeds is known, where these networks are compared.

    These are the trainings of all its networks. Of files they are those whose weights were trained on, which spread
    alike; where another is compared (as trained, or by SVD), the compared ones alone.
    """
    if "training" not in run.trainings:
        return run.trainings
    compared = run.trainings[run.trainings.variant.isin(names)]
    if compared.network.nunique() > 1:  # two networks are compared, not two files of one
        return compared.drop(columns="training")
    trained_on = run.trainings[~run.trainings.method.isin(["none", "SVD"])]
    return trained_on if set(names) <= set(trained_on.variant) else compared


def _answer(claim, runs, compression, measured):
    """The columns COLUMNS of one claim."""
    if claim.test in MEASURED:
        return measured(claim) if measured else {}
    if claim.test == "none":
        return {}
    if claim.test in COMPUTED:
        return _compute(claim, compression)
    if claim.test not in STATISTICAL:
        raise ValueError(f"data/paper/claims.csv, {claim.id}: unknown test {claim.test!r}")
    rows = _differences(claim, runs, compression)
    if not rows:
        return {}
    weakest = max(rows, key=lambda row: (row["p_above"], -row["effect"]))
    p_holds, p_fails = weakest["p_above"], min(1, len(rows) * min(row["p_below"] for row in rows))
    s = "s" * (weakest["seeds"] > 1)
    return weakest | {
        "unit": "points",
        "p": min(1, 2 * min(p_holds, p_fails)),
        "against": len(rows) if p_fails < p_holds else 0,
        "n": f"{weakest['images']:,} test images, {weakest['seeds']} seed{s}",
        "words": _words(weakest["upper"], weakest["lower"], weakest["effect"]),
    }


def _words(upper, lower, effect):
    return f"`{upper}` {abs(effect):.1f} points {'above' if effect > 0 else 'below'} `{lower}`"


def _compute(claim, compression):
    if claim.test == "smaller":
        run = answering({claim.first, claim.second}, compression)
        if run is None:
            return {}
        size = run.trainings.groupby("variant").bytes.mean()
        ratio, least = size[claim.second] / size[claim.first], float(claim.margin)
        return {
            "effect": ratio,
            "threshold": least,
            "unit": "x",
            "against": ratio <= least,
            "n": f"files of {len(run.seeds)} seed{'s' * (len(run.seeds) > 1)}",
            "run": run.name,
            "conditions": conditions(run.trainings),
            "words": f"{size[claim.first]:,.0f} against {size[claim.second]:,.0f} bytes, {ratio:.2f}x",
        }
    variants = params.read("variants", dict[str, dict])
    if not set(claim.first.split()) <= set(variants):
        return {}
    built = {name: model_of(variants[name]) for name in claim.first.split()}
    if claim.test == "fits":
        size = 4 * sum(model.count_params() for model in built.values()) / 1e6
        found = {"effect": size, "threshold": float(claim.margin), "unit": "MB", "against": size >= float(claim.margin)}
        return found | {"n": "the 32-bit weights", "words": f"{size:.2f} MB"}
    widths = {name: widths_of(model) for name, model in built.items()}
    wide = {name: (each.squeeze1x1 >= each.expand).sum() for name, each in widths.items()}
    broken = ", ".join(f"{count} modules of `{name}`" for name, count in wide.items() if count)
    found = {"effect": sum(wide.values()), "threshold": 0, "unit": "modules", "against": bool(broken)}
    return found | {"n": f"{len(built)} networks", "words": f"not so in {broken}" if broken else "so in every module"}


def _verdict(row):
    if row.test == "none":
        return f"needs {row.needs}"
    if pd.isna(row.effect):
        return NOT_TESTED
    if row.test == "smaller":
        return FAILS_MEASURED if row.against else HOLDS_MEASURED
    if row.test in COMPUTED:
        return FAILS if row.against else HOLDS
    if row.test in MEASURED:
        return UNDECIDED if pd.isna(row.against) else FAILS_MEASURED if row.against else HOLDS_MEASURED
    holds, fails, p = (REPLICATED, OPPOSITE, row.p_holm) if row.seeds > 1 else (TOWARDS, AGAINST, row.p)
    if p >= ALPHA:
        return UNDECIDED
    return fails if row.against else holds


def _seeds_needed(row, alpha):
    if row.verdict != UNDECIDED or row.test in MEASURED:
        return None
    tested, threshold = row.estimate
    return tested.seeds_needed(threshold, alpha / 2 / (row.against or 1))


# The paper's own numbers


def calibrate(claims, paper):
    """Each claim put to the paper's own numbers by the rule that ours are put to, without their unknown errors.

    Returns:
        A frame with id, measure, place, effect, threshold, upper and lower (of the difference that decides, which
        need not be the one that decides for ours), words, says (whether the numbers give the claim by the rule; None
        where the paper has none) and parts (where the paper's words, taken strictly, and its numbers part).
    """
    numbers = printed(paper)
    rows = [_calibrate(claim, numbers) for claim in claims.itertuples()]
    columns = ["measure", "place", "effect", "threshold", "upper", "lower", "words", "says", "parts"]
    return claims[["id", "claim", "test"]].reset_index(drop=True).join(pd.DataFrame(rows, columns=columns))


def printed(paper):
    """The paper's numbers of networks and files: a frame with place, measure, network, number and source."""
    rows = paper[paper["where"].str.startswith(("Table 2", "Table 3", "Figure 3")) & paper.quantity.isin(MEASURES)]
    compressing = rows["where"] == "Table 2"
    parts = rows.subject.str.extract(r"^([^,]+)(?:, ([^,(]+))?")
    files = parts[0].str.lower() + ("/" + parts[1].str.strip().str.replace(" ", "_") + "/" + rows.bits).fillna("")
    return pd.DataFrame(
        {
            "place": rows["where"],
            "measure": rows.quantity,
            "network": rows.variant.where(~compressing, files),
            "number": rows.printed.astype(float),
            "source": rows.source,
        }
    )


def _calibrate(claim, numbers):
    if claim.test not in (*STATISTICAL, "smaller", "fits"):
        return {}
    computed = claim.test in COMPUTED
    wanted = [] if computed else differences_of(claim)
    names = {*claim.first.split(), *claim.second.split()} | {name for each in wanted for name in each.tested()}
    found = {}
    for (measure, place), rows in numbers.groupby(["measure", "place"], sort=False):
        number = rows.set_index("network").number.to_dict()
        if (measure == "size") == computed and {_whole(name) for name in names} <= set(number):
            found.setdefault(measure, (place, {name: number[_whole(name)] for name in names}))
    if not found:
        return {}
    measure = next(name for name in MEASURES if name in found)
    place, number = found[measure]
    row = {"measure": measure, "place": place}
    if computed:
        effect = number[claim.second] / number[claim.first] if claim.test == "smaller" else number[claim.first]
        says = (effect > float(claim.margin)) == (claim.test == "smaller")
        words = f"{effect:.1f}{'x' if claim.test == 'smaller' else ' MB'}"
        return row | {"effect": effect, "threshold": float(claim.margin), "words": words, "says": says, "parts": ""}
    slack, weakest = min(((_sum(each.tested(), number) + each.margin, each) for each in wanted), key=lambda x: x[0])
    effect = _sum(weakest.weights(), number)
    strict = effect > 0 if claim.test in ("trend", "better") else effect >= 0
    sources = numbers[(numbers.place == place) & numbers.network.isin([weakest.upper, weakest.lower])].source
    drawn = ", as drawn" if "drawn" in set(sources) else ""
    parts = "" if strict else f"`{weakest.lower}` {abs(effect):.1f} points above `{weakest.upper}`{drawn}"
    shown = [
        f"{min(_sum(each.weights(), values) for each in wanted):+.1f} {name}" for name, (_, values) in found.items()
    ]
    pair = f" (`{weakest.upper}` minus `{weakest.lower}`)" if len(wanted) > 1 else ""
    decides = {"upper": weakest.upper, "lower": weakest.lower, "words": ", ".join(shown) + pair}
    return row | decides | {"effect": effect, "threshold": effect - slack, "says": slack > 0, "parts": parts}


def _sum(weights, number):
    return round(sum(weight * number[name] for name, weight in weights.items()), 9)  # 0.3 - 0.1 - 0.2 is 0


def _whole(name):
    """The paper has no dense control: what it compares with is the network as trained."""
    return name.partition("/none")[0]
