"""The paper's figures from the evidence, and its diagrams from the Keras models' own graphs.

Every figure is 5.5 inches wide at most, so that its letters can be read on a screen of 400 pixels.
"""

import io
from itertools import pairwise

import keras
import matplotlib as mpl
import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import seaborn as sns
from keras import layers
from matplotlib.patches import FancyBboxPatch

from squeezenet import costs

BLUE, ORANGE, *_ = sns.color_palette("colorblind")
GREY = "0.35"
WIDTH = 5.5  # inches
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


def table3(paper, trained, title):
    """Table 3: the paper's top-1 accuracies (left), and ours with a dot for each seed (right).

    Args:
        paper: frame with architecture, top-1 (%) and network.
        trained: frame with name and accuracy, one row a training.
        title: of our trainings.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.9))
    names = [name.replace(" ", "\n") for name in paper.architecture]
    place = np.arange(len(names))
    left.plot(place, paper["top-1 (%)"].astype(float), "s", color=ORANGE, markersize=7)
    for i, network in enumerate(paper.network):
        accuracy = 100 * trained.accuracy[trained.name == network]
        spread = np.linspace(-0.15, 0.15, len(accuracy)) if len(accuracy) > 1 else [0]
        right.plot(i + np.array(spread), accuracy, "o", color=BLUE, markersize=4, alpha=0.8)
        right.hlines(accuracy.mean(), i - 0.3, i + 0.3, color="black", linewidth=1.2)
    left.set(title="Paper:\nImageNet", ylabel="top-1 accuracy, %")
    right.set(title=title)
    for axis in (left, right):
        axis.set_xticks(place, names)
        axis.set_xlim(-0.5, len(names) - 0.5)
        axis.margins(y=0.15)
        axis.grid(axis="x", visible=False)
    return figure


def microarchitecture(paper, trained, xlabel, title):
    """Figure 3: the paper's ImageNet top-5 (above) and our top-1 (below) against model size.

    Args:
        paper: frame with label, size (MB), top-5 (%), source (printed, or drawn: an empty marker) and network.
        trained: frame with name, accuracy and parameters, one row a training: a dot each, joined at their means.
        xlabel: what the labels beside the points are.
        title: of our trainings.
    """
    figure, (above, below) = plt.subplots(2, 1, figsize=(WIDTH, 5.6))
    size, accuracy = paper["size (MB)"].astype(float), paper["top-5 (%)"].astype(float)
    drawn = paper.source == "drawn"
    above.plot(size, accuracy, "s-", color=ORANGE, label="printed")
    above.plot(size[drawn], accuracy[drawn], "s", color=ORANGE, markerfacecolor="white", label="read off the drawing")
    above.legend(fontsize="small", loc="lower right")
    above.set(title="Paper: ImageNet", xlabel="model size, MB", ylabel="top-5 accuracy, %")
    rows = trained.groupby("name").agg({"accuracy": "mean", "parameters": "first"}).loc[paper.network]
    mebibytes = costs.mebibytes(rows.parameters)
    below.plot(mebibytes, 100 * rows.accuracy, "-", color=BLUE)
    below.plot(costs.mebibytes(trained.parameters), 100 * trained.accuracy, "o", color=BLUE, markersize=4, alpha=0.8)
    below.set(title=title, xlabel="model size, MiB", ylabel="top-1 accuracy, %")
    for axis, x, y in ((above, size, accuracy), (below, mebibytes, 100 * rows.accuracy)):
        for i, (a, b, label) in enumerate(zip(x, y, paper.label, strict=True)):  # in turn above and below the curve
            place = ((8, -10), "top") if i % 2 else ((-8, 6), "bottom")
            axis.annotate(label, (a, b), place[0], textcoords="offset points", ha="center", va=place[1])
        axis.margins(0.12, 0.2)
    figure.supxlabel(f"labels: {xlabel}", fontsize="small", color=GREY)
    return figure


def lengths(effects, paper, vanilla="squeezenet"):
    """What the bypasses gain at each training length; dashed: the paper's gain.

    Args:
        effects: frame with bypass, epochs, effect, low and high (points).
        paper: bypass -> the paper's effect in points of top-1, on ImageNet.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2))
    for (bypass, rows), colour, marker in zip(effects.groupby("bypass"), (BLUE, ORANGE), "os", strict=False):
        errors = np.array([rows.effect - rows.low, rows.high - rows.effect])
        axis.errorbar(rows.epochs, rows.effect, errors, color=colour, marker=marker, capsize=3, label=bypass)
        axis.axhline(paper[bypass], color=colour, linestyle="--", linewidth=1)
    axis.axhline(0, color=GREY, linewidth=0.8)
    axis.set(xscale="log", xlabel="epochs", ylabel=f"points of top-1 above {vanilla}")
    axis.set_xticks(effects.epochs.unique(), effects.epochs.unique())
    axis.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axis.legend(fontsize="small")
    return figure


def graph(model):
    """The layers of a Keras model as a directed graph of their names."""
    names = {str(id(layer)): layer.name for layer in model.layers}
    edges = keras.utils.model_to_dot(model).get_edge_list()
    return nx.DiGraph((names[edge.get_source().strip('"')], names[edge.get_destination().strip('"')]) for edge in edges)


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
    figure, axis = plt.subplots(figsize=(WIDTH, 3.8))
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
    figure, axes = plt.subplots(1, len(networks), figsize=(WIDTH * 1.2, 7.6), squeeze=False)
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
