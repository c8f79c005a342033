"""Where a training step's time goes, by oneDNN's own account, and how its memory grows with the batch."""

import json
import os
import resource
import subprocess
import sys
import time

import keras
import numpy as np

from replication.bench import plan
from replication.bench.step import PLAIN
from replication.dataset import splits
from replication.params import read
from replication.train import devices, loop, recipe
from squeezenet import costs

STEPS = 20


def measure(settings, done):
    """Rows: memory by batch; milliseconds of a step by network, dtype and oneDNN's kind of work."""
    done = {(row["what"], row["network"], row["dtype"], row["batch"]) for row in done}
    for batch in settings.memory:
        if ("memory", settings.recipes.variant, "float32", batch) not in done:
            yield plan.child("growth", "memory", settings.recipes.variant, "float32", batch)
    for network in settings.networks:
        for dtype in settings.dtypes:
            batch = settings.batches[0]
            if ("profile", network, dtype, batch) not in done:
                yield profile(network, dtype, batch)


def profile(network, dtype, batch):
    """Milliseconds of a step: the whole without the account, and what oneDNN says of its parts.

    A line of the account: onednn_verbose,v1,primitive,exec,cpu,convolution,jit:avx512_core,backward_data,...,0.218.
    """
    arguments = ("profile", network, dtype, batch)
    whole = plan.child("growth", *arguments)
    command = [sys.executable, "-m", "replication.bench.growth", *map(str, arguments)]
    verbose = {"ONEDNN_VERBOSE": "profile_exec"}
    said = subprocess.run(command, env=os.environ | verbose, capture_output=True, text=True, check=True).stdout
    lines = [line.split(",") for line in said.splitlines() if line.startswith("onednn_verbose") and ",exec," in line]
    parts = {}
    for line in lines:
        kind, direction = line[line.index("exec") + 2], line[line.index("exec") + 4]
        name = kind if direction == "undef" else f"{kind}, {direction.replace('_', ' ')}"
        parts[name] = parts.get(name, 0) + float(line[-1]) / (STEPS + 2)
    return whole | {"parts": parts}


def run(what, network, dtype, batch):
    """Train for some steps: milliseconds of each, and the most memory in MB."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    options, settings = recipe.variant_of(network)
    settings = settings.model_copy(update=PLAIN)
    devices.set_up(1, seed=0)
    keras.config.set_dtype_policy(dtype)
    split = splits.load("train", read("dataset", splits.Dataset))
    model = recipe.build(network, options, settings, splits.describe(), seed=0)
    recipe.compile_for(model, settings, updates=10**6)
    chosen = np.arange((STEPS + 2) * batch) % len(split.labels)
    images, labels = split.images[chosen], split.labels[chosen]
    model.fit(**loop.feed(model, images[: 2 * batch], labels[: 2 * batch], batch), shuffle=False, verbose=0)
    began = time.perf_counter()
    model.fit(**loop.feed(model, images[2 * batch :], labels[2 * batch :], batch), shuffle=False, verbose=0)
    ms = 1000 * (time.perf_counter() - began) / STEPS
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    row = {"what": what, "network": network, "dtype": dtype, "batch": batch, "ms": ms, "megabytes": most}
    return row | {"macs": costs.macs(model.layers[-1])}


if __name__ == "__main__":
    what, network, dtype, batch = sys.argv[1:]
    print(json.dumps(run(what, network, dtype, int(batch))))
