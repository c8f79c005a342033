"""Train a network, resuming where a training was interrupted; measure it; save the results."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import joblib
import keras
import numpy as np
import pandas as pd
from keras import ops
from tqdm import tqdm

from replication import accuracy, paths, records
from replication.dataset import photographs, splits
from replication.train import devices, resident
from replication.train import recipe as recipes
from replication.train.resident import Resident
from squeezenet import costs, layers, models

EVALUATION_BATCH = 500
EVALUATION_BATCH_PHOTOGRAPHS = 50


def fit(model, training, validation, recipe, title):
    """Train a compiled model, or resume an interrupted training of the same network, recipe, code and data.

    After each epoch the state is saved in data/interrupted, from where the same call resumes until `forget`.

    Args:
        model: from images to probabilities, compiled with a schedule over `recipe.epochs` epochs. It is changed.
        training, validation: `splits.Split`.
        recipe: `Train`: epochs, the size of the batches, the augmentation of photographs.
        title: names the training; the state's folder begins with it.

    Returns:
        A frame with a row an epoch: loss and accuracy in training (a running mean, of augmented images under dropout)
        and validation, the next update's learning rate, seconds.
    """
    if hasattr(model, "history"):  # as Keras' `fit` leaves, which stays when the model is compiled anew
        raise ValueError(
            f"{title}: this model has already been trained. Rerun all cells; an interrupted training resumes"
        )
    folder = paths.INTERRUPTED / f"{title.replace(' ', '-')}-{_fingerprint(model, training, validation, recipe)}"
    updates, rows = recipes.updates_of(training, recipe), []
    if (folder / "state.keras").exists():
        try:
            model.load_weights(folder / "state.keras")  # and the optimiser's state
            rows = pd.read_csv(folder / "history.csv").to_dict("records")
            if len(rows) < int(model.optimizer.iterations) // updates:
                raise ValueError("history.csv lacks epochs")
        except Exception as error:  # of many kinds: a file of zip, of HDF5 or of text is damaged
            raise ValueError(f"{folder} cannot be read: rerun; if it is damaged, remove it ({error})") from None
    start = int(model.optimizer.iterations) // updates
    if start:
        print(f"{title}: resuming after epoch {start}", flush=True)
    elif others := [str(each) for each in folder.parent.glob(f"{folder.name[:-12]}*") if each != folder]:
        print(f"{title}: not resumed, because code, data or settings differ: {', '.join(others)}", flush=True)
    alone_on_accelerator = records.accelerator() and keras.distribution.distribution() is None
    fits = keras.backend.backend() == "jax" and isinstance(training.images, np.ndarray)
    learner = Resident(model, training.images, recipe.batch_size) if alone_on_accelerator and fits else model
    steps = updates * recipe.accumulate if learner is model else 1
    options = {"unit": " batches", "mininterval": 5, "file": sys.stdout}
    model.history = None  # also where no epoch is left, or a Resident is fitted
    with tqdm(desc=title, total=recipe.epochs * steps, initial=start * steps, **options) as bar:
        progress = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: bar.update())
        for epoch in range(start, recipe.epochs):
            row = run_epoch(learner, training, validation, recipe, epoch, progress)
            if not np.isfinite(row["val_loss"]):
                remedy = f"lower the learning rate, {recipe.learning_rate:g}, or leave this training out"
                raise ValueError(f"{title}: epoch {epoch + 1} ends with a loss of {row['val_loss']}: {remedy}")
            bar.set_postfix(training=f"{row['accuracy']:.3f}", validation=f"{row['val_accuracy']:.3f}")
            rows = [*rows[:epoch], row]
            if devices.writes():
                # state.keras is replaced last and at once. Resuming drops rows of the history that are later.
                records.write(folder / "history.csv", pd.DataFrame(rows).to_csv(index=False))
                mine = folder / f"{os.getpid()}.keras"  # another process may train the same network
                with devices.one_device():  # only this process saves, so that it must not wait for others
                    model.save(mine)
                os.replace(mine, folder / "state.keras")
    history = pd.DataFrame(rows)
    history.attrs["state"] = folder
    return history


def forget(history):
    """Remove the state from which `fit` would resume the training of this history: its results are saved."""
    if devices.writes():
        shutil.rmtree(history.attrs["state"], ignore_errors=True)


def _fingerprint(model, training, validation, recipe):
    """A hash of all that a training depends on: no other network, recipe, code or data resumes from its state."""
    modules = (sys.modules[__name__], devices, layers, models, photographs, recipes, resident, splits)
    code = [Path(module.__file__).read_bytes() for module in modules]
    network = [model.to_json(), model.optimizer.get_config(), model.get_weights()]
    return joblib.hash([network, training, validation, recipe.model_dump(), records.versions(), code])[:12]


def measure(model, training, validation, test):
    """Accuracy and loss of a trained model, in inference mode, and what it costs.

    Args:
        model: as of `recipe.around`.
        training, validation, test: `splits.Split`.

    Returns:
        What metrics.json has: accuracy (with its 95% Wilson interval) and loss on the test images, both on the
        training images, counts of images, parameters and MACs. And the test images' probabilities (n, classes).
    """
    (tested, probabilities), (trained, _) = evaluate(model, test), evaluate(model, training)
    metrics = {
        "train_images": len(training.labels),
        "validation_images": len(validation.labels),
        "test_images": len(test.labels),
        **tested,
        "train_accuracy": trained["accuracy"],
        "train_loss": trained["loss"],
        "parameters": model.layers[-1].count_params(),
        "macs": costs.macs(model.layers[-1]),
    }
    if probabilities.shape[1] > 10:
        metrics |= accuracy.top(accuracy.classes_better(probabilities, test.labels))
    return metrics, probabilities


def save(folder, model, history, metrics, probabilities, labels):
    """Save model.keras, history.csv, predictions.npz and metrics.json in a folder, all or none.

    Equal trainings save equal bytes. Of several processes that train together, only the first one writes.
    """
    if not devices.writes():
        return
    scratch = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    with devices.one_device():
        bare = keras.Sequential([keras.Input(model.input_shape[1:], name="images"), *model.layers], name=folder.name)
        records.save_network(bare, scratch / "model.keras")  # needs no optimiser
    history.to_csv(scratch / "history.csv", index=False)
    records.save_arrays(scratch / "predictions.npz", {"probabilities": probabilities, "labels": labels})
    records.write(scratch / "metrics.json", json.dumps(metrics, indent=2))
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def run_epoch(learner, training, validation, recipe, epoch, *callbacks):
    """Train for one epoch, whose result depends on the model's state, the recipe's seed and the epoch's number alone.

    Args:
        learner: the model, or a `Resident` of it and the training images.
        validation: None leaves its columns out.
        recipe: `Train`: the seed, the size of the batches, the augmentation of photographs.

    Returns:
        Its row of history.csv: loss and accuracy in training and validation, the next learning rate, seconds.
    """
    began = time.perf_counter()
    model = learner.network if isinstance(learner, Resident) else learner
    for i, generator in enumerate(v for v in model.variables if v.name == "seed_generator_state"):
        generator.assign(np.array([recipe.seed + i, epoch], dtype=generator.dtype))
    order = np.random.default_rng([recipe.seed, epoch]).permutation(len(training.labels))
    order = order[: recipes.updates_of(training, recipe) * recipe.batch_size * recipe.accumulate]
    number, processes = devices.process()
    if processes > 1:  # each feeds its part of every batch
        order = order.reshape(-1, processes, recipe.batch_size // processes)[:, number].ravel()
    labels = training.labels[order]
    if isinstance(learner, Resident):
        fed = feed(model, order, labels, len(order))
    else:
        images = training.images[order]
        if isinstance(images, photographs.Photographs):
            images = images.augmented((recipe.seed, epoch), recipe.shift, recipe.mirror)
        fed = feed(model, images, labels, recipe.batch_size // processes)
    options = {"shuffle": False, "initial_epoch": epoch, "epochs": epoch + 1, "verbose": 0}
    result = learner.fit(**fed, **options, callbacks=list(callbacks))
    checked = {}
    if validation is not None:
        with devices.alone(model) as copy:
            checked = copy.evaluate(**feed(model, *validation), return_dict=True, verbose=0)
    rate = float(ops.convert_to_numpy(model.optimizer.learning_rate))
    logs = {name: values[0] for name, values in result.history.items()}
    logs |= {f"val_{name}": value for name, value in checked.items()}
    return {"epoch": epoch + 1, **logs, "learning_rate": rate, "seconds": time.perf_counter() - began}


def feed(model, images, labels=None, batch_size=None):
    """Arguments for `fit`, or without `batch_size` for `evaluate` and `predict`.

    On TensorFlow, arrays get a pipeline without the autotuner that Keras would use. The tuner's thread sleeps twice as
    long each time, and `fit` waits for it at its end, which took a fifth of the training's time.
    """
    classes = model.output_shape[-1]
    if isinstance(images, photographs.Photographs):
        batch_size = batch_size or EVALUATION_BATCH_PHOTOGRAPHS
        return {"x": photographs.Batches(images, labels, batch_size, model.input_shape[1], classes)}
    batch_size = batch_size or (EVALUATION_BATCH if model.input_shape[1] <= 64 else EVALUATION_BATCH_PHOTOGRAPHS)
    arrays = (images,) if labels is None else (images, keras.utils.to_categorical(labels, classes))
    if keras.backend.backend() != "tensorflow":
        return dict(zip(("x", "y"), arrays, strict=False)) | {"batch_size": batch_size}
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return {"x": tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size).prefetch(2).with_options(options)}


def evaluate(model, split):
    """Accuracy with its 95% Wilson interval and loss of a model on a split; and the probabilities (n, classes)."""
    with devices.alone(model) as copy:
        probabilities = copy.predict(**feed(model, split.images), verbose=0).astype("float32")
    likelihood = probabilities[np.arange(len(split.labels)), split.labels]
    loss = float(-np.log(np.maximum(likelihood, 1e-7)).mean())
    return accuracy.with_interval(probabilities.argmax(1) == split.labels) | {"loss": loss}, probabilities
