"""Training images a second on one core: Keras on TensorFlow and on JAX beside PyTorch, in turn."""

import contextlib
import itertools
import os
import subprocess
import sys

FRAMEWORKS = {  # -> KERAS_BACKEND
    "Keras on TensorFlow": "tensorflow",
    "Keras on JAX": "jax",
    "PyTorch": "torch",
    "PyTorch, compiled": "torch",
}


class Worker:
    """A framework in a process of its own, on one core, which waits while others are timed."""

    def __init__(self, framework, core, *arguments):
        command = [sys.executable, "-m", "replication.bench.step", str(core), framework, *map(str, arguments)]
        environment = os.environ | {"KERAS_BACKEND": FRAMEWORKS[framework]}
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self.process.args[2:])} failed, its error stands above")
        return line

    def speed(self, seconds):
        """Images a second, of a training for about so many seconds."""
        self.process.stdin.write(f"{seconds}\n")
        return float(self.answer())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def measure(settings, done):
    """One row for each network, dtype and batch: images a second of each framework, round by round."""
    done = {(row["network"], row["dtype"], row["batch"]) for row in done}
    for cell in itertools.product(settings.networks, settings.dtypes, settings.batches):
        if cell in done:
            continue
        with contextlib.ExitStack() as stack:
            workers = {name: stack.enter_context(Worker(name, i, *cell)) for i, name in enumerate(FRAMEWORKS)}
            parameters = {int(worker.answer()) for worker in workers.values()}  # once it is ready
            speeds = {name: [] for name in FRAMEWORKS}
            for _ in range(1 + settings.rounds):
                for name, worker in workers.items():
                    speeds[name].append(worker.speed(settings.seconds))
        if len(parameters) > 1:
            raise ValueError(f"{cell}: the frameworks train different networks, of {parameters} parameters")
        yield dict(zip(("network", "dtype", "batch"), cell, strict=True)) | {
            "images_per_second": {name: found[1:] for name, found in speeds.items()}
        }
