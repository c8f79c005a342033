"""What answers a printed number: the Keras models at ImageNet's size, the authors' file, our own, other numbers.

Each quantity of data/paper has a function in `MEASURES`. It gives ours in every fair reading of the printed number,
and says where ours comes from: the authors' released file as stage `authors` decodes it, our own files of its
weights, other numbers that the paper prints, or the papers that it cites.
"""

import math
import re
from functools import cache

import keras
import networkx as nx
import numpy as np
import pandas as pd
from keras import layers

from replication.report.readings import (
    ATTAINABLE,
    CITED,
    COMPUTED,
    DECODED,
    EVALUATED,
    EXAMPLE,
    MEASURED,
    NEEDS_FILE,
    NEEDS_IMAGENET,
    PRINTED,
    Found,
    Reading,
    built,
    needs,
)  # fmt: skip
from squeezenet import costs, models

CROP = 227  # pixels, of the authors' train_val.prototxt
FIRE_PARTS = ("squeeze1x1", "expand1x1", "expand3x3")
UNITS = {"MiB of 2^20 bytes": costs.MIB, "MB of 10^6 bytes": 10**6, "1,000 KiB": 1000 * 1024}  # what "MB" may mean


def graph(model):
    """The layers of a Keras model as a directed graph of their names."""
    names = {str(id(layer)): layer.name for layer in model.layers}
    edges = keras.utils.model_to_dot(model).get_edge_list()
    return nx.DiGraph((names[edge.get_source().strip('"')], names[edge.get_destination().strip('"')]) for edge in edges)


def model_of(options, side=CROP, classes=models.IMAGENET_CLASSES):
    """The network of an entry of params.yaml, for ImageNet's images and classes or for others."""
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    options.pop("learning_rate", None)  # of its training
    return _build(tuple(sorted(options.items())), side, classes)


@cache
def _build(options, side, classes):
    return models.create(input_shape=(side, side, 3), nb_classes=classes, **dict(options))


def pools_rounding_down(model):
    """The same network without the zeros by which its pools round up, as in Caffe."""

    def copy(layer):
        if layer.name.endswith("_ceil"):
            return layers.Identity(name=layer.name)
        return type(layer).from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=copy)


def widths_of(model):
    """Filters of each fire module, one row a module."""
    fires = [layer.name for layer in model.layers if isinstance(layer, layers.Concatenate)]
    widths = {fire: {part: model.get_layer(f"{fire}_{part}").filters for part in FIRE_PARTS} for fire in fires}
    return pd.DataFrame(widths).T.assign(expand=lambda frame: frame.expand1x1 + frame.expand3x3)


def sizes(count, words=""):
    """Readings of a size in bytes as the paper's "MB"; that of 10^6 bytes is the plain one."""
    return [
        Reading(count / size, ", ".join(filter(None, (words, unit))), size == 10**6 and not words)
        for unit, size in UNITS.items()
    ]


class Answers:
    """What the printed numbers are held against. Each measure takes a row of data/paper and gives a `Found`."""

    def __init__(self, paper, cited, variants, authors=None, imagenet=None):
        self.paper, self.variants = paper, variants
        self.evaluated = imagenet["evaluated"] if imagenet else {}
        self.sources = cited.set_index(["subject", "quantity"])
        self.authors = authors if authors and authors["available"] else None

    def model(self, variant, **options):
        return model_of(self.variants[variant] | options)

    def layers(self, variant):
        return pd.DataFrame(costs.per_layer(self.model(variant)))

    def printed(self, where, subject, quantity):
        """A number of the paper, as it prints it."""
        rows = self.paper
        rows = rows[(rows["where"] == where) & (rows.subject == subject) & (rows.quantity == quantity)]
        return float(rows.printed.iloc[0].replace(",", ""))

    def cited(self, subject, quantity):
        """A number of another source, and the source."""
        found = self.sources.loc[(subject, quantity)]
        return found.value, found.source

    # Dimensions

    def output(self, row, _):
        model = self.model(row.variant)
        if row.subject == "input":
            side, kernel = int(row.printed.partition("x")[0]), model.get_layer("conv1").kernel_size[0]
            tried = ", ".join(f"{pad}: {(side + 2 * pad - kernel) // 2 + 1}" for pad in range(kernel // 2 + 1))
            conv1 = model.get_layer("conv1").output.shape[1]
            note = (
                f"conv1's printed {conv1}x{conv1} needs {model.input.shape[1]} pixels, as the released network has. "
                f"From {side} pixels, conv1 with a padding of {tried}; the released network pads nothing"
            )
            return Found([Reading(_by(model.input.shape[1:]))], note=note)
        shape = model.get_layer(row.subject).output.shape[1:]
        note = f"{_by(shape[:2])} whether pools round up or down" if row.subject.startswith("maxpool") else ""
        return Found([Reading(_by((1,) * (3 - len(shape)) + shape))], note=note)

    def channels(self, row, _):
        return built(self.model(row.variant).get_layer(row.subject).output.shape[-1])

    def filter(self, row, _):
        layer = self.model(row.variant).get_layer(row.subject)
        if isinstance(layer, layers.GlobalAveragePooling2D):
            return Found([Reading(f"{_by(layer.input.shape[1:3])}/1")], note="global pooling: one window")
        if isinstance(layer, layers.MaxPooling2D):
            return built(f"{_by(layer.pool_size)}/{layer.strides[0]}")
        return built(f"{_by(layer.kernel_size)}/{layer.strides[0]} (x{layer.filters})")

    def depth(self, row, _):
        model = self.model(row.variant)
        module = [layer.name for layer in model.layers if layer.name.split("_")[0] == row.subject]
        path = nx.dag_longest_path(graph(model).subgraph(module))
        return built(sum(isinstance(model.get_layer(name), layers.Conv2D) for name in path))

    def filters(self, row, part):
        return built(self.model(row.variant).get_layer(f"{row.subject}_{part}" if part else row.subject).filters)

    def kernel(self, row, _):
        layer = self.model(row.variant).get_layer(row.subject)
        table = self.layers(row.variant).set_index("layer").loc[row.subject]
        note = f"only {_by(layer.kernel_size)} gives the row's {table.parameters:,} parameters"
        return built(_by(layer.kernel_size), note if "sparsity" in row.quantity else "")

    def metaparameter(self, row, _):
        widths = widths_of(self.model(row.variant))
        expand = widths.expand.tolist()
        freq = expand.count(expand[0])
        return built(
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

    def squeeze_by_expand(self, row, _):
        widths = widths_of(self.model(row.variant))
        largest = self.printed("Section 5.2", "largest SR", "SR")
        note = f"not of every network: Section 5.2 goes up to SR = {largest:g}, where s1x1 equals e1x1 + e3x3"
        return built((widths.squeeze1x1 / widths.expand).max(), note)

    def kernel_ratio(self, row, _):
        kernels = [self.model(row.variant).get_layer(f"fire2_{part}").kernel_size for part in FIRE_PARTS[1:]]
        return built(math.prod(kernels[1]) / math.prod(kernels[0]))

    def share_1x1(self, row, _):
        filters = pd.DataFrame(
            [
                (layer.name, layer.filters, layer.filters * (math.prod(layer.kernel_size) == 1))
                for layer in self.model(row.variant).layers
                if isinstance(layer, layers.Conv2D)
            ],
            columns=["layer", "all", "small"],
        )
        inside = filters[filters.layer.str.startswith("fire")]
        note = f"{filters.small.sum():,} of {filters['all'].sum():,} filters"
        note += f"; {inside.small.sum():,} of {inside['all'].sum():,} in the fire modules"
        return Found([Reading(100 * filters.small.sum() / filters["all"].sum())], note=note)

    def pooled(self, row, _):
        """The modules that a max pooling follows, in the words of the row."""
        pools = [layer.name for layer in self.model(row.variant).layers if isinstance(layer, layers.MaxPooling2D)]
        numbers = [name.removeprefix("maxpool") for name in pools]
        if row.quantity == "pooling layers":
            return built(f"pool_{{{','.join(numbers)}}}")
        before = [{"1": "conv1"}.get(number, f"fire{number}") for number in numbers]
        return built(", ".join(before), "behind conv10 Table 1 and Figure 2 have an average pooling of stride 1")

    def layer_setting(self, row, _):
        found = self.model(row.variant).layers
        if row.quantity == "pooling stride":
            (value,) = {layer.strides[0] for layer in found if isinstance(layer, layers.MaxPooling2D)}
        elif row.quantity == "padding":
            three = [layer for layer in found if layer.name.endswith("expand3x3")]
            (value,) = {layer.kernel_size[0] // 2 * (layer.padding == "same") for layer in three}
        elif row.quantity == "dropout":
            (value,) = {100 * layer.rate for layer in found if isinstance(layer, layers.Dropout)}
        else:
            value = sum(isinstance(layer, layers.Dense) for layer in found)
        return built(value)

    def bypassed(self, row, _):
        sums = [layer.name for layer in self.model(row.variant).layers if isinstance(layer, layers.Add)]
        return built(", ".join(re.findall(r"\d+", " ".join(sums))))

    # Parameters

    def layers_of(self, row):
        """The weighted layers of a Table 1 row, or of the whole network."""
        table = self.layers(row.variant)
        return table if row.subject == "total" else table[table.module == row.subject]

    def parameters(self, row, _):
        return Found([Reading(int(self.layers_of(row).parameters.sum()))])

    def added_parameters(self, row, _):
        more, fewer = (self.layers(name).parameters.sum() for name in (row.variant, row.reference))
        return Found([Reading(int(more - fewer))])

    def kept_printed(self, layer):
        """Kept share in % that Table 1 prints for one layer."""
        module, _, part = layer.partition("_")
        return self.printed("Table 1", module, f"kept, {part}" if part else "kept")

    def implied(self, row, layer, shares):
        """Kept share in % that a Table 1 row's parameters after pruning leave for a layer, the others given."""
        table = self.layers_of(row).set_index("layer")
        after = self.printed("Table 1", row.subject, "parameters after pruning")
        others = sum(shares[name] * table.weights[name] for name in table.index.drop(layer))
        return (100 * (after - table.biases.sum()) - others) / table.weights[layer]

    def shares(self, row):
        """Kept shares in % of a Table 1 row's layers, the largest layer's from the row's own count if they disagree."""
        table = self.layers_of(row).set_index("layer")
        shares, largest = {layer: self.kept_printed(layer) for layer in table.index}, table.weights.idxmax()
        implied = self.implied(row, largest, shares)
        if round(implied) == shares[largest]:
            return shares, ""
        return shares | {largest: round(implied)}, f"{largest} at {implied:.0f}%, not the printed {shares[largest]:g}%"

    def kept(self, row, part):
        layer = f"{row.subject}_{part}" if part else row.subject
        readings, implied = [], self.implied(row, layer, self.shares(row)[0])
        if self.authors:
            entry = self.authors["layers"][layer]
            readings.append(Reading(100 * entry["nonzero"] / entry["weights"]))
        words = "by the row's own parameters after pruning"
        note = "Table 1 is the 6-bit network; in the 8-bit file some weights fell on code 0" if self.authors else ""
        readings.append(Reading(round(implied, 1), words, not self.authors, PRINTED))
        return Found(readings, DECODED if self.authors else PRINTED, note if row.printed == "100" else "")

    def after_pruning(self, row, _):
        """ceil(sum of kept share x weights + biases), module by module."""
        total, corrected = 0, []
        for module, table in self.layers_of(row).groupby("module", sort=False):
            shares, correction = self.shares(row._replace(subject=module))
            corrected.append(correction)
            kept = sum(shares[layer.layer] / 100 * layer.weights for layer in table.itertuples())
            total += math.ceil(round(kept + table.biases.sum(), 6))
        words = ", ".join(filter(None, corrected))
        return Found([Reading(total, words, not words)], note="kept share x weights + biases, rounded up")

    def kept_in_all(self, row, _):
        after = self.printed("Table 1", "total", "parameters after pruning")
        readings = [Reading(100 * after / self.parameters(row._replace(subject="total"), "").readings[0].value)]
        if self.authors:
            weights = sum(entry["weights"] for entry in self.authors["layers"].values())
            readings.insert(0, Reading(100 * self.authors["nonzero_weights"] / weights))
        note = "weights without biases; pruning is before sharing, so that 8 and 6 bits have the same zeros"
        if not self.authors:
            return Found(readings, PRINTED, note, cut="down")
        return Found(readings, DECODED, note)

    def sparse_speedup(self, row, _):
        kept = self.kept_in_all(row, _)
        readings = [Reading(100 / reading.value) for reading in kept.readings]
        return kept._replace(readings=readings, note="weights by weights that are not zero", cut="")

    # Bytes

    def bytes(self, row):
        """Bytes of a network at its bits: least and most, how they are known, a note; None without network or file."""
        if row.variant not in {"", *self.variants}:
            return None
        if not row.variant:
            return self.alexnet_bytes(row)
        if row.bits in ("", "32"):
            count = 4 * self.model(row.variant).count_params()
            return count, count, COMPUTED, f"{count:,} bytes"
        if not self.authors:
            return None
        if int(row.bits) == self.file_bits():
            count = self.authors["file_bytes"]
            return count, count, DECODED, f"{count:,} bytes, {count / 1024:.4g} KiB, without Huffman coding"
        return self.coded_bytes(int(row.bits))

    def file_bits(self):
        return self.authors["bytes"]["codes"] * 8 / self.authors["stored_entries"]

    def own(self, bits):
        """Bytes of our own file of the authors' weights, and a note."""
        for file in self.authors["ours"] if self.authors and bits.isdigit() else ():
            if file["bits"] == int(bits):
                same = f"the same first class for {file['same_top1']:.1%} of {file['photographs']} images"
                return file["bytes"], f"our own file of them has {file['bytes']:,} bytes and gives {same}"
        return None

    def coded_bytes(self, bits):
        """The authors' network at other bits than those of the file that they released.

        At least: each Huffman code of the file gets shorter by the difference. At most: codes of whole bits and gaps
        of 4, as in the file.
        """
        file, coded = self.authors, self.authors["lossless"]["huffman"]
        codes, rest = file["stored_entries"] * bits / 8, file["bytes"]["biases"] + len(file["layers"]) * 2**bits * 4
        shorter = coded["codes"] - (self.file_bits() - bits) * file["nonzero_weights"] / 8
        least, between = (math.ceil(part + coded["masks"] + rest) for part in (shorter, codes))
        most, own = math.ceil(codes + file["bytes"]["gaps"] + rest), self.own(str(bits))
        note = (
            f"no such file was released. Its weights at {bits} bits take {least:,} to {between:,} bytes with Huffman "
            f"coding, which Section 2.1 counts as part of Deep Compression, and {most:,} without"
        )
        return least, most, MEASURED if own else DECODED, f"{note}; {own[1]}" if own else note

    def alexnet_bytes(self, row):
        """AlexNet compressed by others: from their parameters, or their kept shares and bits, layer by layer."""
        if (row.subject, "parameters") in self.sources.index:
            count, source = self.cited(row.subject, "parameters")
            return 4 * count, 4 * count, CITED, f"{count:,.0f} parameters of 4 bytes ({source})"
        table = pd.DataFrame(costs.per_layer(model_of({"model": "alexnet"})))
        share, source = zip(*(self.cited(layer, "kept") for layer in table.layer), strict=True)
        kept, biases = table.weights * np.array(share) / 100, 4 * int(table.biases.sum())
        if row.bits in ("", "32"):
            count = round(4 * kept.sum() + biases)
            return count, count, CITED, f"{count:,} bytes by the share of each layer that is kept ({source[0]})"
        bits = table.layer.map(lambda layer: self.cited(layer[:-1], "bits")[0])  # of conv1: conv's
        gap, source = self.cited("gaps", "bits")
        coded, rest = (kept * (bits + gap)).sum() / 8, biases + 4 * (2**bits).sum()
        saved, _ = self.cited("Huffman coding", "saving, most")
        least, most = round(coded * (1 - saved / 100) + rest), round(coded + rest)
        note = (
            f"{most:,} bytes by kept shares and bits, without fillers, {least:,} if Huffman coding saves {saved:.0f}%"
        )
        return least, most, CITED, f"{note} ({source})"

    def size(self, row, _):
        found = self.bytes(row)
        if found is None:
            return needs(NEEDS_FILE)
        least, most, how, note = found
        if least != most:
            own = self.own(row.bits)
            readings = [Reading(own[0] / 1e6, "MB of 10^6 bytes")] if own and row.variant else []
            return Found([*readings, Reading((least / 1e6, most / 1e6))], how, note, ATTAINABLE)
        readings = sizes(least)
        if row.variant and self.variants[row.variant].get("use_bypass") == "complex":
            readings += sizes(4 * self.bypassed_everywhere(row.variant), "a 1x1 bypass around all eight")
        return Found(readings, how, note, cut="up")

    def bypassed_everywhere(self, variant):
        """Parameters if all eight fire modules had a bypass of 1x1 convolutions, and not every second."""
        model = self.model(variant)
        squeezes = [layer for layer in model.layers if layer.name.endswith("squeeze1x1")]
        fires = [model.get_layer(layer.name.split("_")[0]).output.shape[-1] for layer in squeezes]
        wanted = sum((layer.input.shape[-1] + 1) * width for layer, width in zip(squeezes, fires, strict=True))
        there = sum(layer.count_params() for layer in model.layers if layer.name.endswith("bypass1x1"))
        return model.count_params() - there + wanted

    def in_table2(self, row):
        """The row of Table 2 for a network, by its name or by its variant and bits."""
        rows = self.paper[(self.paper["where"] == "Table 2") & (self.paper.quantity == "size")]
        same = (
            (rows.variant == row.variant) & (rows.bits == (row.bits or "32"))
            if row.variant
            else (rows.subject == row.subject)
        )
        return next(rows[same].itertuples())

    def size_ratio(self, row, _):
        """By the sizes that Table 2 prints, all rows alike; by bytes beside it."""
        large = row._replace(variant=row.reference, bits="32", subject=row.against)
        large, small = (self.in_table2(one) for one in (large, row))
        by_print = float(large.printed) / float(small.printed)
        readings = [Reading(by_print, f"by Table 2's sizes, {large.printed} by {small.printed} MB", False)]
        found = [self.bytes(one) for one in (large, small)]
        if None in found:
            return Found(readings, PRINTED, cut="down")
        (low, high, _, large_note), (least, most, _, note) = found
        if least == most and low == high:
            readings.append(Reading(low / least, "by bytes"))
            return Found(readings, PRINTED, f"by bytes {low / least:.4g}: {low:,.0f} by {least:,.0f}", cut="down")
        readings.append(Reading((low / most, high / least), "by bytes"))
        beside = note if least < most else large_note
        verdict = ATTAINABLE if row.variant and row.bits not in ("", "32") else ""
        return Found(readings, PRINTED, f"by bytes {low / most:.4g} to {high / least:.4g}: {beside}", verdict, "down")

    def parameter_ratio(self, row, part):
        """A ratio of parameters is one of sizes, of 4 bytes each."""
        return self.size_ratio(row._replace(bits="32"), part)

    def memory(self, row, _):
        """Section 1's on-chip memory: the footnote's bits and bytes, and the bound in the text."""
        bits = self.printed("Section 1", "FPGA's on-chip memory, footnote", "on-chip memory, Mbits")
        mbytes = self.printed("Section 1", "FPGA's on-chip memory, footnote", "on-chip memory")
        if row.unit == "Mbits":
            return Found([Reading(8 * mbytes)], PRINTED, f"8 x {mbytes:g} MBytes")
        return Found([Reading(bits / 8)], PRINTED, f"{bits:g} Mbits by 8")

    def bits(self, row, _):
        if row.bits == "32":
            return built(8 * np.dtype(keras.config.floatx()).itemsize, keras.config.floatx())
        if not row.variant:
            (most, source), (least, _) = (self.cited(kind, "bits") for kind in ("conv", "fc"))
            return Found([Reading(f"{least:.0f}-{most:.0f}")], CITED, f"fc and conv layers ({source})")
        if self.authors and row.bits == f"{self.file_bits():g}":
            return Found([Reading(self.file_bits())], DECODED)
        return needs(NEEDS_FILE, "the authors released the 8-bit file, and no other")

    def bit_ratio(self, row, _):
        return Found([Reading(32 / int(row.bits))], PRINTED, f"32 by {row.bits} bits")

    # Computation, accuracy, and what others have measured

    def gflops(self, variant):
        """Of the released network, two operations a MAC: by how its pools round and by the image's side."""
        released = {} if self.variants[variant]["model"] == "alexnet" else {"as_released": True}
        model = self.model(variant, **released)
        smaller = model_of(self.variants[variant] | released, CROP - 3)
        return {
            f"{CROP} pixels, pools round up as Caffe's": 2 * costs.macs(model) / 1e9,
            f"{CROP} pixels, pools round down": 2 * costs.macs(pools_rounding_down(model)) / 1e9,
            f"{CROP - 3} pixels, pools round down": 2 * costs.macs(pools_rounding_down(smaller)) / 1e9,
        }

    def computation(self, row, _):
        found = self.gflops(row.variant)
        readings = [Reading(value, words, False) for words, value in found.items()]
        up, down, _ = found.values()
        readings.append(Reading((down, up), f"{CROP} pixels, some pools round up", False, verdict=ATTAINABLE))
        return Found(readings, note="2 operations a MAC, as released")

    def computation_ratio(self, row, _):
        less, more = self.gflops(row.variant), self.gflops(row.reference)
        readings = [Reading(more[words] / less[words], words, False) for words in less]
        return Found(readings, note="; ".join(f"{words}: {more[words]:.4g} by {less[words]:.4g}" for words in less))

    def accuracy(self, row, _):
        """Needs ImageNet, unless it is here or the paper prints another value for the same network.

        The released weights answer wherever the network stands: the paper has one accuracy for all bit widths.
        """
        rows = self.paper[(self.paper.quantity == row.quantity) & (self.paper.source == "printed")]
        twins = rows[(rows.variant == row.variant) & (rows.bits == row.bits) & (rows["where"] != row.where)]
        if row.source == "printed" and row.variant and row.where.startswith(("Table", "Figure")):
            for twin in twins[twins["where"].str.startswith(("Table", "Figure"))].itertuples():
                if twin.printed != row.printed:
                    return Found(
                        [Reading(float(twin.printed), twin.where)], PRINTED, f"{twin.where} prints another value"
                    )
        if row.source == "printed" and row.variant in self.evaluated and row.quantity in ("top-1", "top-5"):
            ours, key = self.evaluated[row.variant], row.quantity.replace("-", "")
            words = f"the 95% interval of {ours['images']:,} images"
            return Found([Reading((100 * ours[f"{key}_low"], 100 * ours[f"{key}_high"]), words, False)], EVALUATED)
        return needs(NEEDS_IMAGENET)

    def label(self, row, _):
        """An accuracy in the text against the figure's printed labels."""
        rows = self.paper[(self.paper.quantity == "top-5") & self.paper["where"].str.startswith("Figure 3")]
        labels = rows[(rows.variant == row.variant) & (rows.source == "printed")]
        readings = [Reading(float(twin.printed), f"{twin.where}'s label") for twin in labels.itertuples()]
        same = rows[(rows.printed == row.printed) & (rows.variant != row.variant)]
        note = "; ".join(f"{one.printed} is {one.source} at {one.subject}" for one in same.itertuples())
        return Found(readings, PRINTED, note)

    def gain(self, row, part):
        rows = self.paper[(self.paper["where"] == "Table 3") & (self.paper.quantity == part)].set_index("variant")
        value = float(rows.printed[row.variant]) - float(rows.printed[row.reference])
        return Found([Reading(round(value, 9))], PRINTED, "from Table 3 as printed")

    def cited_value(self, row, _):
        """A number that the paper takes from elsewhere, as it stands there."""
        if (row.subject, row.quantity) not in self.sources.index:
            return needs(NEEDS_IMAGENET)
        value, source = self.cited(row.subject, row.quantity)
        return Found([Reading(value)], CITED, source)

    def example(self, row, _):
        return needs(EXAMPLE, "drawn to explain the module; no network of the paper has these filters")


MEASURES = {
    "output": Answers.output,
    "channels": Answers.channels,
    "filter": Answers.filter,
    "depth": Answers.depth,
    "filters": Answers.filters,
    "kernel": Answers.kernel,
    "kernel in the sparsity column": Answers.kernel,
    **dict.fromkeys(
        ("base_e", "incr_e", "freq", "SR", "pct3x3", "expand by squeeze", "fire modules", "fire hyperparameters"),
        Answers.metaparameter,
    ),
    "squeeze by expand": Answers.squeeze_by_expand,
    "kernel ratio": Answers.kernel_ratio,
    "share of 1x1 filters": Answers.share_1x1,
    "max-pooled modules": Answers.pooled,
    "pooling layers": Answers.pooled,
    **dict.fromkeys(("pooling stride", "padding", "dropout", "fully connected layers"), Answers.layer_setting),
    "bypassed modules": Answers.bypassed,
    "parameters": Answers.parameters,
    "added parameters": Answers.added_parameters,
    "kept": Answers.kept,
    "parameters after pruning": Answers.after_pruning,
    "kept in all": Answers.kept_in_all,
    "speedup by sparsity": Answers.sparse_speedup,
    "size": Answers.size,
    "size ratio": Answers.size_ratio,
    "parameter ratio": Answers.parameter_ratio,
    "on-chip memory": Answers.memory,
    "bits": Answers.bits,
    "bit ratio": Answers.bit_ratio,
    "computation": Answers.computation,
    "computation ratio": Answers.computation_ratio,
    "top-1": Answers.accuracy,
    "top-5": Answers.accuracy,
    "top-5 in the figure": Answers.label,
    "gain": Answers.gain,
    "learning rate": Answers.cited_value,
    "layers": Answers.cited_value,
    "gain by residual connections": Answers.cited_value,
    "gain by DSD": Answers.cited_value,
    "loss by Ristretto": Answers.cited_value,
    "filters of the example": Answers.example,
}


def _by(shape):
    return "x".join(map(str, shape))
