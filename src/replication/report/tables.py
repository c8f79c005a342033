"""The tables of the report: frames of texts, ours beside the paper's."""

import pandas as pd

from replication.report import advantages, audit, claims
from replication.report.statistics import estimate, mean, points

NONE = "-"
VERDICTS = (  # in the order of the table of claims
    claims.REPLICATED, claims.MEASURED, claims.COMPUTED, claims.SUPPORTED, claims.OPPOSITE, claims.MEASURED_NOT,
    claims.COMPUTED_NOT, claims.UNSUPPORTED, claims.UNDECIDED, claims.NOT_YET,
)  # fmt: skip
FIRE_PARTS = ("squeeze1x1", "expand1x1", "expand3x3")
CONTROLS = {  # a method of Table 2 -> what the same network is without it, after as much training
    "SVD": "none",
    "Network Pruning": "none, retrained",
    "Deep Compression": "none, retrained and fine-tuned",
}
POOLING = {  # Section 3.1 and v1.1: a network, and what sets it apart from v1.0
    "squeezenet": "v1.0",
    "early_pools": "pools after conv1, fire2 and fire4",
    "pools_11": "v1.1's pools",
    "stem_11": "v1.1's stem",
    "squeezenet_11": "v1.1: both",
}


def markdown(frame):
    """A frame of texts as a Markdown table; columns of numbers are aligned right."""
    texts = frame.astype(object).where(frame.notna(), NONE).astype(str)
    number = r"[-+<>=~]*[\d.,]+[%x]?(?: [\[(].*[\])])?(?: points| kB| MB)?|[-\s]*"
    right = [name != texts.columns[0] and texts[name].str.fullmatch(number).all() for name in texts]
    align = ["right" if numbers else "left" for numbers in right]
    return texts.to_markdown(index=False, disable_numparse=True, colalign=align)


def interval(value, low, high, digits=1):
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def percent(row, key):
    """A share with its interval, in percent."""
    return interval(*(100 * row[f"{key}{end}"] for end in ("", "_low", "_high")))


def code(names):
    return [f"`{name}`" for name in names]


def accuracy(rows):
    return interval(*mean(rows.accuracy))


# Claims and numbers


def claims_by_verdict(tested):
    """One line for each claim, those with one verdict together."""
    order = {verdict: i for i, verdict in enumerate(VERDICTS)}
    tested = tested.assign(order=tested.verdict.map(order).fillna(len(order)))
    tested = tested.sort_values(["order", "verdict"], kind="stable")
    rows = []
    for row in tested.itertuples():
        more = ""
        if not pd.isna(row.seeds_needed):
            settles = "confirm" if row.effect > row.threshold else "refute"
            more = f"; {row.seeds_needed:.0f} seeds would {settles} it" if row.seeds_needed < 1e9 else ""
            more = more or "; more seeds would not do"
        ours = row.words
        if row.test in claims.STATISTICAL and pd.notna(row.effect):
            machines = "; machines differ" * row.words.endswith("machines")
            ours = points(row.effect, row.low, row.high) + machines
        rows.append((f"**{row.verdict}**{more}", f"{row.claim} ({row.where})", ours, row.paper_words))
    return pd.DataFrame(rows, columns=["verdict", "claim", "ours", "the paper's"])


def table1(numbers, audited):
    """Table 1 as printed; ours stands behind what it contradicts."""
    table = audit.as_printed(numbers, audited, "Table 1")
    kept = table[["kept", *(f"kept {part}" for part in FIRE_PARTS), "kernel"]]
    shown = {
        "output": table.output,
        "filter/stride": table["filter"],
        "depth": table.depth,
        **{part[0] + part[-3:]: table[part] for part in FIRE_PARTS},  # s1x1, e1x1, e3x3
        "kept, %": kept.apply(lambda row: " / ".join(filter(None, row)), axis=1),
        "bits": table.bits,
        "before pruning": table.parameters,
        "after pruning": table["parameters after pruning"],
    }
    return pd.DataFrame(shown).reset_index(names="layer")


def table2(numbers, audited):
    """Table 2 as printed, with our sizes and the ratios by bytes."""
    found = audited[audited["where"] == "Table 2"].set_index("key")
    printed = audit.as_printed(numbers, audited, "Table 2")
    rows = []
    for subject, row in printed.iterrows():
        size, ratio = (found.loc[f"Table 2/{subject}/{quantity}"] for quantity in ("size", "ratio"))
        ours = f"{size.ours} {size.reading}".strip() if size.ours else NONE
        by_bytes = ratio.note.partition("by bytes ")[2].partition(";")[0]
        accuracy = f"{row['top-1']}/{row['top-5']}"
        name = subject.rpartition(", ")[0].replace(", none", "")
        rows.append((name, row.bits, row["size"], ours, size.verdict, f"{row.ratio}x", f"{by_bytes}x", accuracy))
    columns = ["network, compression", "bits", "MB, paper", "ours", "verdict", "smaller, paper", "by bytes"]
    return pd.DataFrame(rows, columns=[*columns, "top-1/top-5, paper"]).replace("x", NONE)


def how_small(authors, alexnet):
    """How small the released networks can be stored, and what that changes of their accuracy on photographs.

    Args:
        authors: data/evidence/authors.json.
        alexnet: bytes of AlexNet at 32 bits.
    """
    rows = [("squeezenet", "the authors' file", authors["decoded"]["bytes"], {})]
    for coder, size in authors["decoded"]["lossless"].items():
        rows.append(("squeezenet", f"without loss, {coder.title()} coding", size, {}))
    for file in authors["files"]:
        bits = file["file"].partition("paper_")[2].partition("bit")[0]
        rows.append((file["network"], file["kind"] + f", {bits} bits" * bool(bits), file["bytes"], file["change"]))
    shown = [
        (
            f"`{network}`",
            how,
            f"{size:,}",
            f"{alexnet / size:.0f}x",
            *(change(of.get(part)) for part in ("clean", "all")),
        )
        for network, how, size, of in rows
    ]
    return pd.DataFrame(shown, columns=["network", "file", "bytes", "smaller", "points, clean", "points, all"])


def change(found):
    return points(*(found[key] for key in ("points", "low", "high"))) if found else NONE


def runs(found):
    """What each run in git has: its networks, epochs, seeds and machines."""
    rows = []
    for name, trained in found.items():
        machines = trained.groupby("hardware", sort=False).variant.nunique()
        words = "; ".join(f"{count} on {machine}" for machine, count in machines.items())
        budget = f"{trained.epochs.iloc[0]} x {trained.seed.nunique()}"
        about = trained.dataset.iloc[0], trained.variant.nunique(), budget, trained.backend.iloc[0], words
        rows.append((f"`{name}`", *about))
    return pd.DataFrame(rows, columns=["run", "images", "networks", "epochs x seeds", "backend", "machines"])


def networks(trained, variants=None):
    """Networks of a run: parameters, MACs, accuracy with Student's interval over the seeds."""
    rows = []
    for name in variants or trained.variant.unique():
        of = trained[trained.name == name]
        row = of.iloc[0]
        rows.append((f"`{name}`", f"{row.parameters:,}", f"{row.macs / 1e6:,.1f}", accuracy(of)))
    return pd.DataFrame(rows, columns=["network", "parameters", "MMACs", "top-1, %"])


def table3(paper, trained):
    """Table 3 as printed, and ours: sizes for ImageNet's 1,000 classes, accuracies of a run."""
    ours = networks(trained, list(paper.network)).drop(columns=["network", "MMACs"])
    ours["parameters"] = ours.pop("parameters")
    printed = paper.rename(columns={name: f"{name}, paper" for name in paper.columns[1:4]}).drop(columns="network")
    return pd.concat(
        [printed, ours.rename(columns={"top-1, %": "top-1 (%), ours", "parameters": "parameters here"})], axis=1
    )


def downsampling(trained):
    """The networks that differ in where they pool, and in their stem, against v1.0."""
    table = networks(trained, list(POOLING))
    found = [estimate({name: 1, "squeezenet": -1}, trained) for name in list(POOLING)[1:]]
    table.insert(1, "differs by", POOLING.values())
    return table.assign(**{"points from v1.0": [NONE, *(points(each.value, *each.interval()) for each in found)]})


def lengths_table(effects):
    """The frame of `statistics.lengths` with a row for each length."""
    texts = effects.assign(gain=[points(row.effect, row.low, row.high) for row in effects.itertuples()])
    wide = texts.pivot(index=["epochs", "seeds"], columns="bypass", values="gain").add_prefix("`").add_suffix("`")
    return wide.reset_index().rename_axis(None, axis=1)


# Compression


def compression(runs):
    """What our compressed networks take and lose, a row for each network, method and bits.

    Args:
        runs: network -> the run that has its files.
    """
    rows = []
    for network, trained in runs.items():
        files = trained[(trained.variant == network) & trained.name.str.contains("/")]
        dense = files.bytes[files.method == "none"].mean()
        for name, group in files.groupby("name", sort=False):
            method, change, size = group.method.iloc[0], NONE, group.bytes.mean()
            if method in CONTROLS:
                control = f"{network}/{CONTROLS[method].replace(' ', '_')}/32"
                found = estimate({name: 1, control: -1}, trained)
                change = points(found.value, *found.interval())
            words = method.replace("none, ", "dense, ").replace("none", "as trained")
            words += f", {name.rpartition('/')[2]} bits" * (method == "Deep Compression")
            rows.append((f"`{network}`", words, f"{size:,.0f}", f"{dense / size:.1f}x", accuracy(group), change))
    return pd.DataFrame(rows, columns=["network", "compression", "bytes", "smaller", "top-1, %", "change, points"])


# The three advantages


def communication(rows):
    """Each network: bytes of an update in float32, and the share of an update's time that the exchange takes."""
    plain = rows[rows.dtype == advantages.PLAIN]
    found = plain.groupby("variant")[["parameters", "bytes", "share"]].mean().sort_values("parameters")
    shown = {
        "network": code(found.index),
        "parameters": found.parameters.map("{:,.0f}".format),
        "MB an update": (found.bytes / 1e6).map("{:.3f}".format),
        "bytes a parameter": (found.bytes / found.parameters).map("{:.2f}".format),
        "share of time, %": (100 * found.share).map("{:.0f}".format),
    }
    return pd.DataFrame(shown)


def updates(rows):
    """Bytes of a first download and of an update, the networks side by side."""
    wide = rows.pivot(index=["form", "how"], columns="network", values=["download", "update"])
    wide = wide.reindex(rows.set_index(["form", "how"]).index.unique()).map("{:,}".format)
    shown = {
        f"`{network}`, {what}": wide[what, network]
        for network in rows.network.unique()
        for what in wide.columns.levels[0]
    }
    return pd.DataFrame(shown).reset_index(names=["form", "next version"])


def memory(frame, limit, most):
    """The frame of `advantages.memory` as texts, in MB, with who fits within `limit` and who under `most`."""

    def fits(size):
        if pd.isna(size):
            return NONE
        return f"{size / 1e6:.2f}{'' if size <= 1e6 * limit else ' (<10)' if size < 1e6 * most else ' (no)'}"

    frame = frame[frame.network.isin(advantages.SHOWN)]
    shown = {
        "network": code(frame.network),
        "weights": frame.weights.map(fits),
        "activations": (frame.activations / 1e6).map("{:.2f}".format),
        "both": frame.bits_32.map(fits),
        "both at 8 bits": frame.bits_8.map(fits),
        "compressed weights": frame.compressed.map(fits),
    }
    return pd.DataFrame(shown)


# ImageNet, and a user's own run


def imagenet(paper, others):
    """The accuracies on ImageNet that the paper prints and that others found."""
    rows = [("the paper", row["network"], row["top-1 (%)"], row["top-5 (%)"], "") for row in paper.to_dict("records")]
    rows += others[["who", "network", "top-1", "top-5", "how"]].itertuples(index=False)
    table = pd.DataFrame(rows, columns=["who", "network", "top-1, %", "top-5, %", "how"]).fillna("")
    return table.assign(network=code(table.network)).replace("", NONE)


def own(trained, runs):
    """A user's own trainings beside the longest run in git that has the network.

    Args:
        trained: of `evidence.own`.
        runs: name -> trainings of a recorded run.
    """
    rows = []
    for row in trained.itertuples():
        same = [run[(run.variant == row.variant) & (run.dataset == row.dataset)] for run in runs.values()]
        longest = max((run for run in same if len(run)), key=lambda run: run.epochs.max(), default=None)
        beside = NONE
        if longest is not None:
            beside = f"{100 * longest.accuracy.mean():.1f} ({longest.epochs.iloc[0]} epochs)"
        bounds = 100 * row.accuracy, 100 * row.accuracy_low, 100 * row.accuracy_high
        images = f"{row.train_images:,} of {row.dataset}"
        rows.append((f"`{row.variant}`", images, row.epochs, interval(*bounds), f"{row.parameters:,}", beside))
    columns = ["network", "training images", "epochs", "top-1, %", "parameters", "the evidence"]
    return pd.DataFrame(rows, columns=columns)


# Files of their own


def rates(frame):
    """Validation accuracy in % by network and learning rate, of short trainings."""
    table = 100 * frame.pivot_table(index="variant", columns="learning_rate", values="validation_accuracy", sort=False)
    return table[sorted(table)].round(1).reset_index()


def trainings(runs):
    """Every training of every run with its provenance."""
    frame = pd.concat([trained.assign(run=run) for run, trained in runs.items()], ignore_index=True)
    frame = frame[~frame.name.str.contains("/")]
    versions = frame.versions.map(lambda found: ", ".join(f"{name} {v}" for name, v in found.items()))
    columns = ["run", "variant", "seed", "dataset", "epochs", "accuracy", "parameters", "macs", "seconds", "backend"]
    return frame[[*columns, "hardware", "commit"]].assign(versions=versions)
