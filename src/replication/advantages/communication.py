"""What two processes that train together send each other, by the operating system's counters: `make communication`.

Each pair of processes runs in a network namespace of its own: nothing else sends over its loopback interface. The
gradients of an update are all that training by shared data has to exchange, whatever the images are. A row,
data/evidence/communication/NETWORK-DTYPE.json, is in git, and may be made on any machine.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time

import keras
import psutil
from pydantic import PositiveInt

from replication import paths, records
from replication.dataset import splits
from replication.params import Section, read
from replication.train import devices, loop, recipe

ROWS = paths.EVIDENCE / "communication"
PROCESSES = 2


class Communication(Section):
    """The section advantages.communication of params.yaml."""

    networks: dict[str, list[str]]
    batch_size: PositiveInt
    updates: PositiveInt
    repeats: PositiveInt


class Advantages(Section, extra="ignore"):
    """What is read here of section advantages."""

    communication: Communication


def settings(path=paths.PARAMS):
    return read("advantages", Advantages, path).communication


def row_of(variant, dtype):
    return ROWS / f"{variant}-{dtype}.json"


def isolated(*command):
    """Run a command in a network namespace of its own."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    subprocess.run(["unshare", *user, "--net", *command], check=True)


def switch_on():
    """Of a new namespace the loopback interface is off."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def loopback():
    """Bytes that have been sent over the loopback interface: what one process sends another counts once."""
    return psutil.net_io_counters(pernic=True)["lo"].bytes_sent


def launch(variant, dtype):
    """Start the processes in a namespace of their own; the first of them leaves the row."""
    isolated(sys.executable, "-m", "replication.advantages.communication", "together", variant, dtype)


def together(variant, dtype):
    """Inside the namespace: run the processes, and wait for them."""
    switch_on()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    names = {"JOB_ADDRESSES": address, "NUM_PROCESSES": str(PROCESSES)}
    command = [sys.executable, "-m", "replication.advantages.communication", "process", variant, dtype]
    started = []
    for number in range(PROCESSES):
        told = {f"KERAS_DISTRIBUTION_{key}": value for key, value in (names | {"PROCESS_ID": str(number)}).items()}
        started.append(subprocess.Popen(command, env=os.environ | told))
    if any([process.wait() for process in started]):
        raise RuntimeError(f"{variant}, {dtype}: a process failed, its error stands above")


def process(variant, dtype):
    """One of the processes: train for a few updates, together and alone. The first one writes the row."""
    number = int(os.environ["KERAS_DISTRIBUTION_PROCESS_ID"])
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})
    plan = settings()
    options, training = recipe.variant_of(variant)
    training = training.model_copy(update={"batch_size": plan.batch_size})
    devices.set_up(training.threads, seed=0)
    keras.config.set_dtype_policy(dtype)
    split = splits.load("train", read("dataset", splits.Dataset))
    count, each = plan.batch_size * plan.updates, plan.batch_size // PROCESSES
    part = slice(number * count // PROCESSES, (number + 1) * count // PROCESSES)

    def learner(model):
        recipe.compile_for(model, training, plan.updates * (plan.repeats + 1))
        fed = loop.feed(model, split.images[part], split.labels[part], each)
        return lambda: model.fit(**fed, shuffle=False, verbose=0)

    with devices.one_device():
        drawn = recipe.build(variant, options, training, splits.describe(), seed=0)
        alone = learner(keras.models.clone_model(drawn))
        alone()
    model = keras.models.clone_model(drawn)
    model.set_weights(drawn.get_weights())
    learn = learner(model)
    learn()  # compiles
    found = {"bytes": [], "seconds": [], "idle_bytes": [], "seconds_alone": []}
    for _ in range(plan.repeats):
        sent, seconds = _counted(learn)
        idle, _ = _counted(lambda seconds=seconds: time.sleep(seconds))
        with devices.one_device():
            _, seconds_alone = _counted(alone)
        for key, value in zip(found, (sent, seconds, idle, seconds_alone), strict=True):
            found[key].append(value)
    if number:
        return
    sizes = {"parameters": model.count_params(), "tensors": len(model.trainable_variables)}
    sizes |= {"cores": min(PROCESSES, len(cores))}
    row = {"variant": variant, "dtype": dtype, **sizes, "processes": PROCESSES, **plan.model_dump(exclude={"networks"})}
    records.write(row_of(variant, dtype), json.dumps(row | found | records.provenance(), indent=1) + "\n")
    print(f"{variant}, {dtype}: {found}", flush=True)


def _counted(work):
    """Bytes over the loopback interface while all processes do their work, and this one's seconds."""
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices("before")
    before, began = loopback(), time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    multihost_utils.sync_global_devices("after")
    return loopback() - before, seconds


def main():
    parser = argparse.ArgumentParser(prog="python -m replication.advantages.communication", description=__doc__)
    parser.add_argument("do", choices=["all", "together", "process"])
    parser.add_argument("variant", nargs="?")
    parser.add_argument("dtype", nargs="?")
    arguments = parser.parse_args()
    if arguments.do == "all":
        for dtype, variants in settings().networks.items():
            for variant in variants:
                if not row_of(variant, dtype).exists():
                    launch(variant, dtype)
    else:
        {"together": together, "process": process}[arguments.do](arguments.variant, arguments.dtype)


if __name__ == "__main__":
    main()
