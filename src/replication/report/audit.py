"""Every number that the paper prints about architecture, size, ratio and compression, held against ours.

Each row of data/paper has a quantity, and each quantity a function in `MEASURES` that computes it
from the Keras models at ImageNet's size, from the authors' released file (as stage `compress`
decodes it) or from other numbers that the paper prints.
"""

import math
import re
from functools import cache
from typing import NamedTuple

import keras
import networkx as nx
import numpy as np
import pandas as pd
from keras import layers

from squeezenet import costs, models

CLASSES = 1000  # of ImageNet
CROP = 227  # pixels, of the authors' train_val.prototxt
FILES = ("table1", "table2", "table3", "figure3", "text")
COMPUTED, DECODED, NOT_HERE = ("computed", "decoded from the authors' file", "not testable here")
EXACT, ROUNDED, CONTRADICTED = "exact", "within printed rounding", "contradicted"
NEEDS_IMAGENET, NEEDS_FILE = "needs ImageNet", "needs the authors' file"
VERDICTS = (EXACT, ROUNDED, CONTRADICTED, NEEDS_IMAGENET, NEEDS_FILE)
FIRE_PARTS = ("squeeze1x1", "expand1x1", "expand3x3")


class Found(NamedTuple):
    """What a printed number is compared with; without `ours`, what it would need."""

    ours: float | str | None
    how: str = COMPUTED
    note: str = ""
    needs: str = ""


def read_paper(folder):
    """The rows of data/paper's tables, figure and text as one frame of strings."""
    frames = [pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False) for name in FILES]
    return pd.concat(frames, ignore_index=True).fillna("")


def audit(paper, variants, authors=None):
    """Compare each printed number with ours.

    Args:
        paper: the frame of `read_paper`. Rows that name a network outside `variants` are left out.
        variants: name -> entry of params.yaml.
        authors: data/authors/authors.json, or None where the authors' file has not been decoded.

    Returns:
        A frame with where, subject, quantity, unit, printed, ours, how, difference, verdict, note.

    Raises:
        ValueError: a row has a quantity that nothing measures.
    """
    evidence = Evidence(paper, variants, authors)
    rows = []
    for row in paper.itertuples():
        if not {row.variant, row.reference} <= {"", *variants}:
            continue
        measure, _, part = row.quantity.partition(", ")
        if measure not in MEASURES:
            raise ValueError(f"data/paper: {row.where}, {row.subject}: nothing measures {row.quantity!r}")
        found = MEASURES[measure](evidence, row, part)
        difference, verdict = judge(row.printed, found.ours)
        rows.append((*row[1:6], _text(found.ours), found.how, _text(difference), verdict or found.needs, found.note))
    columns = ["where", "subject", "quantity", "unit", "printed", "ours", "how", "difference", "verdict", "note"]
    return pd.DataFrame(rows, columns=columns)


def judge(printed, ours):
    """Difference and verdict of one comparison.

    A number holds if ours is less than one unit of the last printed digit away, so that rounding up,
    down and to nearest all pass; a bound (<, >=) holds or not; anything else has to be equal.
    """
    if ours is None:
        return None, None
    number = re.fullmatch(r"(<|>=)?([\d,]*\.?\d+)", printed)
    if not number or isinstance(ours, str):
        return None, EXACT if printed == ours else CONTRADICTED
    bound, digits = number.group(1), number.group(2).replace(",", "")
    difference = ours - float(digits)
    if bound:
        return difference, EXACT if (difference < 0) == (bound == "<") else CONTRADICTED
    if math.isclose(ours, float(digits), rel_tol=1e-9, abs_tol=1e-12):
        return 0, EXACT
    step = 10.0 ** -len(digits.partition(".")[2])
    return difference, ROUNDED if abs(difference) < step * (1 - 1e-9) else CONTRADICTED


def size_units(paper, variants):
    """How many sizes of Figure 3 each reading of the paper's "MB" explains: a unit and a rounding."""
    evidence = Evidence(paper, variants)
    sizes = paper[paper["where"].str.startswith("Figure 3") & (paper.quantity == "size") & paper.variant.isin(variants)]
    rows = []
    for unit, size in (("MiB = 2^20 bytes", costs.MIB), ("MB = 10^6 bytes", 10**6)):
        for rounding, rounded in (("up", math.ceil), ("to nearest", round), ("down", math.floor)):
            fits = 0
            for row in sizes.itertuples():
                scale = 10 ** len(row.printed.partition(".")[2])
                fits += rounded(evidence.bytes(row)[0] / size * scale) == round(float(row.printed) * scale)
            rows.append((unit, rounding, fits, len(sizes)))
    return pd.DataFrame(rows, columns=["unit", "rounded", "fits", "sizes"])


def graph(model):
    """The layers of a Keras model as a directed graph of their names."""
    names = {str(id(layer)): layer.name for layer in model.layers}
    edges = keras.utils.model_to_dot(model).get_edge_list()
    return nx.DiGraph((names[edge.get_source().strip('"')], names[edge.get_destination().strip('"')]) for edge in edges)


def imagenet_model(options):
    """A variant, as an entry of params.yaml, for ImageNet's images and classes."""
    return _build(tuple(sorted(options.items())))


@cache
def _build(options):
    return models.create(input_shape=(CROP, CROP, 3), nb_classes=CLASSES, **dict(options))


class Evidence:
    """What the printed numbers are held against. Each measure takes a row of data/paper and gives a `Found`."""

    def __init__(self, paper, variants, authors=None):
        self.paper, self.variants = paper, variants
        self.authors = authors if authors and authors["available"] else None

    def model(self, variant, **options):
        return imagenet_model(self.variants[variant] | options)

    def printed(self, where, subject, quantity):
        """A number of the paper, as it prints it."""
        rows = self.paper
        rows = rows[(rows["where"] == where) & (rows.subject == subject) & (rows.quantity == quantity)]
        return float(rows.printed.iloc[0].replace(",", ""))

    # Dimensions

    def output(self, row, _):
        model = self.model(row.variant)
        if row.subject == "input":
            conv1, shape = (model.get_layer("conv1"), tuple(map(int, row.printed.split("x"))))
            side = conv1.compute_output_shape((1, *shape))[1]
            return Found(_by(model.input.shape[1:]), note=f"from {row.printed} conv1 gives {side}x{side}")
        shape = model.get_layer(row.subject).output.shape[1:]
        return Found(_by((1,) * (3 - len(shape)) + shape))

    def filter(self, row, _):
        layer = self.model(row.variant).get_layer(row.subject)
        if isinstance(layer, layers.GlobalAveragePooling2D):
            return Found(f"{_by(layer.input.shape[1:3])}/1", note="global pooling: one window")
        if isinstance(layer, layers.MaxPooling2D):
            return Found(f"{_by(layer.pool_size)}/{layer.strides[0]}")
        return Found(f"{_by(layer.kernel_size)}/{layer.strides[0]} (x{layer.filters})")

    def depth(self, row, _):
        model = self.model(row.variant)
        module = [layer.name for layer in model.layers if layer.name.split("_")[0] == row.subject]
        path = nx.dag_longest_path(graph(model).subgraph(module))
        return Found(sum(isinstance(model.get_layer(name), layers.Conv2D) for name in path))

    def filters(self, row, part):
        return Found(self.model(row.variant).get_layer(f"{row.subject}_{part}" if part else row.subject).filters)

    def kernel(self, row, _):
        return Found(_by(self.model(row.variant).get_layer(row.subject).kernel_size))

    def widths(self, variant):
        """Filters of each fire module, one row a module."""
        model = self.model(variant)
        fires = [layer.name for layer in model.layers if isinstance(layer, layers.Concatenate)]
        widths = {fire: {part: model.get_layer(f"{fire}_{part}").filters for part in FIRE_PARTS} for fire in fires}
        return pd.DataFrame(widths).T.assign(expand=lambda frame: frame.expand1x1 + frame.expand3x3)

    def metaparameter(self, row, _):
        widths = self.widths(row.variant)
        expand = widths.expand.tolist()
        freq = expand.count(expand[0])
        return Found(
            {
                "base_e": expand[0],
                "incr_e": expand[freq] - expand[0],
                "freq": freq,
                "SR": widths.squeeze1x1.sum() / sum(expand),
                "pct3x3": widths.expand3x3.sum() / sum(expand),
                "expand by squeeze": sum(expand) / widths.squeeze1x1.sum(),
                "fire modules": len(widths),
                "fire hyperparameters": widths[list(FIRE_PARTS)].size,
            }[row.quantity]
        )

    def kernel_ratio(self, row, _):
        per_filter = [
            math.prod(self.model(row.variant).get_layer(f"fire2_{part}").kernel_size) for part in FIRE_PARTS[1:]
        ]
        return Found(per_filter[1] / per_filter[0])

    def pooled(self, row, _):
        """The modules that a max pooling follows, in the words of the row."""
        pools = [layer.name for layer in self.model(row.variant).layers if isinstance(layer, layers.MaxPooling2D)]
        numbers = [name.removeprefix("maxpool") for name in pools]
        if row.quantity == "pooling layers":
            return Found(f"pool_{{{','.join(numbers)}}}")
        network = graph(self.model(row.variant))
        before = [next(network.predecessors(name)).split("_")[0] for name in pools]
        return Found(", ".join(before), note="the pooling after conv10 is Table 1's average pooling")

    def layer_setting(self, row, _):
        found = self.model(row.variant).layers
        if row.quantity == "pooling stride":
            (value,) = {layer.strides[0] for layer in found if isinstance(layer, layers.MaxPooling2D)}
        elif row.quantity == "padding":
            (value,) = {
                layer.kernel_size[0] // 2 * (layer.padding == "same")
                for layer in found
                if layer.name.endswith("expand3x3")
            }
        elif row.quantity == "dropout":
            (value,) = {100 * layer.rate for layer in found if isinstance(layer, layers.Dropout)}
        else:
            value = sum(isinstance(layer, layers.Dense) for layer in found)
        return Found(value)

    def bypassed(self, row, _):
        sums = [layer.name for layer in self.model(row.variant).layers if isinstance(layer, layers.Add)]
        return Found(", ".join(re.findall(r"\d+", " ".join(sums))))

    # Parameters

    def layers_of(self, row):
        """The weighted layers of a Table 1 row, or of the whole network."""
        table = pd.DataFrame(costs.per_layer(self.model(row.variant)))
        return table if row.subject == "total" else table[table.module == row.subject]

    def parameters(self, row, _):
        return Found(int(self.layers_of(row).parameters.sum()))

    def added_parameters(self, row, _):
        more, fewer = (
            pd.DataFrame(costs.per_layer(self.model(name))).parameters.sum() for name in (row.variant, row.reference)
        )
        return Found(int(more - fewer))

    def kept_printed(self, layer):
        """Kept share in % that Table 1 prints for one layer."""
        module, _, part = layer.partition("_")
        return self.printed("Table 1", module, f"kept, {part}" if part else "kept")

    def implied(self, row):
        """Kept share in % that "after pruning" leaves for the largest layer of a Table 1 row, and that layer's name."""
        table = self.layers_of(row).set_index("layer")
        largest = table.weights.idxmax()
        after = self.printed("Table 1", row.subject, "parameters after pruning")
        others = sum(self.kept_printed(name) * table.weights[name] for name in table.index.drop(largest))
        return (100 * (after - table.biases.sum()) - others) / table.weights[largest], largest

    def kept(self, row, part):
        layer = f"{row.subject}_{part}" if part else row.subject
        implied, largest = self.implied(row)
        note = f"the row's parameters after pruning imply {implied:.4g}%" if layer == largest else ""
        if self.authors:
            entry = self.authors["layers"][layer]
            return Found(100 * entry["nonzero"] / entry["weights"], DECODED, note)
        if layer == largest:
            return Found(implied, note=note)
        return Found(None, NOT_HERE, needs=NEEDS_FILE)

    def after_pruning(self, row, _):
        """ceil(sum of kept share x weights + biases), module by module."""
        total, corrected = 0, []
        for module, table in self.layers_of(row).groupby("module", sort=False):
            shares = {layer: self.kept_printed(layer) for layer in table.layer}
            implied, largest = self.implied(row._replace(subject=module))
            if judge(f"{shares[largest]:g}", implied)[1] == CONTRADICTED:
                corrected.append(f"{largest} at {implied:.0f}%, not {shares[largest]:g}%")
                shares[largest] = round(implied)
            kept = sum(shares[layer.layer] / 100 * layer.weights for layer in table.itertuples())
            total += math.ceil(round(kept + table.biases.sum(), 6))
        return Found(total, note="with " + ", ".join(corrected) if corrected else "")

    def kept_in_all(self, row, _):
        if self.authors:
            return Found(
                100 * self.authors["nonzero_weights"] / sum(e["weights"] for e in self.authors["layers"].values()),
                DECODED,
                "weights without biases",
            )
        after = self.printed("Table 1", "total", "parameters after pruning")
        return Found(100 * after / self.parameters(row._replace(subject="total"), "").ours, note="from Table 1's total")

    # Bytes

    def bytes(self, row):
        """Bytes of a network, how they are known, and a note: 32-bit parameters, the authors' file, or its
        entries packed with codes of other bits and as many codebook entries as those can tell apart."""
        if row.bits in ("", "32"):
            return int(pd.DataFrame(costs.per_layer(self.model(row.variant))).parameters.sum()) * 4, COMPUTED, ""
        if not self.authors:
            return None, NOT_HERE, ""
        if int(row.bits) == self.file_bits():
            return self.authors["file_bytes"], DECODED, ""
        size, bits = self.authors["bytes"], int(row.bits)
        codebooks = len(self.authors["layers"]) * 2**bits * 4
        packed = self.authors["stored_entries"] * bits / 8 + size["gaps"] + size["biases"] + codebooks
        return math.ceil(packed), DECODED, f"; the file's entries at {bits} bits"

    def file_bits(self):
        return self.authors["bytes"]["codes"] * 8 / self.authors["stored_entries"]

    def size(self, row, _):
        if not row.variant:
            return Found(None, NOT_HERE, needs=NEEDS_IMAGENET)
        size, how, note = self.bytes(row)
        if size is None:
            return Found(None, how, needs=NEEDS_FILE)
        return Found(size / costs.MIB, how, f"MiB; {size:,} bytes, {size / 1e6:.4g} MB of 10^6 bytes{note}")

    def size_ratio(self, row, _):
        (size, how, note), (reference, *_) = self.bytes(row), self.bytes(row._replace(variant=row.reference, bits="32"))
        if size is None:
            return Found(None, how, needs=NEEDS_FILE)
        return Found(reference / size, how, f"{reference:,} by {size:,} bytes{note}")

    def parameter_ratio(self, row, _):
        fewer, more = (self.bytes(row._replace(variant=name))[0] // 4 for name in (row.variant, row.reference))
        return Found(more / fewer, note=f"{more:,} by {fewer:,} parameters")

    def printed_size_ratio(self, row, _):
        more, fewer = (self.printed("Table 2", subject, "size") for subject in (row.against, row.subject))
        return Found(more / fewer, note=f"from Table 2 as printed: {more:g} by {fewer:g} MB")

    def bits(self, row, _):
        if row.bits == "32":
            return Found(8 * np.dtype(keras.config.floatx()).itemsize, note=keras.config.floatx())
        if self.authors and row.bits == f"{self.file_bits():g}":
            return Found(self.file_bits(), DECODED)
        return Found(None, NOT_HERE, needs=NEEDS_IMAGENET if self.authors or not row.bits else NEEDS_FILE)

    def bit_ratio(self, row, _):
        return Found(32 / int(row.bits), note="32-bit floats by codes")

    # Computation and accuracy

    def gflops(self, variant):
        """Of the released network: two operations a MAC."""
        released = {} if self.variants[variant]["model"] == "alexnet" else {"as_released": True}
        return 2 * costs.macs(self.model(variant, **released)) / 1e9

    def computation(self, row, _):
        return Found(self.gflops(row.variant), note=f"2 x MACs at {CROP} pixels, as released")

    def computation_ratio(self, row, _):
        less, more = self.gflops(row.variant), self.gflops(row.reference)
        return Found(more / less, note=f"{more:.4g} by {less:.4g} GFLOPS at {CROP} pixels")

    def accuracy(self, row, _):
        """Needs ImageNet, unless Figure 3's panels give one network two accuracies."""
        rows = self.paper
        twins = rows[
            rows["where"].str.startswith("Figure 3")
            & (rows["where"] != row.where)
            & (rows.quantity == row.quantity)
            & (rows.variant == row.variant)
        ]
        if row.where.startswith("Figure 3") and len(twins):
            return Found(float(twins.printed.iloc[0]), note=f"the same network in {twins['where'].iloc[0]}")
        return Found(None, NOT_HERE, needs=NEEDS_IMAGENET)

    def drawn(self, row, _):
        rows = self.paper
        rows = rows[(rows["where"] == row.against) & (rows.variant == row.variant) & (rows.quantity == "top-5")]
        return Found(float(rows.printed.iloc[0]), note=f"from {row.against} as drawn")

    def gain(self, row, part):
        rows = self.paper[(self.paper["where"] == "Table 3") & (self.paper.quantity == part)].set_index("variant")
        gain = float(rows.printed[row.variant]) - float(rows.printed[row.reference])
        return Found(gain, note="from Table 3 as printed")

    def untested(self, row, _):
        return Found(None, NOT_HERE, needs=NEEDS_IMAGENET)


MEASURES = {
    "output": Evidence.output,
    "filter": Evidence.filter,
    "depth": Evidence.depth,
    "filters": Evidence.filters,
    "kernel": Evidence.kernel,
    "kernel in the sparsity column": Evidence.kernel,
    **dict.fromkeys(
        ("base_e", "incr_e", "freq", "SR", "pct3x3", "expand by squeeze", "fire modules", "fire hyperparameters"),
        Evidence.metaparameter,
    ),
    "kernel ratio": Evidence.kernel_ratio,
    "max-pooled modules": Evidence.pooled,
    "pooling layers": Evidence.pooled,
    **dict.fromkeys(("pooling stride", "padding", "dropout", "fully connected layers"), Evidence.layer_setting),
    "bypassed modules": Evidence.bypassed,
    "parameters": Evidence.parameters,
    "added parameters": Evidence.added_parameters,
    "kept": Evidence.kept,
    "parameters after pruning": Evidence.after_pruning,
    "kept in all": Evidence.kept_in_all,
    "size": Evidence.size,
    "size ratio": Evidence.size_ratio,
    "parameter ratio": Evidence.parameter_ratio,
    "ratio of printed sizes": Evidence.printed_size_ratio,
    "bits": Evidence.bits,
    "bit ratio": Evidence.bit_ratio,
    "computation": Evidence.computation,
    "computation ratio": Evidence.computation_ratio,
    "top-1": Evidence.accuracy,
    "top-5": Evidence.accuracy,
    "top-5 as drawn": Evidence.drawn,
    "gain": Evidence.gain,
    "gain by DSD": Evidence.untested,
}


def _by(shape):
    return "x".join(map(str, shape))


def _text(value):
    """As in the tables: counts whole, the rest with four digits."""
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
