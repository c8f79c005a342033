"""The claims' tests on simulated trainings: planted effects change the verdicts, chance only as often as it may."""

import gc
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from replication import paths
from replication.report import audit, claims, comparison
from replication.results import Run

NETWORKS = ["squeezenet", "simple_bypass", "complex_bypass", "squeezenet_11", "early_pools", "alexnet"]
NETWORKS += ["sr_250", "sr_500", "sr_750", "sr_1000"]
NETWORKS += ["pct_010", "pct_125", "pct_250", "pct_375", "pct_625", "pct_750", "pct_875", "pct_990"]
LIKE_THE_PAPERS = dict.fromkeys(NETWORKS, 76) | {
    "squeezenet": 70, "simple_bypass": 75, "complex_bypass": 72.5, "squeezenet_11": 74, "early_pools": 66,
    "alexnet": 66, "sr_250": 73, "pct_010": 64, "pct_125": 67, "pct_250": 70, "pct_375": 73, "sr_500": 76,
    "sr_750": 79, "sr_1000": 77, "pct_625": 74, "pct_750": 74, "pct_875": 74, "pct_990": 74,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def quick_holm():
    """statsmodels collects all garbage at each of its tests; what stands at the beginning need not be searched."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def claimed():
    return pd.read_csv(paths.PAPER / "claims.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def paper():
    return audit.read_paper(paths.PAPER)


def simulate(accuracy, seeds=(0, 1, 2), images=2000, name="evidence", epochs=20, spread=0.3, unlike=0.05, rng=0):
    """A Run whose images are easy or hard for all networks, or for one, and whose seeds spread by so many points.

    Each accuracy (in %) is that over all images of the world; the run's are drawn from them. Of what makes an image
    hard `unlike` is a network's own, and three tenths are a seed's.
    """
    rng = np.random.default_rng(rng)
    for_all = rng.normal(0, np.sqrt(0.7 - unlike), images)
    rows, correct = [], {}
    for variant, share in accuracy.items():
        level = stats.norm.ppf(share / 100)
        for_one = rng.normal(0, np.sqrt(unlike), images)
        for seed in seeds:
            luck = rng.normal(0, spread / 100 / stats.norm.pdf(level)) + rng.normal(0, np.sqrt(0.3), images)
            correct[variant, seed] = level + for_all + for_one + luck > 0
            row = {"variant": variant, "seed": seed, "accuracy": correct[variant, seed].mean(), "epochs": epochs}
            rows.append(row | {"dataset": "CIFAR-10", "train_images": 45000})
    return Run(name, pd.DataFrame(rows), pd.DataFrame(columns=["variant", "seed"]), correct, list(seeds))


def assess(claimed, paper, *runs, compression=(), tests=claims.STATISTICAL):
    """The claims by id, without those that take building networks."""
    return claims.assess(claimed[claimed.test.isin((*tests, "none"))], list(runs), list(compression), paper).set_index(
        "id"
    )


# Verdicts


def test_a_world_like_the_papers_gives_its_claims_and_its_opposite_contradicts_them(claimed, paper):
    networks = claimed[claimed.test.isin(claims.STATISTICAL) & ~claimed["first"].str.contains("/")].id
    like = assess(claimed, paper, simulate(LIKE_THE_PAPERS, images=10_000)).loc[networks]
    assert set(like.verdict) == {claims.REPLICATED} and len(like) == 12
    unlike = {name: 145 - value for name, value in LIKE_THE_PAPERS.items()} | {"pct_875": 85}
    assert set(assess(claimed, paper, simulate(unlike, images=10_000)).verdict[networks]) == {claims.OPPOSITE}


def test_one_seed_only_leans(claimed, paper):
    up = assess(claimed, paper, simulate(LIKE_THE_PAPERS, seeds=[42], images=10_000))
    assert not {claims.REPLICATED, claims.OPPOSITE} & set(up.verdict)
    row = up.loc["simple_bypass"]
    assert row.verdict == claims.TOWARDS and up.p_holm.isna().all() and up.seeds_needed.isna().all()
    assert row.words == f"`simple_bypass` {row.effect:.1f} points above `squeezenet`"
    down = LIKE_THE_PAPERS | {"simple_bypass": 60, "complex_bypass": 70}
    down = assess(claimed, paper, simulate(down, seeds=[42], spread=0))
    assert down.verdict["simple_bypass"] == claims.AGAINST and "below" in down.words["simple_bypass"]
    assert down.verdict["complex_bypass"] == claims.UNDECIDED


def test_a_rise_needs_each_of_its_steps(claimed, paper):
    steps = dict(zip(("squeezenet", "sr_250", "sr_500", "sr_750"), (65, 74, 74, 74), strict=True))
    row = claimed[claimed.id == "squeeze_ratio_steps"]
    verdicts = [assess(row, paper, simulate(steps, rng=i)).verdict.item() for i in range(50)]
    assert verdicts.count(claims.REPLICATED) <= 1 and verdicts.count(claims.OPPOSITE) <= 3
    one_seed = [assess(row, paper, simulate(steps, seeds=[1], rng=i)).verdict.item() for i in range(50)]
    assert one_seed.count(claims.TOWARDS) <= 1
    found = claims.differences(row, [simulate(steps)], [])
    assert list(zip(found.lower, found.upper, strict=True)) == list(pairwise(steps))
    assert assess(row, paper, simulate(steps)).effect.item() == found.effect.min()


def test_a_plateau_needs_every_later_network_within_the_margin(claimed, paper):
    row = claimed[claimed.id == "pct3x3_plateau"]
    flat = dict.fromkeys(("sr_500", "pct_625", "pct_750", "pct_875", "pct_990"), 70) | {"pct_010": 30}
    options = {"images": 10_000, "spread": 0.1}
    found = assess(row, paper, simulate(flat, **options)).iloc[0]
    assert found.verdict == claims.REPLICATED and found.threshold == pytest.approx(-0.05 * 40, abs=0.2)
    one_above = flat | {"pct_750": 75, "pct_625": 66, "pct_875": 66, "pct_990": 66}  # their mean is below the knee
    found = assess(row, paper, simulate(one_above, **options)).iloc[0]
    assert (found.verdict, found.lower) == (claims.OPPOSITE, "pct_750")
    small_rise = flat | {"pct_010": 69}  # the margin is a share of the rise: here of nothing
    assert assess(row, paper, simulate(small_rise, **options)).verdict.item() == claims.UNDECIDED


def test_no_worse_by_more_than_its_margin(claimed, paper):
    row = claimed[claimed.id == "v1.1"]
    options = {"images": 10_000, "spread": 0.05, "seeds": range(5)}
    for points, verdict in ((-0.2, claims.REPLICATED), (-3, claims.OPPOSITE)):
        run = simulate({"squeezenet": 80, "squeezenet_11": 80 + points}, **options)
        assert assess(row, paper, run).verdict.item() == verdict
        without = assess(row.assign(margin=""), paper, run)
        assert without.verdict.item() != claims.REPLICATED


def test_holm_over_the_claims_with_seeds(claimed, paper):
    seeds, single = {"squeezenet": 70, "simple_bypass": 70.9, "complex_bypass": 71}, {"squeezenet": 70, "alexnet": 70}
    found = assess(claimed, paper, simulate(single, seeds=[42], name="laptop", epochs=2), simulate(seeds))
    tested = found[found.p_holm.notna()]
    assert list(tested.index) == ["simple_bypass", "complex_bypass", "simple_over_complex"]
    np.testing.assert_allclose(tested.p_holm, multipletests(tested.p, method="holm")[1])
    assert found.seeds["alexnet_level"] == 1 and (tested.p_holm > tested.p).any()


def test_the_longest_whole_run_answers_and_says_so(claimed, paper):
    laptop = simulate(LIKE_THE_PAPERS, seeds=[42], name="laptop", epochs=2)
    part = simulate({"squeezenet": 80, "simple_bypass": 82}, name="table3")
    found = assess(claimed, paper, laptop, part)
    assert (found.run["simple_bypass"], found.run["squeeze_ratio"]) == ("table3", "laptop")
    assert found.conditions["simple_bypass"] == "CIFAR-10, 45,000 training images, 20 epochs, seeds 0, 1, 2"
    assert found.n["simple_bypass"] == "2,000 test images, 3 seeds"
    assert found.verdict["svd_loss"] == claims.NOT_TESTED and found.verdict["imagenet"] == "needs ImageNet"


def test_errors(claimed, paper):
    with pytest.raises(ValueError, match="simple_bypass: unknown test 'nicer'"):
        assess(claimed[claimed.id == "simple_bypass"].assign(test="nicer"), paper, tests=["nicer"])
    run = simulate({"squeezenet": 70, "simple_bypass": 72})
    run.correct["simple_bypass", 0] = np.ones(9, bool)
    with pytest.raises(ValueError, match="different sizes"):
        assess(claimed[claimed.id == "simple_bypass"], paper, run)


@pytest.mark.parametrize(("p", "words"), [(3e-17, "at most 0.0001"), (0.0123, "0.0123"), (np.nan, "")])
def test_small_p_values_are_bounds(p, words):
    assert claims.p_words(p) == words


# Compression


def files(accuracies, seeds=(0, 1, 2), images=5000):
    """Stage compress, made up: files of a network get its images right but for a few, and as many more as planted."""
    rng = np.random.default_rng(0)
    run = simulate({network: 75 for network in accuracies}, seeds, images, spread=1.0)
    found = {seed: {} for seed in seeds}
    for network, rows in accuracies.items():
        for seed in seeds:
            metrics = found[seed][network] = {"rows": [], "correct": {}}
            hard = rng.random(images)
            for i, (method, bits, size, gain) in enumerate(rows):
                right = run.correct[network, seed] | (hard < gain / 100)
                right ^= rng.random(images) < 0.01
                metrics["rows"].append(
                    {"method": method, "bits": bits, "file": str(i), "bytes": size, "accuracy": right.mean()}
                )
                metrics["correct"][str(i)] = right
    return claims.compressed(found, run)


SQUEEZENET = [
    ("none", 32, 2_900_000, 0),
    ("none, retrained", 32, 2_900_000, 20),
    ("none, retrained and fine-tuned", 32, 2_900_000, 20),
    ("Deep Compression", 8, 350_000, 20),
    ("Deep Compression", 6, 280_000, 5),
]
ALEXNET = [
    ("none", 32, 80_000_000, 50),
    ("SVD", 32, 23_000_000, 20),
    ("Network Pruning", 32, 11_000_000, 50),
    ("Deep Compression", "5-8", 2_800_000, 50),
    ("none, retrained", 32, 80_000_000, 50),
    ("none, retrained and fine-tuned", 32, 80_000_000, 50),
]


def test_compression_is_held_against_the_dense_control(claimed, paper):
    """At 6 bits the file is better than the network as trained, but worse than that network trained on."""
    run = simulate({"squeezenet": 75, "alexnet": 75})
    compression = [files({"squeezenet": SQUEEZENET, "alexnet": ALEXNET})]
    found = assess(claimed, paper, run, compression=compression, tests=(*claims.STATISTICAL, "smaller"))
    assert found.verdict["compression_8_bit"] == claims.REPLICATED
    assert found.verdict["compression_6_bit"] == claims.OPPOSITE
    assert found.verdict[["svd_loss", "pruned_alexnet", "compressed_alexnet"]].eq(claims.REPLICATED).all()
    assert found.verdict["as_good_uncompressed"] == claims.OPPOSITE
    assert found.verdict["smaller_uncompressed"] == claims.FAILS_MEASURED
    assert found.verdict["compression_ratio"] == claims.HOLDS_MEASURED
    assert found.effect["compression_ratio"] == pytest.approx(2900 / 280)
    once = [files({"squeezenet": SQUEEZENET, "alexnet": ALEXNET}, seeds=[42])]
    found = assess(claimed, paper, run, compression=once, tests=(*claims.STATISTICAL, "smaller"))
    assert found.verdict[["compression_8_bit", "compression_6_bit"]].tolist() == [claims.TOWARDS, claims.AGAINST]


def test_files_of_one_training_are_compared_within_it():
    """The seeds spread by a point, the differences do not; two files alone are a paired t test."""
    run = files({"squeezenet": SQUEEZENET, "alexnet": ALEXNET})
    names = ["squeezenet/Deep_Compression/8", "squeezenet/none,_retrained_and_fine-tuned/32"]
    weights = dict(zip(names, (1, -1), strict=True))
    two = run.trainings[run.trainings.variant.isin(names)]
    accuracy = 100 * two.pivot(index="seed", columns="variant", values="accuracy")
    within = comparison.estimate(weights, run, two)
    test = stats.ttest_rel(accuracy[names[0]], accuracy[names[1]])
    assert within.value / np.sqrt(within.by_seeds) == pytest.approx(test.statistic)
    apart = comparison.estimate(weights, run, two.drop(columns="training"))
    assert within.by_seeds < apart.by_seeds / 4 and (within.df_seeds, apart.df_seeds) == (2, 4)
    pool = claims.pool_of(names, run)
    assert comparison.estimate(weights, run, pool).df_seeds == (4 - 1) * 2 + (4 - 1) * 2
    assert not pool.method.isin(["none", "SVD"]).any()


def test_claims_of_arithmetic_are_computed(claimed, paper):
    found = claims.assess(claimed[claimed.test.isin(["fits", "narrow squeeze"])], [], [], paper).set_index("id")
    assert found.verdict["on_chip"] == claims.HOLDS and found.effect["on_chip"] == pytest.approx(4.994, abs=1e-3)
    assert found.verdict["narrow_squeeze"] == claims.HOLDS
    more = claimed[claimed.id == "narrow_squeeze"].assign(first="squeezenet sr_750 sr_1000")
    (row,) = claims.assess(more, [], [], paper).itertuples()
    assert (row.verdict, row.words) == (claims.FAILS, "not so in 8 modules of `sr_1000`")
    assert (
        claims.assess(claimed[claimed.id == "on_chip"].assign(margin="4.9"), [], [], paper).verdict.item()
        == claims.FAILS
    )


# The paper's own numbers


def test_every_test_gives_the_papers_own_statement_on_the_papers_own_numbers(claimed, paper):
    found = claims.calibrate(claimed, paper).set_index("id")
    without = found[found.says.isna()].index
    assert list(without) == ["delayed_downsampling", "narrow_squeeze", "v1.1", "imagenet", "communication", "export"]
    assert found.says.dropna().all()
    assert found.words["simple_bypass"] == "+2.9 top-1, +2.2 top-5"
    assert found.words["complex_bypass"] == "+1.3 top-1, +1.7 top-5"
    assert found.words["squeeze_ratio_steps"] == "+0.7 top-5 (`sr_750` minus `sr_500`)"
    assert found.words["compression_ratio"] == "10.2x"
    parts = found.parts[found.parts.fillna("") != ""]
    assert parts.to_dict() == {
        "squeeze_ratio_plateau": "`sr_1000` 0.1 points above `sr_750`, as drawn",
        "pct3x3_plateau": "`pct_625` 0.3 points above `sr_500`, as drawn",
    }


@pytest.mark.parametrize(
    ("claim", "first", "second"),
    [
        ("squeeze_ratio_plateau", "sr_500", "sr_750 sr_1000"),
        ("squeeze_ratio_plateau", "sr_250", "sr_500"),
        ("pct3x3_plateau", "pct_375", "sr_500 pct_625 pct_750 pct_875 pct_990"),
        ("pct3x3_steps", "pct_250 pct_375 sr_500 pct_625 pct_750", ""),
        ("squeeze_ratio_steps", "sr_1000 sr_750", ""),
        ("simple_over_complex", "complex_bypass", "simple_bypass"),
        ("alexnet_level", "alexnet/SVD/32", "alexnet"),
    ],
)
def test_and_not_a_statement_that_the_paper_does_not_make(claimed, paper, claim, first, second):
    other = claimed[claimed.id == claim].assign(first=first, second=second)
    assert claims.calibrate(other, paper).says.item() is False


def test_a_changed_number_of_the_paper_changes_what_it_says(claimed, paper):
    changed = paper.copy()
    changed.loc[(paper.variant == "pct_875") & (paper.quantity == "top-5"), "printed"] = "86.0"
    found = claims.calibrate(claimed, changed).set_index("id").loc["pct3x3_plateau"]
    assert (found.says, found.lower) == (False, "pct_875")


# What chance does


def test_equal_networks_differ_no_more_often_than_they_may():
    """18 equal networks of 3 seeds: 36 degrees of freedom, and intervals of 95% that hold 95%."""
    p, seeds_alone, values, variances = [], [], [], []
    for i in range(150):
        run = simulate(dict.fromkeys(NETWORKS, 75), images=1000, spread=0.5, unlike=0.2, rng=i)
        for a, b in zip(NETWORKS[::2], NETWORKS[1::2], strict=True):
            found = comparison.estimate({a: 1, b: -1}, run, run.trainings)
            assert found.df_seeds == 36
            p.append(2 * min(found.p_above(0), found.p_below(0)))
            seeds_alone.append(2 * stats.t.sf(abs(found.value) / np.sqrt(found.by_seeds), 36))
            values.append(found.value)
            variances.append(found.by_seeds + found.by_images)
    assert 0.03 < np.mean(np.array(p) < 0.05) < 0.065
    assert np.mean(np.array(seeds_alone) < 0.05) > 0.065  # the test images are a sample too
    assert np.mean(variances) == pytest.approx(np.mean(np.square(values)), rel=0.15)  # neither part counted twice


def test_two_points_are_found_with_three_seeds(claimed, paper):
    """Among a dozen claims, after Holm's correction, in nine worlds of ten."""
    some = claimed[~claimed["first"].str.contains("/")]
    found = []
    for i in range(20):
        world = dict.fromkeys(NETWORKS, 75) | {"simple_bypass": 77}
        found.append(assess(some, paper, simulate(world, images=10_000, rng=i)).verdict)
    found = pd.DataFrame(found)
    assert (found.simple_bypass == claims.REPLICATED).mean() >= 0.9
    nothing = found[["complex_bypass", "delayed_downsampling", "squeeze_ratio", "pct3x3"]]
    assert nothing.isin([claims.REPLICATED, claims.OPPOSITE]).mean(axis=None) <= 0.05


def test_one_seed_is_a_test_of_the_images_alone():
    run = simulate({"a": 75, "b": 76}, seeds=[0], images=3000)
    found = comparison.estimate({"b": 1, "a": -1}, run, run.trainings)
    a, b = run.correct["a", 0], run.correct["b", 0]
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    p = 2 * min(found.p_above(0), found.p_below(0))
    assert p == pytest.approx(mcnemar(table, exact=False, correction=False).pvalue, abs=0.005)
    drawn = stats.bootstrap(
        (b.astype(float) - a,), np.mean, n_resamples=2000, vectorized=True, rng=0, method="percentile"
    )
    np.testing.assert_allclose(found.interval(), 100 * np.array(drawn.confidence_interval), atol=0.15)


def test_networks_that_nothing_tells_apart():
    run = simulate({"a": 75}, spread=0.4)
    run.correct.update({("b", seed): run.correct["a", seed] for seed in run.seeds})
    trainings = pd.concat([run.trainings, run.trainings.assign(variant="b")])
    found = comparison.estimate({"a": 1, "b": -1}, run._replace(trainings=trainings), trainings)
    assert found.value == 0 and found.p_above(0) == pytest.approx(0.5)


def test_seeds_needed_come_from_the_spread_between_seeds():
    def needed(points, spread, images=10_000, seeds=(0, 1, 2)):
        run = simulate(dict.fromkeys(NETWORKS, 75) | {"sr_250": 75 + points}, seeds, images, spread=spread)
        found = comparison.estimate({"sr_250": 1, "squeezenet": -1}, run, run.trainings)
        return found._replace(value=points).seeds_needed(0, 0.025)

    assert 2 <= needed(1.5, 0.4) < needed(1, 0.6) < needed(1, 1.2) < np.inf
    assert needed(1, 0.4, images=500) == np.inf  # more test images are needed, not more seeds
    assert needed(1, 0.4, seeds=[0]) is None


def test_the_seeds_needed_are_enough(claimed, paper):
    """So many seeds find the effect in about 80% of the worlds that they were computed for."""
    world = dict.fromkeys(NETWORKS, 75) | {"simple_bypass": 75.8}
    weights = {"simple_bypass": 1, "squeezenet": -1}
    run = simulate(world, images=10_000, spread=0.6)
    seeds = comparison.estimate(weights, run, run.trainings)._replace(value=0.8).seeds_needed(0, 0.025)
    runs = (simulate(world, range(seeds), 10_000, spread=0.6, rng=i) for i in range(60))
    found = [comparison.estimate(weights, run, run.trainings).p_above(0) < 0.025 for run in runs]
    assert 0.6 < np.mean(found) < 0.97


def test_the_spread_of_each_network_is_shown():
    equal, unequal = simulate(dict.fromkeys("abcdef", 75), range(5)), simulate(dict.fromkeys("abcde", 75), range(5))
    wild = simulate({"f": 75}, range(5), spread=20)
    unequal = unequal._replace(name="wild", trainings=pd.concat([unequal.trainings, wild.trainings]))
    found = comparison.spread([equal, unequal, simulate({"a": 75}, [42])])
    assert list(found.groupby("run").size()) == [6, 6]
    assert found[found.run == "evidence"].p.iloc[0] > 0.05 > found[found.run == "wild"].p.iloc[0]
    group = 100 * equal.trainings[equal.trainings.variant == "a"].accuracy
    assert found.deviation.iloc[0] == pytest.approx(group.std())
