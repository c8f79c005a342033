"""Stage transfer: which images are learnt from, that each way to learn does what it says, and the command line."""

import os
import sys
from unittest.mock import Mock

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from replication import paths
from replication.dataset import splits
from replication.dataset.photographs import UNREADABLE
from replication.params import read
from replication.train import loop
from replication.train.recipe import Train
from replication.transfer import __main__, fine_tuning
from squeezenet import SqueezeNet_11, deep_compression, preprocess_input

COLOURS = {"blue": (20, 20, 220), "green": (20, 200, 20), "red": (220, 20, 20)}


@pytest.fixture
def settings():
    own = {"per_class": 2, "side": 64, "epochs": 1, "batch_size": 4}
    return read("transfer", fine_tuning.Transfer).model_copy(update=own)


@pytest.fixture
def photographs(tmp_path):
    """Six of each colour, a little lighter each time."""
    for name, colour in COLOURS.items():
        (tmp_path / "photographs" / name).mkdir(parents=True)
        for i in range(6):
            Image.new("RGB", (50, 40), colour).point(lambda x, i=i: x + i).save(
                tmp_path / "photographs" / name / f"{i}.png"
            )
    return tmp_path / "photographs"


def drawn(count, classes=3, side=64):
    """Noise around a colour for each class."""
    labels = np.arange(count) % classes
    noise = np.random.default_rng(0).integers(0, 100, (count, side, side, 3))
    return splits.Split((noise + np.array(list(COLOURS.values()))[labels][:, None, None] // 2).astype(np.uint8), labels)


def test_enlarged_images_to_test_on_are_test_images(settings, monkeypatch):
    monkeypatch.setattr(splits, "describe", lambda data: {"classes": list(COLOURS)})
    monkeypatch.setattr(splits, "load", lambda name, data: drawn(data.limit + (name == "test"), side=32))
    data = splits.Dataset(name="cifar10", limit=None, validation=1)
    train, test = fine_tuning.enlarged(settings.model_copy(update={"test": 9}), data)
    assert len(test.labels) == 10 and len(train.labels) == 3 * settings.per_class and test.images.shape[1:3] == (64, 64)


def test_the_last_fifth_of_each_folder_tests(photographs, capsys):
    (photographs / "red/7.jpg").write_text("no image")
    (photographs / "red" / os.fsdecode(b"\xe9.jpg")).write_text("")
    classes, train, test = fine_tuning.own(photographs, 32)
    assert classes == list(COLOURS) and len(train.labels) == 15
    assert test.labels.tolist() == [0, 1, 2] and test.images.shape == (3, 32, 32, 3)
    assert test.images[:, 0, 0].tolist() == [[x + 5 for x in colour] for colour in COLOURS.values()]
    assert f"left out: {photographs / 'red/7.jpg'}: {UNREADABLE}" in (told := capsys.readouterr().out)
    assert r"red/\xe9.jpg: its name is not UTF-8" in told


def test_the_first_network_is_the_linear_classifier(settings):
    for classes in (2, 3):
        train, test = drawn(24, classes), drawn(9, classes)
        network = fine_tuning.linear_classifier(settings, list(range(classes)), train)
        features = SqueezeNet_11((64, 64, 3), weights="imagenet", include_top=False, pooling="avg")
        seen, unseen = (features.predict(preprocess_input(part.images), verbose=0) for part in (train, test))
        linear = make_pipeline(StandardScaler(), LogisticRegression(C=1 / (24 * fine_tuning.PENALTY), max_iter=1000))
        expected = linear.fit(seen, train.labels).predict_proba(unseen)
        found = fine_tuning.of_pixels(network).predict(test.images, verbose=0)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_fine_tuning_starts_below_chance_and_repeats_to_the_byte(eager, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "INTERRUPTED", tmp_path / "interrupted")
    train, test = drawn(24), drawn(6)
    for name in ("a", "b"):
        keras.utils.clear_session()  # which numbers the layers
        network = fine_tuning.linear_classifier(settings, list(COLOURS), train)
        before = network.get_layer("fire2_squeeze1x1").get_weights()[0]
        history = fine_tuning.fine_tune(network, settings, read("train", Train), train, test)
        (row,) = history.to_dict("records")
        assert row["loss"] < np.log(3) and (network.get_layer("fire2_squeeze1x1").get_weights()[0] != before).any()
        fine_tuning.save(network, list(COLOURS), 6, tmp_path / name)
        loop.forget(history)
    for file in ("network.keras", "network.sqnt", "classes.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    images = preprocess_input(test.images)
    saved = keras.models.load_model(tmp_path / "a/network.keras").predict(images, verbose=0)
    np.testing.assert_array_equal(saved, network.predict(images, verbose=0))
    shared = deep_compression.load(tmp_path / "a/network.sqnt").predict(images, verbose=0)
    np.testing.assert_allclose(shared, saved, atol=0.1)


def run(monkeypatch, *arguments):
    """The exit status, or the message, of the command."""
    monkeypatch.setattr(sys, "argv", ["transfer", *map(str, arguments)])
    try:
        __main__.main()
    except SystemExit as error:
        return error.code


def test_your_own_classes_from_the_command_line(eager, photographs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(__main__, "SIDE", 64)
    monkeypatch.setattr(paths, "INTERRUPTED", tmp_path / "interrupted")
    with monkeypatch.context() as full:
        full.setattr(fine_tuning, "save", Mock(side_effect=OSError("no space")))
        assert run(full, "train", photographs, tmp_path / "mine") == "no space"
    assert list(paths.INTERRUPTED.glob("*/state.keras"))
    assert run(monkeypatch, "train", photographs, tmp_path / "mine") is None and not list(paths.INTERRUPTED.iterdir())
    told = capsys.readouterr().out
    assert "15 photographs of 3 classes to train on, 3 to test" in told and "% [43.9%, 100.0%] of 3 test" in told
    for file in ("network.keras", "network.sqnt"):
        images = [photographs / name / "5.png" for name in COLOURS]
        assert run(monkeypatch, "classify", tmp_path / "mine" / file, *images) is None
        best = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
        assert best == [[f"{image}:", name] for image, name in zip(images, COLOURS, strict=True)]
    assert run(monkeypatch, "classify", tmp_path / "mine/network.keras", tmp_path / "none.jpg", images[0]) == 1
    out, err = capsys.readouterr()
    assert err == f"{tmp_path / 'none.jpg'}: No such file or directory\n" and out.startswith(f"{images[0]}: blue")
    (tmp_path / "mine/classes.json").write_text('["red", "blue"]')
    error = run(monkeypatch, "classify", tmp_path / "mine/network.sqnt", images[0])
    assert "classes.json names 2 classes" in error and error.endswith("network.sqnt has 3")
    assert "must lie outside of" in run(monkeypatch, "train", photographs, photographs / "mine")
    assert not (photographs / "mine").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: [(folder / f"red/{i}.png").write_text("") for i in range(5)], "red must hold two photographs"),
        (lambda folder: (folder / "black").mkdir(), "black holds no file: put images there"),
        (lambda folder: [(folder / n).rename(folder.parent / n) for n in ("red", "blue")], "at least. Received: green"),
        (lambda folder: folder.rename(folder.parent / "elsewhere"), "is not a folder of images"),
    ],
)
def test_a_folder_that_cannot_be_learnt_from_is_an_error_of_a_line(photographs, spoil, message, monkeypatch):
    spoil(photographs)
    error = run(monkeypatch, "train", photographs, "mine")
    assert message in error and "\n" not in error
