"""The claims' tests on simulated trainings: planted effects change the verdicts, chance only as often as it may."""

import gc
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from replication.report import claims, paper, statistics

NETWORKS = ["squeezenet", "simple_bypass", "complex_bypass", "squeezenet_11", "early_pools", "alexnet"]
NETWORKS += ["sr_250", "sr_500", "sr_750", "sr_1000"]
NETWORKS += ["pct_010", "pct_125", "pct_250", "pct_375", "pct_625", "pct_750", "pct_875", "pct_990"]
LIKE_THE_PAPERS = dict.fromkeys(NETWORKS, 76) | {
    "squeezenet": 70, "simple_bypass": 75, "complex_bypass": 72.5, "squeezenet_11": 74, "early_pools": 66,
    "alexnet": 66, "sr_250": 73, "pct_010": 64, "pct_125": 67, "pct_250": 70, "pct_375": 73, "sr_500": 76,
    "sr_750": 79, "sr_1000": 77, "pct_625": 74, "pct_750": 74, "pct_875": 74, "pct_990": 74,
}  # fmt: skip
RUNS = ("table3", "figure3", "alexnet", "photographs")
CLAIMED, NUMBERS = paper.table("claims"), paper.numbers()
STATISTICAL = CLAIMED[CLAIMED.test.isin(claims.STATISTICAL)]


@pytest.fixture(scope="module", autouse=True)
def quick_holm():
    """statsmodels collects all garbage at each of its tests; what stands at the beginning need not be searched."""
    gc.freeze()
    yield
    gc.unfreeze()


def frame(rows):
    table = pd.DataFrame(rows, columns=["name", "variant", "seed", "correct", "bytes"])
    return table.assign(accuracy=[right.mean() for right in table.correct], hardware="none")


def simulate(accuracy, seeds=(0, 1, 2), images=2000, spread=0.3, unlike=0.05, rng=0):
    """Trainings whose images are easy or hard for all networks, or for one, and whose seeds spread by so many points.

    Each accuracy (in %) is that over all images of the world; the trainings' are drawn from them. Of an
    image's difficulty, `unlike` is a network's own and three tenths are a seed's.
    """
    rng = np.random.default_rng(rng)
    for_all, rows = rng.normal(0, np.sqrt(0.7 - unlike), images), []
    for variant, share in accuracy.items():
        level = stats.norm.ppf(share / 100)
        for_one = rng.normal(0, np.sqrt(unlike), images)
        for seed in seeds:
            luck = rng.normal(0, spread / 100 / stats.norm.pdf(level)) + rng.normal(0, np.sqrt(0.3), images)
            rows.append((variant, variant, seed, level + for_all + for_one + luck > 0, np.nan))
    return frame(rows)


def assess(trained, claimed=STATISTICAL):
    """The claims by id, without those that take other measurements; the same trainings stand for every run."""
    runs = trained if isinstance(trained, dict) else dict.fromkeys(RUNS, trained)
    return claims.assess(claimed, runs, NUMBERS).set_index("id")


def row(claim, **changes):
    """One claim, with other columns."""
    return CLAIMED[CLAIMED.id == claim].assign(**changes)


def by_test():
    """The claims about networks that a statistical test decides, or would if this had been the paper's experiment."""
    verdict = STATISTICAL.verdict.mask(STATISTICAL.id.isin(["pct3x3_plateau", "alexnet_level"]), "")
    return STATISTICAL.assign(verdict=verdict)[(verdict == "") & ~STATISTICAL["first"].str.contains("/")]


# Verdicts


def test_a_world_like_the_papers_gives_its_claims_and_its_opposite_contradicts_them():
    like = assess(simulate(LIKE_THE_PAPERS, images=10_000), by_test()).verdict
    assert set(like) == {claims.REPLICATED} and len(like) == 13
    unlike = {name: 145 - value for name, value in LIKE_THE_PAPERS.items()} | {"pct_875": 85}
    unlike = assess(simulate(unlike, images=10_000), by_test()).verdict
    assert set(unlike) == {claims.OPPOSITE}


def test_a_claim_waits_for_three_seeds_of_all_its_networks():
    three = simulate(LIKE_THE_PAPERS, images=10_000)
    two = three[(three.seed < 2) | (three.name != "simple_bypass")]
    found = assess(two, by_test()).verdict
    assert found["simple_bypass"] == claims.NOT_YET != found["complex_bypass"]


def test_a_rise_needs_each_of_its_steps():
    steps = dict(zip(("squeezenet", "sr_250", "sr_500", "sr_750"), (65, 74, 74, 74), strict=True))
    claim = row("squeeze_ratio_steps")
    verdicts = [assess(simulate(steps, rng=i), claim).verdict.item() for i in range(30)]
    assert verdicts.count(claims.REPLICATED) <= 1 and verdicts.count(claims.OPPOSITE) <= 2
    differences = claims.differences_of(next(claim.itertuples()))
    assert [(each.lower, each.upper) for each in differences] == list(pairwise(steps))
    trained = simulate(steps)
    effects = [statistics.estimate(each.tested, trained).value for each in differences]
    assert assess(trained, claim).effect.item() == min(effects)


def test_a_plateau_needs_every_later_network_within_the_margin():
    flat = dict.fromkeys(("sr_500", "pct_625", "pct_750", "pct_875", "pct_990"), 70) | {"pct_010": 30}

    def found(accuracy):
        return assess(simulate(accuracy, images=10_000, spread=0.1), row("pct3x3_plateau", verdict="")).iloc[0]

    assert found(flat).verdict == claims.REPLICATED and found(flat).threshold == pytest.approx(-0.05 * 40, abs=0.2)
    one_above = flat | {"pct_750": 75, "pct_625": 66, "pct_875": 66, "pct_990": 66}  # their mean is below the knee
    assert (found(one_above).verdict, found(one_above).lower) == (claims.OPPOSITE, "pct_750")
    small_rise = flat | {"pct_010": 69}  # the margin is a share of the rise: here of nothing
    assert found(small_rise).verdict == claims.UNDECIDED


@pytest.mark.parametrize(("points", "verdict"), [(-0.2, claims.REPLICATED), (-3, claims.OPPOSITE)])
def test_no_worse_by_more_than_its_margin(points, verdict):
    accuracy = {"squeezenet": 80, "squeezenet_11": 80 + points}
    trained = simulate(accuracy, images=10_000, spread=0.05, seeds=range(5))
    assert assess(trained, row("photographs_v1.1")).verdict.item() == verdict
    assert assess(trained, row("photographs_v1.1", margin="")).verdict.item() != claims.REPLICATED


def test_networks_of_fewer_seeds_do_not_enter_the_pooled_variance():
    trained, asked = simulate({"a": 75, "b": 76, "c": 77}), {"a": 1, "b": -1}
    fewer = trained[(trained.name != "c") | (trained.seed < 2)]
    assert statistics.estimate(asked, fewer) == statistics.estimate(asked, trained[trained.name != "c"])


def test_photographs_and_cifar10_are_a_family_each_and_what_is_not_yet_measured_counts():
    trained = simulate({"squeezenet": 70, "simple_bypass": 70.9, "complex_bypass": 71})
    found = assess({"table3": trained, "photographs": trained}).dropna(subset="p_holm")
    families = [rows for _, rows in found.groupby(found.index.str.startswith("photographs"))]
    assert len(families) == 2 and min(map(len, families)) > 3
    for family in families:
        np.testing.assert_allclose(family.p_holm, multipletests(family.p.fillna(1), method="holm")[1])


def test_errors():
    with pytest.raises(ValueError, match=r"simple_bypass: unknown test\. Received: 'nicer'"):
        assess({}, row("simple_bypass", test="nicer"))
    few, many = simulate({"squeezenet": 70}, images=9), simulate({"simple_bypass": 72})
    with pytest.raises(ValueError, match="different sizes"):
        assess(pd.concat([few, many]), row("simple_bypass"))


# Compression


CONTROL, SMALL, SMALLER = (
    "squeezenet/none,_retrained_and_fine-tuned/32", "squeezenet/Deep_Compression/8", "squeezenet/Deep_Compression/6",
)  # fmt: skip


def compressed(loss, spread=0.0, seeds=5, images=2000, more=0.0, rng=0):
    """Trainings of 75%, and of each two files that are nearly the same: `loss` points worse than the dense control.

    From training to training the loss deviates by `spread` points; at 6 bits it is `more` points larger.
    """
    rng = np.random.default_rng(rng)
    level, slope = stats.norm.ppf(0.75), stats.norm.pdf(stats.norm.ppf(0.75))
    for_all, rows = rng.normal(0, np.sqrt(0.7), images), []
    for seed in range(seeds):
        control = level + for_all + rng.normal(0, np.sqrt(0.3), images)
        small = control - rng.normal(loss, spread) / 100 / slope + rng.normal(0, 0.1, images)
        smaller = small - more / 100 / slope + rng.normal(0, 0.02, images)
        for name, latent, size in ((CONTROL, control, 2.9e6), (SMALL, small, 3.5e5), (SMALLER, smaller, 2.8e5)):
            rows.append((name, "squeezenet", seed, latent > 0, size))
        rows.append(("squeezenet", "squeezenet", seed, control > 0, np.nan))
        rows.append(("squeezenet/none/32", "squeezenet", seed, control > 0, 2.9e6))
    return frame(rows)


def test_compression_is_compared_with_the_dense_control():
    world = compressed(loss=0.1, more=5, images=10_000)
    found = assess({"table3": world}, CLAIMED[CLAIMED.id.str.startswith("compression")])
    assert found.verdict["compression_8_bit"] == claims.REPLICATED
    assert found.verdict["compression_6_bit"] == claims.OPPOSITE
    assert found.verdict["compression_ratio"] == "undecided at the paper's accuracy"
    assert found.words["compression_ratio"].startswith("10.4x (range coding) at -5")
    assert found.effect["compression_ratio"] == pytest.approx(2900 / 280)
    assert found.lower["compression_8_bit"] == CONTROL


def test_files_of_one_training_are_compared_within_it():
    """Two files alone are a paired t test over the trainings, whatever else was made of these."""
    world = compressed(loss=1, spread=0.5)
    found = statistics.estimate({SMALL: 1, CONTROL: -1}, world)
    accuracy = 100 * world.pivot(index="seed", columns="name", values="accuracy")
    test = stats.ttest_rel(accuracy[SMALL], accuracy[CONTROL])
    assert found.value / np.sqrt(found.by_seeds) == pytest.approx(test.statistic) and found.df_seeds == 4
    alone = world[world.name.isin([SMALL, CONTROL])]
    assert found == statistics.estimate({SMALL: 1, CONTROL: -1}, alone)  # near-duplicates lend it no freedom


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_hold_where_two_files_are_nearly_the_same(seeds):
    """The true loss is at the margin: the interval holds it in 95% of worlds, and no side is found too often."""
    level, slope, spread = stats.norm.ppf(0.75), stats.norm.pdf(stats.norm.ppf(0.75)), 0.4
    shift, deviation = 1 / 100 / slope, spread / 100 / slope
    true = 100 * (stats.norm.cdf((level - shift) / np.sqrt(1 + 0.01 + deviation**2)) - 0.75)
    inside, above, below = [], [], []
    for i in range(200):
        found = statistics.estimate({SMALL: 1, CONTROL: -1}, compressed(1, spread, seeds, rng=i))
        low, high = found.interval()
        inside.append(low < true < high)
        above.append(found.distribution().cdf(true) < 0.025)
        below.append(found.distribution().sf(true) < 0.025)
    assert 0.92 < np.mean(inside) < 0.985 and max(np.mean(above), np.mean(below)) < 0.05


def test_claims_of_arithmetic_are_computed():
    assert assess({}, row("on_chip")).verdict.item() == claims.COMPUTED
    assert assess({}, row("on_chip", margin="4.9")).verdict.item() == claims.COMPUTED_NOT


# The paper's own numbers


def test_every_test_gives_the_papers_own_statement_on_the_papers_own_numbers():
    found = claims.calibrate(CLAIMED, NUMBERS).set_index("id")
    without = {"delayed_downsampling", "v1.1", "photographs_v1.1", "photographs_delayed_downsampling"}
    assert set(STATISTICAL.id) - set(found.index) == without  # of which the paper has no numbers
    assert found.says.all() and found.lower["pct3x3_plateau"] == "pct_625"
    for claim, words in (("simple_bypass", "+2.9 top-1, +2.2 top-5"), ("squeeze_ratio_steps", "+0.7 top-5")):
        assert found.words[claim] == words


@pytest.mark.parametrize(
    ("claim", "first", "second"),
    [
        ("squeeze_ratio_plateau", "sr_500", "sr_750 sr_1000"),
        ("pct3x3_plateau", "pct_375", "sr_500 pct_625 pct_750 pct_875 pct_990"),
        ("pct3x3_steps", "pct_250 pct_375 sr_500 pct_625 pct_750", ""),
        ("simple_over_complex", "complex_bypass", "simple_bypass"),
        ("alexnet_level", "alexnet/SVD/32", "alexnet"),
    ],
)
def test_and_not_a_statement_that_the_paper_does_not_make(claim, first, second):
    assert not claims.calibrate(row(claim, first=first, second=second), NUMBERS).says.item()


# What chance does


def test_equal_networks_differ_no_more_often_than_they_may():
    """18 equal networks of 3 seeds: 36 degrees of freedom, and intervals of 95% that hold 95%."""
    p, seeds_alone, values, variances = [], [], [], []
    for i in range(80):
        trained = simulate(dict.fromkeys(NETWORKS, 75), images=1000, spread=0.5, unlike=0.2, rng=i)
        for a, b in zip(NETWORKS[::2], NETWORKS[1::2], strict=True):
            found = statistics.estimate({a: 1, b: -1}, trained)
            assert found.df_seeds == 36
            p.append(2 * min(found.distribution().cdf(0), found.distribution().sf(0)))
            seeds_alone.append(2 * stats.t.sf(abs(found.value) / np.sqrt(found.by_seeds), 36))
            values.append(found.value)
            variances.append(found.by_seeds + found.by_images)
    assert 0.03 < np.mean(np.array(p) < 0.05) < 0.065
    assert np.mean(np.array(seeds_alone) < 0.05) > 0.065  # the test images are a sample too
    assert np.mean(variances) == pytest.approx(np.mean(np.square(values)), rel=0.15)  # neither part counted twice


def test_networks_that_nothing_tells_apart():
    trained = simulate({"a": 75}, spread=0.4)
    found = statistics.estimate({"a": 1, "b": -1}, pd.concat([trained, trained.assign(name="b")]))
    assert found.value == 0 and found.distribution().cdf(0) == pytest.approx(0.5)
