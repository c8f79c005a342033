"""The recipe against Caffe's arithmetic, a training against its resumption."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
import pytest
import threadpoolctl
import yaml
from PIL import Image
from test_house import cells

from replication import params, paths, records
from replication.dataset import cifar10, photographs, prepare, splits
from replication.train import devices, loop, recipe
from replication.train.resident import Resident
from squeezenet import AlexNet, SqueezeNet, initial, models

TRAIN = params.read("train", recipe.Train).model_copy(update={"mirror": True, "standardise": True, "crop": 32})
DATASET = splits.Dataset(name="cifar10", limit=None, validation=100)


NOISE = {"name": "noise", "kind": "cifar10", "classes": cifar10.CLASSES, "image_shape": [32, 32, 3]}
NOISE |= {"mean": [127.0] * 3, "std": [74.0] * 3}


class Settings(NamedTuple):
    options: dict
    train: recipe.Train
    dataset: splits.Dataset


def built(settings, about):
    """A network for the images that `about` describes, compiled as notebooks/train.ipynb does."""
    devices.set_up(settings.train.threads, settings.train.seed, settings.train.dtype, together=True)
    with devices.one_device():
        model = recipe.build(settings.options, settings.train, about)
    return devices.everywhere(model)


def train(settings, root, target):
    """Train as notebooks/train.ipynb does, on a data set under `root`."""
    about = splits.describe(settings.dataset, root)
    model = built(settings, about)
    training, validation, test = (splits.load(s, settings.dataset, root) for s in ("train", "validation", "test"))
    recipe.compile_for(model, settings.train, settings.train.epochs * recipe.updates_of(training, settings.train))
    history = loop.fit(model, training, validation, settings.train, "noise half_width 7")
    metrics, probabilities = loop.measure(model, training, validation, test)
    loop.save(target, model, history.drop(columns="seconds"), metrics, probabilities, test.labels)
    loop.forget(history)
    return model


def test_the_notebook_trains_by_what_is_tested_here():
    """notebooks/train.ipynb spells out `recipe.build` and `recipe.compile_for`."""
    code = [cell.source for cell in cells("train", "code")]
    scope = {"about": NOISE, "train": splits.Split(None, np.zeros(300))}
    exec("\n".join(code[:2]), scope)
    scope["settings"] = scope["settings"].model_copy(update={"batch_size": 64, "accumulate": 2, "dropout": 0.5})
    exec("\n".join(code[4:6]), scope)
    model, ours = scope["model"], recipe.build(scope["training"].options, scope["settings"], NOISE)
    recipe.compile_for(ours, scope["settings"], scope["updates"])
    theirs, expected = ({**each.optimizer.get_config(), "name": ""} for each in (model, ours))
    assert theirs == expected and scope["updates"] == scope["settings"].epochs * (300 // 128)
    assert [x.name for x in model.layers[-1].layers[1:]] == [x.name for x in ours.layers[-1].layers[1:]]
    np.testing.assert_equal(model.get_weights(), ours.get_weights())


def test_numpy_and_tensorflow_take_no_more_threads_than_a_training():
    np.linalg.inv(np.eye(2))
    used = [each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"]
    threads = pytest.importorskip("tensorflow").config.threading
    used += [threads.get_intra_op_parallelism_threads(), threads.get_inter_op_parallelism_threads()]
    assert len(used) > 2 and set(used) == {1}


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A data set of noise in the files of stage `dataset`."""
    folder, rng = tmp_path_factory.mktemp("dataset"), np.random.default_rng(0)
    arrays = {}
    for name, count in (("train", 300), ("test", 100)):
        arrays[f"{name}_images"] = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        arrays[f"{name}_labels"] = (np.arange(count) % 10).astype(np.uint8)
    splits.save(folder / "cifar10", arrays, NOISE | {"validation": 100})
    return folder


@pytest.fixture
def settings(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "INTERRUPTED", tmp_path / "interrupted")
    changed = TRAIN.model_copy(update={"epochs": 3, "batch_size": 32, "dropout": 0.5, "seed": 7})
    return Settings({"model": "squeezenet", "compression": 0.25}, changed, DATASET)


@pytest.mark.jax
def test_centralised_updates_move_no_filters_mean():
    """Of kernels, that is; biases move as ever."""
    rng = np.random.default_rng(0)
    kernel, gradient = rng.normal(size=(2, 3, 3, 4, 5)).astype("float32")
    steps = []
    for centralise in (False, True):
        variables = keras.Variable(kernel), keras.Variable(kernel[0, 0, 0])
        optimizer = recipe.CaffeSGD(0.1, momentum=0.9, nesterov=True, l2=0.0, centralise=centralise)
        for _ in range(2):
            optimizer.apply([keras.ops.convert_to_tensor(g) for g in (gradient, gradient[0, 0, 0])], list(variables))
        steps.append([np.asarray(v) - before for v, before in zip(variables, (kernel, kernel[0, 0, 0]), strict=True)])
    (plain, bias), (centralised, same_bias) = steps
    np.testing.assert_allclose(centralised, plain - plain.mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_array_equal(bias, same_bias)


def test_initial_filters_have_no_mean_and_hes_variance():
    network = SqueezeNet((32, 32, 3), 10)
    initial.initialise(network, "he_centred", seed=0)
    assert initial.initialise(SqueezeNet((32, 32, 3), include_top=False)).get_weights()[-2].std() > 0.05
    assert initial.initialise(SqueezeNet((32, 32, 3), 10, compression=0.05)).get_weights()[4].all()  # of single inputs
    flipped = keras.Sequential([keras.layers.RandomFlip()])(keras.Input((32, 32, 3)))
    assert initial.initialise(SqueezeNet(nb_classes=10, input_tensor=flipped)).get_weights()
    resized = keras.layers.Resizing(32, 32)(keras.Input((None, None, 3)))
    assert initial.initialise(SqueezeNet(nb_classes=10, input_tensor=resized)).get_weights()
    fc8 = initial.initialise(AlexNet((32, 32, 3), 10)).get_layer("fc8")
    assert np.asarray(fc8.kernel).std() == pytest.approx(0.01, rel=0.03)
    kernel = np.asarray(network.get_layer("fire9_expand3x3").kernel)
    np.testing.assert_allclose(kernel.mean((0, 1, 2)), 0, atol=1e-8)
    assert kernel.std() == pytest.approx(np.sqrt(2 / (4 * 64)), rel=0.02)  # of 2x2 positions four taps see the input
    first, other = (recipe.build({"model": "squeezenet"}, TRAIN.model_copy(update={"seed": i}), NOISE) for i in (0, 1))
    assert (first.layers[-1].get_weights()[0] != other.layers[-1].get_weights()[0]).all()
    assert np.asarray(network.get_layer("conv10").kernel).std() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("key", ["crop", "shift"])
def test_a_crop_beyond_the_images_is_refused(key, settings):
    with pytest.raises(ValueError, match=r"train\.crop and train\.shift must be at most 32\. Received: .*33"):
        recipe.around(None, settings.train.model_copy(update={key: 33}), {"image_shape": [32, 32, 3]})


def test_every_variant_is_a_network_of_its_own_and_every_tap_of_its_filters_meets_the_input():
    """Else conclusions about 3x3 filters were about padding."""
    variants, built = params.read("variants", dict), set()
    for variant in variants:
        options, settings = recipe.variant_of(variant)
        network = models.create(input_shape=(settings.crop, settings.crop, 3), nb_classes=10, **options)
        built.add((network.count_params(), *(layer.name for layer in network.layers[1:])))
        for layer in network.layers:
            for within in initial.taps(layer):
                assert within.any(axis=0).all(), (variant, layer.name)
    assert len(built) == len(variants)


def test_xavier_is_caffes():
    for network in (SqueezeNet((32, 32, 3), 10), initial.initialise(SqueezeNet((32, 32, 3), 10), "xavier", seed=0)):
        first, second = (np.asarray(network.get_layer(f"fire{i}_expand3x3").kernel) for i in (6, 7))
        limit = np.sqrt(3 / (9 * 48))  # Caffe counts padding
        assert 0.99 * limit < np.abs(first).max() <= limit
        assert first.std() == pytest.approx(limit / np.sqrt(3), rel=0.02) and (first != second).all()
        assert np.asarray(network.get_layer("conv10").kernel).std() == pytest.approx(0.01, rel=0.05)


def updated(settings, start, updates, **changes):
    """A layer's weights after updates by the recipe, each of so many gradients, and the rate of each update."""
    model = keras.Sequential([keras.Input((len(start) - 1,)), keras.layers.Dense(1)])  # the last weight is a bias
    model.set_weights([start[:-1, None], start[-1:]])
    recipe.compile_for(model, settings.train.model_copy(update=changes), len(updates))
    rates = []
    for gradients in updates.astype("float32"):
        rates.append(float(model.optimizer.learning_rate))
        for gradient in gradients:
            model.optimizer.apply([*map(keras.ops.convert_to_tensor, (gradient[:-1, None], gradient[-1:]))])
    assert int(model.optimizer.iterations) == len(updates)
    return np.concatenate([each.ravel() for each in model.get_weights()]), rates


@pytest.mark.jax
def test_accumulated_updates_equal_those_of_the_whole_batch(settings):
    """Clipping, decay, momentum and the schedule see the mean gradient, once an update."""
    gradients = np.random.default_rng(0).normal(0, 3, (5, 4, 6))
    whole, rates = updated(settings, np.ones(6), gradients.mean(1, keepdims=True), accumulate=1, warmup=0.3)
    accumulated, same_rates = updated(settings, np.ones(6), gradients, accumulate=4, warmup=0.3)
    np.testing.assert_allclose(accumulated, whole, rtol=1e-5)
    expected = [settings.train.learning_rate * min((i + 1) / 2.5, (5 - i) / 3.5) for i in range(5)]
    assert rates == same_rates == pytest.approx(expected, rel=1e-5)  # up over 1.5 updates, then down to zero


@pytest.mark.jax
@pytest.mark.parametrize(("clip", "nesterov"), [(None, False), (1.0, True)])
def test_the_solver_is_caffes_by_hand(settings, clip, nesterov):
    """Clip, then decay, then momentum: v = m v - lr (g + d w), base_lr (1 - t / T). The paper does not clip."""
    solver = {"learning_rate": 0.04, "warmup": 0.0, "nesterov": nesterov, "clip_norm": clip, "weight_decay": 0.02}
    weight, velocity, gradients = np.array([3.0, -4.0]), np.zeros(2), np.random.default_rng(0).normal(0, 2, (10, 2))
    ours, _ = updated(settings, weight, gradients[:, None], **solver, centralise=False)
    for step, gradient in enumerate(gradients):
        clipped = gradient / max(1, np.linalg.norm(gradient) / clip) if clip else gradient
        moved = 0.04 * (1 - step / 10) * (clipped + 0.02 * weight)
        velocity = 0.9 * velocity - moved
        weight = weight + (0.9 * velocity - moved if nesterov else velocity)
    np.testing.assert_allclose(ours, weight, rtol=1e-4)


def test_fewer_images_than_an_update_takes_is_an_error(settings):
    changed = settings.train.model_copy(update={"accumulate": 4})
    with pytest.raises(ValueError, match=r"must be at most the 100 training images\. Received: 32 x 4"):
        recipe.updates_of(splits.Split(np.zeros(100), np.zeros(100)), changed)


COLOURS = {"blue": (40, 60, 200), "green": (60, 180, 50), "red": (210, 50, 60)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Class folders of noise in the colour of the class, 24 files to train on and 8 to test on; one is no image."""
    root, rng = tmp_path_factory.mktemp("paint"), np.random.default_rng(0)
    for kind, count in (("train", 24), ("val", 8)):
        for name, colour in COLOURS.items():
            (root / kind / name).mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(rng.normal(colour, 60, (48, 60, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / kind / name / f"{i}.jpg")
    (root / "train" / "red" / "broken.jpg").write_bytes(b"no image")
    return root


@pytest.fixture
def folder_settings(settings, folder):
    places = {"train": folder / "train", "validation": folder / "val", "truth": None, "side": 40}
    data = DATASET.model_dump() | {"name": "folder", "folder": places, "validation": 12}
    changed = {"batch_size": 6, "accumulate": 2, "dropout": 0.2, "crop": 32, "shift": 4, "epochs": 5}
    return Settings(settings.options, settings.train.model_copy(update=changed), splits.Dataset.model_validate(data))


@pytest.fixture
def listed(folder_settings, tmp_path):
    """What stage `dataset` leaves of the folder."""
    arrays, statistics, _ = prepare.prepare(folder_settings.dataset)
    splits.save(tmp_path / "dataset/folder", arrays, statistics)
    return tmp_path / "dataset"


def test_a_folder_is_listed_and_split(listed, folder_settings):
    said = splits.describe(folder_settings.dataset, listed)
    assert said["classes"] == list(COLOURS) and said["image_shape"] == [40, 40, 3] and said["name"].startswith("paint")
    ((kind, name, reason),) = said["refused"]
    assert (kind, name) == ("train", "red/broken.jpg") and reason.startswith("not in a readable format")
    found = {kind: splits.load(kind, folder_settings.dataset, listed) for kind in ("train", "validation", "test")}
    counts = {kind: np.bincount(split.labels).tolist() for kind, split in found.items()}
    assert counts == {"train": [20] * 3, "validation": [4] * 3, "test": [8] * 3}
    assert not set(found["train"].images.files) & set(found["validation"].images.files)
    elsewhere = folder_settings.dataset.folder.model_copy(update={"train": paths.ROOT})
    with pytest.raises(ValueError, match=r"folder is another folder's: `dvc repro dataset` for dataset\.folder {"):
        splits.describe(folder_settings.dataset.model_copy(update={"folder": elsewhere}), listed)
    pixels = np.stack([found["train"].images[i] for i in range(60)])
    np.testing.assert_allclose([said["mean"], said["std"]], [pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))], atol=1e-3)


@pytest.mark.jax
def test_training_on_a_folder_learns(listed, folder_settings, tmp_path):
    """And its network takes raw pixels, and gives the predictions beside it."""
    folder, test = tmp_path / "half_width", splits.load("test", folder_settings.dataset, listed)
    model = train(folder_settings, listed, folder)
    history, metrics = pd.read_csv(folder / "history.csv"), json.loads((folder / "metrics.json").read_text())
    assert history.loss.iloc[-1] < 0.9 * history.loss.iloc[0]
    parts = [splits.load(split, folder_settings.dataset, listed) for split in ("validation", "train")]
    checked, trained = (loop.evaluate(model, part)[0] for part in parts)
    assert history.val_loss.iloc[-1] == pytest.approx(checked["loss"], rel=1e-3)
    assert [metrics[f"train_{x}"] for x in ("images", "accuracy", "loss")] == [60, trained["accuracy"], trained["loss"]]
    assert metrics["accuracy_low"] < metrics["accuracy"] and "top5" not in metrics  # of three classes
    assert metrics["parameters"] == model.layers[-1].count_params() and model.input_shape == (None, 32, 32, 3)
    images = np.stack([test.images.crop(i, 32) for i in range(len(test.labels))])
    with np.load(folder / "predictions.npz") as kept:
        bare = keras.models.load_model(folder / "model.keras")  # without CaffeSGD, which `squeezenet` does not have
        np.testing.assert_allclose(bare.predict(images, verbose=0), kept["probabilities"], atol=1e-5)
        assert not bare.compiled and metrics["accuracy"] == (kept["probabilities"].argmax(1) == test.labels).mean()


def test_of_more_than_ten_classes_the_top_5_is_measured_too(monkeypatch):
    model = recipe.build({"model": "squeezenet", "compression": 0.1}, TRAIN, NOISE | {"classes": range(20)})
    found = {"accuracy": 0.25, "loss": 1.0}, np.tile(np.arange(20.0, 0, -1), (4, 1))
    monkeypatch.setattr(loop, "evaluate", lambda *_: found)
    split = splits.Split(np.zeros((4, 32, 32, 3), np.uint8), np.arange(4))
    assert loop.measure(model, split, split, split)[0]["top5"] == 1


def test_a_training_in_bfloat16_leaves_float32(settings, noise, tmp_path):
    changed = settings.train.model_copy(update={"epochs": 1, "dtype": "mixed_bfloat16"})
    try:
        model = train(settings._replace(train=changed), noise, tmp_path / "half_width")
    finally:
        devices.set_up(1, 0)  # float32 again
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}


@pytest.mark.slow
@pytest.mark.jax
@pytest.mark.parametrize(("root", "of", "updates"), [("noise", "settings", 14), ("listed", "folder_settings", 5)])
def test_resumed_training_equals_the_uninterrupted_one(root, of, updates, request, tmp_path, monkeypatch):
    """Interrupted after so many updates; on JAX, of arrays as on an accelerator, where the images stay."""
    monkeypatch.setattr(records, "accelerator", lambda: "a device" if keras.backend.backend() == "jax" else None)
    root, settings = request.getfixturevalue(root), request.getfixturevalue(of)
    once, twice = (tmp_path / name / "half_width" for name in ("whole", "resumed"))
    for folder in (once, twice):
        folder.parent.mkdir()
    train(settings, root, once)
    with monkeypatch.context() as patch, pytest.raises(Stop):
        stop_after(updates, patch)
        train(settings, root, twice)
    assert not twice.exists() and list(paths.INTERRUPTED.glob("*/state.keras"))
    train(settings, root, twice)
    for path in once.iterdir():  # equal bytes: what depends on a training does not run again
        assert path.read_bytes() == (twice / path.name).read_bytes(), path.name
    assert list(paths.INTERRUPTED.iterdir()) == []


@pytest.mark.jax
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="for JAX: make test-all")
def test_resident_images_train_as_fed_ones(noise, settings, monkeypatch):
    """As on an accelerator, with dropout and mirroring; without ReLUs, at whose kinks rounding errors grow."""
    training, validation = (splits.load(split, settings.dataset, noise) for split in ("train", "validation"))
    weights, made = [], []

    class Counted(Resident):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(arguments)

    monkeypatch.setattr(loop, "Resident", Counted)
    for device in (None, "a device"):
        monkeypatch.setattr(records, "accelerator", lambda device=device: device)
        devices.set_up(settings.train.threads, settings.train.seed)
        drawn = [keras.layers.RandomFlip("horizontal"), keras.layers.Flatten(), keras.layers.Dropout(0.5)]
        scaled = [keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 74, -127 / 74)]
        model = keras.Sequential([*scaled, *drawn, keras.layers.Dense(10, "softmax")])
        start = model.layers[-1].get_weights()[0]
        recipe.compile_for(model, settings.train, 18)
        loop.forget(loop.fit(model, training, validation, settings.train, "noise"))
        weights.append(model.layers[-1].get_weights()[0])
    fed, resident = weights
    assert len(made) == 1 and np.linalg.norm(resident - fed) < 1e-5 * np.linalg.norm(fed - start)


def test_an_epoch_has_an_order_and_crops_of_its_own(settings, monkeypatch):
    state = keras.Variable(np.zeros(2, "uint32"), dtype="uint32", trainable=False, name="seed_generator_state")
    model = SimpleNamespace(variables=[state], optimizer=SimpleNamespace(learning_rate=0.1))
    model.fit, fed, numbers = lambda **_: SimpleNamespace(history={}), [], np.arange(100)
    monkeypatch.setattr(loop, "feed", lambda model, *given: fed.append(given) or {})
    split = splits.Split(photographs.Photographs(paths.ROOT, numbers, 40, numbers), numbers)
    for seed, epoch in ((7, 0), (7, 1), (8, 0), (7, 0)):
        changed = {"seed": seed, "shift": 4, "mirror": seed == 7, "accumulate": 3}
        loop.run_epoch(model, split, None, settings.train.model_copy(update=changed), epoch)
        shown, labels, _ = fed[-1]
        assert shown.augmentation == ((seed, epoch), 4, seed == 7) and tuple(np.asarray(state)) == (seed, epoch)
        size = 3 * settings.train.batch_size
        assert (shown.numbers == labels).all() and len(labels) == len(set(labels)) == 100 // size * size
    orders = [tuple(labels) for _, labels, _ in fed]
    assert orders[0] == orders[3] and len(set(orders)) == 3 and orders[0][:3] == (88, 42, 26)  # as recorded


class Stop(Exception):
    pass


def stop_after(updates, monkeypatch):
    """Make trainings end in `Stop` before the epoch that follows so many updates."""
    epoch_of = loop.run_epoch

    def interrupted(model, *arguments):
        if int(model.optimizer.iterations) >= updates:
            raise Stop
        return epoch_of(model, *arguments)

    monkeypatch.setattr(loop, "run_epoch", interrupted)


@pytest.fixture
def quick(monkeypatch):
    """Epochs take no time: they count their updates, and add their number to the list."""
    epochs = []

    def count(model, training, validation, of, epoch, *callbacks):
        model.optimizer.iterations.assign_add(recipe.updates_of(training, of))
        epochs.append(epoch)
        return {"epoch": epoch + 1, "val_loss": 0.1, "accuracy": 0.1, "val_accuracy": 0.1}

    monkeypatch.setattr(loop, "run_epoch", count)
    return epochs


def fit(settings, splits_of, optimiser=None):
    model = built(settings, NOISE)
    recipe.compile_for(model, settings.train, 3 * 7)
    if optimiser:
        recipe.compile_with(model, optimiser)
    return loop.fit(model, *splits_of, settings.train, "noise")


@pytest.fixture
def interrupted(settings, noise, quick, monkeypatch):
    """A training of which two of three epochs are done, and its data."""
    both = [splits.load(split, settings.dataset, noise) for split in ("train", "validation")]
    with monkeypatch.context() as patch, pytest.raises(Stop):
        stop_after(14, patch)
        fit(settings, both)
    assert quick == [0, 1]
    quick.clear()
    return both


def test_a_loss_that_is_no_number_ends_the_training(settings, noise, monkeypatch):
    monkeypatch.setattr(loop, "run_epoch", lambda *_: {"val_loss": np.nan})
    with pytest.raises(ValueError, match="noise: epoch 1 ends with a loss of nan: lower the learning rate"):
        fit(settings, [splits.load(split, settings.dataset, noise) for split in ("train", "validation")])


def test_the_same_training_resumes_after_its_last_epoch(interrupted, settings, quick, capsys):
    (history,) = paths.INTERRUPTED.glob("*/history.csv")
    history.write_text(history.read_text() + "3,0.9,0.9,0.9\n")  # as killed before state.keras was replaced
    first, again = (fit(settings, interrupted) for _ in range(2))  # the second finds all epochs done
    assert first.epoch.tolist() == again.epoch.tolist() == [1, 2, 3] and quick == [2]
    model = built(settings, NOISE)
    for begun in (False, True):
        recipe.compile_for(model, settings.train, 3 * 7)
        with pytest.raises(ValueError, match=r"noise: .* Rerun all cells") if begun else contextlib.nullcontext():
            loop.fit(model, *interrupted, settings.train, "noise")
    history.write_text("epoch\n1\n")
    with pytest.raises(ValueError, match=r"cannot be read: .* \(history\.csv lacks epochs\)"):
        fit(settings, interrupted)
    (first.attrs["state"] / "state.keras").write_bytes(b"")
    with pytest.raises(ValueError, match=r"noise-.* cannot be read: rerun; if it is damaged, remove it"):
        fit(settings, interrupted)
    loop.forget(first)
    assert "noise: resuming after epoch 2" in capsys.readouterr().out and not list(paths.INTERRUPTED.iterdir())


OTHERS = {
    "a rate": lambda s, both: (s._replace(train=s.train.model_copy(update={"learning_rate": 0.01})), both),
    "a seed": lambda s, both: (s._replace(train=s.train.model_copy(update={"seed": 8})), both),
    "a network with the same weights": lambda s, both: (s._replace(options=s.options | {"use_bypass": "simple"}), both),
    "labels": lambda s, both: (s, [both[0]._replace(labels=both[0].labels[::-1]), both[1]]),
    "validation": lambda s, both: (s, [both[0], both[1]._replace(labels=both[1].labels[::-1])]),
    "images": lambda s, both: (s, [both[0]._replace(images=both[0].images[::-1]), both[1]]),
    **dict.fromkeys(("devices", "layers", "models", "photographs", "recipes", "resident", "splits"), lambda *x: x),
    "an optimiser edited in the notebook": lambda s, both: (s, both, recipe.CaffeSGD(0.1, l2=0.5)),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_training_that_differs_in_anything_begins_anew(interrupted, settings, quick, what, capsys, monkeypatch):
    if hasattr(loop, what):  # the bytes of another module
        monkeypatch.setattr(getattr(loop, what), "__file__", params.__file__)
    assert len(fit(*OTHERS[what](settings, interrupted))) == 3 and quick == [0, 1, 2]
    assert len(list(paths.INTERRUPTED.glob("*/state.keras"))) == 2  # and the other one's, which may still go on
    assert "noise: not resumed, because code, data or settings differ: " in capsys.readouterr().out


def test_a_process_that_does_not_write_touches_no_file(interrupted, settings, quick, monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "process", lambda: (1, 1))
    before = {path: path.stat().st_mtime_ns for path in paths.INTERRUPTED.rglob("*")}
    loop.forget(again := fit(settings, interrupted))
    assert len(again) == 3 and quick == [2]
    assert {path: path.stat().st_mtime_ns for path in paths.INTERRUPTED.rglob("*")} == before
    quick.clear()
    changed = settings._replace(train=settings.train.model_copy(update={"seed": 8}))
    assert len(fit(changed, interrupted)) == 3 and set(paths.INTERRUPTED.rglob("*")) == set(before)
    loop.save(tmp_path / "result", None, None, {}, None, None)
    assert not list(tmp_path.glob("result*"))


RUN = """
import os, pathlib, sys
import test_training
from replication import params, paths
folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
paths.INTERRUPTED = folder / f"{name}-interrupted"
settings = params.read("settings", test_training.Settings, folder / "params.yaml")
test_training.train(settings, folder / "dataset", folder / name)
assert test_training.devices.process()[1] == int(os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", 1))
"""


@pytest.mark.jax
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="several processes train on JAX: make test-all")
def test_two_processes_equal_one(listed, folder_settings, tmp_path):
    """At the same global batch, with accumulation, dropout and crops; of few updates, as rounding errors grow."""
    values = {"options": folder_settings.options, "dataset": folder_settings.dataset.model_dump(mode="json")}
    values |= {"train": folder_settings.train.model_dump(mode="json") | {"epochs": 1}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"settings": values}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"

    def start(name, **options):
        environment = os.environ | {f"KERAS_DISTRIBUTION_{key}": value for key, value in options.items()}
        environment["PYTHONPATH"] = f"{paths.ROOT / 'src'}:{paths.ROOT / 'tests'}"
        command = [sys.executable, "-c", RUN, tmp_path, name]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def end(*processes):
        for process in processes:
            output, _ = process.communicate(timeout=240)
            assert process.returncode == 0, output

    end(start("one"))
    end(*(start("two", JOB_ADDRESSES=address, NUM_PROCESSES="2", PROCESS_ID=each) for each in "01"))
    models = [keras.models.load_model(tmp_path / name / "model.keras") for name in ("one", "two")]
    start = built(folder_settings, splits.describe(folder_settings.dataset, listed))
    one, two, drawn = (np.concatenate([w.ravel() for w in m.layers[-1].get_weights()]) for m in (*models, start))
    assert np.linalg.norm(two - one) < 1e-3 * np.linalg.norm(one - drawn)


@pytest.mark.jax
def test_arrays_are_mirrored_shifted_cropped_and_standardised():
    """Pixels tell their place. And Keras' "auto" leaves a network with random crops uncompiled on JAX."""
    changed = TRAIN.model_copy(update={"shift": 4})
    model = recipe.build({"model": "squeezenet", "compression": 0.5}, changed, NOISE | {"image_shape": [36, 36, 3]})
    recipe.compile_for(model, changed, 10)
    assert model.jit_compile == (keras.backend.backend() == "jax")
    place = np.arange(1, 37, dtype="float32")
    seen = np.stack(np.broadcast_arrays(place[:, None], place[None], 9), -1)[None].repeat(300, 0)
    for layer in model.layers[:3]:
        seen = np.asarray(layer(seen.astype("float32"), training=True))
    assert seen.shape[1:3] == (32, 32) and seen.min() == 0  # what is shifted in is black
    assert set(seen[:, 16, 16, 0]) == set(range(15, 24)) and (seen[:, 17, 16, 0] - seen[:, 16, 16, 0] == 1).all()
    assert 0.35 < (seen[:, 16, 17, 1] > seen[:, 16, 16, 1]).mean() < 0.65
    np.testing.assert_allclose(model.layers[3](np.full((1, 32, 32, 3), 201.0)), 1, rtol=1e-5)  # (201 - 127) / 74
    plain = changed.model_copy(update={"standardise": False, "mirror": False, "shift": 0})
    crop, centred = recipe.build({"model": "squeezenet"}, plain, NOISE).layers[:2]
    assert crop.name == "crop" and (np.asarray(centred(np.full((1, 32, 32, 3), 201.0))) == 74).all()
