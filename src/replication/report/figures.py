"""The paper's figures from the evidence, and its diagrams from the Keras models' own graphs.

Every figure is 5.5 inches wide at most, so that its letters can be read on a screen of 400 pixels.
"""

import io

import keras
import matplotlib as mpl
import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import seaborn as sns
from keras import layers

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
    """A figure as the bytes of an SVG, closed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    plt.close(figure)
    return buffer.getvalue()


def table3(paper, runs):
    """Table 3: the paper's top-1 accuracies (left), and ours with a dot for each seed, a line at the mean of several.

    Args:
        paper: frame with architecture, top-1 (%) and network.
        runs: title -> frame with name and accuracy, a row per training.
    """
    figure, (left, *ours) = plt.subplots(1, 1 + len(runs), sharey=True, figsize=(WIDTH, 2.2))
    names = dict(zip(paper.network, paper.architecture, strict=True))
    left.plot(paper["top-1 (%)"].astype(float), names.values(), "s", color=ORANGE, markersize=7)
    left.set(title="Paper:\nImageNet", xlabel="top-1, %")
    for axis, (title, trained) in zip(ours, runs.items(), strict=True):
        place, top1 = trained.name.map(names), 100 * trained.accuracy
        sns.swarmplot(x=top1, y=place, order=names.values(), ax=axis, color=BLUE, size=4.5)
        means = top1.groupby(place).mean()[top1.groupby(place).size() > 1]
        axis.plot(means, means.index, "|k", markersize=20, zorder=3)
        axis.set(title=title, xlabel="top-1, %", ylabel="")
    for axis in figure.axes:
        axis.margins(0.15, 0.2)
        axis.grid(axis="y", visible=False)
    return figure


def microarchitecture(paper, trained, xlabel, title):
    """Figure 3: the paper's ImageNet top-5 (above) and our top-1 (below) against model size.

    Args:
        paper: frame with point, size (MB), top-5 (%), source (printed, or drawn: an empty marker) and network.
        trained: frame with name, accuracy and parameters, a row per training: a dot each, joined at their means.
        xlabel: what the labels beside the points are.
        title: of our trainings.
    """
    figure, (above, below) = plt.subplots(2, 1, figsize=(WIDTH, 5.6))
    size, accuracy = paper["size (MB)"].astype(float), paper["top-5 (%)"].astype(float)
    drawn, labels = paper.source == "drawn", paper.point.str.extract(r"([\d.]+%?)")[0]
    above.plot(size, accuracy, "s-", color=ORANGE, label="printed")
    above.plot(size[drawn], accuracy[drawn], "s", color=ORANGE, markerfacecolor="white", label="read off the drawing")
    above.legend(fontsize="small", loc="lower right")
    above.set(title="Paper: ImageNet", xlabel="model size, MB", ylabel="top-5 accuracy, %")
    rows = trained.groupby("name").agg({"accuracy": "mean", "parameters": "first"}).loc[paper.network]
    mebibytes = 4 * rows.parameters / costs.MIB
    below.plot(mebibytes, 100 * rows.accuracy, "-", color=BLUE)
    below.plot(4 * trained.parameters / costs.MIB, 100 * trained.accuracy, "o", color=BLUE, markersize=4, alpha=0.8)
    below.set(title=title, xlabel="model size, MiB", ylabel="top-1 accuracy, %")
    for axis, x, y in ((above, size, accuracy), (below, mebibytes, 100 * rows.accuracy)):
        for i, (a, b, label) in enumerate(zip(x, y, labels, strict=True)):  # in turn above and below the curve
            place = ((8, -10), "top") if i % 2 else ((-8, 6), "bottom")
            axis.annotate(label, (a, b), place[0], textcoords="offset points", ha="center", va=place[1])
        axis.margins(0.12, 0.2)
    figure.supxlabel(f"labels: {xlabel}", fontsize="small", color=GREY)
    return figure


def lengths(effects, paper):
    """What the bypasses gain at each training length; dashed: the paper's gain.

    Args:
        effects: frame with bypass, epochs, effect, low and high (points).
        paper: bypass -> the paper's effect in points of top-1, on ImageNet.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2))
    for (bypass, rows), colour, marker in zip(effects.groupby("bypass"), (BLUE, ORANGE), "os", strict=False):
        errors = np.array([rows.effect - rows.low, rows.high - rows.effect])
        axis.errorbar(rows.epochs, rows.effect, errors, color=colour, marker=marker, capsize=3, label=bypass)
        axis.axhline(
            paper[bypass], color=colour, linestyle="--", linewidth=1, label=f"{bypass}: the paper, on ImageNet"
        )
    axis.axhline(0, color=GREY, linewidth=0.8)
    axis.set(xscale="log", xlabel="epochs", ylabel="points of top-1 above squeezenet")
    axis.set_xticks(effects.epochs.unique(), effects.epochs.unique())
    axis.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axis.legend(fontsize="small")
    return figure


# Diagrams


def graph(model, part=lambda name: name):
    """A Keras model as a directed graph of its layers' names, or of the parts that these belong to."""
    made = {id(layer.output): part(layer.name) for layer in model.layers}
    edges = ((made[id(x)], made[id(layer.output)]) for layer in model.layers for x in keras.tree.flatten(layer.input))
    return nx.DiGraph((a, b) for a, b in edges if a != b)


def fire_module(model):
    """Figure 1: fire2, drawn from the model's graph."""
    network = graph(model)
    names = [name for name in network if _module(name) == "fire2"]
    network = network.subgraph([*names, *network.predecessors("fire2_squeeze1x1")])
    place = {}
    for depth, generation in enumerate(nx.topological_generations(network)):
        for i, name in enumerate(sorted(generation)):
            place[name] = i - (len(generation) - 1) / 2, -depth
    figure, axis = plt.subplots(figsize=(WIDTH, 3.5))
    _diagram(axis, network, place, {name: f"{name}\n{_detail(model.get_layer(name))}" for name in place}, model)
    axis.set(xlim=(-1, 1), ylim=(min(y for _, y in place.values()) - 0.4, 0.4))
    return figure


def macroarchitectures(networks):
    """Figure 2: the modules of each network (title -> Keras model) with its bypasses, drawn from the models' graphs."""
    graphs = {title: graph(model, _module) for title, model in networks.items()}
    chains = (modules.subgraph(x for x in modules if not x.endswith("bypass1x1")) for modules in graphs.values())
    longest = max(map(nx.dag_longest_path, chains), key=len)  # modules of a name stand side by side, at its heights
    figure, axes = plt.subplots(1, len(networks), figsize=(WIDTH * 1.2, 8))
    for axis, (title, model) in zip(axes, networks.items(), strict=True):
        modules = graphs[title]
        place = {name: (0, -i) for i, name in enumerate(longest) if name in modules}
        for name in [name for name in modules if name not in place]:  # the convolutions of a complex bypass
            place[name] = 1.6, np.mean([place[end][1] for end in nx.all_neighbors(modules, name)])
        channels = {name: _layer(model, name).output.shape[-1] for name in place}
        texts = {name: "+" if name.endswith("bypass") else f"{name}, {channels[name]}" for name in place}
        texts |= {name: f"1x1, {channels[name]}" for name in place if name.endswith("bypass1x1")}
        _diagram(axis, modules, place, texts, model)
        axis.set(xlim=(-1, 2.3), ylim=(-len(longest), 0.6))
        axis.set_title(title, x=0.3)
    return figure


def _module(name):
    """fire2 for fire2_squeeze1x1; a bypass' convolution and sum stand for themselves."""
    return name if "bypass" in name else name.split("_")[0]


def _layer(model, name):
    return model.layers[0] if name == "input" else model.get_layer(name)


def _detail(layer):
    if isinstance(layer, layers.Conv2D):
        size = "x".join(map(str, layer.kernel_size))
        return f"{layer.filters} filters of {size}, {layer.activation.__name__.replace('relu', 'ReLU')}"
    return f"{'concatenation, ' if isinstance(layer, layers.Concatenate) else ''}{layer.output.shape[-1]} channels"


def _colour(layer):
    """Convolutions, fire modules, poolings and the rest: apart in grey print too."""
    if isinstance(layer, layers.Concatenate):
        return "#cfe3f3"
    if isinstance(layer, layers.Conv2D):
        return "#f9dfc0"
    return "#e3e3e3" if "pool" in layer.name else "white"


def _diagram(axis, network, place, texts, model):
    """Boxes with texts, and arrows between them; an arrow past other boxes goes around them."""
    boxes = {}
    for name, (x, y) in place.items():
        box = {"boxstyle": "round,pad=0.4", "facecolor": _colour(_layer(model, name)), "edgecolor": GREY}
        boxes[name] = axis.text(x, y, texts[name], ha="center", va="center", fontsize="small", bbox=box)
    for start, end in sorted(network.edges):
        (x, y), (x_end, y_end) = place[start], place[end]
        around = any(x == x_end == x_box and y > y_box > y_end for x_box, y_box in place.values())
        arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8}
        arrow |= {"patchA": boxes[start].get_bbox_patch(), "patchB": boxes[end].get_bbox_patch()}
        arrow["color"] = ORANGE if around or "bypass1x1" in start + end else GREY
        arrow["connectionstyle"] = "bar,fraction=-0.9" if around else "arc3"
        axis.annotate("", (x_end, y_end), (x, y), arrowprops=arrow)
    axis.axis("off")
