"""The tables of the report: frames of texts, ours beside the paper's."""

from itertools import product

import pandas as pd
from statsmodels.stats.weightstats import DescrStatsW

from replication.report import claims
from replication.report.statistics import difference, points

NONE = "-"
CONTROLS = {  # a method of Table 2 -> what the same network is without it, after as much training
    "Network Pruning": "none, retrained",
    "Deep Compression": "none, retrained and fine-tuned",
}


def markdown(frame):
    """A frame of texts as a Markdown table; columns of numbers are aligned right."""
    texts = frame.astype(object).where(frame.notna(), NONE).astype(str)
    number = r"[-+]?[\d.,]+x?(?: [\[(].*[\])])?|[-\s]*"
    right = [name != texts.columns[0] and texts[name].str.fullmatch(number).all() for name in texts]
    align = ["right" if numbers else "left" for numbers in right]
    return texts.to_markdown(index=False, disable_numparse=True, colalign=align)


def interval(value, low, high, digits=1):
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def percent(row, key):
    """A share with its interval, in percent."""
    return interval(*(100 * row[f"{key}{end}"] for end in ("", "_low", "_high")))


def accuracy(rows):
    """The mean over seeds in percent, with Student's interval."""
    found = DescrStatsW(100 * rows.accuracy)
    return interval(found.mean, *found.tconfint_mean())


# Claims and numbers


def claims_by_verdict(tested):
    """One line for each claim, those with one verdict together, which stands in the first."""
    verdicts = [*claims.VERDICTS, *sorted({*tested.verdict} - {*claims.VERDICTS})]
    tested = tested.sort_values("verdict", kind="stable", key=lambda column: column.map(verdicts.index))
    rows = []
    for row in tested.itertuples():
        within, ours = f", exponent within {row.margin} of 1" * (row.test == "proportional"), row.words
        if row.test in claims.STATISTICAL and pd.notna(row.effect):
            machines = "; machines differ" * row.words.endswith("machines")
            estimated = " (estimate)" * (row.verdict not in claims.VERDICTS)
            ours = points(row.effect, row.low, row.high) + machines + estimated
        run = f"`{row.run}`" if row.run else NONE
        claim = f"{row.claim} ({row.where.replace('Section ', '§')})"
        rows.append((f"**{row.verdict}**{within}", claim, run, ours, row.paper_words))
    rows = [("" if rows[i - 1][0] == row[0] and i else row[0], *row[1:]) for i, row in enumerate(rows)]
    columns = ["verdict", "claim", "run", "ours (points of top-1 unless stated)", "the paper's, on ImageNet"]
    return pd.DataFrame(rows, columns=columns)


def change(found):
    return points(*(found[key] for key in ("points", "low", "high")))


def fits(size, least, most):
    """MB of `size` bytes, and whether that is between the two limits, in MB, or above both."""
    if pd.isna(size):
        return NONE
    return f"{size / 1e6:.2f}" + ("" if size <= 1e6 * least else f" (<{most:g})" if size < 1e6 * most else " (no)")


# Compression


def compression(runs):
    """What our compressed networks take and lose, from network -> its run: a row for each method and bits."""
    rows = []
    for network, trained in runs.items():
        files = trained[(trained.variant == network) & trained.name.str.contains("/")]
        dense = files.bytes[files.method == "none"].mean()
        for name, group in files.groupby("name", sort=False):
            method, change, size = group.method.iloc[0], NONE, group.bytes.mean()
            if method in CONTROLS:
                control = f"{network}/{CONTROLS[method].replace(' ', '_')}/32"
                change = points(*difference(name, control, trained))
            words = method.replace("none, ", "dense, ").replace("none", "as trained")
            words += f", {name.rpartition('/')[2]} bits" * (method == "Deep Compression")
            rows.append((f"`{network}`", words, f"{size:,.0f}", f"{dense / size:.1f}x", accuracy(group), change))
    return pd.DataFrame(rows, columns=["network", "compression", "bytes", "smaller", "top-1, %", "change, points"])


def updates(rows):
    """Bytes of a first download and of an update, the networks side by side."""
    wide = rows.pivot(index=["form", "how"], columns="network", values=["download", "update"])
    wide = wide.reindex(rows.set_index(["form", "how"]).index.unique()).map("{:,}".format)
    pairs = product(rows.network.unique(), wide.columns.levels[0])
    shown = {f"`{network}`, {what}": wide[what, network] for network, what in pairs}
    return pd.DataFrame(shown).reset_index(names=["form", "next version"])


def own(trained, runs):
    """A user's trainings, of `evidence.own`, each beside the longest recorded run that has its network."""
    rows = []
    for row in trained.itertuples():
        same = [run[(run.name == row.variant) & (run.dataset == row.dataset)] for run in runs.values()]
        longest = max((run for run in same if len(run)), key=lambda run: run.epochs.max(), default=None)
        beside = NONE
        if longest is not None:
            made = f"{longest.epochs.iloc[0]} epochs, {len(longest)} seed" + "s" * (len(longest) > 1)
            beside = f"{100 * longest.accuracy.mean():.1f} ({made})"
        bounds = 100 * row.accuracy, 100 * row.accuracy_low, 100 * row.accuracy_high
        images = f"{row.train_images:,} of {row.dataset}"
        rows.append((f"`{row.variant}`", images, row.epochs, interval(*bounds), f"{row.parameters:,}", beside))
    columns = ["network", "training images", "epochs", "top-1, %", "parameters", "the evidence"]
    return pd.DataFrame(rows, columns=columns)


# Files of their own


def rates(runs):
    """Validation accuracy in % by run, network and learning rate."""
    frame = pd.concat([trained.assign(run=run) for run, trained in runs.items()])
    table = 100 * frame.pivot_table("validation_accuracy", ["run", "variant"], "learning_rate", sort=False)
    return table[sorted(table)].round(1).reset_index()


def trainings(runs):
    """Every training of every run with its provenance."""
    frame = pd.concat([trained.assign(run=run) for run, trained in runs.items()], ignore_index=True)
    frame = frame[~frame.name.str.contains("/")]
    versions = frame.versions.map(lambda found: ", ".join(f"{name} {v}" for name, v in found.items()))
    columns = ["run", "variant", "seed", "learning_rate", "dataset", "epochs", "validation_accuracy", "accuracy"]
    columns += ["train_accuracy", "train_loss", "parameters", "macs", "seconds", "backend", "hardware", "commit"]
    return frame[columns].assign(versions=versions)
