"""Training images a second at ImageNet's size: random images that stay in the memory of the accelerator."""

import time

import keras
import numpy as np

from replication import records
from replication.params import read
from replication.train import devices, loop, recipe
from replication.train.resident import Resident
from squeezenet import models


def measure(settings, done):
    """One row for each dtype: images a second, round by round."""
    if not records.accelerator() or keras.backend.backend() != "jax":
        raise RuntimeError("this is measured on an accelerator, with KERAS_BACKEND=jax")
    side, batch = read("imagenet", dict)["crop"], settings.imagenet.batch
    images = np.random.default_rng(0).integers(0, 256, (settings.imagenet.images, side, side, 3), "uint8")
    classes = range(models.IMAGENET_CLASSES)
    labels = np.arange(len(images)) % len(classes)
    statistics = {"kind": "arrays", "image_shape": images.shape[1:], "classes": classes}
    statistics |= {"mean": [images[0].mean()] * 3, "std": [images[0].std()] * 3}
    for dtype in settings.dtypes:
        if dtype in {row["dtype"] for row in done}:
            continue
        options, chosen = recipe.variant_of("squeezenet")
        chosen = chosen.model_copy(update={"crop": side, "batch_size": batch})
        devices.set_up(chosen.threads, seed=0)
        keras.config.set_dtype_policy(dtype)
        model = recipe.build("squeezenet", options, chosen, statistics, seed=0)
        recipe.compile_for(model, chosen, updates=10**6)
        learner, speeds = Resident(model, images, batch), []
        for _ in range(1 + settings.rounds):
            began = time.perf_counter()
            learner.fit(**loop.feed(model, np.arange(len(images)), labels, len(images)), shuffle=False, verbose=0)
            speeds.append(len(images) / (time.perf_counter() - began))
        yield {"dtype": dtype, "batch": batch, "images_per_second": speeds[1:]}
