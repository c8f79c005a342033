"""Training images a second on one core: this repository's step and PyTorch's, in turn, and where the time goes."""

import collections
import contextlib
import itertools
import os
import subprocess
import sys

from benchmarks import common
from replication import paths

# Side of an image in pixels -> networks and batches. At 128 pixels the networks have the paper's stem.
NETWORKS = {
    128: (["squeezenet", "squeezenet_11", "sr_1000", "alexnet"], [64]),
    32: (["squeezenet", "sr_1000", "alexnet"], [64, 256]),
}
DTYPES = ["float32", "mixed_bfloat16"]
KERAS = "Keras on TensorFlow"
BACKENDS = {KERAS: "tensorflow", "Keras on JAX": "jax", "PyTorch": "torch", "PyTorch, compiled": "torch"}


def cells():
    keys = ("side", "network", "dtype", "batch")
    for side, (networks, batches) in NETWORKS.items():
        yield from (dict(zip(keys, cell, strict=True)) for cell in itertools.product([side], networks, DTYPES, batches))


def measure(**cell):
    """Images a second of each framework, round by round, and milliseconds of the parts of a step."""
    speeds, parameters = {name: [] for name in BACKENDS}, set()
    with contextlib.ExitStack() as stack:
        workers = {}
        for name in BACKENDS:
            workers[name] = stack.enter_context(worker(name, cell))
            parameters.add(reply(workers[name]).split()[0])
        if len(parameters) > 1:
            raise ValueError(f"{cell}: the frameworks must train the same network. Received: {parameters} parameters.")
        for _ in range(common.ROUNDS):
            for name, process in workers.items():
                process.stdin.write("again\n")
                speeds[name].append(float(reply(process)))
    return {"images_per_second": speeds, "profile": profile(cell)}


def worker(framework, cell, **environment):
    """A process on one core that trains for each line that it is sent, and waits meanwhile."""
    pinned = ["taskset", "-c", str(max(os.sched_getaffinity(0))), sys.executable]
    command = [*pinned, "-m", "benchmarks.training", framework, *map(str, cell.values())]
    environment = os.environ | {"KERAS_BACKEND": BACKENDS[framework]} | environment
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    return subprocess.Popen(command, cwd=paths.ROOT, env=environment, **pipes)


def reply(process):
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{' '.join(process.args[3:])} failed; its error is above.")
    return line


def profile(cell):
    """Milliseconds of a step of Keras on TensorFlow by kind of work, by oneDNN's own account.

    A line of it: onednn_verbose,v1,primitive,exec,cpu,convolution,jit:avx512_core,backward_data,...,0.218.
    """
    lines = worker(KERAS, cell, ONEDNN_VERBOSE="profile_exec").communicate("again\n")[0].splitlines()
    account = [line.split(",") for line in lines if line.startswith("onednn_verbose") and ",exec," in line]
    (_, steps), _ = (line.split() for line in lines if not line.startswith("onednn_verbose"))
    parts = collections.Counter()
    for fields in account:
        kind, direction = fields[fields.index("exec") + 2], fields[fields.index("exec") + 4].replace("_", " ")
        parts[kind if direction == "undef" else f"{kind}, {direction}"] += float(fields[-1]) / int(steps)
    return parts


if __name__ == "__main__":
    common.fill("speed", cells(), measure)
