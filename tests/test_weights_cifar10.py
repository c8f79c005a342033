"""The networks in the package: files and cards agree, a release is whole."""

import hashlib
import json

import numpy as np
import pytest
from test_library import NETWORKS, build

from replication import paths, release
from squeezenet import models, weights
from squeezenet.weights import sqnt

NAMES = [name for name in NETWORKS if name != "alexnet"]


def card(name):
    return json.loads((weights.CIFAR10 / f"{name}.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_of_its_file(name):
    data, told = (weights.CIFAR10 / f"{name}.sqnt").read_bytes(), card(name)
    assert (told["name"], told["bytes"]) == (name, len(data))
    assert told["sha256"] == hashlib.sha256(data).hexdigest()
    assert told["accuracy_low"] < told["accuracy"] < told["accuracy_high"]
    network = build(name, weights="cifar10")
    assert (network.name, network.input_shape, network.output_shape) == (name, (None, 32, 32, 3), (None, 10))
    assert network.count_params() == told["parameters"]
    np.testing.assert_equal(weights.tensors(network), sqnt.decode(data)[1])
    features = build(name, weights="cifar10", include_top=False, input_shape=(80, 63, 3), nb_classes=7)
    assert features.output_shape[1:3] == (5, 4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.skipif(not (paths.DATASET / "cifar10/dataset.json").exists(), reason="stage dataset has not run")
def test_accuracy_is_the_cards(name, monkeypatch):
    monkeypatch.setattr(release, "read", lambda *_: release.splits.Dataset(name="cifar10", limit=None, validation=5000))
    measured = release.measure(build(name, weights="cifar10"), "test")["accuracy"]
    assert measured == pytest.approx(card(name)["accuracy"], abs=0.001)  # other processors round otherwise


PROVENANCE = dict.fromkeys(release.TOLD, 1) | {"seconds": 9}


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """A compressed network, and a release of it into a folder, with an accuracy of our own."""
    architecture = {"model": "squeezenet_11", "input_shape": [32, 32, 3], "nb_classes": 10}
    path, folder = tmp_path / "6_bit.sqnt", tmp_path / "cifar10"
    path.write_bytes(sqnt.encode(weights.tensors(models.create(**architecture)), architecture))
    monkeypatch.setattr(release.splits, "describe", lambda data: {"mean": [1, 2, 3], "std": [4, 5, 6]})

    def ship(accuracy):
        def measure(network, split):
            return {f"{split}_images": 5, "accuracy": accuracy / (split == "validation" or 2)}

        monkeypatch.setattr(release, "measure", measure)
        found = release.release(path, PROVENANCE, folder)
        return found, folder

    return ship


def test_a_release_replaces_worse_networks_alone(measured, capsys):
    first, folder = measured(0.5)
    assert (first["accuracy"], first["validation_accuracy"], first["test_images"]) == (0.25, 0.5, 5)
    assert "seconds" not in first and "new file of" in capsys.readouterr().out
    data = (folder / "squeezenet_1_1.sqnt").read_bytes()
    assert first["sha256"] == hashlib.sha256(data).hexdigest()
    files = (folder.parent / "6_bit.sqnt").read_bytes(), data
    raw, shipped = (sqnt.decode(each)[1]["conv1/kernel"] for each in files)
    np.testing.assert_allclose(shipped, raw[:, :, ::-1] / np.array([6, 5, 4])[:, None], rtol=1e-6)
    for same_or_worse in (0.5, 0.4):
        assert measured(same_or_worse)[0] == first
        assert "kept the file that is there" in capsys.readouterr().out
    assert measured(0.6)[0] == json.loads((folder / "squeezenet_1_1.json").read_text()) != first
    assert sorted(path.name for path in folder.iterdir()) == ["squeezenet_1_1.json", "squeezenet_1_1.sqnt"]


def test_a_release_that_fails_leaves_nothing(measured):
    first, folder = measured(0.5)
    with pytest.raises(TypeError):
        measured(None)
    assert json.loads((folder / "squeezenet_1_1.json").read_text()) == first
    assert len(list(folder.iterdir())) == 2
