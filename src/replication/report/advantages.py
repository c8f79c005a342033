"""The paper's three advantages of small networks (Section 1): communication in training, updates, memory."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

from replication import paths, records
from replication.report.ours import network_of
from replication.train import runs
from squeezenet import costs


class Advantages(NamedTuple):
    """What has been measured."""

    communication: pd.DataFrame  # a row for each network, dtype and repeat: bytes of an update
    updates: pd.DataFrame  # for each network, form and way to its next version: bytes
    arenas: pd.DataFrame  # for each network, image size and bits: LiteRT's bytes of activations beside liveness'


def read():
    """Read the rows of `make communication` and of notebooks/advantages.ipynb."""
    counted = [records.read(path) for path in sorted((paths.EVIDENCE / "communication").glob("*.json"))]
    made = records.read(paths.EVIDENCE / "advantages.json").values()
    updates = [pd.DataFrame(each["updates"]).assign(dataset=each["dataset"], epochs=each["epochs"]) for each in made]
    arenas = [pd.DataFrame(each["arenas"]) for each in made]
    return Advantages(per_update(counted), *(pd.concat(frames, ignore_index=True) for frames in (updates, arenas)))


# Communication


def per_update(counted):
    """The rows of data/evidence/communication, one for each repeat: bytes of an update minus idle traffic."""
    if not counted:
        raise ValueError("data/evidence/communication has no rows: make communication, or take them from git again")
    rows = pd.DataFrame(counted).explode(["bytes", "idle_bytes"], ignore_index=True)
    rows["bytes"] = (rows.bytes - rows.idle_bytes).astype(float) / rows.updates
    return rows[["variant", "dtype", "parameters", "hardware", "bytes"]]


def by_network(communication):
    """Parameters and bytes of an update in 32-bit floats: the means of repeats, which hardly differ."""
    plain = communication[communication.dtype == "float32"].groupby("variant")
    return plain[["parameters", "bytes"]].mean()


def fit(means):
    """Two regressions of bytes on parameters over networks: as they are, and in logarithms.

    The slope of the second is k of bytes = c x parameters^k, which is 1 if bytes are proportional to parameters.
    """
    return smf.ols("bytes ~ parameters", means).fit(), smf.ols("np.log(bytes) ~ np.log(parameters)", means).fit()


def proportional(claim, measured):
    """Whether bytes grow as the first power of parameters: the exponent's interval lies within the margin around 1."""
    means, asked = by_network(measured.communication), claim.first.split()
    if missing := set(asked) - {*means.index}:
        raise ValueError(f"data/evidence/communication has no float32 row of {', '.join(sorted(missing))}")
    line, power = fit(means.loc[asked])
    value, (low, high) = power.params.iloc[1], power.conf_int().iloc[1]
    margin = float(claim.margin.strip("%")) / 100
    outside, inside = low > 1 + margin or high < 1 - margin, low > 1 - margin and high < 1 + margin
    words = f"{line.params.parameters:.2f} bytes a parameter; exponent {value:.3f} [{low:.3f}, {high:.3f}]"
    found = {"effect": value, "low": low, "high": high, "threshold": 1 - margin, "words": words}
    return found | {"fails": True if outside else False if inside else None}


# Downloads and updates


def less_to_send(claim, measured):
    """Whether every download and update of a network is more than `margin` times smaller than the other's."""
    sizes = measured.updates.set_index(["network", "form", "how"])[["download", "update"]].stack()
    ratio = (sizes[claim.second] / sizes[claim.first]).dropna()
    form, how, what = ratio.idxmin()
    least, margin = ratio.min(), float(claim.margin)
    where = f"{form.replace(' bits', '-bit')} {what}, {how}"
    made = (measured.updates.dataset + ", " + measured.updates.epochs.astype(str) + " epochs").unique()
    words = f"{least:.1f} ({where}) to {ratio.max():.0f} times fewer bytes (one pair: {' and '.join(made)})"
    return {"effect": least, "threshold": margin, "words": words, "fails": bool(least <= margin)}


# Memory


def memory(files):
    """Bytes of inference at batch 1 of the runs' networks, for ImageNet: weights, activations (image included), both.

    Both at 32 bits, at 8 bits, and with the weights in their compressed file: `files`, network -> bytes.
    """
    rows = []
    for name in dict.fromkeys(name for run in runs.plan().values() for name in run.networks):
        network = network_of(name)
        live = max(each.activations for each in costs.live_activations(network, keep_input=True))
        rows.append((name, costs.macs(network), 4 * network.count_params(), 4 * live, files.get(name, np.nan)))
    table = pd.DataFrame(rows, columns=["network", "macs", "weights", "activations", "file"])
    table["bits_32"] = table.weights + table.activations
    table["bits_8"] = table.bits_32 // 4
    table["compressed"] = table.pop("file") + table.activations
    return table
