"""The report: our results beside the paper, as Markdown, one HTML page, figures and tables.

`python -m squeezenet.report` renews the tables of README.md.
"""

import base64
import json
import re
import shutil
import tempfile
from pathlib import Path

import markdown
import nbformat
import pandas as pd

from replication import paths
from replication.report import audit, claims, figures
from replication.report.results import OTHERS, PANELS, comparable, conditions, metrics_of, summarise
from squeezenet import costs
from squeezenet.weights import sqnt

ACCURACY = ("accuracy", "accuracy_low", "accuracy_high")
MADE_BY = "Made by [notebooks/report.ipynb](../notebooks/report.ipynb), stage `report`"
TRAINED_BY = f"{MADE_BY}, from the trainings of notebooks/train.ipynb, stage `train`"


# Tables, as Markdown


def table(frame, right=()):
    """A frame of texts as a Markdown table; columns named in `right` are aligned right."""
    align = ["right" if column in right else "left" for column in frame.columns]
    return frame.astype(str).to_markdown(index=False, disable_numparse=True, colalign=align)


def results_table(metrics):
    """The networks of reports/metrics.json as a Markdown table, with what the accuracies were measured on."""
    summary = pd.DataFrame.from_dict(metrics["networks"], orient="index")
    accuracy = f"accuracy, % ({conditions(summary)})"
    rows = pd.DataFrame(
        {
            "network": [f"`{name}`" for name in summary.index],
            "in the paper": summary.paper,
            "parameters": summary.parameters.map("{:,}".format),
            "MiB": summary.mebibytes.map("{:.2f}".format),
            "MMACs": (summary.macs / 1e6).map("{:,.1f}".format),
            accuracy: [interval(row.accuracy, row.low, row.high) for row in summary.itertuples()],
        }
    )
    return table(rows, ("parameters", "MiB", "MMACs", accuracy))


def departures():
    """Where the recipe departs from the paper's and why, and what it keeps: as notebooks/train.ipynb says."""
    story = nbformat.read(paths.ROOT / "notebooks" / "train.ipynb", as_version=4).cells[0].source
    return story[story.index("| the paper") :]


def update_readme(readme, metrics):
    """Renew what stands in README.md between the markers of results and of departures.

    Raises:
        ValueError: a marker is missing.
    """
    for name, content in {"results": results_table(metrics), "departures": departures()}.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, found, rest = readme.partition(begin)
        _, found_end, after = rest.partition(end)
        if not (found and found_end):
            raise ValueError(f"README.md: {begin} and {end} have to enclose the table of {name}")
        readme = f"{before}{begin}\n\n{content}\n\n{end}{after}"
    return readme


def interval(value, low, high, digits=1):
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def beside(row):
    """A printed value, with ours in bold where they contradict each other."""
    return f"{row.printed} (**{row.ours}**)" if row.verdict == audit.CONTRADICTED else row.printed


def contradictions(audited):
    """The audit's contradicted numbers, one row for each; repeats of a number in other places are joined."""
    rows = audited[audited.verdict == audit.CONTRADICTED]
    joined = rows.groupby(["quantity", "printed", "ours", "note"], sort=False).agg(
        {"where": lambda places: ", ".join(dict.fromkeys(places)), "subject": "first", "unit": "first"}
    )
    joined = joined.reset_index()
    joined["what"] = joined.subject + ": " + joined.quantity + joined.unit.map(lambda unit: f", {unit}")
    return table(joined[["where", "what", "printed", "ours", "note"]], ("printed", "ours"))


def by_place(audited):
    """How many numbers of each table, figure and section got each verdict."""
    places = audited["where"].str.replace(r"Section (\d).*", r"Section \1", regex=True)
    places = pd.Categorical(places, places.unique())
    verdicts = pd.Categorical(audited.verdict, [v for v in audit.VERDICTS if v in set(audited.verdict)])
    counts = pd.crosstab(places, verdicts, margins=True, margins_name="all").rename_axis("where").reset_index()
    return table(counts, counts.columns[1:])


def claims_table(tested):
    """Claim, test, effect with its interval, Holm's p and verdict."""
    rows = []
    for row in tested.itertuples():
        effect = p = n = ""
        if not pd.isna(row.p):
            trend = row.test == "trend"
            effect = interval(row.effect, row.low, row.high, 2) + (" (rho)" if trend else " points")
            n = row.unit
            p = "<0.001" if row.p_holm < 0.001 else f"{row.p_holm:.3f}"
        rows.append((f"{row.claim} ({row.where})", _test_in_words(row), effect, n, p, _settled(row)))
    columns = ["claim", "test", "effect [95% interval]", "n", "p (Holm)", "verdict"]
    return table(pd.DataFrame(rows, columns=columns))


def _test_in_words(row):
    names = [", ".join(f"`{name}`" for name in group.split()) for group in (row.first, row.second)]
    if row.test == "trend":
        return f"Spearman's rho of accuracy along {names[0]}, above 0"
    if row.test == "compression":
        return f"{names[0]} at {row.bits} bits less 32 bits, above -{row.margin} point"
    if row.test == "none":
        return ""
    average = "the mean of " if " " in row.second else ""
    return f"{names[0]} less {average}{names[1]}, above {f'-{row.margin} point' if row.margin else 0}"


def _settled(row):
    if row.verdict != claims.INCONCLUSIVE:
        return f"**{row.verdict}**"
    needed = row.seeds_needed
    if pd.isna(needed):
        return f"**{row.verdict}**; at this effect no number of seeds would settle it"
    return f"**{row.verdict}**; {f'about {needed:.0f}' if needed <= 1000 else 'more than 1,000'} seeds would settle it"


def table1(audited):
    """Table 1, ours beside the paper's; a printed value that ours contradicts has ours in bold behind it."""
    part = audited[audited["where"] == "Table 1"]
    cells = part.assign(cell=[beside(row) for row in part.itertuples()])
    cell, ours = (cells.pivot(index="subject", columns="quantity", values=values) for values in ("cell", "ours"))
    order = part.subject.unique()
    shares = [name for name in ("kept", *(f"kept, {part}" for part in audit.FIRE_PARTS)) if name in cell]
    kept = cell.loc[order, shares].apply(lambda row: " / ".join(row.dropna()), axis=1)
    kernel = cell["kernel in the sparsity column"][order]
    rows = pd.DataFrame(
        {
            "layer": order,
            "output": cell.output[order],
            "filter size/stride": cell["filter"][order],
            "depth": cell.depth[order],
            **{part[0] + part[-3:]: cell[f"filters, {part}"][order] for part in audit.FIRE_PARTS},  # s1x1, e1x1, e3x3
            "kept, %": kept.where(kernel.isna(), kept + ", " + kernel),
            "bits": cell.bits[order],
            "before pruning, paper": cell.parameters[order],
            "ours": ours.parameters[order],
            "after pruning, paper": cell["parameters after pruning"][order],
            "ours, from kept %": ours["parameters after pruning"][order],
        }
    ).fillna("")
    return table(rows, rows.columns.drop(["layer", "output", "filter size/stride", "kept, %"]))


def table2(audited):
    """Table 2 as printed, our sizes and ratios beside."""
    part = audited[audited["where"] == "Table 2"]
    part = part.assign(quantity=part.quantity.replace("ratio of printed sizes", "size ratio"))
    printed, ours = (part.pivot(index="subject", columns="quantity", values=v) for v in ("printed", "ours"))
    order = part.subject.unique()
    rows = pd.DataFrame(
        {
            "network, compression": order,
            "bits": printed.bits[order],
            "size, MB, paper": printed["size"][order],
            "MiB, ours": ours["size"][order].replace("", "-"),
            "smaller than AlexNet, paper": printed["size ratio"][order] + "x",
            "ours": ours["size ratio"][order] + "x",
            "ImageNet top-1/top-5, %, paper": printed["top-1"][order] + "/" + printed["top-5"][order],
        }
    ).replace("x", "-")
    return table(rows, list(rows.columns[2:]))


def compared(variants, paper, results, full):
    """The networks' summary, of trainings that may be compared."""
    return summarise(comparable(variants, results.trainings, full), paper)


def table3(audited, paper, results, full):
    """Table 3 as printed, our sizes and accuracies beside."""
    part = audited[audited["where"] == "Table 3"]
    printed, ours = (part.pivot(index="subject", columns="quantity", values=v) for v in ("printed", "ours"))
    variants = paper[paper["where"] == "Table 3"].drop_duplicates("subject").set_index("subject").variant
    summary = compared(variants, paper, results, full)
    rows = [
        (
            subject,
            f"{printed['top-1'][subject]}/{printed['top-5'][subject]}",
            printed["size"][subject],
            ours["size"][subject],
            interval(row.accuracy, row.low, row.high),
            f"{row.mebibytes:.2f}",
        )
        for subject in part.subject.unique()
        for row in summary[summary.variant == variants[subject]].itertuples()
    ]
    columns = [
        "architecture",
        "ImageNet top-1/top-5, %, paper",
        "size, MB, paper",
        "MiB, ours",
        f"top-1, %, ours ({conditions(summary)})",
        "MiB, ours with 10 classes",
    ]
    return table(pd.DataFrame(rows, columns=columns), columns[1:])


# Figures


def figure3(paper, results, full, place):
    """The paper's points of one panel of Figure 3, ours for the same networks, and each of our trainings."""
    points = paper[paper["where"] == place].pivot(index=["subject", "variant"], columns="quantity", values="printed")
    order = paper[paper["where"] == place].drop_duplicates("subject")[["subject", "variant"]]
    points = points.loc[list(order.itertuples(index=False, name=None))].reset_index()
    points = points.rename(columns={"subject": "label", "top-5": "accuracy"}).astype({"size": float, "accuracy": float})
    points["label"] = points.label.str.extract(r"([\d.]+%?)")
    trainings = comparable(points.variant, results.trainings, full)
    ours = points[["label", "variant"]].merge(summarise(trainings, paper), on="variant")
    seeds = trainings.assign(accuracy=100 * trainings.accuracy, mebibytes=costs.mebibytes(trainings.parameters))
    return points, ours, seeds


def panels(paper, history):
    """The history once for each panel of the paper that shows the network, titled, in the paper's order."""
    epochs = dict(list(history.groupby("variant", sort=False)))
    parts, shown = [], set()
    for place, title in PANELS.items():
        variants = [name for name in paper.variant[paper["where"] == place].unique() if name in epochs]
        parts += [epochs[name].assign(family=title) for name in variants]
        shown.update(variants)
    parts += [epochs[name].assign(family=OTHERS) for name in epochs if name not in shown]
    return pd.concat(parts, ignore_index=True)


def draw(paper, variants, results, full, summary, compression):
    """Every figure of the report that the variants allow: name -> matplotlib figure."""
    figures.style()
    where = conditions(summary)
    drawn = {"figure1_fire_module": figures.fire_module(audit.imagenet_model({"model": "squeezenet"}))}
    macro = paper[(paper["where"] == "Table 3") & paper.variant.isin(variants)].drop_duplicates("subject")
    if len(macro):
        drawn["figure2_macroarchitectures"] = figures.macroarchitectures(
            {row.subject: audit.imagenet_model(variants[row.variant]) for row in macro.itertuples()}
        )
    for name, place, knob in (
        ("figure3a_squeeze_ratio", "Figure 3(a)", "squeeze ratio"),
        ("figure3b_pct3x3", "Figure 3(b)", "share of 3x3 among the expand filters"),
    ):
        if set(paper.variant[paper["where"] == place]) & set(variants):
            theirs, ours, seeds = figure3(paper, results, full, place)
            drawn[name] = figures.microarchitecture(theirs, ours, seeds, knob, conditions(ours))
    drawn["accuracy_against_size"] = figures.accuracy_against_size(summary, where, (OTHERS, PANELS["Table 3"]))
    if compression:
        steps = pd.concat([pd.DataFrame(entry["steps"]) for entry in compression.values()], ignore_index=True)
        drawn["compression"] = figures.compression(steps, where)
    drawn["training_curves"] = figures.training_curves(panels(paper, results.history), where)
    if len(full.convergence):
        images, seeds = full.convergence.train_images.iloc[0], sorted(full.convergence.seed.unique())
        where = f"{full.convergence.dataset.iloc[0]}, {images:,} training images, seeds {', '.join(map(str, seeds))}"
        drawn["convergence"] = figures.convergence(full.convergence, where)
    return drawn


# The document


def document(params, paper, results, full, summary, audited, tested, units, others, drawn):
    """The whole report as Markdown; figures are linked as figures/NAME.svg."""
    where, n = conditions(summary), summary.test_images.iloc[0]
    parts = [
        head(audited, tested, summary),
        "## What contradicts what\n",
        "Numbers of the paper, or of v1.1's README, that the architecture, the authors' file or the paper itself "
        "contradict. A number holds if ours is less than one unit of its last printed digit away.\n",
        contradictions(audited),
        "\n### Verdicts by place\n",
        by_place(audited),
        "\n## The paper's claims\n",
        claims_text(tested, paper, where, n),
        claims_table(tested),
        "\n## Architecture (Section 3)\n",
        picture(drawn, "figure1_fire_module", "Figure 1. The fire module fire2, from the Keras model's graph", MADE_BY),
        picture(
            drawn,
            "figure2_macroarchitectures",
            "Figure 2. The macroarchitectures of Section 6 with their output channels, from the Keras models' graphs",
            MADE_BY,
        ),
    ]
    if (audited["where"] == "Table 1").any():
        parts += [
            "### Table 1: dimensions and parameters\n",
            "Printed values; ours stands in bold where it contradicts them. *After pruning* is the sum over the "
            "layers of kept share x weights + biases, rounded up.\n",
            table1(audited),
        ]
    parts += ["\n## Against AlexNet and model compression (Section 4)\n"]
    if (audited["where"] == "Table 2").any():
        parts += ["### Table 2: sizes\n", table2(audited), alexnet_text(paper, results, full)]
    parts += [
        "\n### Deep Compression of our networks\n",
        compression_text(others.compression, paper, where),
        picture(
            drawn,
            "compression",
            f"Left: accuracy after each step against the bytes of its file, {where}, "
            f"{results.trainings.validation_images.iloc[0]:,} validation images; shared has whole bits for codes and "
            "gaps, coded is entropy-coded. Right: where the bytes go",
            "Made by stage `compress`",
        ),
    ]
    parts += ["\n### The authors' weights in our files\n", authors_text(others.authors)]
    parts += ["\n### ImageNet: the released networks\n", imagenet_text(others.imagenet, paper)]
    parts += ["\n## Microarchitecture (Section 5)\n"]
    for name, place, caption in (
        ("figure3a_squeeze_ratio", "Figure 3(a)", "Figure 3(a). Squeeze ratio"),
        ("figure3b_pct3x3", "Figure 3(b)", "Figure 3(b). Share of 3x3 filters"),
    ):
        if name in drawn:
            ours = conditions(compared(paper.variant[paper["where"] == place], paper, results, full))
            caption += f": accuracy against model size. Right: {ours}, {n:,} test images, 95% intervals"
        parts.append(picture(drawn, name, caption, TRAINED_BY))
    best = units.loc[units.fits.idxmax()]
    if best.fits:
        parts += [
            "### The unit of the paper's MB\n",
            f"Of the {best.sizes} sizes in Figure 3, {best.fits} are the parameters' {best.unit}, rounded "
            f"{best.rounded} to the printed digits; no other reading explains as many.\n",
            table(units.rename(columns={"rounded": "rounded to the printed digits"}), ("fits", "sizes")),
        ]
    parts += ["\n## Macroarchitecture (Section 6)\n"]
    if (audited["where"] == "Table 3").any():
        parts += ["### Table 3: bypass connections\n", table3(audited, paper, results, full)]
    parts += [
        "\n## All networks\n",
        f"Top-1 on the {n:,} test images with 95% intervals.\n",
        results_table(metrics_of(summary, audited, tested)),
        "",
        picture(
            drawn,
            "accuracy_against_size",
            f"Accuracy against size: {where}, {n:,} test images, 95% intervals",
            TRAINED_BY,
        ),
        picture(
            drawn,
            "training_curves",
            f"Training curves: {where}; {results.trainings.validation_images.iloc[0]:,} validation images; "
            "bands span the seeds",
            TRAINED_BY,
        ),
        full_text(full, paper),
        picture(drawn, "convergence", "Validation accuracy against the length of the training", MADE_BY),
        "## How the verdicts are made\n",
        method_text(tested),
        "\n## Provenance\n",
        provenance(params, results.trainings),
        "\n## The whole audit\n",
        f"{len(audited)} printed numbers; also as [tables/audit.csv](tables/audit.csv).\n",
        table(
            audited.drop(columns="unit").rename(columns={"how": "how ours is known"}), ("printed", "ours", "difference")
        ),
        "",
    ]
    return "\n".join(part for part in parts if part is not None)


def head(audited, tested, summary):
    count = audited.verdict.value_counts()
    verdicts = ", ".join(f"{verdict} {count[verdict]}" for verdict in audit.VERDICTS if verdict in count)
    claimed = "; ".join(f"{number} {verdict}" for verdict, number in tested.verdict.value_counts().items())
    best = summary.loc[summary.accuracy.idxmax()]
    where = conditions(summary)
    lone = " From one seed, a verdict is about these trained networks, not yet about their architectures."
    lone = lone if (tested.unit == claims.IMAGES).any() else ""
    return f"""# SqueezeNet, replicated: the report

Iandola et al. 2016, [arXiv 1602.07360](https://arxiv.org/abs/1602.07360), held against Keras models, the authors'
released file and trainings on {summary.dataset.iloc[0]}. Every number below is computed by the pipeline.

- **Audit.** {len(audited)} numbers that the paper and v1.1's README print: {verdicts}.
- **Claims.** {len(tested)} claims of the paper: {claimed}.{lone}
- **Our training.** {len(summary)} networks ({where}), {summary.test_images.iloc[0]:,} test images: top-1 from \
{summary.accuracy.min():.1f}% to {best.accuracy:.1f}% (`{best.variant}`). No result here is an ImageNet result.
"""


def picture(drawn, name, caption, made_by):
    return f"![{caption}](figures/{name}.svg)\n\n*{caption}. {made_by}.*\n" if name in drawn else None


def claims_text(tested, paper, where, n):
    margin = tested.margin[tested.margin != ""]
    sentence = ""
    top1 = paper[(paper["where"] == "Table 2") & (paper.quantity == "top-1")].set_index("subject").printed.astype(float)
    lost = top1[top1 < top1.iloc[0]]
    if len(margin) and len(lost):
        sentence = (
            f" *No worse* means above -{margin.iloc[0]} point, less than the {top1.iloc[0] - lost.iloc[0]:.1f} "
            f"points that the paper counts as diminished accuracy ({lost.index[0]}, Table 2)."
        )
    return f"Ours: {where}, {n:,} test images.{sentence}\n"


def alexnet_text(paper, results, full):
    names = {"squeezenet", "alexnet"}
    if not names <= set(results.trainings.variant):
        return ""
    found = compared(names, paper, results, full)
    where, found = conditions(found), found.set_index("variant")
    small, large = found.loc["squeezenet"], found.loc["alexnet"]
    return (
        f"\nOn {where}: `squeezenet` {interval(small.accuracy, small.low, small.high)}% with {small.parameters:,} "
        f"parameters, `alexnet` {interval(large.accuracy, large.low, large.high)}% with {large.parameters:,}, "
        f"{large.parameters / small.parameters:.1f} times as many."
    )


def full_text(full, paper):
    """What the full budget has given so far; None for nothing."""
    if full.trainings.empty and not full.left_out:
        return None
    text = """## The full budget

The same recipe with the budget `full` of params.yaml. Where all networks of a claim, of a panel of Figure 3 or of \
Table 3 have every seed of it, its rows answer there, with dots for the seeds, and not the default run's.
"""
    if full.left_out:
        text += f"\nLeft out, as other parameters made them: {', '.join(full.left_out)}.\n"
    if full.trainings.empty:
        return text
    rows = summarise(full.trainings, paper).set_index("variant")
    each = full.trainings.groupby("variant", sort=False)
    accuracy = f"accuracy, % ({', '.join(full.trainings.dataset.unique())})"
    shown = pd.DataFrame(
        {
            "network": [f"`{name}`" for name in rows.index],
            "epochs": rows.epochs,
            "seeds": rows.seeds,
            accuracy: [interval(row.accuracy, row.low, row.high) for row in rows.itertuples()],
            "lowest": (100 * each.accuracy.min()).map("{:.1f}".format),
            "highest": (100 * each.accuracy.max()).map("{:.1f}".format),
            "images/s": each.images_per_second.mean().map("{:,.0f}".format),
            "backend": each.backend.agg(lambda names: ", ".join(names.unique())),
            "on": each.hardware.agg(lambda names: "; ".join(names.unique())),
        }
    )
    return (
        f"{text}\nEach training, with its provenance: [tables/full_trainings.csv](tables/full_trainings.csv).\n\n"
        + table(shown, shown.columns[1:-2])
    )


def compression_text(compression, paper, where):
    if not compression:
        return "Stage `compress` has not run."
    ours = pd.concat([pd.DataFrame(entry["rows"]) for entry in compression.values()], ignore_index=True)
    printed = paper[paper["where"] == "Table 2"].pivot(index="subject", columns="quantity", values="printed")
    rows = []
    for row in ours.itertuples():
        same = [
            subject for subject in printed.index if _is_row(subject, row) and printed.bits[subject] == str(row.bits)
        ]
        theirs = printed.loc[same[0]].fillna("-") if same else pd.Series("-", printed.columns)
        whole = ours[(ours.network == row.network) & (ours.method == "none")].iloc[0]
        ratio = theirs["size ratio"] if theirs["size ratio"] != "-" else theirs["ratio of printed sizes"]
        rows.append(
            {
                "network": f"`{row.network}`",
                "compression": row.method,
                "bits": row.bits,
                "MB, paper": theirs["size"],
                "bytes of our file": f"{row.bytes:,}",
                "smaller than AlexNet, paper": f"{ratio}x",
                "than our AlexNet": f"{row.ratio:.1f}x",
                "than itself at 32 bits": f"{whole.bytes / row.bytes:.1f}x",
                "ImageNet top-1, %, paper": theirs["top-1"],
                f"top-1, % ({where})": interval(*(100 * getattr(row, key) for key in ACCURACY)),
                "points": f"{100 * (row.accuracy - whole.accuracy):+.1f}",
            }
        )
    rows = pd.DataFrame(rows).replace("-x", "-")
    return (
        f"The rows of Table 2 on {ours.n.iloc[0]:,} test images, each measured on the network decoded from its file; "
        "*points* are against the network before compression. What follows pruning and sharing trains these briefly "
        "trained networks on, so that they may gain; nothing follows SVD. AlexNet at 32 bits is the yardstick of the "
        "ratios, as in the paper; for these small images and few classes it has fewer parameters than for "
        "ImageNet.\n\n" + table(rows, rows.columns[2:]) + "\n"
    )


def _is_row(subject, row):
    """Whether a row of the paper's Table 2 is one of ours: "AlexNet, SVD (Denton et al. 2014)" is alexnet's SVD."""
    network, _, method = subject.partition(", ")
    return network.lower() == row.network and (row.method in method if method else row.method == "none")


def authors_text(authors):
    """Our files of the authors' weights: bytes, and how far the networks in them agree with the authors'."""
    if authors is None or not authors["available"]:
        return authors["reason"] if authors else "Stage `authors` has not run."
    rows = pd.DataFrame(authors["ours"])
    shown = pd.DataFrame(
        {
            "bits": rows.bits,
            "bytes": rows.bytes.map("{:,}".format),
            **{name: rows[name].map("{:,}".format) for name in sqnt.SECTIONS},
            "bits a weight": rows.bits_per_weight.map("{:.2f}".format),
            "same first class, %": (100 * rows.top1_agreement).map("{:.1f}".format),
            "in the first five, %": (100 * rows.top5_agreement).map("{:.1f}".format),
            "relative error of the logits, %": (100 * rows.logits_relative_error).map("{:.1f}".format),
        }
    )
    huffman = authors["lossless"]["huffman"]["bytes"]
    return (
        f"Their file of {authors['file_bytes']:,} bytes, stored anew: at {rows.bits[0]} bits without loss (by Huffman "
        f"coding {huffman:,} bytes), below that quantised without training. Agreement with the uncompressed network "
        f"over {rows.photographs[0]} images that the quantiser has not seen (test images of CIFAR-10, enlarged, and "
        "crops of a portrait); these files bound what Table 2's 6-bit row needs.\n\n" + table(shown, shown.columns)
    )


def imagenet_text(imagenet, paper):
    """The released networks on ImageNet's validation images, how far they agree, and transfer."""
    if imagenet is None:
        return "Stage `imagenet` has not run."
    printed = paper[paper.quantity.isin(["top-1", "top-5"]) & paper["where"].isin(["Table 2", "Table 3"])]
    printed = printed.drop_duplicates(["variant", "quantity"]).pivot(
        index="variant", columns="quantity", values="printed"
    )
    not_run = "not run: no ImageNet folder (`imagenet.folder` in params.yaml, then `dvc repro`)"
    rows = []
    for name in imagenet["networks"]:
        found = imagenet["evaluated"].get(name)
        theirs = "/".join(printed.loc[name]) if name in printed.index else "-"
        row = {"network": f"`{name}`", "top-1/top-5, %, paper": theirs}
        for key in ("top1", "top5"):
            ours = [100 * found[key + suffix] for suffix in ("", "_low", "_high")] if found else None
            row[f"{key.replace('p', 'p-')}, %, ours"] = interval(*ours) if ours else "-"
        row["images"] = f"{found['images']:,}" if found else imagenet["missing"].get(name, not_run)
        rows.append(row)
    agreed = [
        f"{each['top1']:.0%} of {each['images']} {kind} (in the other's first five: {each['top5']:.0%})"
        for kind, each in imagenet["agreement"].items()
    ]
    if agreed:
        agreed = [f"\nThe two releases give the same first class to {' and '.join(agreed)}."]
    few = imagenet["transfer"]
    learnt = pd.DataFrame(few["rows"])
    header = (
        f"top-1, % ({few['dataset']}, {few['per_class']} training images a class, {few['test_images']:,} test images)"
    )
    learnt[header] = [interval(*(100 * learnt.loc[i, key] for key in ACCURACY)) for i in learnt.index]
    learnt["seconds"] = learnt.seconds.map("{:.0f}".format)
    return "\n".join(
        [
            table(pd.DataFrame(rows)),
            *agreed,
            f"\nTransfer, at {few['side']} pixels:\n",
            table(learnt[["network", header, "seconds"]], (header, "seconds")),
        ]
    )


def method_text(tested):
    run = int(tested.p.notna().sum())
    return f"""- Sizes and parameters come from the Keras models at {audit.CROP} pixels and {audit.CLASSES:,} classes; \
"the authors' file" is their released compressed network.
- With one seed the test images are the unit: all networks classify the same images, and a paired bootstrap with \
{tested.attrs["resamples"]:,} resamples gives intervals and two-sided p values. Such a verdict is about the trained \
networks; another seed may train others. With several seeds the seed is the unit (paired t test). A trend's unit is \
the trained network (Spearman's rho, permutation test, Fisher's interval).
- Intervals are 95% each. The p values of the {run} claims tested are corrected together by Holm's method, family-wise \
{claims.ALPHA:.0%}; a claim at or above that is inconclusive.
- *Seeds that would settle it*: if the effect is what we saw, that many seeds pass the corrected test with \
{claims.POWER:.0%} power. With one seed the spread between seeds is unknown, and the bootstrap's stands in for it."""


def provenance(params, trainings):
    """Commit, versions, hardware and time of the trainings, and the recipe."""
    versions = trainings.versions.map(lambda found: ", ".join(f"{name} {v}" for name, v in found.items()))
    facts = {
        "commit of the trainings": trainings.commit,
        "versions": versions,
        "backend": trainings.backend,
        "hardware": trainings.hardware,
        "source of the data": trainings.source,
    }
    rows = [(name, ", ".join(map(str, values.unique()))) for name, values in facts.items()]
    rows += [
        ("time of training", f"{trainings.seconds.sum():,.0f} s in {len(trainings)} trainings"),
        ("images a second", f"{trainings.images_per_second.min():,.0f} to {trainings.images_per_second.max():,.0f}"),
        ("images", f"{trainings.train_images.iloc[0]:,} for training, {trainings.test_images.iloc[0]:,} for testing"),
        *((f"`train.{key}`", value) for key, value in params.train.model_dump().items()),
    ]
    return table(pd.DataFrame(rows, columns=["what", "value"]))


# Output

CSS = """
:root { color-scheme: light }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 0 auto; padding: 1rem; color: #222 }
h1, h2, h3 { line-height: 1.25 }
h2 { border-bottom: 1px solid #ccc; margin-top: 2.5rem }
img { max-width: 100%; height: auto; display: block; margin: 1rem auto 0 }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0; font-size: .875rem }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top }
th { border-bottom: 2px solid #666; text-align: left }
td:not([style*=right]) { min-width: 5.5rem }
td:last-child:not([style*=right]) { min-width: 10rem }
td[style*=right] { white-space: nowrap; font-variant-numeric: tabular-nums }
code { font-size: .9em; background: #f3f3f3; padding: 0 .2em }
nav { background: #f7f7f7; padding: .5rem 1rem; font-size: .9rem }
nav ul { margin: .2rem 0; padding-left: 1.2rem }
a { color: #0b5394 }
@media (max-width: 40rem) {
  table { font-size: .8rem }
  th, td { padding: .25rem .35rem }
  td:last-child:not([style*=right]) { min-width: 8rem }
}
@page { margin: 12mm }
@media print {
  body { font-size: 9pt; max-width: none; padding: 0 }
  table { display: table; width: 100%; font-size: 6.5pt; overflow-wrap: break-word }
  thead { display: table-header-group }
  tr, img { break-inside: avoid }
  h1, h2, h3 { break-after: avoid }
  img { max-width: 85% }
  table th, table td, td:last-child:not([style*=right]) { padding: .1rem .25rem; min-width: 0; white-space: normal }
}
"""


def html(text, pictures):
    """The Markdown report as one page that needs no other file: contents first, figures inlined.

    Args:
        text: Markdown.
        pictures: figure name -> bytes of its SVG.
    """
    for name, svg in pictures.items():
        text = text.replace(f"(figures/{name}.svg)", f"(data:image/svg+xml;base64,{base64.b64encode(svg).decode()})")
    text = re.sub(r"\[([^]]+)\]\((?!https?:|data:)[^)]+\)", r"\1", text)  # links to files that are not in the page
    converter = markdown.Markdown(extensions=["tables", "toc"], extension_configs={"toc": {"toc_depth": "2-3"}})
    body = converter.convert(text)
    title = text.partition("\n")[0].lstrip("# ")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{CSS}</style>
</head>
<body>
{body.replace("<h2", f"<nav>{converter.toc}</nav><h2", 1)}
</body>
</html>
"""


def write(text, drawn, tables, metrics, folder=paths.REPORTS):
    """Write README.md, report.html, figures/, tables/ and metrics.json, after all of them could be made."""
    encoded = {name: figures.encode(figure) for name, figure in drawn.items()}
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary) / "reports"  # copying the private folder itself would make `folder` private
        for name in ("figures", "tables"):
            (scratch / name).mkdir(parents=True)
        for name, kinds in encoded.items():
            for kind, data in kinds.items():
                (scratch / "figures" / f"{name}.{kind}").write_bytes(data)
        for name, frame in tables.items():
            frame.to_csv(scratch / "tables" / f"{name}.csv", index=False, lineterminator="\n")
        (scratch / "README.md").write_text(text)
        (scratch / "report.html").write_text(html(text, {name: kinds["svg"] for name, kinds in encoded.items()}))
        (scratch / "metrics.json").write_text(json.dumps(metrics, indent=2, default=_plain) + "\n")
        shutil.copytree(scratch, folder, dirs_exist_ok=True)


def publish(notebook, target):
    """Copy an executed notebook for readers of the repository, less what libraries say of the machine on stderr."""
    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, target)


def _plain(value):
    return value.item()  # numpy's scalars


if __name__ == "__main__":
    readme, metrics = paths.ROOT / "README.md", paths.REPORTS / "metrics.json"
    readme.write_text(update_readme(readme.read_text(), json.loads(metrics.read_text())))
