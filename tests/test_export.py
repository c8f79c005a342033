"""Stage export: each file classifies as the network that it holds, and networks without images are named."""

from unittest.mock import Mock

import numpy as np
import onnx
from test_imagenet import paint

from replication.dataset import imagenette
from replication.dataset.splits import Dataset
from replication.export import formats, networks
from replication.imagenet import evaluation, released
from replication.params import read
from squeezenet import models

ARCHITECTURE = {"model": "squeezenet", "input_shape": [32, 32, 3], "nb_classes": 10, "compression": 0.25}


def test_each_format_classifies_as_keras_does(tmp_path):
    images = np.random.default_rng(0).normal(0, 60, (3, 32, 32, 3)).astype("float32")
    network = models.create(**ARCHITECTURE)
    labels = np.add(network.predict(images).argmax(1), [1, 0, 0]) % 10
    subject = networks.Subject("CIFAR-10", network, ARCHITECTURE, images, images, labels)
    rows, times = networks.measure(subject, tmp_path, calls=2)
    assert [row["format"] for row in rows] == list(formats.FORMATS) == [row["format"] for row in times][1:]
    for row in rows:
        exact = row["format"] != "LiteRT, 8 bits"
        assert row["difference"] < (1e-5 if exact else 0.1)
        assert not exact or (row["agreement"], row["accuracy"]) == (1, 2 / 3)
    size = {row["format"]: row["bytes"] for row in rows}
    assert size["LiteRT, 8 bits"] < size["LiteRT"] < size["SavedModel"] and size[".sqnt"] < size["ONNX"]
    names = {each.name for each in onnx.load(tmp_path / "network.onnx").graph.initializer}
    assert "constant_0" in names and not any("__" in name for name in names)
    (tmp_path / "saved_model/fingerprint.pb").write_bytes(bytes(1000))
    assert formats.size(tmp_path / "saved_model") == size["SavedModel"]


def test_of_other_images_than_cifar10s_only_imagenets_networks_are_left():
    data = read("dataset", Dataset).model_copy(update={"name": "folder"})
    subjects, missing = networks.of_cifar10(read("export", networks.Export), data)
    assert subjects == [] and set(missing) == {f"{name}, CIFAR-10" for name in models.VARIANTS}


def test_imagenets_networks_are_exported_with_photographs_or_not_at_all(tmp_path, monkeypatch):
    settings = read("export", networks.Export).model_copy(update={"calibration": 2, "photographs": 3})
    imagenet = read("imagenet", released.ImageNet)
    monkeypatch.setattr(released, "networks", lambda _: ({"squeezenet_11": "a network"}, {"squeezenet": "no weights"}))
    monkeypatch.setattr(imagenette, "find", Mock(side_effect=FileNotFoundError("Imagenette is not at hand")))
    assert networks.of_imagenet(settings, imagenet) == (
        [],
        {f"{name}, ImageNet": "Imagenette is not at hand" for name in ("squeezenet", "squeezenet_11")},
    )

    def drawn(count, clean=True):
        for i in range(count):
            paint(tmp_path / f"{i}.png", red=10 * i)
        return [(f"{i}.png", tmp_path / f"{i}.png", i) for i in range(count)], []

    monkeypatch.setattr(evaluation, "of_imagenette", drawn)
    (subject,), left_out = networks.of_imagenet(settings, imagenet)
    assert left_out == {"squeezenet, ImageNet": "no weights"} and subject.network == "a network"
    assert subject.test.shape == (3, 227, 227, 3) and subject.labels.tolist() == [0, 1, 2]
    assert len(subject.calibration) == 2 and np.ptp(subject.test[:, 0, 0, 2]) == 20
