"""The paper's claims put to our trained networks: effect, interval, test and verdict.

One seed: every network has classified the same test images, and the unit is the image (paired
bootstrap). Several seeds: the unit is the seed (paired t test). A trend's unit is the trained network
(Spearman's rho, permutation test): the images cannot tell how far a few networks speak for their family.
"""

import math

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from replication.report.results import Full, comparable

ALPHA = 0.05  # for the family of all claims tested (Holm)
POWER = 0.8  # of the experiment that would settle an inconclusive claim
RESAMPLES = 9999
RANK_VARIANCE = 1.06  # of Fisher's z, by n - 3, for ranks (Fieller et al. 1957)
IMAGES = "test images, 1 seed"
INCONCLUSIVE = "inconclusive"
NO_NETWORK = "not tested: its networks are not in params.yaml"
NO_ROW = "not tested: no such row from stage compress"
COLUMNS = ["effect", "low", "high", "threshold", "p", "spread", "networks", "unit"]


def assess(claims, results, correct, compression=None, full=None, resamples=RESAMPLES):
    """Test each claim of data/paper/claims.csv.

    Args:
        claims: the file's frame. `test` is one of trend (accuracy rises along `first`), better (`first` above
            `second`), no worse (`first` above `second` less `margin` points; several networks count by their mean),
            compression (rows of Table 2 at `bits` against 32) and none (`needs` says what is missing).
        results: one row a training, with variant, seed, dataset and test_images.
        correct: (variant, seed) -> bool array over the test images.
        compression: `results.Others.compression`.
        full: `results.Full`, which answers where it can.

    Returns:
        The claims with effect, low, high (95% interval; points, or Spearman's rho), threshold, p, p_holm, n, unit,
        verdict and seeds_needed.

    Raises:
        ValueError: an unknown test, or predictions for different test sets.
    """
    full = full or Full(results.iloc[:0], results.iloc[:0], [], [])
    tested = [_test(claim, results, correct, compression or {}, full, resamples) for claim in claims.itertuples()]
    table = claims.reset_index(drop=True).join(pd.DataFrame(tested, columns=COLUMNS))
    run = table.p.notna()
    table["p_holm"] = np.nan
    if run.any():
        table.loc[run, "p_holm"] = multipletests(table.p[run], ALPHA, method="holm")[1]
    dataset = ", ".join(results.dataset.unique())
    table["verdict"] = [_verdict(row, dataset) for row in table.itertuples()]
    table["seeds_needed"] = [
        seeds_needed(row, ALPHA / run.sum()) if row.verdict == INCONCLUSIVE else None for row in table.itertuples()
    ]
    table.attrs["resamples"] = resamples
    return table


def _test(claim, results, correct, compression, full, resamples):
    if claim.test == "none":
        return (None,) * len(COLUMNS)
    if claim.test == "compression":
        return _compression(claim, results, compression, resamples)
    if claim.test not in ("trend", "better", "no worse"):
        raise ValueError(f"data/paper/claims.csv, {claim.id}: unknown test {claim.test!r}")
    first, second = claim.first.split(), claim.second.split()
    if not {*first, *second} <= set(results.variant):
        return (None,) * len(COLUMNS)
    trainings = comparable(first + second, results, full)
    accuracy = 100 * trainings.pivot(index="seed", columns="variant", values="accuracy")[first + second].dropna()
    seeds, accuracy, epochs = list(accuracy.index), accuracy.to_numpy(), trainings.epochs.iloc[0]
    longer = f", {epochs} epochs" if epochs != results.epochs.iloc[0] else ""
    threshold = -float(claim.margin or 0)
    if claim.test == "trend":
        order = np.tile(np.arange(len(first)), len(seeds))
        test = stats.pearsonr(  # Spearman's rho, which is Pearson's of the ranks
            stats.rankdata(order), stats.rankdata(accuracy), method=stats.PermutationMethod(resamples, rng=0)
        )
        effect, p, spread = test.statistic, test.pvalue, None
        low, high = _rank_interval(effect, len(order))
        unit = f"{len(order)} trained networks{longer}"
    elif len(seeds) == 1:
        return _paired([correct[name, seeds[0]] for name in first + second], len(first), threshold, resamples)
    else:
        differences = _difference(accuracy, len(first))
        test = stats.ttest_1samp(differences, threshold)
        effect, p, (low, high) = differences.mean(), test.pvalue, test.confidence_interval()
        spread, unit = differences.std(ddof=1), f"{len(seeds)} seeds{longer}"
    p = 1.0 if np.isnan(p) else p  # no spread at all: nothing can be said
    return effect, low, high, threshold, p, spread, len(first), unit


def bootstrap(correct, resamples, seed=0):
    """Accuracies in % (resamples, networks) on resampled test images, the same images for every network.

    Images on which the networks agree alike are interchangeable, so that drawing how often each
    pattern of right and wrong occurs is the bootstrap of the images.
    """
    if len({len(c) for c in correct}) > 1:
        raise ValueError(f"predictions for test sets of different sizes: {sorted({len(c) for c in correct})}")
    patterns, counts = np.unique(np.array(correct).T, axis=0, return_counts=True)
    n = counts.sum()
    return 100 * np.random.default_rng(seed).multinomial(n, counts / n, size=resamples) @ patterns / n


def _difference(accuracy, split):
    return accuracy[:, :split].mean(1) - accuracy[:, split:].mean(1)


def _paired(correct, split, threshold, resamples):
    """The mean of the first `split` networks less that of the others, in points, by a bootstrap of the test images."""
    sampled = _difference(bootstrap(correct, resamples), split)
    effect = float(_difference(100 * np.array([[c.mean() for c in correct]]), split)[0])
    low, high = np.percentile(sampled, [2.5, 97.5])
    tail = min((sampled <= threshold).sum(), (sampled >= threshold).sum())
    p = min(1, 2 * (tail + 1) / (len(sampled) + 1))
    return effect, low, high, threshold, p, sampled.std(), split, IMAGES


def _compression(claim, results, compression, resamples):
    """The network in the file of `bits` bits less the network as trained."""
    found = compression.get(claim.first, {"rows": []})
    files = {str(row["bits"]): row["file"] for row in reversed(found["rows"])}  # at 32 bits the first, as trained
    if not {"32", claim.bits} <= set(files) or claim.first not in set(results.variant):
        return (None,) * len(COLUMNS)
    correct = [found["correct"][files[bits]] for bits in (claim.bits, "32")]
    return _paired(correct, 1, -float(claim.margin), resamples)


def _rank_interval(rho, n):
    """Fisher's interval for Spearman's rho, which counts a perfect one as half a swap of neighbours off.

    Of n networks in perfect order it would else say that nothing but 1 is possible.
    """
    if n < 4:
        return -1.0, 1.0
    most = 1 - 6 / (n**3 - n)
    half = stats.norm.ppf(0.975) * math.sqrt(RANK_VARIANCE / (n - 3))
    low, high = np.tanh(np.arctanh(np.clip(rho, -most, most)) + np.array([-half, half]))
    return float(low), float(high)


def _verdict(row, dataset):
    if row.test == "none":
        return f"needs {row.needs}"
    if pd.isna(row.p):
        return NO_ROW if row.test == "compression" else NO_NETWORK
    if row.p_holm >= ALPHA:
        return INCONCLUSIVE
    return f"{'replicated' if row.effect > row.threshold else 'contradicted'} on {dataset}"


def seeds_needed(row, alpha):
    """Seeds for which the effect, if it is what we saw, passes at `alpha` with 80% power; None if no number would do.

    With one seed the spread between seeds is unknown, and that of the bootstrap over images stands in for it.
    """
    if row.test == "trend":
        slope = math.atanh(min(abs(row.effect), 0.999))  # Fisher's z
        if slope == 0:
            return None
        z = stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(POWER)
        return max(2, math.ceil((RANK_VARIANCE * (z / slope) ** 2 + 3) / row.networks))
    size = abs(row.effect - row.threshold) / row.spread if row.spread else 0
    if size < 1e-3:
        return None
    return max(2, math.ceil(float(np.squeeze(TTestPower().solve_power(min(size, 5), alpha=alpha, power=POWER)))))
