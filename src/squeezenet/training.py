"""The paper's recipe, as printed or carried to CIFAR-10: optimiser, schedule, initial weights, fit with resume.

Keras only, so that KERAS_BACKEND=jax runs it too.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from cpuinfo import get_cpu_info
from keras import layers, ops
from statsmodels.stats.proportion import proportion_confint

from squeezenet import config, costs, datasets, models, photographs

EVALUATION_BATCH = 500
EVALUATION_BATCH_PHOTOGRAPHS = 50


@keras.saving.register_keras_serializable("squeezenet")
class CaffeSGD(keras.optimizers.SGD):
    """SGD in the order of Caffe's solver: clip, add the decay to the gradient, then momentum.

    Keras' own `weight_decay` bypasses the momentum and would be ten times weaker.

    Args:
        l2: weight decay.
        centralise: before all that, subtract from each filter's gradient its mean (Yong et al. 2020).
    """

    def __init__(self, *args, l2=0.0, centralise=False, **options):
        super().__init__(*args, **options)
        self.l2, self.centralise = l2, centralise

    def apply(self, grads, trainable_variables=None):
        variables = trainable_variables or self._trainable_variables
        super().apply([self.prepare(g, v) for g, v in zip(grads, variables, strict=True)], trainable_variables)

    def prepare(self, gradient, variable):
        """What is done to a gradient before it is clipped."""
        if self.centralise and len(variable.shape) > 1:
            gradient = gradient - ops.mean(gradient, axis=tuple(range(len(variable.shape) - 1)), keepdims=True)
        return gradient

    def update_step(self, gradient, variable, learning_rate):
        decay = ops.cast(self.l2, variable.dtype)
        super().update_step(gradient + decay * variable, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2, "centralise": self.centralise}


@keras.saving.register_keras_serializable("squeezenet")
class WarmupLinear(keras.optimizers.schedules.LearningRateSchedule):
    """Linear from 0 to `peak` over `warmup` updates, then linear to 0 at `total`, as the paper's solver decays.

    Keras counts batches: an update is `accumulate` of them.
    """

    def __init__(self, peak, warmup, total, accumulate=1):
        self.peak, self.warmup, self.total, self.accumulate = peak, warmup, total, accumulate

    def __call__(self, step):
        step = ops.cast(ops.floor_divide(step, self.accumulate), "float32")
        return self.peak * ops.minimum((step + 1) / (self.warmup + 1), (self.total - step) / (self.total - self.warmup))

    def get_config(self):
        return {"peak": self.peak, "warmup": self.warmup, "total": self.total, "accumulate": self.accumulate}


def set_up(threads, seed):
    """Make a run repeatable: seeds, deterministic kernels, and a fixed number of threads, which changes the bits.

    On JAX all devices train together, those of other processes too where Keras' environment variables
    KERAS_DISTRIBUTION_JOB_ADDRESSES, _NUM_PROCESSES and _PROCESS_ID tell of them.
    """
    if keras.backend.backend() == "jax" and keras.distribution.distribution() is None:
        if "KERAS_DISTRIBUTION_NUM_PROCESSES" in os.environ:
            keras.distribution.initialize()
        devices = keras.distribution.list_devices()
        if len(devices) > 1:
            together = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
            keras.distribution.set_distribution(together)
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        tf.get_logger().setLevel("ERROR")  # it warns of each network after the fifth
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def build(variant, params, statistics, seed):
    """A trainable network for raw pixels: augmentation (in training only), standardisation, the variant.

    The images of a folder come cropped and mirrored, so that only what is used of them is handed over.

    Args:
        variant: an entry of `params.variants`.
        params: `config.Params`.
        statistics: `datasets.describe()`: classes, image_shape, mean and std.
        seed: of the initial weights, drawn by numpy so that every backend starts alike.
    """
    recipe, shape, side = params.train, tuple(statistics["image_shape"]), params.train.crop
    variance = np.square(statistics["std"]) if recipe.standardise else np.ones(3)
    options = {"dropout_rate": recipe.dropout or None} | params.variants[variant]
    network = models.create(input_shape=(side, side, 3), nb_classes=len(statistics["classes"]), **options)
    initialise(network, recipe.initializer, seed)
    if params.dataset.name == "folder":
        augmentation, shape = [], (side, side, 3)
    else:
        augmentation = [layers.RandomFlip("horizontal")] if recipe.mirror else []
        if recipe.shift:  # a crop from the centre of a shifted image is one from elsewhere
            reach = [recipe.shift / size for size in shape[:2]]
            augmentation.append(layers.RandomTranslation(*reach, fill_mode="constant", interpolation="nearest"))
        augmentation.append(layers.CenterCrop(side, side))
    return keras.Sequential(
        [keras.Input(shape), *augmentation, layers.Normalization(mean=statistics["mean"], variance=variance), network],
        name=variant,
    )


def initialise(network, rule, seed):
    """Draw every kernel anew; the last layer's from N(0, 0.01), biases stay 0.

    "xavier" is Caffe's, U(+-sqrt(3 / fan_in)). "he_centred" is He's normal with each filter's mean subtracted:
    behind a ReLU every input is positive, so that a filter's mean is an offset common to all images, and it is
    what holds the loss at ln(classes) for epochs under xavier.
    """
    rng = np.random.default_rng(seed)
    *hidden, last = [layer for layer in network.layers if isinstance(layer, layers.Conv2D | layers.Dense)]
    for layer in hidden:
        shape = layer.kernel.shape
        fan_in = np.prod(shape[:-1])
        if rule == "xavier":
            kernel = rng.uniform(-np.sqrt(3 / fan_in), np.sqrt(3 / fan_in), shape)
        else:
            kernel = rng.normal(0, np.sqrt(2 / fan_in), shape)
            kernel = kernel - kernel.mean(axis=tuple(range(len(shape) - 1)), keepdims=True)
        layer.kernel.assign(kernel)
    last.kernel.assign(rng.normal(0, 0.01, last.kernel.shape))


def compile_for(model, recipe, updates):
    """Give a model the optimiser, the schedule over `updates` steps and the loss of `params.train`."""
    model.compile(
        CaffeSGD(
            WarmupLinear(recipe.learning_rate, recipe.warmup * updates, updates, recipe.accumulate),
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            gradient_accumulation_steps=recipe.accumulate if recipe.accumulate > 1 else None,
            global_clipnorm=recipe.clip_norm,
            l2=recipe.weight_decay,
            centralise=recipe.centralise,
        ),
        keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
        jit_compile="auto" if keras.backend.backend() == "jax" else False,  # XLA halves TensorFlow's speed on a CPU
    )
    _compile_crops(model)


def _compile_crops(model):
    """Undo that "auto" leaves a network with RandomTranslation uncompiled: on JAX every operation of it compiles."""
    if keras.backend.backend() == "jax":
        for layer in model.layers:
            layer.supports_jit = True
        model.jit_compile = True


class Resident(keras.Model):
    """For JAX: a network of its training images' numbers. The images lie on the device, an epoch is one compiled step.

    Its batches follow each other in the compiled code, so that no time is Python's. (On a CPU XLA's loops take six
    times as long as a step for each batch.)

    Args:
        network: compiled, from images to probabilities. It shares its weights and its optimiser's state.
        images: (n, height, width, 3), uint8.
        batch_size: images to an update.
    """

    def __init__(self, network, images, batch_size):
        super().__init__(name="resident")
        self.network, self.batch_size = network, batch_size
        self.images = self.add_weight(images.shape, "zeros", "uint8", trainable=False, name="images")
        self.images.assign(images)
        self.compile(network.optimizer, network.loss, metrics=["accuracy"], jit_compile=network.jit_compile)

    def call(self, numbers, training=None):
        return self.network(ops.take(self.images, numbers, axis=0), training=training)

    def train_step(self, state, epoch):
        whole = len(epoch[0]) // self.batch_size * self.batch_size
        batches = [ops.reshape(part[:whole], (-1, self.batch_size, *part.shape[1:])) for part in epoch]

        def update(state, batch):
            logs, state = super(Resident, self).train_step(state, tuple(batch))
            return tuple(map(list, state)), logs

        state, logs = ops.scan(update, tuple(map(list, state)), batches)
        if whole < len(epoch[0]):
            return super().train_step(state, tuple(part[whole:] for part in epoch))
        return {name: values[-1] for name, values in logs.items()}, state

    def feed(self, numbers, labels):
        """Arguments for `fit` on the images of these numbers."""
        return _feed(self.network, numbers, labels, len(numbers))


class Progress(keras.callbacks.Callback):
    """Says during an epoch how far a training is."""

    def __init__(self, title, epochs):
        super().__init__()
        self.title, self.epochs = title, epochs

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.began = epoch, time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        done, steps = batch + 1, self.params["steps"]
        if done % -(-steps // 5) == 0:
            left = (time.perf_counter() - self.began) / done * (steps * (self.epochs - self.epoch) - done)
            print(
                f"{self.title}: epoch {self.epoch + 1}/{self.epochs}, {done / steps:4.0%}, "
                f"accuracy {logs['accuracy']:.3f}, {left:.0f} s left",
                flush=True,
            )


def train(variant, seed, params, dataset=config.DATASET, target=None):
    """Train a variant, or go on with an interrupted training of the same code, parameters and data.

    Writes model.keras, history.csv, predictions.npz and metrics.json into `target`
    (`config.train_dir`), all or none.

    Returns:
        The trained model.
    """
    target = Path(target or config.train_dir(variant, seed))
    recipe, statistics = params.train, datasets.describe(dataset)
    set_up(recipe.threads, seed)
    keras.config.set_dtype_policy(recipe.dtype)
    training, validation, test = (
        datasets.load(split, params.dataset, dataset) for split in ("train", "validation", "test")
    )
    names = list(params.variants)
    title = f"[{names.index(variant) + 1}/{len(names)}] {variant}, seed {seed}"
    folder = config.INTERRUPTED / f"{variant}-{seed}-{_fingerprint(variant, params, statistics)}"
    state, rows = folder / "state.keras", []
    updates = updates_of(training, recipe)
    if state.exists():
        model = keras.models.load_model(state)
        _compile_crops(model)
        rows = pd.read_csv(folder / "history.csv").to_dict("records")
    else:
        with one_device():
            model = build(variant, params, statistics, seed)
        if keras.distribution.distribution():  # whose processes must agree on values from the start
            drawn, model = model, keras.models.clone_model(model)
            model.set_weights(drawn.get_weights())
        compile_for(model, recipe, recipe.epochs * updates)
    alone_on_accelerator = accelerator() and keras.distribution.distribution() is None
    fits = keras.backend.backend() == "jax" and isinstance(training.images, np.ndarray)
    learner = Resident(model, training.images, recipe.batch_size) if alone_on_accelerator and fits else model
    start = int(model.optimizer.iterations) // updates
    if start:
        print(f"{title}: going on after epoch {start}", flush=True)
    writes = process()[0] == 0
    folder.mkdir(parents=True, exist_ok=True)
    for epoch in range(start, recipe.epochs):
        progress = Progress(title, recipe.epochs)
        row = run_epoch(learner, training, validation, recipe, seed, epoch, progress)
        print(f"{title}: epoch {epoch + 1}/{recipe.epochs}, validation {row['val_accuracy']:.3f}", flush=True)
        rows = [*rows[:epoch], row]
        if not writes:
            continue
        # The state counts: it is replaced last and in one piece; a history that runs ahead of it is cut.
        write(folder / "history.csv", pd.DataFrame(rows).to_csv(index=False))
        with one_device():  # what one process does alone, none may wait for
            model.save(folder / "next.keras")
        os.replace(folder / "next.keras", state)
    history = pd.DataFrame(rows)
    seconds = float(history.seconds.sum())
    evaluation = evaluate(model, test)
    probabilities = evaluation.pop("probabilities")
    if not writes:
        return model
    metrics = {
        "variant": variant,
        "seed": seed,
        "dataset": statistics["name"],
        "train_images": len(training.labels),
        "validation_images": len(validation.labels),
        "test_images": len(test.labels),
        "epochs": recipe.epochs,
        **evaluation,
        **(
            photographs.top(photographs.classes_better(probabilities, test.labels))
            if params.dataset.name == "folder"
            else {}
        ),
        "validation_accuracy": float(history.val_accuracy.iloc[-1]),
        "parameters": model.layers[-1].count_params(),
        "macs": costs.macs(model.layers[-1]),
        "seconds": seconds,
        "images_per_second": recipe.epochs * min(len(training.labels), updates * update_size(recipe)) / seconds,
        "source": statistics["source"],
        **provenance(),
    }
    scratch = folder / "result"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    with one_device():
        bare = keras.Sequential([keras.Input(model.input_shape[1:]), *model.layers], name=variant)
        bare.save(scratch / "model.keras")  # needs no optimiser
    history.to_csv(scratch / "history.csv", index=False)
    np.savez_compressed(scratch / "predictions.npz", probabilities=probabilities, labels=test.labels)
    write(scratch / "metrics.json", json.dumps(metrics, indent=2))
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch.rename(target)
    shutil.rmtree(folder)
    return model


def update_size(recipe):
    """Images to an update of the weights."""
    return recipe.batch_size * recipe.accumulate


def process():
    """This process's number, and how many train together."""
    distribution = keras.distribution.distribution()
    return (distribution.data_shard_id, distribution.num_processes) if distribution else (0, 1)


def updates_of(split, recipe):
    """Updates an epoch. The last may be of fewer images, but not where it takes several batches or devices.

    Raises:
        ValueError: there are fewer images than one update takes, or a batch cannot be shared equally.
    """
    distribution = keras.distribution.distribution()
    if distribution and recipe.batch_size % (devices := distribution.device_mesh.devices.size):
        raise ValueError(f"batch_size must be a multiple of {devices} devices. Received: {recipe.batch_size}")
    if recipe.accumulate == 1 and distribution is None:
        return -(-len(split.labels) // recipe.batch_size)
    if len(split.labels) < update_size(recipe):
        raise ValueError(
            f"batch_size x accumulate must be at most the {len(split.labels)} training images. "
            f"Received: {recipe.batch_size} x {recipe.accumulate}"
        )
    return len(split.labels) // update_size(recipe)


def run_epoch(learner, training, validation, recipe, seed, epoch, *callbacks):
    """One epoch, a function of the model's state, the seed and the epoch's number alone.

    Args:
        learner: the model, or it as a `Resident` of the training images.
        recipe: `Params.train`: the size of the batches, what is random of a photograph.

    Returns:
        Its row of history.csv: loss and accuracy in training and validation, learning rate, seconds.
    """
    began = time.perf_counter()
    model = learner.network if isinstance(learner, Resident) else learner
    for i, generator in enumerate(v for v in model.variables if v.name == "seed_generator_state"):
        generator.assign(np.array([seed + i, epoch], dtype=generator.dtype))
    order = np.random.default_rng([seed, epoch]).permutation(len(training.labels))
    order = order[: updates_of(training, recipe) * update_size(recipe)]
    number, processes = process()
    if processes > 1:  # each feeds its part of every batch
        order = order.reshape(-1, processes, recipe.batch_size // processes)[:, number].ravel()
    labels = training.labels[order]
    if isinstance(learner, Resident):
        fed = learner.feed(order, labels)
    else:
        images = training.images[order]
        if isinstance(images, photographs.Photographs):
            images = images.augmented((seed, epoch), recipe.shift, recipe.mirror)
        fed = _feed(model, images, labels, recipe.batch_size // processes)
    options = {
        "shuffle": False,
        "initial_epoch": epoch,
        "epochs": epoch + 1,
        "callbacks": list(callbacks),
        "verbose": 0,
    }
    result = learner.fit(**fed, **options)
    with alone(model) as copy:
        checked = copy.evaluate(**_feed(model, *validation), return_dict=True, verbose=0)
    rate = float(ops.convert_to_numpy(model.optimizer.learning_rate))
    logs = {name: values[0] for name, values in result.history.items()}
    logs |= {f"val_{name}": value for name, value in checked.items()}
    return {"epoch": epoch + 1, **logs, "learning_rate": rate, "seconds": time.perf_counter() - began}


def _feed(model, images, labels=None, batch_size=None):
    """Arguments for `fit`, or without `batch_size` for `evaluate` and `predict`.

    For arrays and TensorFlow a pipeline without the autotuner of Keras' own, whose thread sleeps twice as long
    each time and is waited for in the end: a fifth of the training's time was that.
    """
    classes = model.output_shape[-1]
    if isinstance(images, photographs.Photographs):
        batch_size = batch_size or EVALUATION_BATCH_PHOTOGRAPHS
        return {"x": photographs.Batches(images, labels, batch_size, model.input_shape[1], classes)}
    batch_size = batch_size or EVALUATION_BATCH
    arrays = (images,) if labels is None else (images, keras.utils.to_categorical(labels, classes))
    if keras.backend.backend() != "tensorflow":
        return dict(zip(("x", "y"), arrays, strict=False)) | {"batch_size": batch_size}
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return {"x": tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size).prefetch(2).with_options(options)}


@contextlib.contextmanager
def alone(model):
    """The model itself, or where several devices train, a copy on this process's first one: it may have any batch."""
    if keras.distribution.distribution() is None:
        yield model
        return
    with one_device():
        copy = _copy(model)
        copy.set_weights(model.get_weights())
        yield copy


@contextlib.contextmanager
def one_device():
    """Work as if this process's first device were the only one."""
    together = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(together)


@functools.lru_cache(maxsize=1)  # compiled once
def _copy(model):
    copy = keras.models.clone_model(model)
    copy.compile(loss=model.loss, metrics=["accuracy"])
    return copy


def evaluate(model, split):
    """Accuracy with its 95% Wilson interval, loss, and the probabilities (n, classes), of a model on a split."""
    with alone(model) as copy:
        probabilities = copy.predict(**_feed(model, split.images), verbose=0).astype("float32")
    likelihood = probabilities[np.arange(len(split.labels)), split.labels]
    return {
        **accuracy(probabilities.argmax(1) == split.labels),
        "loss": float(-np.log(np.maximum(likelihood, 1e-7)).mean()),
        "probabilities": probabilities,
    }


def accuracy(correct):
    """The share of correct answers, with its 95% Wilson interval: accuracy, accuracy_low, accuracy_high."""
    low, high = proportion_confint(correct.sum(), len(correct), method="wilson")
    return {"accuracy": float(correct.mean()), "accuracy_low": float(low), "accuracy_high": float(high)}


def provenance():
    """Where a result comes from: commit, versions, backend, hardware."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=config.ROOT, capture_output=True, text=True)
    packages = ("keras", "numpy", keras.backend.backend())
    return {
        "commit": git.stdout.strip() or None,
        "versions": {"python": platform.python_version()} | {p: importlib.metadata.version(p) for p in packages},
        "backend": keras.backend.backend(),
        "hardware": f"{get_cpu_info().get('brand_raw', platform.machine())}, {os.cpu_count()} cores"
        + f", {accelerator()}" * bool(accelerator()),
    }


def accelerator():
    """The name of the GPU, or whatever there is, that trains; None where the CPU does."""
    if keras.backend.backend() == "jax":
        import jax

        names = [device.device_kind for device in jax.local_devices() if device.platform != "cpu"]
    else:
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        names = [tf.config.experimental.get_device_details(device).get("device_name", "GPU") for device in found]
    return ", ".join(names) or None


def write(path, text):
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def _fingerprint(variant, params, statistics):
    """Of all that a training depends on: a state made by other code, parameters or data is not gone on with."""
    description = [
        params.variants[variant],
        params.train.model_dump(exclude={"seeds"}),
        params.dataset.model_dump(mode="json"),
    ]
    digest = hashlib.sha256(json.dumps([description, statistics, provenance()["versions"]]).encode())
    for module in (models, datasets, photographs, __file__):
        digest.update(Path(getattr(module, "__file__", module)).read_bytes())
    return digest.hexdigest()[:12]
