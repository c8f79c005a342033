"""The paper's recipe (Section 3.3.1 and the released solver), as printed or carried to CIFAR-10.

Optimiser, schedule and augmentation. Keras only, so that KERAS_BACKEND=jax runs it too.
"""

import inspect
from typing import Annotated, Literal

import keras
import numpy as np
from keras import layers, ops
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from replication.params import Section, read, validate
from squeezenet import models
from squeezenet.initial import initialise

Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Train(Section):
    """The section train of params.yaml, or the recipe that a run freezes."""

    seed: Seed
    epochs: PositiveInt
    batch_size: PositiveInt
    accumulate: PositiveInt
    learning_rate: PositiveFloat
    warmup: float = Field(ge=0, lt=1)
    momentum: float = Field(ge=0, lt=1)
    nesterov: bool
    weight_decay: float = Field(ge=0)
    clip_norm: PositiveFloat | None
    centralise: bool
    initializer: Literal["xavier", "he_centred"]
    dropout: float = Field(ge=0, lt=1)
    crop: int = Field(ge=16)
    shift: NonNegativeInt
    mirror: bool
    standardise: bool
    dtype: Literal["float32", "mixed_bfloat16"]
    threads: PositiveInt


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
        super().update_step(gradient + self.l2 * variable, variable, learning_rate)

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


def variant_of(name):
    """A network of params.yaml: keywords of `models.create`, and the laptop's recipe with the network's learning rate.

    Raises:
        ValueError: params.yaml has no such variant, it has an unknown argument, or its learning rate is not positive.
    """
    variants = read("variants", dict[str, dict])
    if name not in variants:
        raise ValueError(
            f"params.yaml: variants has no {name!r}, which a run or a command names. It has {', '.join(variants)}"
        )
    options = dict(variants[name])
    recipe = read("train", Train).model_dump()
    recipe["learning_rate"] = options.pop("learning_rate", recipe["learning_rate"])
    check_options(options, f"params.yaml: variants.{name}")
    return options, validate(f"variants.{name}", Train, recipe)


FIXED = {"classes", "classifier_activation", "include_top", "input_shape", "input_tensor", "nb_classes", "weights"}


def check_options(options, where):
    """Raise a ValueError, which says `where`, unless these are keywords of `models.create` for any training."""
    if options.get("model") not in [*models.MODELS]:
        raise ValueError(f"{where}.model must be one of {', '.join(models.MODELS)}")
    known = inspect.signature(models.AlexNet if options["model"] == "alexnet" else models.SqueezeNet).parameters
    if unknown := sorted(options.keys() - {"model", *known} | options.keys() & FIXED):
        raise ValueError(f"{where}.{unknown[0]}: a variant of this model cannot set it")


def build(options, recipe, statistics):
    """A trainable network for raw pixels: created, initialised, and set into `around`, as notebooks/train.ipynb does.

    Args:
        options: keywords of `models.create`.
        recipe: `Train`.
        statistics: `splits.describe`: kind, classes, image_shape, mean and std.
    """
    shape, classes = (recipe.crop, recipe.crop, 3), len(statistics["classes"])
    network = models.create(input_shape=shape, nb_classes=classes, **{"dropout_rate": recipe.dropout or None} | options)
    initialise(network, recipe.initializer, recipe.seed)
    return around(network, recipe, statistics)


def around(network, recipe, statistics):
    """A network for raw pixels: augmentation (in training only), crop, standardisation, and the network itself.

    The images of a folder are cropped and mirrored when they are read.

    Args:
        network: for images of `recipe.crop` pixels.
        recipe: `Train`.
        statistics: `splits.describe`: kind, image_shape, mean and std.

    Raises:
        ValueError: the crop, or the shift, is more than the images' side.
    """
    shape, side = tuple(statistics["image_shape"]), recipe.crop
    if max(side, recipe.shift) > (most := min(shape[:2])):
        raise ValueError(f"train.crop and train.shift must be at most {most}. Received: {side} and {recipe.shift}")
    variance = np.square(statistics["std"]) if recipe.standardise else np.ones(3)
    if statistics["kind"] == "folder":
        augmentation, shape = [], (side, side, 3)
    else:
        augmentation = [layers.RandomFlip("horizontal", name="mirror")] if recipe.mirror else []
        if recipe.shift:  # with the crop from the centre, a random crop
            reach = [recipe.shift / size for size in shape[:2]]
            look = {"fill_mode": "constant", "interpolation": "nearest"}
            augmentation.append(layers.RandomTranslation(*reach, **look, name="shift"))
        augmentation.append(layers.CenterCrop(side, side, name="crop"))
    standardised = layers.Normalization(mean=statistics["mean"], variance=variance, name="standardise")
    standardised.build((None, side, side, 3))
    # TensorFlow is several times slower where it repeats three numbers for each pixel. The saved layer has the three.
    for name in ("mean", "variance"):
        setattr(standardised, name, ops.broadcast_to(getattr(standardised, name), (1, side, side, 3)))
    images = keras.Input(shape, name="images")
    return keras.Sequential([images, *augmentation, standardised, network], name="from_pixels")


def compile_for(model, recipe, updates, kind=CaffeSGD):
    """Give a model the optimiser of a recipe, its schedule over `updates` steps, and the loss."""
    optimiser = kind(
        WarmupLinear(recipe.learning_rate, recipe.warmup * updates, updates, recipe.accumulate),
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        gradient_accumulation_steps=recipe.accumulate if recipe.accumulate > 1 else None,
        global_clipnorm=recipe.clip_norm,
        l2=recipe.weight_decay,
        centralise=recipe.centralise,
    )
    compile_with(model, optimiser)


def compile_with(model, optimiser):
    """Give a model an optimiser and the loss."""
    on_jax = keras.backend.backend() == "jax"
    if on_jax:  # Keras' own choice would leave a model with RandomTranslation uncompiled
        for layer in model.layers:
            layer.supports_jit = True
    accuracy = keras.metrics.CategoricalAccuracy("accuracy")
    # XLA halves TensorFlow's speed on a CPU, and a step that creates variables is traced twice.
    model.compile(optimiser, keras.losses.CategoricalCrossentropy(), metrics=[accuracy], jit_compile=on_jax)
    optimiser.build(model.trainable_variables)


def updates_of(split, recipe):
    """Updates in an epoch. The last one may have fewer images, unless an update takes several batches or devices.

    Raises:
        ValueError: there are fewer images than one update takes, or a batch cannot be shared equally.
    """
    distribution = keras.distribution.distribution()
    if distribution and recipe.batch_size % (devices := distribution.device_mesh.devices.size):
        raise ValueError(
            f"batch_size must be a multiple of the number of devices, {devices}. Received: {recipe.batch_size}"
        )
    if recipe.accumulate == 1 and distribution is None:
        return -(-len(split.labels) // recipe.batch_size)
    if len(split.labels) < (size := recipe.batch_size * recipe.accumulate):
        raise ValueError(
            f"batch_size x accumulate must be at most the {len(split.labels)} training images. "
            f"Received: {recipe.batch_size} x {recipe.accumulate}"
        )
    return len(split.labels) // size
