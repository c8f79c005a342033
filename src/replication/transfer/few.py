"""SqueezeNet 1.1 on other classes, a few images of each: ImageNet's features against training from scratch."""

from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import PositiveInt
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from replication import paths
from replication.dataset import photographs, splits
from replication.params import Section
from replication.train import loop
from replication.train.recipe import build, compile_for, updates_of
from squeezenet import SqueezeNet_11, preprocess_input

SEED = 0


class Transfer(Section):
    """The section transfer of params.yaml."""

    folder: Path | None
    per_class: PositiveInt
    test: PositiveInt
    side: PositiveInt
    epochs: PositiveInt
    batch_size: PositiveInt


def draw(settings, data):
    """The images: of your own folder of classes, or of the data set, enlarged.

    Args:
        settings: `Transfer`.
        data: `splits.Dataset`.

    Returns:
        The data's name, its classes, and a training and a test `splits.Split`.
    """
    side, per_class = settings.side, settings.per_class
    if settings.folder:
        found = photographs.index(paths.ROOT / settings.folder)
        chosen = splits.stratified(found.labels, per_class * len(found.classes))
        rest = np.setdiff1d(np.arange(len(found.labels)), chosen)
        images = [np.stack([photographs.read(found.folder / f, side) for f in found.files[i]]) for i in (chosen, rest)]
        parts = [splits.Split(*part) for part in zip(images, (found.labels[chosen], found.labels[rest]), strict=True)]
        return settings.folder.name, found.classes, *parts
    about, parts = splits.describe(), []
    for name, limit in (("train", per_class * len(about["classes"])), ("test", settings.test)):
        small = splits.load(name, data.model_copy(update={"limit": limit}))
        images = np.stack([np.asarray(Image.fromarray(image).resize((side, side))) for image in small.images])
        parts.append(splits.Split(images, small.labels))
    return about["name"], about["classes"], *parts


def probe(settings, train, test):
    """The test images' classes by a linear classifier on ImageNet's features.

    Raises:
        ImportError: the package with 1.1's weights is not installed.
    """
    features = SqueezeNet_11((settings.side, settings.side, 3), weights="imagenet", include_top=False, pooling="avg")
    seen, unseen = (features.predict(preprocess_input(part.images), verbose=0) for part in (train, test))
    classifier = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-1, 5, 13)))
    return classifier.fit(seen, train.labels).predict(unseen)


def from_scratch(settings, recipe, classes, train, test):
    """The test images' classes by the same network, trained on nothing but the training images.

    Args:
        recipe: `recipe.Train`, of which crop, epochs and batch_size are this stage's own.
    """
    own = {"crop": settings.side, "epochs": settings.epochs, "batch_size": settings.batch_size}
    recipe = recipe.model_copy(update=own)
    statistics = {
        "kind": "arrays",
        "classes": classes,
        "image_shape": train.images.shape[1:],
        "mean": train.images.mean((0, 1, 2)),
        "std": train.images.std((0, 1, 2)),
    }
    model = build("scratch", {"model": "squeezenet_11"}, recipe, statistics, SEED)
    compile_for(model, recipe, recipe.epochs * updates_of(train, recipe))
    glance = splits.Split(train.images[: recipe.batch_size], train.labels[: recipe.batch_size])  # nothing hangs on it
    for epoch in range(recipe.epochs):
        loop.run_epoch(model, train, glance, recipe, SEED, epoch)
    return loop.evaluate(model, test)["probabilities"].argmax(1)
