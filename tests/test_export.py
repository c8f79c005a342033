"""Stage export: a file answers as the network that it is of, and a network is what its card says."""

import json

import matplotlib.pyplot as plt
import numpy as np
import onnx
import pytest

from replication.dataset.splits import Dataset
from replication.export import formats, networks
from replication.params import read
from replication.report import figures, summaries, tables
from squeezenet import models

ARCHITECTURE = {"model": "squeezenet", "input_shape": [32, 32, 3], "nb_classes": 10, "compression": 0.25}


def test_each_format_answers_as_keras_does(tmp_path):
    images = np.random.default_rng(0).normal(0, 60, (3, 32, 32, 3)).astype("float32")
    network = models.create(**ARCHITECTURE)
    subject = networks.Subject("CIFAR-10", network, ARCHITECTURE, images, images, network.predict(images).argmax(1))
    rows, times = networks.measure(subject, tmp_path, calls=2)
    assert [row["format"] for row in rows] == list(formats.FORMATS) == [row["format"] for row in times][1:]
    for row in rows:
        exact = row["format"] != "LiteRT, 8 bits"
        assert row["difference"] < (1e-5 if exact else 0.1)
        assert not exact or (row["agreement"], row["accuracy"]) == (1, 1)
    size = {row["format"]: row["bytes"] for row in rows}
    assert size["LiteRT, 8 bits"] < size["LiteRT"] < size["SavedModel"] and size[".sqnt"] < size["ONNX"]
    names = {each.name for each in onnx.load(tmp_path / "network.onnx").graph.initializer}
    assert "constant_0" in names and not any("__" in name for name in names)
    (tmp_path / "saved_model/fingerprint.pb").write_bytes(bytes(1000))
    assert formats.size(tmp_path / "saved_model") == size["SavedModel"]
    shown_by_the_report(rows, times)


def shown_by_the_report(rows, times):
    others = summaries.Others({}, None, None, None, {"rows": rows, "missing": {}}, {"times": times})
    table = tables.exports(summaries.exports(others)).set_index("format")
    assert table["bytes"]["Keras, predict"] == "-" and len(table) == 7
    assert table["same class as Keras, %"]["ONNX"].startswith("100.0 [")
    for narrow in (False, True):
        assert len(figures.exports(summaries.exports(others), "a machine", narrow).axes) >= 1
    plt.close("all")
    untimed = tables.exports(summaries.exports(others._replace(timed=None)))
    assert len(untimed) == 6 and set(untimed["ms an image"]) == {"-"}


@pytest.mark.parametrize(("images", "accuracy", "right"), [(10_000, 0.6001, True), (10_000, 0.61, False), (9, 0, True)])
def test_a_network_is_as_right_as_its_card_says(tmp_path, monkeypatch, images, accuracy, right):
    """On another machine one image may fall the other way; on a part of the images there is nothing to compare."""
    card = tmp_path / "network.json"
    card.write_text(json.dumps({"test_images": 10_000, "accuracy": 0.6}))
    monkeypatch.setattr(networks.release, "measure", lambda *_: {"test_images": images, "accuracy": accuracy})
    if right:
        networks.check(None, card)
    else:
        with pytest.raises(ValueError, match=r"network.json says 60.00% .* makes both anew"):
            networks.check(None, card)


def test_of_other_images_than_cifar10s_only_imagenets_networks_are_left():
    data = read("dataset", Dataset).model_copy(update={"name": "folder"})
    subjects, missing = networks.of_cifar10(read("export", networks.Export), data)
    assert subjects == [] and set(missing) == {f"{name}, CIFAR-10" for name in models.VARIANTS}
