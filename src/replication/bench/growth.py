"""Where a training step's time goes, by oneDNN's own account, and how its memory grows with the batch."""

import json
import os
import subprocess
import sys
import time

from replication.bench import plan
from replication.bench.step import by_keras
from replication.dataset import splits
from replication.params import read
from squeezenet import costs

IMAGES = 4096


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
    """Milliseconds of a step: the whole without the account, and what oneDNN says of its parts, on average.

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
        parts[name] = parts.get(name, 0) + float(line[-1]) / (IMAGES // batch + 2)
    return whole | {"parts": parts}


def run(what, network, dtype, batch):
    """Train on as many images whatever the batch: milliseconds of a step, and the most memory in MB."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    split = splits.load("train", read("dataset", splits.Dataset))
    learn, built = by_keras(network, dtype, batch)
    images, labels = split.images[:IMAGES], split.labels[:IMAGES]
    learn(images[: 2 * batch], labels[: 2 * batch])
    began = time.perf_counter()
    learn(images, labels)
    ms = 1000 * (time.perf_counter() - began) / (IMAGES // batch)
    row = {"what": what, "network": network, "dtype": dtype, "batch": batch, "ms": ms, "megabytes": plan.peak()}
    return row | {"macs": costs.macs(built)}


if __name__ == "__main__":
    what, network, dtype, batch = sys.argv[1:]
    print(json.dumps(run(what, network, dtype, int(batch))))
