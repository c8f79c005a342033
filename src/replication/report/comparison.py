"""How far apart networks are, when seeds and test images are both drawn by chance.

Every network is trained from several seeds and classifies the same test images. By the law of total variance
the variance of a difference is a sum of two parts, and neither is counted twice:

- seeds, on these images: the mean square within networks, pooled over all networks of a run, over the seeds of each;
- images, for the average training: the variance of the difference from image to image, its mean over seeds taken
  first, minus what the seeds leave in that mean.

The shares of the two in the sum give its degrees of freedom (Satterthwaite). That networks of the same seed saw their
images in the same order is not made use of. Files made of the same training are compared within it. With one seed
the first part is unknown: what is left speaks for the trained networks alone.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.api import OLS

POWER = 0.8  # of the experiment that would settle a claim
MOST = 1000  # seeds that anybody is told to train
NEVER_ZERO = 1e-12  # variance of a difference that neither seeds nor images vary


class Estimate(NamedTuple):
    """A sum of accuracies, each with its weight, in points.

    Attributes:
        value: of the mean over seeds.
        by_seeds, by_images: the two parts of its variance; the first is 0 where there is one seed.
        df_seeds, df_images: their degrees of freedom.
        seeds: of each network.
    """

    value: float
    by_seeds: float
    by_images: float
    df_seeds: float
    df_images: float
    seeds: int

    def distribution(self):
        variance, df = _sum(self.by_seeds, self.by_images, self.df_seeds, self.df_images)
        return stats.t(df, self.value, np.sqrt(variance))

    def interval(self):
        """The 95% interval."""
        return self.distribution().interval(0.95)

    def p_above(self, threshold):
        """How likely so much or more is, if the true value were `threshold` or below it."""
        return self.distribution().cdf(threshold)

    def p_below(self, threshold):
        return self.distribution().sf(threshold)

    def seeds_needed(self, threshold, alpha):
        """Seeds at which a true value like this passes the one-sided test at `alpha` with 80% power.

        Returns:
            None with one seed, as the spread between seeds is then unknown; inf where no number of them would do.
        """
        if self.seeds < 2:
            return None
        seeds = np.arange(2, MOST + 1)
        df_seeds = self.df_seeds * (seeds - 1) / (self.seeds - 1)
        variance, df = _sum(self.by_seeds * self.seeds / seeds, self.by_images, df_seeds, self.df_images)
        size = np.minimum(abs(self.value - threshold) / np.sqrt(variance), 30)  # beyond, scipy gives nan
        enough = seeds[stats.nct.sf(stats.t.isf(alpha, df), df, size) >= POWER]
        return int(enough[0]) if len(enough) else np.inf


def _sum(by_seeds, by_images, df_seeds, df_images):
    """The variance of a sum of two parts, and Satterthwaite's degrees of freedom."""
    by_images = np.maximum(by_images, NEVER_ZERO)
    return by_seeds + by_images, (by_seeds + by_images) ** 2 / (by_seeds**2 / df_seeds + by_images**2 / df_images)


def estimate(weights, run, pool):
    """Estimate a weighted sum of accuracies, such as {"simple_bypass": 1, "squeezenet": -1}.

    Args:
        weights: network -> weight; they sum to 0.
        run: `results.Run` that has all of these networks with all of its seeds.
        pool: its trainings by which the spread between seeds is estimated. With columns `network` and `training` its
            rows are files made of trainings, and are compared within each.

    Raises:
        ValueError: the networks classified different test sets.
    """
    sizes = {name: len(run.correct[name, run.seeds[0]]) for name in weights}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"run {run.name}: predictions for test sets of different sizes: {sizes}")
    differences = np.array(  # (seeds, images)
        [sum(100 * weight * run.correct[name, seed] for name, weight in weights.items()) for seed in run.seeds]
    )
    seeds, images = differences.shape
    by_images, by_seeds, df = differences.mean(0).var(ddof=1), 0.0, 1.0
    if seeds > 1:
        by_images = max(by_images - differences.var(0, ddof=1).mean() / seeds, 0)
        test = _contrast(weights, pool)
        by_seeds, df = test.sd.item() ** 2, test.df_denom
    return Estimate(differences.mean(), by_seeds, by_images / images, df, images - 1, seeds)


def _contrast(weights, pool):
    """The weighted sum of means, with the error of one variance for all: of networks, or of files within trainings."""
    design = pd.get_dummies(pool.variant, dtype=float)
    names = list(design)
    if "training" in pool:
        known = pool.drop_duplicates("network").training  # a network's files leave one of its trainings no freedom
        design = design.join(pd.get_dummies(pool.training, dtype=float).drop(columns=known))
    fit = OLS(100 * pool.accuracy, design).fit()
    return fit.t_test([weights.get(name, 0) for name in names] + [0] * (design.shape[1] - len(names)))


def spread(runs):
    """Whether the seeds of all networks of a run may share one variance.

    Returns:
        A frame with run, network, seeds, accuracy (mean, in %), deviation (points) and p: of the Brown-Forsythe test
        that all networks of the run spread alike, the same in each of its rows.
    """
    rows = []
    for run in runs:
        groups = [(name, 100 * rows.accuracy) for name, rows in run.trainings.groupby("variant") if len(rows) > 1]
        p = stats.levene(*(group for _, group in groups), center="median").pvalue if len(groups) > 1 else np.nan
        rows += [(run.name, name, len(group), group.mean(), group.std(), p) for name, group in groups]
    return pd.DataFrame(rows, columns=["run", "network", "seeds", "accuracy", "deviation", "p"])


def backends(runs):
    """Networks that two backends trained for as long: whether it matters which.

    Returns:
        A frame with network, epochs, accuracies (backend -> Series in %, by name), and difference, low, high: the last
        backend minus the first in points, with the 95% of Welch's t test over the seeds.
    """
    key, rows = ["variant", "epochs", "seed", "backend"], []
    trained = [run.trainings for run in runs if len(run.trainings)] or [pd.DataFrame(columns=key)]
    trained = pd.concat(trained).drop_duplicates(key)  # runs share trainings
    for (network, epochs), group in trained.groupby(["variant", "epochs"], sort=False):
        found = {name: 100 * each.accuracy for name, each in group.groupby("backend")}
        if len(found) == 2:
            first, last = found.values()
            interval = stats.ttest_ind(last, first, equal_var=False).confidence_interval()
            rows.append((network, epochs, found, last.mean() - first.mean(), *interval))
    return pd.DataFrame(rows, columns=["network", "epochs", "accuracies", "difference", "low", "high"])
