"""Our side of the audit: from the networks, the authors' file, other numbers of the paper, and the papers it cites."""

from functools import cache
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
from keras import layers

from squeezenet import costs, models

SIDE = 227  # pixels, of the authors' train_val.prototxt
UNITS = {"MiB": costs.MIB, "MB of 10^6 bytes": 10**6, "1,000 KiB": 1000 * 1024}  # what "MB" may mean
LOSS = 1  # point of top-1 that a smaller file may lose, as in the claims

# How ours is known
BUILT, COMPUTED, DECODED = "built so", "computed from the network", "decoded from the authors' file"
MEASURED, LOSSY = "measured on a file of ours", "measured on a file of ours that loses accuracy"
PRINTED, CITED = "from other printed numbers", "from a cited source"


class Reading(NamedTuple):
    """One way to read a printed number: our value for it, how that is known, and words that name the reading."""

    value: float | str
    how: str
    words: str = ""


def network_of(options, side=SIDE, classes=models.IMAGENET_CLASSES):
    """The network of an entry of params.yaml, for ImageNet's images and classes or for others."""
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    options.pop("learning_rate", None)  # of its training
    return _create(tuple(sorted(options.items())), side, classes)


@cache
def _create(options, side, classes):
    return models.create(input_shape=(side, side, 3), nb_classes=classes, **dict(options))


def layers_of(network):
    """The frame of `costs.per_layer`, by layer."""
    return pd.DataFrame(costs.per_layer(network)).set_index("layer")


# Table 1


def table1(paper, network, released):
    """Table 1 of the network as the authors released it, and of their file: layer -> weights and how many are not zero.

    Returns:
        (layer, column) -> readings. What the network is built from, such as filters, is left to tests/test_audit.py,
        except for the windows that Table 1 prints of convolutions and of the average pooling.
    """
    printed = paper[paper["where"] == "Table 1"].set_index(["subject", "quantity"]).printed
    cells = {("input", "output"): [Reading(_by(network.input.shape[1:]), COMPUTED)]}
    for name in printed.index.unique(0).difference(["input", "total"]):
        layer = network.get_layer(name)
        shape = layer.output.shape[1:]
        cells[name, "output"] = [Reading(_by((1,) * (3 - len(shape)) + shape), COMPUTED)]
        cells[name, "bits"] = []  # no file of 6 bits was released
        if isinstance(layer, layers.Conv2D):
            cells[name, "kernel"] = [Reading(_by(layer.kernel_size), BUILT)]
        if isinstance(layer, layers.GlobalAveragePooling2D):
            size = printed["conv10", "output"].rpartition("x")[0]  # conv10's map is judged once
            cells[name, "filter"] = [Reading(f"{size}/1", PRINTED, "over the printed map of conv10")]
    table = layers_of(network)
    counts = table.groupby("module").parameters.sum()
    for name, count in (*counts.items(), ("total", counts.sum())):
        cells[name, "parameters"] = [Reading(int(count), COMPUTED)]
    return cells | _pruning(printed, table, released)


def _pruning(printed, table, released):
    """The kept shares of Table 1, and ceil(sum of kept weights + biases) by module.

    Where the authors' file keeps another share of a pruned layer than the printed one, the row is also counted by the
    file's, in whole percent. That the file keeps less than 100% of a layer says nothing: weights of the 6-bit network,
    of which Table 1 speaks, need not have fallen on the zero code as they did at 8 bits.
    """
    columns = [(module, f"kept {part}" if part else "kept") for module, _, part in table.index.str.partition("_")]
    shares = printed[columns].astype(float).set_axis(table.index) / 100
    decoded = pd.DataFrame(released).T.loc[table.index].eval("nonzero / weights")
    by_file = shares.where((shares == 1) | (abs(shares - decoded) <= 0.005), decoded.round(2))
    words = [f"{name} at {by_file[name]:.0%}, as in the authors' file" for name in table.index[by_file != shares]]

    def count(shares):
        kept = (shares * table.weights + table.biases).groupby(table.module).sum()
        kept = np.ceil(kept.round(6))
        return pd.concat([kept, pd.Series({"total": kept.sum()})])

    after = printed.xs("parameters after pruning", level=1).str.replace(",", "").astype(int)
    counts, cells = pd.DataFrame({"": count(shares), ", ".join(words): count(by_file)}), {}
    for column, share, own in zip(columns, by_file, decoded, strict=True):
        cells[column] = [Reading(100 * own, DECODED)]
        if counts.loc[column[0]].iloc[-1] == after[column[0]]:
            cells[column].append(Reading(100 * share, PRINTED, "by the row's parameters after pruning"))
    for name, row in counts.iterrows():
        readings = [Reading(value, PRINTED, words or "by the printed shares") for words, value in row.items()]
        cells[name, "parameters after pruning"] = readings
    return cells


# Everything else


class Ours:
    """What the numbers of the other tables, the figures and the text are held against.

    Args:
        paper: the frame of `audit.read_paper`.
        cited: the frame of `audit.read_cited`.
        variants: name -> entry of params.yaml.
        file: data/evidence/authors.json.
    """

    def __init__(self, paper, cited, variants, file):
        self.paper, self.cited, self.variants, self.file = paper, cited, variants, file
        self.table1 = table1(paper, self.network("squeezenet", as_released=True), file["decoded"]["layers"])

    def readings(self, row):
        """Readings of a row of the paper, of which the first that fits decides, and a note.

        The readings are empty where nothing answers, and None for cells of Table 1 from which the network is built.
        """
        if row.where == "Table 1":
            return self.table1.get((row.subject, row.quantity)), ""
        for name in (row.network, row.subject):
            if (name, row.quantity) in self.cited.index:
                found = self.cited.loc[(name, row.quantity)]
                return [Reading(found.value, CITED)], found.source
        return QUANTITIES[row.quantity](self, row) if row.quantity in QUANTITIES else ([], "")

    def network(self, name, **options):
        return network_of(self.variants[name] | options)

    def printed(self, quantity, **columns):
        """The first number of a quantity that the paper prints in rows with these values."""
        rows = self.paper[self.paper.quantity == quantity]
        for column, value in columns.items():
            rows = rows[rows[column] == value]
        return float(rows.printed.iloc[0].replace(",", "").lstrip("<>="))

    def bytes(self, name):
        """Bytes of a network or file, how they are known, and a note; None where the authors released no such file."""
        for quantity, size in (("size", 1e6), ("parameters", 4)):
            if (name, quantity) in self.cited.index:
                value, source = self.cited.loc[(name, quantity), ["value", "source"]]
                return value * size, CITED, source
        if name in self.variants:
            return 4 * self.network(name).count_params(), COMPUTED, ""
        if name == "squeezenet_8bit":
            return self.file["decoded"]["bytes"], DECODED, "without Huffman coding"
        made = {each["file"]: each for each in self.file["files"]}.get(f"paper_{name.removeprefix('squeezenet_')}.sqnt")
        return made and (made["bytes"], MEASURED, f"a file of ours: {_change(made)}")

    def size(self, row):
        """In every unit; what no file of the authors answers by ours of their weights."""
        if row.network == "squeezenet_6bit":
            return self._by_our_files()
        count, how, note = self.bytes(row.network)
        readings = [Reading(count / unit, how, name) for name, unit in UNITS.items()]
        return readings, "; ".join(filter(None, (f"{count:,.0f} bytes", note)))

    def _by_our_files(self):
        """The authors' weights at 6 bits by the paper's method, in every unit; at 8 bits as a note."""
        made = {each["file"]: each for each in self.file["files"]}
        files = {bits: made[f"paper_{bits}bit.sqnt"] for bits in (6, 8) if f"paper_{bits}bit.sqnt" in made}
        readings, notes = [], [f"ours at {bits} bits: {_change(each)}" for bits, each in files.items()]
        if six := files.get(6):
            change = six["change"]["clean"]
            kept = change["lost"] - change["gained"] <= LOSS / 100 * change["photographs"]
            by_size = sorted(UNITS.items(), key=lambda item: item[1])
            readings = [Reading(six["bytes"] / unit, MEASURED if kept else LOSSY, name) for name, unit in by_size]
        return readings, "; ".join(["no such file was released", *notes])

    def ratio(self, row):
        """By the sizes that the paper prints, for all rows alike, and by bytes beside it."""
        large, small = (self.printed("size", network=name) for name in (row.against, row.network))
        found = [self.bytes(name) for name in (row.against, row.network)]
        note = "no such file was released"
        if None not in found:
            (most, *_), (least, how, ours) = found
            note = f"by bytes {most / least:.4g}" + f", of {ours}" * (how == MEASURED)
        return [Reading(large / small, PRINTED, f"{large:g} by {small:g} MB")], note

    def bits(self, row):
        if row.printed == "32":
            return [Reading(32, BUILT)], ""
        if row.network == "alexnet_compressed":
            few, most = (self.cited.value[kind, "bits"] for kind in ("fc", "conv"))
            return [Reading(f"{few:.0f}-{most:.0f}", CITED)], self.cited.source["conv", "bits"]
        if row.network == "squeezenet_8bit":
            return [Reading(8 * self.file["decoded"]["codes"] / self.file["decoded"]["stored"], DECODED)], ""
        return [], "the authors released the 8-bit file, and no other"

    def kept(self, row):
        """Of all weights, in %: as decoded for the 8-bit file, and by Table 1 for the 6-bit one, of which it speaks."""
        table = pd.DataFrame(self.file["decoded"]["layers"]).T.sum()
        if row.network == "squeezenet_8bit":
            return [Reading(100 * table.nonzero / table.weights, DECODED)], ""
        after, biases = self.printed("parameters after pruning", subject="total"), self.file["decoded"]["biases"]
        kept, of_all = 100 * (after - biases) / table.weights, 100 * after / (table.weights + biases)
        note = (
            f"{kept:.2f}% of weights, {of_all:.2f}% of parameters: {kept:.0f} to the nearest. An 8-bit file can't say"
        )
        return [Reading(kept, PRINTED, "by Table 1's parameters after pruning")], note

    def speedup_by_sparsity(self, row):
        (found,), _ = self.kept(row)
        return [Reading(100 / found.value, found.how)], "weights by weights that are not zero"

    def speedup_by_bits(self, row):
        bits = self.printed("bits", network=row.network)
        return [Reading(32 / bits, PRINTED)], f"32 by {bits:g} bits"

    def memory(self, row):
        """Section 1's on-chip memory, in bytes and in bits."""
        bits, size = (self.printed(row.quantity, unit=unit) for unit in ("Mbits", "MBytes"))
        return [Reading(8 * size if row.unit == "Mbits" else bits / 8, PRINTED)], "8 bits a byte"

    def small_filters(self, row):
        convolutions = [layer for layer in self.network(row.network).layers if isinstance(layer, layers.Conv2D)]
        small = sum(layer.filters for layer in convolutions if layer.kernel_size == (1, 1))
        count = sum(layer.filters for layer in convolutions)
        return [Reading(100 * small / count, COMPUTED)], f"{small:,} of {count:,} filters"

    def pooled(self, row):
        """The modules that a max pooling follows in Table 1."""
        names = self.paper.subject[self.paper["where"] == "Table 1"].unique()
        numbers = [name.removeprefix("maxpool") for name in names if name.startswith("maxpool")]
        return [Reading(", ".join({"1": "conv1"}.get(n, f"fire{n}") for n in numbers), PRINTED)], ""

    def added_parameters(self, row):
        more, fewer = (self.network(name).count_params() for name in (row.network, row.against))
        return [Reading(more - fewer, COMPUTED)], ""

    def gain(self, row):
        measure = row.quantity.partition(", ")[2]
        more, less = (self.printed(measure, where="Table 3", network=name) for name in (row.network, row.against))
        return [Reading(round(more - less, 9), PRINTED)], "from Table 3 as printed"

    def computation(self, row):
        """GFLOPs of the released network by how its pools round, two operations a MAC; or another's by these."""
        values = _gflops(self.network(row.network, as_released=True))
        if row.against:
            more = _gflops(self.network(row.against, as_released=True))
            values = {words: large / values[words] for words, large in more.items()}
        note = "; ".join(f"{words}: {value:.4g}" for words, value in values.items())
        return [Reading(value, COMPUTED, words) for words, value in values.items()], note


QUANTITIES = {
    "size": Ours.size, "ratio": Ours.ratio, "bits": Ours.bits, "kept in all": Ours.kept, "gain, top-1": Ours.gain,
    "gain, top-5": Ours.gain, "speedup by bits": Ours.speedup_by_bits, "on-chip memory": Ours.memory,
    "speedup by sparsity": Ours.speedup_by_sparsity, "share of 1x1 filters": Ours.small_filters,
    "max-pooled modules": Ours.pooled, "added parameters": Ours.added_parameters,
    "computation": Ours.computation, "computation ratio": Ours.computation,
}  # fmt: skip


def _change(made):
    """What a file of ours loses and gains of the clean validation photographs."""
    words = "{photographs} photographs it loses {lost} and gains {gained}".format(**made["change"]["clean"])
    return f"{made['bytes']:,} bytes; of {words}"


@cache
def _gflops(network):
    """By how the pools round; of Caffe's, which round up by a row of zeros, these are left out."""
    pools = [layer.name for layer in network.layers if isinstance(layer, layers.MaxPooling2D)]
    rounding = {"pools round up, as Caffe's": [], "the last pool rounds down": pools[-1:], "pools round down": pools}
    return {words: 2 * costs.macs(_rounding_down(network, down)) / 1e9 for words, down in rounding.items()}


def _rounding_down(network, pools):
    def copy(layer):
        if layer.name.removesuffix("_ceil") in pools and isinstance(layer, layers.ZeroPadding2D):
            return layers.Identity()
        return type(layer).from_config(layer.get_config())

    return keras.models.clone_model(network, clone_function=copy)


def _by(shape):
    return "x".join(map(str, shape))
