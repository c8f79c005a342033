"""Our side of the audit: from the networks, the authors' file, other numbers of the paper, and the papers it cites."""

import re
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from keras import layers

from replication.report import paper
from replication.train.recipe import variant_of
from squeezenet import arguments, costs, models

SIDE = 227  # pixels, of the authors' train_val.prototxt
UNITS = {"MiB": costs.MIB, "MB of 10^6 bytes": 10**6, "1,000 KiB": 1000 * 1024}  # what "MB" may mean
FILE = "decoded from the authors' file"
SIX, EIGHT = "squeezenet/Deep_Compression/6", "squeezenet/Deep_Compression/8"  # the authors' files, by bits
CORRECTED = {"fire8_expand3x3": 0.3}  # share of kept weights, as in the authors' file; Table 1 prints 33%

# Verdicts
HOLDS, SELF, CITED = "holds", "consistent with itself", "cited"
CONTRADICTED, SELF_NOT, SLIP = "contradicted", "contradicts itself", "differs from its source"
DESCRIBED, ROUNDED = "holds as described, not as released", "holds only if the last pool rounds down"
OPEN = "open by the paper's method: not fine-tuned"
# How ours is known: the verdict if a reading fits, and if none does
COMPUTED = HOLDS, CONTRADICTED  # from the network, or decoded from the authors' file
IN_WORDS, BY_A_POOL = (DESCRIBED, CONTRADICTED), (ROUNDED, CONTRADICTED)  # from a network unlike the released one
LOSSY = OPEN, OPEN  # on a file of ours, which loses accuracy
PRINTED = SELF, SELF_NOT  # from other printed numbers
SOURCE = CITED, SLIP  # from what the paper cites


class Reading(NamedTuple):
    """One way to read a printed number: our value for it, how that is known, as above, and words that name it."""

    value: float | str
    how: tuple
    words: str = ""


@cache
def network_of(variant, **options):
    """A variant of params.yaml for ImageNet's images and classes; `options` are further keywords of `SqueezeNet`."""
    options |= variant_of(variant)[0]
    return models.create(input_shape=(SIDE, SIDE, 3), nb_classes=arguments.IMAGENET_CLASSES, **options)


def table1(printed, network, decoded):
    """Table 1 of the network as the authors released it, and of their file.

    The kept shares give the parameters after pruning, ceil(sum of kept weights + biases) by module. Where the table
    prints 100%, the 8-bit file cannot check it: some weights round to zero at 8 bits that need not at 6. There the
    row's parameters after pruning decide.

    Args:
        printed: the table's numbers by layer and column.
        decoded: frame with weights and nonzero by layer, of the authors' file.

    Returns:
        (layer, column) -> readings. What the network is built from, such as filters, is left to tests/test_audit.py.
    """
    cells = {("input", "output"): [Reading(_by(network.input.shape[1:]), COMPUTED)]}
    for name in printed.index.unique(0).difference(["input", "total"]):
        shape = network.get_layer(name).output.shape[1:]
        cells[name, "output"] = [Reading(_by((1,) * (3 - len(shape)) + shape), COMPUTED, "as released")]
        cells[name, "bits"] = []  # no file of 6 bits was released
    cells["maxpool8", "output"] = [Reading(printed["fire9", "output"], PRINTED, "by the row below")]
    unpadded = _by(network_of("squeezenet").get_layer("conv10").output.shape[1:])
    cells["conv10", "output"].append(Reading(unpadded, IN_WORDS, "without padding"))
    cells["conv10", "kernel"] = [Reading(printed["conv10", "filter"].partition("/")[0], PRINTED)]
    covered = printed["conv10", "output"].rpartition("x")[0]  # conv10's map is judged once
    cells["avgpool10", "filter"] = [Reading(f"{covered}/1", PRINTED, "over the printed map of conv10")]
    table = pd.DataFrame(costs.per_layer(network)).set_index("layer")
    columns = [(module, f"kept {part}" if part else "kept") for module, _, part in table.index.str.partition("_")]
    table["shares"] = printed[columns].astype(float).to_numpy() / 100
    table["corrected"] = pd.Series(CORRECTED).reindex(table.index).fillna(table.shares)

    def by_module(values):
        counts = np.ceil(values.groupby(table.module).sum().round(6)).astype(int)
        return {**counts, "total": counts.sum()}

    as_printed, corrected = (by_module(table[of] * table.weights + table.biases) for of in ("shares", "corrected"))
    words = ", ".join(f"{name} at {share:.0%}" for name, share in CORRECTED.items()) + ", as in the authors' file"
    for name, count in by_module(table.parameters).items():
        cells[name, "parameters"] = [Reading(count, COMPUTED)]
        cells[name, "parameters after pruning"] = [
            Reading(as_printed[name], PRINTED, "by the printed shares"), Reading(corrected[name], PRINTED, words),
        ]  # fmt: skip
    for column, row in zip(columns, table.itertuples(), strict=True):
        cells[column] = [Reading(100 * decoded.nonzero[row.Index] / decoded.weights[row.Index], COMPUTED, FILE)]
        fits = f"{corrected[row.module]:,}" == printed[row.module, "parameters after pruning"]
        by_row = Reading(100 * row.corrected, PRINTED, "by the row's parameters after pruning")
        if fits and row.shares == 1:
            cells[column] = [by_row]
        elif fits and row.Index in CORRECTED:
            cells[column].insert(0, by_row)
    return cells


class Ours:
    """What the paper's numbers are compared with; arguments as in `audit.audit`."""

    def __init__(self, numbers, file):
        self.cited, self.decoded = paper.cited(), file["decoded"]
        sizes = numbers[numbers.quantity == "size"].drop_duplicates("network").set_index("network").printed
        self.sizes = sizes.astype(float)  # as Table 2 prints them, which stands first
        made = {each["file"]: each for each in file["files"]}
        self.made = made["paper_6bit.sqnt"]  # by the paper's method
        self.fits = made["squeezenet_470000.sqnt"]  # by our quantiser
        decoded = pd.DataFrame(self.decoded["layers"]).T
        self.weights, self.nonzero = decoded.sum()[["weights", "nonzero"]]
        self.sparse = 4.5 * self.decoded["stored"] + 4 * self.decoded["biases"]  # bytes
        printed = numbers[numbers["where"] == "Table 1"].set_index(["subject", "quantity"]).printed
        self.table1 = table1(printed, network_of("squeezenet", as_released=True), decoded)

    def readings(self, row):
        """Readings of a row of the paper, of which the first that fits decides, and a note.

        The readings are empty where nothing answers, and None for what the network is built from.
        """
        if row.where == "Table 1":
            return self.table1.get((row.subject, row.quantity)), ""
        for name in (row.network, row.subject):
            if (name, row.quantity) in self.cited.index:
                found = self.cited.loc[(name, row.quantity)]
                return [Reading(found.value, PRINTED if found.by == "the paper" else SOURCE)], found.source
        match row.quantity:
            case "size":
                return self.size(row.network)
            case "ratio":
                large, small = self.sizes[[row.against, row.network]]
                (most, *_), (least, how, note) = (self.bytes(name) for name in (row.against, row.network))
                note = f"by bytes {most / least:.4g}" + f", of {note}" * (how == LOSSY)
                return [Reading(large / small, PRINTED, f"{large:g} by {small:g} MB")], note
            case "bits" if row.printed == "32":
                return None, ""
            case "bits" if row.network == EIGHT:
                return [Reading(8 * self.decoded["codes"] / self.decoded["stored"], COMPUTED)], ""
            case "bits":
                return [], "the authors released the 8-bit file, and no other"
            case "kept in all":
                return [Reading(100 * self.nonzero / self.weights, COMPUTED)], ""
            case "decrease in size by sparsity":
                return [Reading(self.bytes("squeezenet")[0] / self.sparse, COMPUTED)], "32-bit weights, 4-bit indices"
            case "share of 1x1 filters":
                convolutions = [x for x in network_of(row.network).layers if isinstance(x, layers.Conv2D)]
                count = sum(layer.filters for layer in convolutions)
                small = sum(layer.filters for layer in convolutions if layer.kernel_size == (1, 1))
                return [Reading(100 * small / count, COMPUTED)], f"{small:,} of {count:,} filters"
            case "added parameters":
                more, fewer = (network_of(name).count_params() for name in (row.network, row.against))
                return [Reading(more - fewer, COMPUTED)], ""
            case "computation" | "computation ratio":
                values = _gflops(network_of(row.network, as_released=True))
                if row.against:
                    others = _gflops(network_of(row.against, as_released=True))
                    values = {words: others[words] / value for words, value in values.items()}
                note = "; ".join(f"{words}: {value:.4g}" for words, value in values.items())
                ways = zip(values.values(), (COMPUTED, BY_A_POOL), values, strict=True)
                return [Reading(*way) for way in ways], note
        return [], ""

    def bytes(self, name):
        """Bytes of a network or file, how they are known, and a note."""
        for quantity, size in (("size", 1e6), ("parameters", 4)):
            if (name, quantity) in self.cited.index:
                value, source = self.cited.loc[(name, quantity), ["value", "source"]]
                return value * size, SOURCE, source
        if name == EIGHT:
            return self.decoded["bytes"], COMPUTED, "without Huffman coding"
        if name == SIX:
            return self.made["bytes"], LOSSY, "a file of ours, not fine-tuned"
        return 4 * network_of(name).count_params(), COMPUTED, ""

    def size(self, name):
        """Readings in every unit; at 6 bits, where no file was released, of ours in the unit that makes it largest."""
        count, how, note = self.bytes(name)
        if name != SIX:
            note = "; ".join(filter(None, (f"{count:,.0f} bytes", note)))
            return [Reading(count / unit, how, words) for words, unit in UNITS.items()], note
        bits, tables, codes = int(name.rpartition("/")[2]), len(self.decoded["layers"]), self.decoded["codes"]
        # Of the released file: no count of a layer's entries, and codes and codebooks of fewer bits than 8.
        plain = self.decoded["bytes"] - 4 * tables - codes * (8 - bits) // 8 - 4 * tables * (2**8 - 2**bits)
        sizes = count, plain, self.fits["bytes"]
        note = "{:,} bytes by the paper's method ({:,} without Huffman coding); {:,} bytes by our quantiser"
        return [Reading(count / 1e6, how, "MB of 10^6 bytes")], note.format(*sizes)


def _gflops(network):
    """Two operations a MAC, by how the last pool rounds: up, as Caffe's, or down, which takes a row and column away."""
    *_, pool = (layer for layer in network.layers if isinstance(layer, layers.MaxPooling2D))
    side, padded = pool.output.shape[1], any(layer.name == f"{pool.name}_ceil" for layer in network.layers)
    layer_of = pd.DataFrame(costs.per_layer(network))
    behind = layer_of.module.map(lambda name: int(re.sub(r"\D", "", name))) > int(re.sub(r"\D", "", pool.name))
    left_out = layer_of.macs[behind].sum() * (1 - ((side - padded) / side) ** 2)
    macs = layer_of.macs.sum()
    return {"pools round up, as Caffe's": 2e-9 * macs, "the last pool rounds down": 2e-9 * (macs - left_out)}


def _by(shape):
    return "x".join(map(str, shape))
