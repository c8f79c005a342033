"""How far apart networks are, when seeds and test images are both drawn by chance.

Every network is trained from several seeds and classifies the same test images. By the law of total variance the
variance of a difference is a sum of two parts, and neither is counted twice:

- seeds, on these images: of networks, the variance within networks, pooled over those with all seeds of a run; of
  files made from the same training, the variance of their difference from training to training;
- images, for the average training: the variance of the difference from image to image, its mean over seeds taken
  first, minus the seed noise that averaging left.

Networks of one seed share the order of the images and, where shapes agree, the initial weights. Their covariance is
left out, which usually widens an interval. Satterthwaite's formula gives the degrees of freedom of the sum.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

NEVER_ZERO = 1e-12  # variance of a difference that neither seeds nor images vary


class Estimate(NamedTuple):
    """A weighted sum of accuracies in points."""

    value: float  # of the mean over seeds
    by_seeds: float  # the two parts of its variance
    by_images: float
    df_seeds: float  # their degrees of freedom
    df_images: float
    seeds: int  # how many of each network

    def distribution(self):
        """Its `cdf` at a threshold is a one-sided p, small if the value is above it; its `sf`, if it is below."""
        by_images = np.maximum(self.by_images, NEVER_ZERO)
        variance = self.by_seeds + by_images
        df = variance**2 / (self.by_seeds**2 / self.df_seeds + by_images**2 / self.df_images)  # Satterthwaite's
        return stats.t(df, self.value, np.sqrt(variance))

    def interval(self):
        """The 95% interval."""
        return self.distribution().interval(0.95)


def estimate(weights, trained):
    """Estimate a weighted sum of accuracies, such as {"simple_bypass": 1, "squeezenet": -1}.

    Args:
        weights: name -> weight; they sum to 0.
        trained: frame with name, seed, accuracy and correct (bool array over the test images), a row per training or
            file made from one (named NETWORK/METHOD/BITS). Only seeds that all names have are used.

    Raises:
        ValueError: the networks classified different test sets.
    """
    right = trained[trained.name.isin(weights)].pivot(index="seed", columns="name", values="correct").dropna()
    sizes = {name: len(right[name].iloc[0]) for name in weights}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"test sets of different sizes cannot be compared. Received: {sizes}")
    differences = sum(100 * weight * np.stack(right[name]) for name, weight in weights.items())  # (seeds, images)
    seeds, images = differences.shape
    files, networks = [name for name in weights if "/" in name], {name.partition("/")[0] for name in weights}
    if files and len(networks) == 1:
        by_seeds, df = differences.mean(1).var(ddof=1) / seeds, seeds - 1
    else:
        alike = trained.name.isin(weights) if files else ~trained.name.str.contains("/")
        within = trained[alike].groupby("name").accuracy.agg(["var", "count"]).query("count == count.max()")
        df = (within["count"] - 1).sum()
        pooled = 100**2 * (within["var"] * (within["count"] - 1)).sum() / df
        by_seeds = pooled * sum(weight**2 for weight in weights.values()) / seeds
    noise = differences.var(0, ddof=1).mean() / seeds  # what the seeds leave in an image's mean
    by_images = max(differences.mean(0).var(ddof=1) - noise, 0) / images
    return Estimate(differences.mean(), by_seeds, by_images, df, images - 1, seeds)


def spread(trained):
    """How far the seeds of each network of a run lie apart.

    Returns:
        A frame with name, seeds, accuracy (%), deviation (points), and p: of the Brown-Forsythe test that all networks
        of the run spread alike, the same in each row. Networks of one or two seeds are left out.
    """
    groups = {name: 100 * rows.accuracy for name, rows in trained.groupby("name", sort=False) if len(rows) > 2}
    p = stats.levene(*groups.values(), center="median").pvalue if len(groups) > 1 else np.nan
    rows = [(name, len(group), group.mean(), group.std(), p) for name, group in groups.items()]
    return pd.DataFrame(rows, columns=["name", "seeds", "accuracy", "deviation", "p"])


def difference(upper, lower, trained):
    """Points between two networks, with their 95% interval."""
    found = estimate({upper: 1, lower: -1}, trained)
    return found.value, *found.interval()


def points(value, low, high):
    """A difference with its interval, for a table; with two decimals if a bound or itself is small."""
    digits = 2 if abs(value) < 0.1 or min(abs(low), abs(high)) < 0.05 else 1
    return f"{value:+z.{digits}f} [{low:+z.{digits}f}, {high:+z.{digits}f}]"
