"""The paper's figures from our results, and its diagrams from the Keras models' own graphs."""

import io
import textwrap
from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pandas as pd
import seaborn as sns
from keras import layers
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

from replication.report.answers import graph
from squeezenet.weights import sqnt

BLUE, ORANGE, *_ = sns.color_palette("colorblind")
GREY = "0.35"
STYLE = {
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": 10,
    "svg.hashsalt": "squeezenet",  # the same results give the same bytes
}


def style():
    """One look for all figures: colour-blind palette, white ground, no two series that only colour tells apart."""
    sns.set_theme(context="paper", style="whitegrid", palette="colorblind", font_scale=1.1, rc=STYLE)


def encode(figure):
    """A figure as {"svg": bytes, "png": bytes}, closed."""
    files = {}
    for kind, metadata in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=160, metadata=metadata, bbox_inches="tight")
        files[kind] = buffer.getvalue()
    plt.close(figure)
    return files


def subplots(count, narrow, width=8.2, height=3.5, **options):
    """Axes for panels that stand in two columns, or on a narrow screen in one."""
    columns = 1 if narrow else 2
    rows = -(-count // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(width * columns / 2, height * rows), squeeze=False, **options)
    for axis in axes.flat[count:]:
        axis.axis("off")
    return figure, axes.flat[:count]


def microarchitecture(paper, ours, seeds, xlabel, dataset, narrow=False):
    """Figure 3: the paper's ImageNet top-5 (left) and our accuracy (right) against model size.

    Args:
        paper: frame with label, size (MB), accuracy (%) and source: printed, or drawn, which has an empty marker.
        ours: frame with label, mebibytes, accuracy, low and high (%), in the order of the metaparameter.
        seeds: frame with mebibytes and accuracy (%) of each training; drawn where there are several to a network.
        xlabel: what the labels beside the points are.
        dataset: of our accuracy, with epochs, seeds and n.
        narrow: whether the panels stand below each other.
    """
    figure, (left, right) = subplots(2, narrow)
    _series(left, paper["size"], paper.accuracy, None, paper.label, ORANGE, "s")
    drawn = paper[paper.source == "drawn"]
    left.plot(
        drawn["size"],
        drawn.accuracy,
        "s",
        color=ORANGE,
        markerfacecolor="white",
        zorder=4,
        label="read off the drawing",
    )
    left.legend(fontsize="x-small", loc="lower right")
    left.set(title="Paper: ImageNet", xlabel="model size, MB", ylabel="top-5 accuracy, %")
    errors = np.abs(np.array([ours.accuracy - ours.low, ours.high - ours.accuracy]))
    _series(right, ours.mebibytes, ours.accuracy, errors, ours.label, BLUE, "o")
    if len(seeds) > len(ours):
        right.scatter(seeds.mebibytes, seeds.accuracy, s=9, color=GREY, zorder=3)
    right.set(title=textwrap.fill(f"Ours: {dataset}", 60), xlabel="model size, MiB", ylabel="top-1 accuracy, %")
    figure.supxlabel(f"labels: {xlabel}", fontsize="small", color=GREY)
    return figure


def _series(axis, x, y, errors, names, colour, marker):
    """Points joined by a line, labelled upper left and lower right in turn: the free sides of a rising curve."""
    axis.errorbar(x, y, errors, color=colour, marker=marker, markersize=6, capsize=3, linewidth=1.3)
    errors = np.zeros((2, len(x))) if errors is None else errors
    for i, (a, b, name, (low, high)) in enumerate(zip(x, y, names, errors.T, strict=True)):
        below = i % 2 == 1
        axis.annotate(
            name,
            (a, b - low if below else b + high),
            (10, -7) if below else (-9, 5),
            textcoords="offset points",
            ha="center",
            va="top" if below else "bottom",
            fontsize="small",
        )
    axis.margins(0.14, 0.16)


def accuracy_against_size(paper, results, dataset, named, narrow=False):
    """All networks of 32 bits: accuracy against model size on a logarithmic axis, the paper's (left) and ours (right).

    Args:
        paper: of `summaries.printed_networks`.
        results: of `summaries.summarise`.
        dataset: of our accuracy.
        named: the families whose networks carry their names.
        narrow: whether the panels stand below each other.
    """
    figure, (left, right) = subplots(2, narrow, width=11, height=4.6)
    families = results.family.unique()
    looks = dict(zip(families, zip("osD^vP", sns.color_palette("colorblind"), strict=False), strict=False))
    for order, (family, (marker, colour)) in zip(range(9, 0, -1), looks.items(), strict=False):  # the first on top
        rows, printed = results[results.family == family], paper[paper.family == family]
        left.scatter(printed.mebibytes, printed.accuracy, s=45, marker=marker, color=colour)
        errors = np.abs(np.array([rows.accuracy - rows.low, rows.high - rows.accuracy]))
        right.errorbar(
            rows.mebibytes, rows.accuracy, errors, fmt=marker, color=colour, label=family, capsize=3, markersize=7,
            zorder=order,
        )  # fmt: skip
    left.set(title="Paper: ImageNet", xlabel="model size, MB", ylabel="top-5 accuracy, %")
    right.set(title=f"Ours: {dataset}", xlabel="model size, MiB of 32-bit parameters", ylabel="top-1 accuracy, %")
    for axis, shown in ((left, paper), (right, results)):
        _names_beside(axis, shown[shown.family.isin(named)], 0.035 * np.ptp(shown.accuracy))
        axis.set(xscale="log", xlim=(results.mebibytes.min() / 4, paper.mebibytes.max() * 1.4))
        plain_log(axis.xaxis)
    right.legend(loc="lower right", fontsize="small")
    return figure


def _names_beside(axis, rows, gap):
    """Names to the left of their points; those of networks of one size keep clear of each other."""
    rows = rows.sort_values("accuracy")
    for _, alike in rows.groupby(np.log2(rows.mebibytes).round(1)):
        steps = gap * np.arange(len(alike))
        heights = np.maximum.accumulate(alike.accuracy - steps) + steps
        for x, y, name in zip(alike.mebibytes, heights, alike.variant, strict=True):
            axis.annotate(name, (x, y), (-7, 0), textcoords="offset points", ha="right", va="center", fontsize="small")


def plain_log(axis):
    """Numbers of a logarithmic x or y axis without powers."""
    axis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
    axis.set_minor_formatter(mpl.ticker.NullFormatter())


STEPS = {  # what a step's name ends with -> its colour and marker in every panel
    "none": ("black", "o"),
    "svd": ("tab:brown", "X"),
    "pruned": ("tab:orange", "s"),
    "shared": ("tab:green", "^"),
    "Huffman": ("tab:blue", "v"),
    "coded": ("tab:purple", "D"),
    "dense, retrained": ("0.45", "P"),
    "dense, fine-tuned": ("0.65", "P"),
}


def compression(steps, dataset, narrow=False):
    """Deep Compression of each network: accuracy after each step against bytes, and what the bytes are for.

    Args:
        steps: frame with network, step, bytes, fixed_length (bytes before entropy coding), validation (accuracy)
            and the sections of `sqnt`.
    """
    networks = list(steps.groupby("network", sort=False))
    figure, axes = subplots(2 * len(networks), narrow, width=9, height=3.2)
    for i, (network, rows) in enumerate(networks):
        left, right = axes[2 * i], axes[2 * i + 1]
        coded = rows[rows.step.str.endswith("bit")]
        points = pd.concat([rows[~rows.step.str.endswith("bit")], coded.assign(step=coded.step + ", coded")])
        points = pd.concat([points, coded.assign(step=coded.step + ", shared", bytes=coded.fixed_length)])
        for name, (colour, marker) in STEPS.items():
            these = points[points.step.str.endswith(name)]
            left.scatter(these.bytes / 1000, 100 * these.validation, s=45, color=colour, marker=marker)
            for row in these[these.step.str.contains(" bit")].itertuples():
                bits = row.step.partition(" bit")[0]
                below = name == "shared"  # which stands close to coded
                place = {"xytext": (0, -5 if below else 5), "va": "top" if below else "bottom"}
                place |= {"textcoords": "offset points", "ha": "center", "fontsize": "x-small"}
                left.annotate(bits, (row.bytes / 1000, 100 * row.validation), **place)
        left.set(xscale="log", title=network, xlabel="kB on disk", ylabel="validation accuracy, %")
        plain_log(left.xaxis)
        left.margins(0.1, 0.25)
        stored = rows[rows.step.str.contains("bit|pruned")].set_index("step")[list(sqnt.SECTIONS)] / 1000
        stored.plot.barh(stacked=True, ax=right, xlabel="kB on disk", ylabel="", colormap="viridis", width=0.7)
        right.set_title(network)
        right.legend(fontsize="x-small", loc="lower right")
        right.invert_yaxis()
    handles = [Line2D([], [], linestyle="", color=colour, marker=marker) for colour, marker in STEPS.values()]
    figure.legend(handles, list(STEPS), loc="outside lower center", ncols=2 if narrow else 4, fontsize="small")
    figure.suptitle(dataset, fontsize="medium")
    return figure


def training_curves(history, dataset, narrow=False):
    """Validation accuracy by epoch: the mean of the seeds with their range.

    Args:
        history: of `summaries.curves`.
    """
    panels = list(history.groupby("panel", sort=False))
    figure, axes = subplots(len(panels), narrow, height=3.2, sharex=True, sharey=True)
    for axis, (title, part) in zip(axes, panels, strict=True):
        sns.lineplot(
            part.assign(percent=100 * part.val_accuracy),
            x="epoch",
            y="percent",
            hue="variant",
            style="variant",
            palette=sns.color_palette("colorblind", part.variant.nunique()),
            markers=True,
            dashes=False,
            errorbar=("pi", 100),
            markersize=5,
            markeredgewidth=0.3,
            linewidth=1,
            ax=axis,
        )
        axis.set_title(textwrap.fill(title, 48))
        axis.set(ylabel="validation accuracy, %")
        axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, min_n_ticks=1))
        axis.legend(fontsize="x-small", loc="lower right")
    figure.suptitle(dataset, fontsize="medium")
    return figure


def transfer(curves, classes, narrow=False):
    """Loss and accuracy by epoch on other classes; dashed: every class as likely.

    Args:
        curves: frame with network, epoch, loss and val_accuracy.
        classes: how many.
    """
    figure, (left, right) = subplots(2, narrow, height=2.8)
    for (name, rows), colour, marker in zip(curves.groupby("network", sort=False), (BLUE, ORANGE), "os", strict=False):
        left.plot(rows.epoch, rows.loss, color=colour, marker=marker, label=name)
        right.plot(rows.epoch, 100 * rows.val_accuracy, color=colour, marker=marker, label=name)
    left.axhline(np.log(classes), color=GREY, linestyle="--", linewidth=1)
    right.axhline(100 / classes, color=GREY, linestyle="--", linewidth=1)
    left.set(ylabel="training loss", ylim=0)
    right.set(ylabel="accuracy on test images, %", ylim=0)
    for axis in (left, right):
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, min_n_ticks=1))
    left.legend(fontsize="x-small")
    return figure


def lengths(effects, paper, narrow=False):
    """What the bypasses gain at each training length (left), and the training accuracy that goes with it (right).

    Args:
        effects: of `summaries.lengths`.
        paper: bypass -> the paper's effect in points of top-1, on ImageNet.
    """
    figure, (left, right) = subplots(2, narrow)
    looks = zip(effects.groupby("bypass", sort=False), (BLUE, ORANGE), "os", strict=False)
    for (bypass, rows), colour, marker in looks:
        errors = np.array([rows.effect - rows.low, rows.high - rows.effect])
        left.errorbar(rows.epochs, rows.effect, errors, color=colour, marker=marker, capsize=3, label=bypass)
        left.axhline(paper[bypass], color=colour, linestyle="--", linewidth=1)
        right.plot(rows.epochs, rows["training accuracy"], color=colour, marker=marker, label=bypass)
    vanilla = effects.drop_duplicates("epochs").sort_values("epochs")
    right.plot(vanilla.epochs, vanilla["of vanilla"], color=GREY, marker="^", label="vanilla")
    left.axhline(0, color=GREY, linewidth=0.8)
    left.set(title="bypass minus vanilla; dashed: the paper's", ylabel="points of top-1")
    right.set(title="accuracy on the training images", ylabel="%")
    for axis in (left, right):
        axis.set(xscale="log", xlabel="epochs")
        plain_log(axis.xaxis)
        axis.set_xticks(effects.epochs.unique())
        axis.legend(fontsize="x-small")
    return figure


FORMATS = {  # of an export -> its colour and marker in every panel
    "Keras, predict": ("0.5", "x"),
    "Keras": ("black", "o"),
    "SavedModel": ("tab:brown", "P"),
    "ONNX": ("tab:blue", "s"),
    "LiteRT": ("tab:orange", "^"),
    "LiteRT, 8 bits": ("tab:green", "v"),
    ".sqnt": ("tab:purple", "D"),
}


def exports(rows, machine, narrow=False):
    """Milliseconds of one image against bytes on disk, by format: a mark for each network.

    Args:
        rows: of `summaries.exports`, with milliseconds.
        machine: that they were measured on.
    """
    panels = list(rows.groupby("data", sort=False))
    figure, axes = subplots(len(panels), narrow, width=9)
    for axis, (data, part) in zip(axes, panels, strict=True):
        size = part.bytes.fillna(part.groupby("network").bytes.transform("first"))  # predict runs Keras' file
        for name, (colour, marker) in FORMATS.items():
            these = part.format == name
            axis.scatter(size[these] / 1e6, part.ms[these], s=36, color=colour, marker=marker, label=name, zorder=3)
        axis.set(xscale="log", yscale="log", title=f"networks for {data}", xlabel="MB on disk", ylabel="ms an image")
        plain_log(axis.xaxis)
        plain_log(axis.yaxis)
        axis.margins(0.1, 0.15)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3 if narrow else 7, fontsize="small")
    figure.suptitle(f"one thread, {machine}", fontsize="medium")
    return figure


def fire_module(model, module="fire2"):
    """Figure 1: one fire module, drawn from the model's graph."""
    network = graph(model)
    names = [name for name in network if _module(name) == module]
    (entry,) = {before for name in names for before in network.predecessors(name)} - set(names)
    generations = list(nx.topological_generations(network.subgraph([entry, *names])))
    place = {
        name: ((i - (len(generation) - 1) / 2) * 3.2, -1.4 * depth)
        for depth, generation in enumerate(generations)
        for i, name in enumerate(sorted(generation))
    }
    figure, axis = plt.subplots(figsize=(6.4, 4.2))
    for source, target in sorted(network.subgraph(place).edges):  # a subgraph has the order of a set
        _line(axis, [place[source], place[target]], GREY)
    for name, (x, y) in place.items():
        layer = model.get_layer(name)
        _box(axis, x, y, f"{name}\n{_detail(layer)}", 2.8, 0.8, _colour(layer))
    axis.set(xlim=(-3.2, 3.2), ylim=(-1.4 * (len(generations) - 1) - 0.5, 0.5))
    axis.axis("off")
    return figure


def macroarchitectures(networks):
    """Figure 2: the modules of each network with its bypasses, drawn from the models' graphs.

    Args:
        networks: title -> Keras model.
    """
    graphs = {title: _modules(model) for title, model in networks.items()}
    chains = {title: _chain(modules) for title, modules in graphs.items()}
    longest = max(chains.values(), key=len)  # its heights serve all, so that modules of a name stand side by side
    steps = [0.62 if name.endswith("bypass") else 1 for name in longest]
    height = dict(zip(longest, -np.cumsum(steps), strict=True))
    figure, axes = plt.subplots(1, len(networks), figsize=(2.7 * len(networks), 8.4), squeeze=False)
    for axis, (title, model) in zip(axes.flat, networks.items(), strict=True):
        chain = chains[title]
        after = dict(pairwise(chain))
        fork = {a: (height[a] + height[b]) / 2 for a, b in after.items()}  # where a bypass leaves the chain
        for source, target in after.items():
            _line(axis, [(0, height[source]), (0, height[target])], GREY)
        for source, target in graphs[title].edges:
            if source in after and target != after[source]:
                convolution = target not in height
                (end,) = graphs[title].successors(target) if convolution else (target,)
                lane = [(0, fork[source]), (1.6, fork[source]), (1.6, height[end]), (0.12, height[end])]
                _line(axis, lane, ORANGE)
                if convolution:
                    layer = model.get_layer(target)
                    middle = (fork[source] + height[end]) / 2
                    _box(axis, 1.6, middle, f"{_size(layer)}, {layer.filters}", 1.0, 0.5, _colour(layer))
        for name in chain:
            if name.endswith("bypass"):
                axis.text(
                    0, height[name], "+", ha="center", va="center", zorder=4,
                    bbox={"boxstyle": "circle,pad=0.12", "facecolor": "white", "edgecolor": ORANGE},
                )  # fmt: skip
            else:
                layer = model.layers[0] if name == "input" else model.get_layer(name)
                _box(axis, 0, height[name], f"{name}, {layer.output.shape[-1]}", 1.9, 0.6, _colour(layer))
        axis.set(xlim=(-1.05, 2.2), ylim=(min(height.values()) - 0.5, -0.5))
        axis.set_title(title, x=0.33)
        axis.axis("off")
    return figure


def _module(name):
    """fire2 for fire2_squeeze1x1; a bypass' convolution and sum stand for themselves."""
    return name if "bypass" in name else name.split("_")[0]


def _modules(model):
    edges = ((_module(a), _module(b)) for a, b in graph(model).edges)
    return nx.DiGraph((a, b) for a, b in edges if a != b)


def _chain(modules):
    return nx.dag_longest_path(modules.subgraph(name for name in modules if not name.endswith("bypass1x1")))


def _size(layer):
    return "x".join(map(str, layer.kernel_size))


def _detail(layer):
    if isinstance(layer, layers.Conv2D):
        return f"{layer.filters} filters of {_size(layer)}, {layer.activation.__name__.replace('relu', 'ReLU')}"
    return f"{'concatenation, ' if isinstance(layer, layers.Concatenate) else ''}{layer.output.shape[-1]} channels"


def _colour(layer):
    """Convolutions, fire modules, poolings and the rest: apart in grey print too."""
    if isinstance(layer, layers.Concatenate):
        return "#cfe3f3"
    if isinstance(layer, layers.Conv2D):
        return "#f9dfc0"
    return "#e3e3e3" if "pool" in layer.name else "white"


def _box(axis, x, y, text, width, height, colour):
    box = FancyBboxPatch(
        (x - width / 2, y - height / 2), width, height,
        boxstyle="round,pad=0,rounding_size=0.08", facecolor=colour, edgecolor=GREY, zorder=3,
    )  # fmt: skip
    axis.add_patch(box)
    axis.text(x, y, text, ha="center", va="center", fontsize="small", zorder=5)


def _line(axis, points, colour):
    """A polyline with an arrow head at the middle of its last piece, where no box hides it."""
    xs, ys = zip(*points, strict=True)
    axis.plot(xs, ys, color=colour, linewidth=1.2, zorder=1, solid_joinstyle="round")
    (x0, y0), (x1, y1) = points[-2:]
    middle = ((x0 + x1) / 2, (y0 + y1) / 2)
    axis.annotate(
        "", (middle[0] + (x1 - x0) * 0.01, middle[1] + (y1 - y0) * 0.01), middle,
        arrowprops={"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip
