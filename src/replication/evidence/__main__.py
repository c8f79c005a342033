"""`python -m replication.evidence list` names the trainings to do on this backend; `... train NAME` does one.

What is made of a training is made right after it, as its checkpoint may be gone the next day.
"""

import argparse
import json

import keras

from replication import paths, records, release
from replication.compress import steps
from replication.dataset import splits
from replication.evidence import rows
from replication.params import read
from replication.train import devices, loop
from squeezenet import models
from squeezenet.weights import sqnt

CHECKPOINTS = paths.DATA / "checkpoints"
SHIPPED_BITS = 6


def train(job):
    """Train, or go on with, one job, and leave its row; compress its network for Table 2 and the package."""
    options, recipe = job.settings()
    folder = CHECKPOINTS / job.name
    run = None
    if not job.path.exists() or not folder.exists():  # a checkpoint may have gone with its machine
        _, run = loop.train(job.variant, job.seed, options, recipe, read("dataset", splits.Dataset), folder)
    if rows.is_compressed(job):
        compress(job, options, recipe, folder)
    if rows.is_shipped(job):
        ship(job, options, recipe, folder)
    if run:
        rows.record(job, folder, run)  # last, as it says that all is done


def steps_of(job, options, recipe, folder, settings):
    """The steps of the compression of a checkpoint."""
    devices.set_up(recipe.threads, job.seed)
    model = keras.models.load_model(folder / "model.keras")
    parts = [splits.load(split, read("dataset", splits.Dataset)) for split in ("train", "validation", "test")]
    return steps.Steps(job.variant, options, model, settings, recipe, parts, job.seed, folder)


def compress(job, options, recipe, folder):
    """Deep Compression of a checkpoint with its dense control; leaves a row in data/evidence/compress."""
    done = steps_of(job, options, recipe, folder, read("compress", steps.Compress))
    done.run()
    row = {"variant": job.variant, "epochs": job.epochs, "seed": job.seed, "rows": done.rows, **records.provenance()}
    row |= {"correct": {file: rows.pack(correct) for file, correct in done.correct.items()}}
    row |= {"params": rows.compress_params(job)}
    records.write(job.compressed, json.dumps(row, indent=1) + "\n")


def ship(job, options, recipe, folder):
    """The checkpoint, compressed as vanilla SqueezeNet is, for the package."""
    settings = read("compress", steps.Compress)
    plan = settings.variants["squeezenet"]
    file = folder / f"{SHIPPED_BITS}_bit.sqnt"
    if not file.exists():
        plan = plan.model_copy(update={"bits": {str(SHIPPED_BITS): SHIPPED_BITS}})
        settings = settings.model_copy(update={"variants": {job.variant: plan}})
        done = steps_of(job, options, recipe, folder, settings)
        done.prune()
        done.share()
    metrics = json.loads((folder / "metrics.json").read_text())
    told = {key: metrics[key] for key in ("dataset", "train_images", "epochs", "seed")}
    name = models.create(**sqnt.decode(file.read_bytes())[0]).name
    release.release(file, name, told | {"bits": SHIPPED_BITS} | records.provenance())


def main():
    parser = argparse.ArgumentParser(prog="python -m replication.evidence", description=__doc__)
    parser.add_argument("do", choices=["list", "train"])
    parser.add_argument("name", nargs="?", help="as `list` prints it")
    arguments = parser.parse_args()
    backend = keras.backend.backend()
    every = {job.name: job for job in rows.jobs()}
    if arguments.do == "list":
        if strange := rows.strange():
            parser.exit(1, f"other parameters made these rows, move them away first: {', '.join(strange)}\n")
        print(*(name for name, job in every.items() if job.backend == backend and not rows.is_done(job)), sep="\n")
    elif arguments.name not in every:
        parser.error(f"no training {arguments.name!r}; `list` names them")
    elif every[arguments.name].backend != backend:
        parser.error(f"{arguments.name} is trained with KERAS_BACKEND={every[arguments.name].backend}")
    else:
        train(every[arguments.name])


if __name__ == "__main__":
    main()
