"""The paper's three advantages of small networks (Section 1): communication in training, updates, memory."""

import json
import re
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import stats

from replication import params, paths
from replication.report import figures
from replication.report.answers import model_of
from replication.report.tables import NONE, code
from replication.results import conditions
from squeezenet import costs, models

PLAIN = "float32"
SMALL = {"side": 32, "classes": 10}  # as stage train has CIFAR-10
SHOWN = ("squeezenet", "squeezenet_11", "complex_bypass", "alexnet")  # in the figure of memory


class Advantages(NamedTuple):
    """What has been measured; frames are empty where nothing has.

    Attributes:
        communication: one row for each network, dtype and repeat: bytes and seconds of an update.
        updates: one row for each network, form and way to its next version: bytes.
        arenas: one row for each network, image size and bits: LiteRT's bytes of activations beside liveness'.
        trained: network -> what it was trained on, for the conditions.
        cited: (subject, quantity) -> value, of data/paper/cited.csv.
        links: name -> Mbit/s.
    """

    communication: pd.DataFrame = pd.DataFrame()
    updates: pd.DataFrame = pd.DataFrame()
    arenas: pd.DataFrame = pd.DataFrame()
    trained: pd.DataFrame = pd.DataFrame()
    cited: pd.Series = pd.Series()
    links: dict = MappingProxyType({})


def read(folder=paths.DATA):
    """Read what `make communication` and stage `advantages` left."""
    counted = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("evidence/communication/*.json"))]
    stage = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("advantages/*/advantages.json"))]
    cited = pd.read_csv(paths.PAPER / "cited.csv").set_index(["subject", "quantity"]).value
    return Advantages(
        per_update(counted),
        pd.DataFrame([row for found in stage for row in found["updates"]]),
        pd.DataFrame([row for found in stage for row in found["arenas"]]),
        pd.DataFrame([{key: found[key] for key in found if key not in ("updates", "arenas")} for found in stage]),
        cited,
        params.read("advantages", dict)["links"],
    )


def printed(paper, subject, unit):
    """A number that Section 1 prints."""
    rows = paper[(paper["where"] == "Section 1") & paper.subject.str.startswith(subject) & (paper.unit == unit)]
    return float(rows.printed.item().lstrip("<"))


# Communication


def per_update(counted):
    """The rows of data/evidence/communication, one for each repeat: bytes of an update without what runs idle."""
    rows = []
    for row in counted:
        each = {
            key: row[key]
            for key in ("variant", "dtype", "parameters", "tensors", "cores", "hardware", "versions", "commit")
        }
        for sent, idle, seconds, alone in zip(
            row["bytes"], row["idle_bytes"], row["seconds"], row["seconds_alone"], strict=True
        ):
            found = {"bytes": (sent - idle) / row["updates"], "idle": idle / row["updates"]}
            rows.append(each | found | {"seconds": seconds / row["updates"], "share": 1 - alone / seconds})
    return pd.DataFrame(rows)


class Fit(NamedTuple):
    """Bytes of an update against parameters, by least squares over networks; each value with its 95% interval.

    Attributes:
        slope: bytes a parameter.
        intercept: bytes of a network without parameters.
        r2: share of the variance that is explained.
        exponent: k of bytes = c x parameters^k; 1 is proportional.
        networks: how many.
        line: statsmodels' result, for predictions.
    """

    slope: tuple
    intercept: tuple
    r2: tuple
    exponent: tuple
    networks: int
    line: object

    def predict(self, parameters):
        """Bytes of an update of other networks: value, low, high."""
        exog = sm.add_constant(np.array([0.0, parameters]))[1:]
        frame = self.line.get_prediction(exog).summary_frame()
        return tuple(frame.loc[0, ["mean", "obs_ci_lower", "obs_ci_upper"]].clip(lower=0))


def fit(rows):
    """The regression over networks, each by the mean of its repeats, which hardly differ; None for fewer than three."""
    means = rows.groupby("variant")[["parameters", "bytes"]].mean() if len(rows) else rows
    if len(means) < 3:
        return None
    parameters, sent = means.parameters.to_numpy(float), means.bytes.to_numpy(float)
    line = sm.OLS(sent, sm.add_constant(parameters)).fit()
    power = sm.OLS(np.log(sent), sm.add_constant(np.log(parameters))).fit()
    (intercept, slope), exponent = zip(line.params, *line.conf_int().T, strict=True), (power.params, power.conf_int())
    r = stats.pearsonr(parameters, sent).confidence_interval()
    r2 = line.rsquared, max(r.low, 0) ** 2, r.high**2  # three networks have (-1, 1): nothing is known
    return Fit(slope, intercept, r2, (exponent[0][1], *exponent[1][1]), len(means), line)


def communication_table(rows):
    """Each network: bytes of an update by dtype, and the share of an update's time that the exchange takes."""
    table = rows.groupby(["variant", "dtype"], sort=False).agg(
        parameters=("parameters", "first"),
        low=("bytes", "min"), sent=("bytes", "mean"), high=("bytes", "max"),
        seconds=("seconds", "mean"), share=("share", "mean"), least=("share", "min"), most=("share", "max"),
    )  # fmt: skip
    table = table.reset_index().sort_values(["dtype", "parameters"], key=lambda x: x.replace(PLAIN, ""))
    shown = {
        "network": code(table.variant),
        "dtype policy": table.dtype,
        "parameters": table.parameters.map("{:,}".format),
        "MB an update, three counts": [
            f"{row.sent / 1e6:.3f} [{row.low / 1e6:.3f}, {row.high / 1e6:.3f}]" for row in table.itertuples()
        ],
        "bytes a parameter": (table.sent / table.parameters).map("{:.2f}".format),
        "seconds": table.seconds.map("{:.2f}".format),
        "share of them, %": [
            f"{100 * row.share:.0f} [{100 * row.least:.0f}, {100 * row.most:.0f}]" for row in table.itertuples()
        ],
    }
    return pd.DataFrame(shown)


def fits_table(rows):
    """The regression by dtype."""
    fits = {dtype: fit(each) for dtype, each in rows.groupby("dtype", sort=False)}
    texts = [
        {
            "dtype policy": dtype,
            "networks": found.networks,
            "bytes a parameter": _interval(found.slope, "{:.3f}"),
            "intercept, kB": _interval([value / 1e3 for value in found.intercept], "{:,.0f}"),
            "R^2": _interval(found.r2, "{:.5f}"),
            "exponent": _interval(found.exponent, "{:.3f}"),
        }
        for dtype, found in sorted(fits.items(), key=lambda item: item[0] != PLAIN)
        if found
    ]
    return pd.DataFrame(texts)


def training_table(ours):
    """What AlexNet and SqueezeNet for ImageNet would move in an epoch, and in the paper's updates."""
    line = fit(ours.communication[ours.communication.dtype == PLAIN])
    updates = ours.cited["SqueezeNet's solver", "updates"]
    images = ours.cited["ImageNet", "training images"] / ours.cited["SqueezeNet's solver", "images to an update"]
    rows = []
    for name in ("alexnet", "squeezenet"):
        parameters = model_of({"model": name}).count_params()
        each = np.array(line.predict(parameters))
        rows.append(
            {
                "network, for ImageNet": f"`{name}`",
                "parameters": f"{parameters:,}",
                "MB an update": _interval(each / 1e6, "{:,.1f}"),
                "GB an epoch": _interval(each * images / 1e9, "{:,.0f}"),
                f"TB in {updates:,.0f} updates": _interval(each * updates / 1e12, "{:,.1f}"),
            }
        )
    return pd.DataFrame(rows)


def _interval(values, form):
    value, low, high = (form.format(value) for value in values)
    return f"{value} [{low}, {high}]"


def communication_figure(rows):
    """Bytes of an update against parameters, with the line that fits; a count a point."""
    figure, (axis,) = figures.subplots(1, True, width=8.2, height=4)
    plain = rows[rows.dtype == PLAIN]
    for (dtype, each), marker, colour in zip(
        sorted(rows.groupby("dtype"), key=lambda item: item[0] != PLAIN), "os^",
        (figures.BLUE, figures.ORANGE, figures.GREY), strict=False,
    ):  # fmt: skip
        look = {"marker": marker, "facecolor": colour if dtype == PLAIN else "none", "edgecolor": colour, "s": 36}
        axis.scatter(each.parameters, each.bytes / 1e6, **look, label=dtype, zorder=3)
    if line := fit(plain):
        x = np.geomspace(plain.parameters.min() / 1.5, plain.parameters.max() * 1.5)
        y = line.line.predict(sm.add_constant(x)) / 1e6
        axis.plot(x, y, color=figures.BLUE, linewidth=1, label=f"{line.slope[0]:.2f} bytes a parameter, and a constant")
    for name, each in plain.groupby("variant"):
        place = {"textcoords": "offset points", "xytext": (-8, 4), "ha": "right", "fontsize": "small"}
        axis.annotate(name, (each.parameters.iloc[0], each.bytes.mean() / 1e6), **place)
    axis.set(xscale="log", yscale="log", xlabel="parameters", ylabel="MB between two processes, an update")
    axis.margins(0.12)
    axis.legend(fontsize="small", loc="lower right")
    return figure


# Downloads and updates


def updates_table(ours, paper):
    """Bytes of a first download and of an update, and seconds of either over each link."""
    rows = ours.updates
    shown = {
        "network": code(rows.network),
        "form": rows.form,
        "next version": rows.how + rows.images.map(" ({:,} images)".format),
        "download, bytes": rows.download.map("{:,}".format),
        "update, bytes": rows["update"].map("{:,}".format),
        "of the download": (100 * rows["update"] / rows.download).map("{:.1f}%".format),
        "deflate: download": rows["deflated download"].map("{:,}".format),
        "update with a dictionary": rows["deflated update"].map("{:,}".format),
    }
    links = f"s at {' / '.join(ours.links)}"
    for what in ("download", "update"):
        shown[f"{what}, {links}"] = [_seconds(size, ours.links) for size in rows[what]]
    table = pd.DataFrame(shown)
    size = 1e6 * printed(paper, "AlexNet, communication to a car", "MB")
    theirs = dict.fromkeys(table, NONE) | {"network": "AlexNet for ImageNet, paper", "form": "32 bits"}
    theirs |= {"download, bytes": f"{size:,.0f}", f"download, {links}": _seconds(size, ours.links)}
    return pd.concat([table, pd.DataFrame([theirs])], ignore_index=True)


def _seconds(size, links):
    return " / ".join(f"{8e-6 * size / mbits:,.{0 if 8e-6 * size / mbits >= 10 else 2}f}" for mbits in links.values())


def updates_figure(rows, narrow=False):
    """Bytes of the first download and of each update, by network and form."""
    networks = list(rows.groupby("network", sort=False))
    figure, axes = figures.subplots(len(networks), narrow, width=9, height=3.6, sharex=True)
    for axis, (network, each) in zip(axes, networks, strict=True):
        names = [f"{form}, {how}" for form, how in zip(each.form, each.how, strict=True)]
        place = np.arange(len(each))
        axis.hlines(place, each["update"] / 1e6, each.download / 1e6, color=figures.GREY, linewidth=1)
        for what, marker, colour in (("download", "o", figures.BLUE), ("update", "s", figures.ORANGE)):
            axis.scatter(each[what] / 1e6, place, color=colour, marker=marker, label=what, zorder=3)
            deflated = each[f"deflated {what}"] / 1e6
            axis.scatter(deflated, place, color=colour, marker="|", s=80, label=f"{what}, deflated")
        axis.set(xscale="log", xlabel="MB", title=network, yticks=place)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_yticklabels(names, fontsize="small")
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 if narrow else 4, fontsize="small")
    return figure


# Memory


def files(others, paper):
    """Bytes of compressed networks by network and classes: the smallest of ours; for ImageNet AlexNet's is printed."""
    found = {}
    for name, each in others.compression.items():
        sizes = [row["bytes"] for row in each["rows"] if row["method"] == "Deep Compression"]
        if sizes:
            found[name, SMALL["classes"]] = min(sizes)
    sizes = paper[(paper["where"] == "Table 2") & (paper.quantity == "size")]
    fewest = sizes[sizes.variant == "squeezenet"].bits.astype(int).min()
    for row in others.authors["ours"] if others.authors and others.authors["available"] else ():
        if row["bits"] == fewest:
            found["squeezenet", models.IMAGENET_CLASSES] = row["bytes"]
    for size in sizes[sizes.subject.str.startswith("AlexNet, Deep Compression")].printed:
        found["alexnet", models.IMAGENET_CLASSES] = 1e6 * float(size)
    return found


def memory(variants, compressed):
    """Bytes of inference at batch 1 of every network, for ImageNet's images and for CIFAR-10's.

    Args:
        variants: name -> entry of params.yaml.
        compressed: of `files`.

    Returns:
        A frame with network, side, parameters, macs, moved (bytes at 32 bits), activations (at 32 bits) and the
        bytes in all: at 32 bits, at 32 bits with sums and concatenations in place, at 8 bits, and with the weights
        in their compressed file and 32-bit activations.
    """
    rows = []
    for name, options in variants.items():
        for network in (model_of(options), model_of(options, **SMALL)):
            parameters, live = network.count_params(), costs.live_activations(network)
            file = compressed.get((name, network.output_shape[-1]), np.nan)
            rows.append(
                {
                    "network": name,
                    "side": network.input_shape[1],
                    "parameters": parameters,
                    "macs": costs.macs(network),
                    "moved": 4 * sum(each.moved for each in live),
                    "activations": 4 * max(each.activations for each in live),
                    "32 bits": costs.peak_memory(network),
                    "in place": costs.peak_memory(network, in_place=True),
                    "8 bits": costs.peak_memory(network, 1, 1),
                    "compressed": costs.peak_memory(network, file / parameters),
                }
            )
    return pd.DataFrame(rows)


def memory_table(ours, paper, frame):
    """The frame of `memory` as texts, with who fits; LiteRT's memory of activations beside liveness' where measured."""
    least, most = _limits(paper)
    arenas = (
        ours.arenas if len(ours.arenas) else pd.DataFrame(columns=["network", "side", "bits", "liveness", "litert"])
    )
    arenas = arenas.assign(ratio=arenas.litert / arenas.liveness).set_index(["network", "side", "bits"]).ratio

    def fits(size):
        if pd.isna(size):
            return NONE
        return (
            f"{size / 1e6:.2f}, {'fits' if size <= 1e6 * least else f'under {most:g}' if size < 1e6 * most else 'no'}"
        )

    rows = [
        {
            "network": f"`{row['network']}`",
            "pixels": row["side"],
            "MMACs": f"{row['macs'] / 1e6:,.0f}" if row["macs"] > 1e8 else f"{row['macs'] / 1e6:,.1f}",
            "MB moved": f"{row['moved'] / 1e6:,.1f}",
            "MB of weights": f"{4 * row['parameters'] / 1e6:.2f}",
            "of activations": f"{row['activations'] / 1e6:.2f}",
            "32 bits": fits(row["32 bits"]),
            "32 bits, in place": fits(row["in place"]),
            "8 bits": fits(row["8 bits"]),
            "Deep Compression": fits(row["compressed"]),
            "LiteRT's activations by ours, 32 and 8 bits": ", ".join(
                f"{arenas[row['network'], row['side'], bits]:.3f}"
                for bits in (32, 8)
                if (row["network"], row["side"], bits) in arenas.index
            )
            or NONE,
        }
        for row in frame.sort_values("side", ascending=False, kind="stable").to_dict("records")
    ]
    return pd.DataFrame(rows)


def _limits(paper):
    return printed(paper, "FPGA's on-chip memory", "MBytes"), printed(paper, "FPGAs often have less", "MB")


def memory_figure(variants, paper, narrow=False):
    """Memory while each layer computes: weights and live activations, stacked, and the paper's two limits."""
    names = [name for name in SHOWN if name in variants]
    figure, axes = figures.subplots(len(names), narrow, width=9, height=3.4)
    for axis, name in zip(axes, names, strict=True):
        network = model_of(variants[name])
        live = costs.live_activations(network)
        place, weights = np.arange(len(live)), 4e-6 * network.count_params()
        held = np.array([4e-6 * each.activations for each in live])
        axis.bar(place, weights, 1, color=figures.BLUE, alpha=0.6, label="weights", linewidth=0)
        axis.bar(
            place, held, 1, bottom=weights, color=figures.ORANGE, label="live activations", edgecolor="white", lw=0.2
        )
        axis.plot(place, (weights + held) / 4, color="black", linewidth=1, label="both at 8 bits")
        for limit, style in zip(_limits(paper), ("-", "--"), strict=True):
            axis.axhline(limit, color=figures.GREY, linestyle=style, linewidth=1, label=f"{limit:g} MB")
        ticks = [i for i, each in enumerate(live) if re.fullmatch(r"(conv|fire|fc)\d+", each.layer)]
        axis.set(title=name, ylabel="MB", xlim=(-0.5, len(live) - 0.5), xticks=ticks)
        axis.set_xticklabels([live[i].layer for i in ticks], rotation=90, fontsize="x-small")
        axis.grid(axis="x", visible=False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3 if narrow else 5, fontsize="small")
    return figure


# What the report takes


def draw(ours, variants, paper, narrow=False):
    """The figures there is something for: name -> matplotlib figure."""
    drawn = {}
    if set(SHOWN) & set(variants):
        drawn["memory"] = memory_figure(variants, paper, narrow)
    if len(ours.updates):
        drawn["updates"] = updates_figure(ours.updates, narrow)
    if len(ours.communication) and not narrow:
        drawn["communication"] = communication_figure(ours.communication)
    return drawn


def context(ours, variants, others, paper):
    """What the template shows: the paper's numbers, ours, and tables by name."""
    least, most = _limits(paper)
    frame = memory(variants, files(others, paper))
    shown = {
        "car": printed(paper, "AlexNet, communication to a car", "MB"),
        "least": least,
        "most": most,
        "mbits": printed(paper, "FPGA's on-chip memory", "Mbits"),
        "memory": frame.set_index(["network", "side"]),
        "tables": {"memory": memory_table(ours, paper, frame)},
        "hardware": ", ".join(ours.communication.hardware.unique()) if len(ours.communication) else "",
        "cores": int(ours.communication.cores.max()) if len(ours.communication) else 0,
        "conditions": conditions(ours.trained) if len(ours.trained) else "",
    }
    if len(ours.communication):
        shown["tables"]["communication"] = communication_table(ours.communication)
        if fit(ours.communication[ours.communication.dtype == PLAIN]):
            shown["tables"] |= {"fits": fits_table(ours.communication), "training": training_table(ours)}
    if len(ours.updates):
        shown["tables"]["updates"] = updates_table(ours, paper)
    return shown


def answer(ours):
    """How a claim of the tests "proportional" and "less to send" is answered: a function for `claims.assess`."""

    def answered(claim):
        return {"proportional": proportional, "less to send": less_to_send}[claim.test](claim, ours)

    return answered


def proportional(claim, ours):
    """Whether bytes grow as the first power of parameters: the exponent's interval lies within the margin around 1."""
    counted = ours.communication
    counted = counted[(counted.dtype == PLAIN) & counted.variant.isin(claim.first.split())] if len(counted) else counted
    line = fit(counted)
    if line is None:
        return {}
    value, low, high = line.exponent
    margin = float(claim.margin.strip("%")) / 100
    outside = low > 1 + margin or high < 1 - margin
    inside = low > 1 - margin and high < 1 + margin
    return {
        "effect": value, "low": low, "high": high, "unit": "power of parameters", "threshold": 1 - margin,
        "against": True if outside else False if inside else None,
        "n": f"{line.networks} networks, {len(counted) // line.networks} counts",
        "words": f"{_interval(line.slope, '{:.2f}')} bytes a parameter; exponent {_interval(line.exponent, '{:.3f}')}",
    }  # fmt: skip


def less_to_send(claim, ours):
    """Whether a network's every download and update is smaller than the other's, by more than `margin` times."""
    rows = ours.updates
    if not len(rows) or not {claim.first, claim.second} <= set(rows.network):
        return {}
    sizes = rows.set_index(["network", "form", "how"])[["download", "update"]].stack()
    ratio = (sizes[claim.second] / sizes[claim.first]).dropna()
    form, how, what = ratio.idxmin()
    return {
        "effect": ratio.min(), "threshold": float(claim.margin), "unit": "x",
        "against": bool(ratio.min() <= float(claim.margin)), "n": f"{len(ratio)} sizes",
        "words": f"{ratio.min():.1f} to {ratio.max():.1f} times fewer bytes; least for the {what}: {form}, {how}",
    }  # fmt: skip
