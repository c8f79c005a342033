"""SqueezeNet 1.1 on other classes, from a few images of each: with ImageNet's weights, and from scratch."""

import json

import keras
import numpy as np
from PIL import Image
from pydantic import Field, PositiveFloat, PositiveInt
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from replication import records
from replication.dataset import folders, photographs, splits
from replication.params import Section
from replication.train import loop
from replication.train.recipe import build, compile_for, updates_of
from squeezenet import SqueezeNet_11, deep_compression, preprocess_input
from squeezenet.deep_compression.files import whole
from squeezenet.deep_compression.sharing import MOST_BITS
from squeezenet.weights import set_tensors, tensors

SEED = 0
PENALTY = 0.1  # of half the squared weights of the linear classifier, for standardised features
GLANCE = 300  # at most so many test images are classified after each epoch, for the curve; nothing is chosen by them
SMOOTH = Image.Resampling.BICUBIC


class Transfer(Section):
    """The section transfer of params.yaml."""

    per_class: PositiveInt
    test: PositiveInt
    side: int = Field(ge=64)
    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    dropout: float = Field(ge=0, lt=1)
    bits: int = Field(ge=1, le=MOST_BITS)


def enlarged(settings, data):
    """A few images of each class of the data set, enlarged: a training and a test `splits.Split`."""
    classes, parts = splits.describe(data)["classes"], []
    for name, limit in (("train", settings.per_class * len(classes)), ("test", settings.test)):
        small = splits.load(name, data.model_copy(update={"limit": limit}))
        images = [photographs.warp(Image.fromarray(image), settings.side, SMOOTH) for image in small.images]
        parts.append(splits.Split(np.stack(images), small.labels))
    return parts


def own(folder, side):
    """Your photographs, in one folder for each class; the last fifth of each class is for testing.

    A file that cannot be read is left out, and named.

    Returns:
        The classes, and a training and a test `splits.Split`.

    Raises:
        FileNotFoundError, ValueError: there are no two folders of at least two photographs each.
    """
    index = folders.sift(folders.index(folder), side)
    for name, reason in index.refused:
        print(f"left out: {index.folder / name}: {reason}")
    is_test = np.zeros(len(index.labels), bool)
    for label, name in enumerate(index.classes):
        of_class = np.flatnonzero(index.labels == label)
        if len(of_class) < 2:
            raise ValueError(f"{index.folder / name} must hold two photographs at least. Received: {len(of_class)}")
        is_test[of_class[-max(1, len(of_class) // 5) :]] = True
    images = np.stack([*photographs.in_order(lambda x: photographs.read(folder / x, side, SMOOTH), index.files, 64)])
    return index.classes, *(splits.Split(images[part], index.labels[part]) for part in (~is_test, is_test))


def of_pixels(network, augmentation=None):
    """A network for raw pixels, after `augmentation`, a layer, and `preprocess_input`."""
    images = keras.Input(network.input_shape[1:])
    return keras.Model(images, network(preprocess_input(augmentation(images) if augmentation else images)))


def linear_classifier(settings, classes, train):
    """SqueezeNet 1.1 with ImageNet's weights, whose conv10 is a linear classifier on the features.

    The mean over positions and a 1x1 convolution commute, so that this is the classifier of the pooled features.

    Raises:
        ImportError, FileNotFoundError: 1.1's weights are not at hand.
    """
    shape = (settings.side, settings.side, 3)
    features = SqueezeNet_11(shape, weights="imagenet", include_top=False, pooling="avg")
    model = of_pixels(features)
    pooled = model.predict(**loop.feed(model, train.images), verbose=0)
    scale = StandardScaler().fit(pooled)
    linear = LogisticRegression(C=1 / (PENALTY * len(pooled)), max_iter=1000)
    linear.fit(scale.transform(pooled), train.labels)
    weights, bias = linear.coef_, linear.intercept_
    if len(classes) == 2:  # scikit-learn gives those of the second class minus the first
        weights, bias = (np.concatenate([-each, each]) / 2 for each in (weights, bias))
    kernel = weights.T / scale.scale_[:, None]
    top = {"conv10/kernel": kernel[None, None], "conv10/bias": bias - scale.mean_ @ kernel}
    network = SqueezeNet_11(shape, len(classes), dropout_rate=settings.dropout)
    set_tensors(network, tensors(features) | top)
    return network


def fine_tune(network, settings, recipe, train, test):
    """Train all weights of a `linear_classifier`: from a good top (Kumar et al. 2022) the loss is low from the start.

    Returns:
        The history, a row for each epoch.
    """
    recipe = recipe.model_copy(update={"learning_rate": settings.learning_rate})
    model = of_pixels(network, keras.layers.RandomFlip("horizontal"))
    return _train("fine-tuning", model, settings, recipe, train, test)


def from_scratch(settings, recipe, classes, train, test):
    """The same network, trained by the recipe on nothing but the training images: the model and its history."""
    statistics = {"kind": "arrays", "classes": classes, "image_shape": train.images.shape[1:]}
    statistics |= {name: getattr(train.images, name)((0, 1, 2)).tolist() for name in ("mean", "std")}
    recipe = recipe.model_copy(update={"crop": settings.side, "seed": SEED})
    model = build({"model": "squeezenet_11"}, recipe, statistics)
    return model, _train("from scratch", model, settings, recipe, train, test)


def _train(title, model, settings, recipe, train, test):
    update = {"epochs": settings.epochs, "batch_size": settings.batch_size, "accumulate": 1, "seed": SEED}
    recipe = recipe.model_copy(update=update)
    compile_for(model, recipe, recipe.epochs * updates_of(train, recipe))
    every = -(-len(test.labels) // GLANCE)
    history = loop.fit(model, train, splits.Split(*(part[::every] for part in test)), recipe, title)
    return history[["epoch", "loss", "accuracy", "val_accuracy"]]


def save(network, classes, bits, folder):
    """Leave the network and classes.json in a folder; bytes of the .sqnt by section."""
    folder.mkdir(parents=True, exist_ok=True)
    with whole(folder / "network.keras") as path:
        records.save_network(network, path)
        for of_other_classes in ("classes.json", "network.sqnt"):
            (folder / of_other_classes).unlink(missing_ok=True)
    records.write(folder / "classes.json", json.dumps(classes))
    architecture = {"model": "squeezenet_11", "input_shape": network.input_shape[1:], "nb_classes": len(classes)}
    return deep_compression.compress(network, folder / "network.sqnt", bits=bits, architecture=architecture).sizes
