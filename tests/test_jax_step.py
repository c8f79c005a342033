"""Keras' training step on JAX against one by hand: the same weights, and the time of each.

KERAS_BACKEND=jax pytest -s tests/test_jax_step.py
"""

import timeit

import keras
import numpy as np
import pytest

from replication import records
from replication.dataset.cifar10 import CLASSES
from replication.params import read
from replication.train import loop
from replication.train.recipe import Train, WarmupLinear, build, compile_for
from replication.train.resident import Resident
from squeezenet.models import FIRES, VARIANTS

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="for JAX: make test-all, or the command above")
PLAIN = {"crop": 32, "shift": 0, "mirror": False, "dropout": 0.0}  # what is random of images is not by hand
TRAIN = read("train", Train).model_copy(update=PLAIN | {"batch_size": 120, "dtype": "mixed_bfloat16"})
STATISTICS = {"kind": "cifar10", "classes": CLASSES, "image_shape": [32, 32, 3], "mean": [125.0, 123.0, 114.0]}
STATISTICS |= {"std": [63.0] * 3}


def by_hand(model, images, recipe, updates):
    """SqueezeNet 1.0 for CIFAR-10 and its recipe in plain JAX, from the weights of a Keras model.

    Returns:
        A function of the numbers and labels of an epoch's images (updates, batch) that trains, and gives the weights
        by layer: kernel, bias.
    """
    import jax
    import jax.numpy as jnp
    from jax import lax

    dtype, whole = jnp.dtype(recipe.dtype.removeprefix("mixed_")), keras.config.floatx()
    images, mean, std = (jnp.asarray(array) for array in (images, STATISTICS["mean"], STATISTICS["std"]))
    schedule = WarmupLinear(recipe.learning_rate, recipe.warmup * updates, updates)

    def forward(weights, x):
        def conv(name, x, stride=1):
            kernel, bias = (w.astype(dtype) for w in weights[name])
            layout = ("NHWC", "HWIO", "NHWC")
            return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=layout) + bias

        def pool(x):
            ceil = [(0, (size - 3) % 2) for size in x.shape[1:3]]
            return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), [(0, 0), *ceil, (0, 0)])

        x = pool(jax.nn.relu(conv("conv1", x, stride=2)))
        for i in FIRES:
            x = jax.nn.relu(conv(f"fire{i}_squeeze1x1", x))
            expanded = [conv(f"fire{i}_expand{size}", x) for size in ("1x1", "3x3")]
            x = jax.nn.relu(jnp.concatenate(expanded, -1))
            x = pool(x) if f"fire{i}" in VARIANTS["squeezenet_1_0"].pools else x
        return conv("conv10", x).mean((1, 2)).astype(whole)

    def loss_of(weights, images, labels):
        scores = jax.nn.log_softmax(forward(weights, ((images - mean) / std).astype(dtype)))
        return -jnp.take_along_axis(scores, labels[:, None], 1).mean()

    def update(state, batch):
        weights, velocity, step = state
        numbers, labels = batch
        gradient = jax.grad(loss_of)(weights, images[numbers], labels)
        gradient = jax.tree.map(lambda g: g - g.mean((0, 1, 2), keepdims=True) if g.ndim > 1 else g, gradient)
        norm = jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(gradient)))
        scale, rate, momentum = recipe.clip_norm / jnp.maximum(norm, recipe.clip_norm), schedule(step), recipe.momentum
        decayed = jax.tree.map(lambda g, w: -rate * (scale * g + recipe.weight_decay * w), gradient, weights)
        velocity = jax.tree.map(lambda v, g: momentum * v + g, velocity, decayed)
        return (
            jax.tree.map(lambda w, v, g: w + momentum * v + g, weights, velocity, decayed),
            velocity,
            step + 1,
        ), None

    step = jax.jit(lambda *arguments: lax.scan(update, *arguments), donate_argnums=0)
    start = {
        layer.name: [jnp.array(w) for w in layer.get_weights()] for layer in model.layers[-1].layers if layer.weights
    }
    held = [(start, jax.tree.map(jnp.zeros_like, start), jnp.array(0))]

    def train(numbers, labels):
        held[0], _ = step(held[0], (numbers, labels))
        return jax.device_get(held[0][0])

    return train


def prepare(recipe, updates):
    """Images of noise, both ways to train on them, and an epoch's numbers and labels."""
    images = np.random.default_rng(0).integers(0, 256, (updates * recipe.batch_size, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(len(images)) % 10
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.dtype)
    model = build({"model": "squeezenet"}, recipe, STATISTICS)
    keras.config.set_dtype_policy(policy)
    compile_for(model, recipe, 10 * updates)
    learner = Resident(model, images, recipe.batch_size)
    hand = by_hand(model, images, recipe, 10 * updates)
    numbers = np.random.default_rng(0).permutation(len(images))
    return model, learner, hand, numbers, labels[numbers]


@pytest.fixture
def double():
    import jax

    keras.config.set_floatx("float64")
    with jax.enable_x64(True):
        yield
    keras.config.set_floatx("float32")


@pytest.mark.jax
def test_both_ways_give_the_same_weights(double):
    """In 64 bits; in 32 bits rounding errors grow tenfold with each of the first updates."""
    recipe = TRAIN.model_copy(update={"dtype": "float64", "batch_size": 16})
    model, learner, hand, numbers, labels = prepare(recipe, updates=3)
    start = {layer.name: layer.get_weights() for layer in model.layers[-1].layers if layer.weights}
    learner.fit(**loop.feed(model, numbers, labels, len(numbers)), shuffle=False, verbose=0)
    found = hand(*(array.reshape(-1, recipe.batch_size) for array in (numbers, labels)))
    for name, before in start.items():
        for ours, theirs, then in zip(model.layers[-1].get_layer(name).get_weights(), found[name], before, strict=True):
            assert np.linalg.norm(ours - theirs) < 1e-5 * np.linalg.norm(ours - then), name


def test_keras_takes_at_most_three_times_as_long():
    if (device := records.accelerator()) is None:
        pytest.skip("for an accelerator")
    model, learner, hand, numbers, labels = prepare(TRAIN, updates=375)
    batches = [array.reshape(-1, TRAIN.batch_size) for array in (numbers, labels)]
    fed = loop.feed(model, numbers, labels, len(numbers))
    ways = {"Keras": lambda: learner.fit(**fed, verbose=0), "by hand": lambda: hand(*batches)}
    seconds = {}
    for name, run in ways.items():
        run()  # compiles
        seconds[name] = min(timeit.repeat(run, number=1, repeat=5))
        print(f"{name}: {len(numbers) / seconds[name]:,.0f} images/s on {device}, {TRAIN.dtype}")
    assert seconds["Keras"] < 3 * seconds["by hand"]
