"""The paper's three advantages of small networks (Section 1): communication in training, updates, memory."""

import json
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import statsmodels.api as sm

from replication import params, paths
from replication.report.ours import network_of
from squeezenet import costs

PLAIN = "float32"
SHOWN = ("squeezenet", "squeezenet_11", "complex_bypass", "alexnet")  # of which memory is shown


class Advantages(NamedTuple):
    """What has been measured.

    Attributes:
        communication: one row for each network, dtype and repeat: bytes and seconds of an update.
        updates: one row for each network, form and way to its next version: bytes.
        arenas: one row for each network, image size and bits: LiteRT's bytes of activations beside liveness'.
    """

    communication: pd.DataFrame
    updates: pd.DataFrame
    arenas: pd.DataFrame


def read(folder=paths.EVIDENCE):
    """Read the rows of `make communication` and of notebooks/advantages.ipynb."""
    counted = [json.loads(path.read_text()) for path in sorted((folder / "communication").glob("*.json"))]
    made = json.loads((folder / "advantages.json").read_text())
    updates, arenas = ([row for each in made.values() for row in each[key]] for key in ("updates", "arenas"))
    return Advantages(per_update(counted), pd.DataFrame(updates), pd.DataFrame(arenas))


def measured(ours):
    """How the claims of Section 1 are answered: test -> function of a claim, for `claims.assess`."""
    tests = {"proportional": proportional, "less to send": less_to_send}
    return {name: partial(test, ours=ours) for name, test in tests.items()}


# Communication


def per_update(counted):
    """The rows of data/evidence/communication, one for each repeat: bytes of an update without what runs idle."""
    rows = []
    for row in counted:
        each = {key: row[key] for key in ("variant", "dtype", "parameters", "hardware")}
        for sent, idle, seconds, alone in zip(
            row["bytes"], row["idle_bytes"], row["seconds"], row["seconds_alone"], strict=True
        ):
            rows.append(each | {"bytes": (sent - idle) / row["updates"], "share": 1 - alone / seconds})
    return pd.DataFrame(rows)


class Fit(NamedTuple):
    """Bytes of an update against parameters, by least squares over networks; values with their 95% intervals.

    Attributes:
        slope: bytes a parameter.
        exponent: k of bytes = c x parameters^k; 1 is proportional.
        line: statsmodels' result, for predictions.
    """

    slope: tuple
    exponent: tuple
    line: object

    def predict(self, parameters):
        """Bytes of an update of another network."""
        return self.line.predict([1.0, parameters]).item()


def fit(rows):
    """The regression over networks, each by the mean of its repeats, which hardly differ."""
    means = rows.groupby("variant")[["parameters", "bytes"]].mean()
    parameters, sent = means.parameters.to_numpy(float), means.bytes.to_numpy(float)
    line = sm.OLS(sent, sm.add_constant(parameters)).fit()
    power = sm.OLS(np.log(sent), sm.add_constant(np.log(parameters))).fit()
    slope, exponent = ((each.params[1], *each.conf_int()[1]) for each in (line, power))
    return Fit(slope, exponent, line)


def proportional(claim, ours):
    """Whether bytes grow as the first power of parameters: the exponent's interval lies within the margin around 1."""
    rows = ours.communication
    line = fit(rows[(rows.dtype == PLAIN) & rows.variant.isin(claim.first.split())])
    value, low, high = line.exponent
    margin = float(claim.margin.strip("%")) / 100
    outside, inside = low > 1 + margin or high < 1 - margin, low > 1 - margin and high < 1 + margin
    words = f"{line.slope[0]:.2f} bytes a parameter; exponent {value:.3f} [{low:.3f}, {high:.3f}]"
    found = {"effect": value, "low": low, "high": high, "threshold": 1 - margin, "words": words}
    return found | {"fails": True if outside else False if inside else None}


# Downloads and updates


def less_to_send(claim, ours):
    """Whether a network's every download and update is smaller than the other's, by more than `margin` times."""
    sizes = ours.updates.set_index(["network", "form", "how"])[["download", "update"]].stack()
    ratio = (sizes[claim.second] / sizes[claim.first]).dropna()
    form, how, what = ratio.idxmin()
    least, margin = ratio.min(), float(claim.margin)
    where = f"{form.replace(' bits', '-bit')} {what}, {how}"
    words = f"between {least:.1f} times fewer bytes ({where}) and {ratio.max():.0f} times"
    return {"effect": least, "threshold": margin, "words": words, "fails": bool(least <= margin)}


# Memory


def memory(files):
    """Bytes of inference at batch 1 of every network, for ImageNet's images.

    Args:
        files: network -> bytes of its compressed file for ImageNet.

    Returns:
        A frame with network, macs, weights and activations (at 32 bits), and the bytes in all: at 32 bits, with sums
        and concatenations in place, at 8 bits, and with the weights in their compressed file and 32-bit activations.
    """
    rows = []
    for name, options in params.read("variants", dict[str, dict]).items():
        network = network_of(options)
        parameters, live = network.count_params(), costs.live_activations(network)
        rows.append(
            {
                "network": name,
                "macs": costs.macs(network),
                "weights": 4 * parameters,
                "activations": 4 * max(each.activations for each in live),
                "bits_32": costs.peak_memory(network),
                "in_place": costs.peak_memory(network, in_place=True),
                "bits_8": costs.peak_memory(network, 1, 1),
                "compressed": costs.peak_memory(network, files.get(name, np.nan) / parameters),
            }
        )
    return pd.DataFrame(rows)
