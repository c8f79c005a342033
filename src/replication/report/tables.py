"""The tables of the report: frames of texts, ours beside the paper's."""

import numpy as np
import pandas as pd

from replication.report import claims, comparison, readings
from replication.report.answers import FIRE_PARTS
from replication.report.summaries import POOLING, compressed_summary, strongest_of_each, summarise
from replication.results import strongest
from squeezenet.weights import sqnt

NONE = "-"
DEVIATION = "standard deviation of a network, points"


def markdown(frame):
    """A frame of texts as a Markdown table; columns of numbers are aligned right."""
    texts = frame.astype(str).replace({"nan": "", "None": "", "<NA>": ""})
    number = r"[-+<>=~]*[\d.,]+[%x]?(?: [\[(].*[\])])?(?: points| kB| MB)?|[-\s]*"
    right = [name != texts.columns[0] and texts[name].str.fullmatch(number).all() for name in texts]
    align = ["right" if numbers else "left" for numbers in right]
    return texts.to_markdown(index=False, disable_numparse=True, colalign=align)


def interval(value, low, high, digits=1):
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def percent(row, key, digits=1):
    """A share with its interval, in percent."""
    return interval(*(100 * row[f"{key}{end}"] for end in ("", "_low", "_high")), digits)


def signed(value, low, high):
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def accuracies(rows):
    return [interval(row.accuracy, row.low, row.high) for row in rows.itertuples()]


def code(names):
    return [f"`{name}`" for name in names]


# The audit


def contradictions(audited):
    """The audit's contradicted numbers, one row for each; repeats of a number in other places are joined."""
    rows = audited[audited.verdict == readings.CONTRADICTED]
    joined = rows.groupby(["quantity", "printed", "ours", "note"], sort=False).agg(
        {"where": lambda places: ", ".join(dict.fromkeys(places)), "subject": "first", "unit": "first"}
    )
    joined = joined.reset_index()
    joined["what"] = _what(joined)
    return joined[["where", "what", "printed", "ours", "note"]].rename(columns={"note": "readings tried"})


def _what(rows):
    """A number's subject, quantity and unit, as far as the quantity does not name it."""
    units = [f", {row.unit}" * (row.unit not in ("", row.quantity)) for row in rows.itertuples()]
    return rows.subject + ": " + rows.quantity + units


def by_place(audited):
    """How many numbers of each table, figure and section got each verdict."""
    places = audited["where"].str.replace(r"Section (\d).*", r"Section \1", regex=True)
    places = pd.Categorical(places, places.unique())
    verdicts = pd.Categorical(audited.verdict, [v for v in readings.VERDICTS if v in set(audited.verdict)])
    counts = pd.crosstab(places, verdicts, margins=True, margins_name="all")
    return counts.rename_axis("where").reset_index()


def whole_audit(audited):
    texts = audited.assign(printed=audited.printed + audited.source.map({"drawn": " (drawn)"}).fillna(""))
    texts["subject"] = _what(texts)
    named = {"how": "how ours is known", "difference": "ours minus printed"}
    return texts.drop(columns=["quantity", "unit", "source"]).rename(columns=named)


def table1(audited):
    """Table 1, ours beside the paper's; a printed value that ours contradicts has ours in bold behind it."""
    part = audited[audited["where"] == "Table 1"]
    wrong = part.verdict == readings.CONTRADICTED
    cells = part.assign(cell=part.printed + (" (**" + part.ours + "**)").where(wrong, ""))
    cell, ours = (cells.pivot(index="subject", columns="quantity", values=values) for values in ("cell", "ours"))
    order = part.subject.unique()
    shares = [name for name in ("kept", *(f"kept, {part}" for part in FIRE_PARTS)) if name in cell]
    kept = cell.loc[order, shares].apply(lambda row: " / ".join(row.dropna()), axis=1)
    kernel = cell["kernel in the sparsity column"][order]
    rows = {
        "layer": order,
        "output": cell.output[order],
        "filter size/stride": cell["filter"][order],
        "depth": cell.depth[order],
        **{part[0] + part[-3:]: cell[f"filters, {part}"][order] for part in FIRE_PARTS},  # s1x1, e1x1, e3x3
        "kept, %": kept.where(kernel.isna(), kept + ", " + kernel),
        "bits": cell.bits[order],
        "before pruning, paper": cell.parameters[order],
        "ours": ours.parameters[order],
        "after pruning, paper": cell["parameters after pruning"][order],
        "ours, from kept %": ours["parameters after pruning"][order],
    }
    return pd.DataFrame(rows).fillna("")


def table2(audited):
    """Table 2 as printed, our sizes and ratios beside, and the readings under which they agree."""
    part = audited[(audited["where"] == "Table 2")]
    printed, ours, verdict, reading, note = (
        part.pivot(index="subject", columns="quantity", values=v)
        for v in ("printed", "ours", "verdict", "reading", "note")
    )
    order = part.subject.unique()
    unit = reading["size"].str.replace(r"(, )?rounded.*", "", regex=True)
    size = ours["size"] + (" (" + unit + ")").where(unit != "", "")
    rows = {
        "network, compression": order,
        "bits": printed.bits[order],
        "size, MB, paper": printed["size"][order],
        "ours": size[order].replace("", NONE),
        "verdict": verdict["size"][order],
        "smaller than AlexNet, paper": printed["size ratio"][order] + "x",
        "by printed sizes": ours["size ratio"][order] + "x",
        "by bytes": note["size ratio"][order].str.extract(r"^by bytes ([^:]+)", expand=False) + "x",
        "ImageNet top-1/top-5, %, paper": printed["top-1"][order] + "/" + printed["top-5"][order],
    }
    return pd.DataFrame(rows).replace("x", NONE).fillna(NONE)


def table3(audited, paper, runs):
    """Table 3 as printed, our sizes and accuracies beside: of the strongest run, and of the laptop's own."""
    part = audited[audited["where"] == "Table 3"]
    printed, ours = (part.pivot(index="subject", columns="quantity", values=v) for v in ("printed", "ours"))
    variants = paper[paper["where"] == "Table 3"].drop_duplicates("subject").set_index("subject").variant
    variants = variants[[name in set(runs[0].trainings.variant) for name in variants]]
    best, laptop = (
        summarise(run.trainings, paper).set_index("variant") for run in (strongest(list(variants), runs), runs[0])
    )
    rows = {
        "architecture": variants.index,
        "ImageNet top-1/top-5, %, paper": (printed["top-1"] + "/" + printed["top-5"])[variants.index],
        "size, MB, paper": printed["size"][variants.index],
        "MiB, ours": ours["size"][variants.index],
        "top-1, %, ours": accuracies(best.loc[variants]),
        "on the laptop": accuracies(laptop.loc[variants]),
        "MiB with 10 classes": best.mebibytes[variants].map("{:.2f}".format).to_numpy(),
    }
    return pd.DataFrame(rows).reset_index(drop=True)


# The claims


def claims_table(tested):
    """Claim, verdict, the difference that decides with its interval and what it has to be above, the paper's own."""
    rows = []
    texts = ["upper", "lower", "run", "paper_words", "paper_parts", "words"]
    for row in tested.assign(**tested[texts].astype(object).fillna("")).itertuples():
        effect, above = row.words, ""
        if row.upper:
            bounds = f"{signed(row.effect, row.low, row.high)} {row.unit}"
            effect, above = f"{_named(row.upper)} minus {_named(row.lower)}: {bounds}", f"{row.threshold + 0:+.1f}"
        theirs = row.paper_words + " (which do not give it)" * (row.paper_says is False)
        theirs += f"; strictly not: {row.paper_parts}" * bool(row.paper_parts)
        more = ""
        if row.verdict == claims.UNDECIDED and not pd.isna(row.seeds_needed):
            more = "; more seeds would not do"
            if row.seeds_needed < np.inf:
                end = "confirm" if row.effect > row.threshold else "refute"
                more = f"; at this difference {row.seeds_needed:.0f} seeds would {end} it"
        run = f"{row.run}, {row.seeds:.0f} seed{'s' * (row.seeds > 1)}" if row.seeds > 0 else row.run
        claim = f"{row.claim} ({row.where})"
        rows.append((claim, f"**{row.verdict}**{more}", effect, above, theirs, row.p_words, run))
    columns = ["claim", "verdict", "what decides, with its 95% interval", "to be above", "the paper's own", "p", "run"]
    return pd.DataFrame(rows, columns=columns)


def _named(name):
    """A network, or a file of one: NETWORK/METHOD/BITS."""
    network, *file = name.split("/")
    return f"`{network}`" + (f" ({file[0].replace('_', ' ')}, {file[1]} bits)" if file else "")


# The networks


def networks(paper, runs):
    """All networks: size, MACs, the accuracy of the strongest run that has them, and the laptop's own."""
    laptop = summarise(runs[0].trainings, paper).set_index("variant")
    best = strongest_of_each(laptop.index, runs)
    run = best.groupby("variant").run.first()
    best = summarise(best, paper).set_index("variant").loc[laptop.index]
    rows = {
        "network": code(laptop.index),
        "in the paper": laptop.paper,
        "parameters": laptop.parameters.map("{:,}".format),
        "MiB": laptop.mebibytes.map("{:.2f}".format),
        "MMACs": (laptop.macs / 1e6).map("{:,.1f}".format),
        "accuracy, %": accuracies(laptop),
    }
    if set(run) != {runs[0].name}:
        longer = run[laptop.index] != runs[0].name
        rows["longer, %"] = pd.Series(accuracies(best), laptop.index).where(longer, NONE)
        rows["epochs x seeds"] = (best.epochs.astype(str) + " x " + best.seeds.str.split().str.len().astype(str)).where(
            longer, NONE
        )
    return pd.DataFrame(rows).reset_index(drop=True)


def downsampling(paper, runs):
    """The networks that differ in where they pool, and in their stem."""
    names = [name for name in POOLING if name in set(runs[0].trainings.variant)]
    if set(names) <= {"squeezenet"}:
        return pd.DataFrame()
    run = strongest(names, runs)
    rows = summarise(run.trainings, paper).set_index("variant").loc[names]
    pool = next(each for each in runs if each.name == run.name).trainings
    gains = [NONE] * len(names)
    if "squeezenet" in names:
        found = [comparison.estimate({name: 1, "squeezenet": -1}, run, pool) for name in names[1:]]
        gains = [NONE, *(signed(each.value, *each.interval()) for each in found)]
    shown = {
        "network": code(names),
        "parameters": rows.parameters.map("{:,}".format),
        "MMACs": (rows.macs / 1e6).map("{:,.1f}".format),
        "top-1, %": accuracies(rows),
        "points from 1.0": gains,
    }
    return pd.DataFrame(shown).reset_index(drop=True)


def rates(frame, variants, rate):
    """Validation accuracy by network and learning rate, the best in bold, and the rate that each network trains at."""
    if frame.empty:
        return pd.DataFrame({"network": [NONE]})
    table = 100 * frame.pivot_table(index="variant", columns="learning_rate", values="validation_accuracy", sort=False)
    table = table[sorted(table)]
    texts = table.map("{:.1f}".format).where(table.notna(), NONE)
    texts = texts.where(table.ne(table.max(axis=1), axis=0), "**" + texts + "**")
    texts["trains at"] = [f"{variants.get(name, {}).get('learning_rate', rate):g}" for name in table.index]
    return texts.rename_axis(None, axis=1).set_axis(code(table.index)).rename_axis("network").reset_index()


def evidence(runs):
    """Every longer training with its provenance."""
    rows = [run.trainings.assign(part=run.name) for run in runs[1:] if len(run.trainings)]
    if not rows:
        return pd.DataFrame()
    rows = pd.concat(rows, ignore_index=True).drop_duplicates(["variant", "epochs", "seed", "backend"])
    shown = {
        "network": code(rows.variant),
        "epochs": rows.epochs,
        "seed": rows.seed,
        "top-1, %": (100 * rows.accuracy).map("{:.2f}".format),
        "part": rows.part,
        "backend": rows.backend,
        "minutes": (rows.seconds / 60).map("{:.0f}".format),
        "commit": rows.commit.str[:10],
        "versions": rows.versions.map(lambda found: ", ".join(f"{name} {v}" for name, v in found.items())),
        "on": rows.hardware,
    }
    return pd.DataFrame(shown)


def lengths(effects):
    """What each bypass gains at each training length."""
    shown = {
        "bypass": code(effects.bypass),
        "epochs": effects.epochs,
        "seeds": effects.seeds,
        "points from vanilla": [signed(row.effect, row.low, row.high) for row in effects.itertuples()],
        "training accuracy, %": effects["training accuracy"].map("{:.1f}".format),
        "vanilla's": effects["of vanilla"].map("{:.1f}".format),
    }
    return pd.DataFrame(shown)


def ranking(frame):
    texts = [interval(row.rho, row.low, row.high, 2) for row in frame.itertuples()]
    shown = {"longer run": frame.run, "networks in both": frame.networks, "Spearman's rho [95%]": texts}
    return pd.DataFrame(shown)


def spread(runs):
    """How far the seeds of a network lie apart, by run, and whether all its networks may share one variance."""
    rows = comparison.spread(runs)
    shown = [
        (name, len(each), f"{each.deviation.min():.2f} to {each.deviation.max():.2f}", f"{each.p.iloc[0]:.2f}")
        for name, each in rows.groupby("run", sort=False)
    ]
    return pd.DataFrame(shown, columns=["run", "networks", DEVIATION, "p"])


def trained_by(runs):
    """On which backend and machine the networks of each longer run were trained."""
    shown = []
    for run in [run for run in runs[1:] if len(run.trainings)]:
        for (backend, machine), group in run.trainings.groupby(["backend", "hardware"], sort=False):
            names = group.variant.unique()
            every = len(names) == run.trainings.variant.nunique()
            shown.append((run.name, "all" if every else ", ".join(code(names)), backend, machine))
    return pd.DataFrame(shown, columns=["run", "networks", "backend", "machine"])


def backends(runs):
    """What two backends make of the same network."""
    rows = comparison.backends(runs[1:])
    each = [
        ", ".join(f"{name} {found.mean():.1f} ({len(found)} seeds)" for name, found in row.accuracies.items())
        for row in rows.itertuples()
    ]
    apart = [signed(row.difference, row.low, row.high) for row in rows.itertuples()]
    shown = {"network": code(rows.network), "epochs": rows.epochs, "top-1, %": each}
    return pd.DataFrame(shown | {"second minus first, points": apart})


def as_short(runs):
    """How far the seeds of a network lie apart in the longer run that is as short as the laptop's; empty without it."""
    short = [run for run in runs[1:] if set(run.trainings.epochs) == set(runs[0].trainings.epochs)]
    found = spread(short)
    return found[DEVIATION].iloc[0] if len(found) else ""


# Compression


def compression(runs, paper):
    """The rows of Table 2 that we have made, and what compression changes: of the strongest run, and of the laptop's.

    The paper's stand beside.
    """
    every = compressed_summary(runs)
    files = pd.concat([run.trainings for run in runs]).groupby("network", sort=False).variant
    strongest_of = {network: strongest(set(names), runs).name for network, names in files}
    key = ["network", "method", "bits"]
    laptop = every[every.run == runs[0].name].set_index(key)
    printed = paper[paper["where"] == "Table 2"].pivot(index="subject", columns="quantity", values="printed")
    rows = []
    for row in every[every.run == every.network.map(strongest_of)].itertuples():
        same = [name for name in printed.index if _is_row(name, row) and printed.bits[name] == row.bits]
        theirs = printed.loc[same[0]].fillna(NONE) if same else pd.Series(NONE, printed.columns)
        own = laptop.loc[tuple(getattr(row, name) for name in key)]
        rows.append(
            {
                "network": f"`{row.network}`",
                "compression": row.method if row.bits == "32" else f"{row.method}, {row.bits} bit",
                "bytes, ours": f"{row.bytes:,.0f}",
                "MB, paper": theirs["size"],
                "than AlexNet, ours": f"{row.ratio:.1f}x",
                "paper": f"{theirs['size ratio']}x".replace("-x", NONE),
                "top-1, %, ours": interval(row.accuracy, row.low, row.high),
                "change, points": _cost(row),
                "run": f"{row.run}, {row.seeds} seed{'s' * (row.seeds > 1)}",
                "on the laptop": interval(own.accuracy, own.low, own.high),
                "its change": _cost(own),
                "ImageNet, paper": theirs["top-1"],
            }
        )
    return pd.DataFrame(rows)


def _cost(row):
    """What compression costs in points, where there is a control."""
    return NONE if pd.isna(row.cost) else signed(row.cost, row.cost_low, row.cost_high)


def _is_row(subject, row):
    """Whether a row of the paper's Table 2 is one of ours: "AlexNet, SVD (Denton et al. 2014)" is alexnet's SVD."""
    network, _, method = subject.partition(", ")
    return network.lower() == row.network and (row.method in method if method else row.method == "none")


def authors(found):
    """Our files of the authors' weights: bytes, and how far the networks in them agree with the authors'."""
    rows = pd.DataFrame(found["ours"])
    images = {name.removesuffix(" photographs"): rows[name][0] for name in rows if name.endswith(" photographs")}
    shown = {
        "bits": rows.bits,
        "bytes": rows.bytes.map("{:,}".format),
        **{name: rows[name].map("{:,}".format) for name in sqnt.SECTIONS},
        "bits a weight": rows.bits_per_weight.map("{:.2f}".format),
        **{
            f"same first class, % of {count} ({kind})": [percent(row, f"{kind} same_top1") for row in found["ours"]]
            for kind, count in images.items()
        },
        "in the first five, %": [percent(row, "same_top5") for row in found["ours"]],
        "relative error of the logits, %": (100 * rows.logits_relative_error).map("{:.1f}".format),
    }
    return pd.DataFrame(shown)


# ImageNet


def imagenet(found, paper, others):
    """ImageNet's validation images: the paper's accuracies, ours of the released networks, and what others found."""
    printed = paper[paper.quantity.isin(["top-1", "top-5"]) & paper["where"].isin(["Table 2", "Table 3"])]
    printed = printed[printed.variant != ""].drop_duplicates(["variant", "quantity"])
    printed = printed.pivot(index="variant", columns="quantity", values="printed")
    rows = [
        ("the paper", f"`{name}`", row["top-1"], row["top-5"], "printed in Tables 2 and 3")
        for name, row in printed.iterrows()
    ]
    for name in found["networks"] if found else ():
        ours = found["evaluated"].get(name)
        top = [percent(ours, key) if ours else NONE for key in ("top1", "top5")]
        no_folder = "not run: no ImageNet folder (`imagenet.folder` in params.yaml, then `dvc repro`)"
        how = f"{ours['images']:,} images" if ours else found["missing"].get(name, no_folder)
        rows.append(("ours, of the released weights", f"`{name}`", *top, how))
    shown = others.astype(str).replace("", NONE).to_dict("records")
    rows += [
        (row["who"], f"`{row['network']}`", row["top-1"], row["top-5"], f"{row['how']}; {row['source']}".lstrip("-; "))
        for row in shown
    ]
    return pd.DataFrame(rows, columns=["who", "network", "top-1, %", "top-5, %", "how"])


def transfer(found):
    rows = [{"network": row["network"], "top-1, %": percent(row, "accuracy")} for row in found["rows"]]
    return pd.DataFrame(rows)


def exports(rows):
    """The frame of `summaries.exports` as texts."""

    def ranges(key, scale=100, digits=1):
        if key not in rows:  # no labels are known where there are none of CIFAR-10's networks
            return NONE
        bounds = [scale * rows[f"{key}{end}"] for end in ("", "_low", "_high")]
        return [interval(*each, digits) if pd.notna(each[0]) else NONE for each in zip(*bounds, strict=True)]

    shown = {
        "classes": rows.data,
        "network": code(rows.network),
        "format": rows.format,
        "bytes": rows.bytes.map("{:,.0f}".format, na_action="ignore").fillna(NONE),
        "images": rows.images.map("{:,.0f}".format, na_action="ignore").fillna(NONE),
        "top-1, %": ranges("accuracy"),
        "same class as Keras, %": ranges("agreement"),
        "largest difference": rows.difference.map("{:.6f}".format, na_action="ignore").fillna(NONE),
        "ms an image": ranges("ms", 1, 2),
    }
    return pd.DataFrame(shown)


# Provenance


def longer_recipe(runs):
    """What the longer trainings' section train was, but for seeds, epochs and AlexNet's rate; empty without them."""
    return next((run.trainings.params.iloc[0]["train"] for run in runs[1:] if len(run.trainings)), {})


def provenance(runs, recipe):
    """The recipes of the laptop's trainings and of the longer ones, and their images."""
    first, longer = runs[0].trainings.iloc[0], longer_recipe(runs)
    images = f"{first.train_images:,} for training, {first.test_images:,} for testing"
    rows = [("images", images, images if longer else NONE)]
    rows += [(f"`train.{key}`", value, longer.get(key, NONE)) for key, value in recipe.items()]
    return pd.DataFrame(rows, columns=["what", "laptop", "longer runs, but for AlexNet's rate"])
