"""What two processes that train together send each other, by the operating system's counters: `make communication`.

Each pair of processes runs in a network namespace of its own, so that nothing else uses its loopback interface. The
gradients of an update are all that training on shared data has to exchange, whatever the images are. A row,
data/evidence/communication/NETWORK-DTYPE.json, is in git; its bytes may be counted on any machine.
"""

import json
import os
import socket
import subprocess
import sys
import time

import psutil

from replication import params, paths, records
from replication.dataset import splits
from replication.train import devices, loop, recipe

FEW = ["half_width", "sr_500", "alexnet"]
NETWORKS = {"float32": ["squeezenet", "complex_bypass", "sr_1000", *FEW], "mixed_bfloat16": FEW, "bfloat16": FEW}
PROCESSES, BATCH = 2, 64  # images to an update, of both processes together
UPDATES, REPEATS = 10, 3  # updates that are counted at once
NUMBER = "KERAS_DISTRIBUTION_PROCESS_ID"


def row_of(variant, dtype):
    return paths.EVIDENCE / f"communication/{variant}-{dtype}.json"


def isolated(*command):
    """Run a command in a network namespace of its own, in which the loopback interface is switched on."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    switched = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    subprocess.run(["unshare", *user, "--net", *switched], cwd=paths.ROOT, check=True)


def loopback():
    """Bytes that have been sent over the loopback interface: what one process sends another counts once."""
    return psutil.net_io_counters(pernic=True)["lo"].bytes_sent


def together(variant, dtype):
    """Run the processes, and wait for them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    keys = {"KERAS_DISTRIBUTION_JOB_ADDRESSES": address, "KERAS_DISTRIBUTION_NUM_PROCESSES": str(PROCESSES)}
    command = [sys.executable, "-m", "benchmarks.communication", variant, dtype]
    started = [subprocess.Popen(command, env=os.environ | keys | {NUMBER: str(i)}) for i in range(PROCESSES)]
    if any([process.wait() for process in started]):
        raise RuntimeError(f"{variant}, {dtype}: a process failed; its error is above.")


def process(variant, dtype):
    """One of the processes: train for a few updates. The first one writes the row."""
    number, cores = int(os.environ[NUMBER]), sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})
    options, training = recipe.variant_of(variant)
    training = training.model_copy(update={"batch_size": BATCH})
    devices.set_up(training.threads, seed=0, dtype=dtype, together=True)
    data = params.read("dataset", splits.Dataset)
    split, count = splits.load("train", data), BATCH * UPDATES
    part = slice(number * count // PROCESSES, (number + 1) * count // PROCESSES)

    with devices.one_device():
        drawn = recipe.build(options, training, splits.describe(data))
    model = devices.everywhere(drawn)
    recipe.compile_for(model, training, UPDATES * (REPEATS + 1))
    fed = loop.feed(model, split.images[part], split.labels[part], BATCH // PROCESSES)

    def learn():
        model.fit(**fed, shuffle=False, verbose=0)

    learn()  # compiles
    found = {"bytes": [], "seconds": [], "idle_bytes": []}
    for _ in range(REPEATS):
        sent, seconds = counted(learn)
        idle, _ = counted(lambda seconds=seconds: time.sleep(seconds))
        for key, value in zip(found, (sent, seconds, idle), strict=True):
            found[key].append(value)
    if devices.writes():
        row = {"variant": variant, "dtype": dtype, "parameters": model.count_params()}
        row |= {"tensors": len(model.trainable_variables), "cores": min(PROCESSES, len(cores)), "processes": PROCESSES}
        row |= {"batch_size": BATCH, "updates": UPDATES, "repeats": REPEATS} | found | records.provenance()
        records.write(row_of(variant, dtype), json.dumps(row, indent=1) + "\n")
        print(f"{variant}, {dtype}: {found}", flush=True)


def counted(work):
    """Bytes over the loopback interface while all processes do their work, and this one's seconds."""
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices("before")
    before, began = loopback(), time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    multihost_utils.sync_global_devices("after")
    return loopback() - before, seconds


if __name__ == "__main__":
    if sys.argv[1:]:
        (process if NUMBER in os.environ else together)(*sys.argv[1:])
    else:
        for dtype, variant in ((dtype, variant) for dtype, variants in NETWORKS.items() for variant in variants):
            if not row_of(variant, dtype).exists():
                isolated(sys.executable, "-m", "benchmarks.communication", variant, dtype)
