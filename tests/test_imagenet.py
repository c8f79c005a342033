"""Stage imagenet: how many photographs of a folder, or of Imagenette, a network gets right; and its notebook."""

import json
import os
import tarfile
from types import SimpleNamespace
from unittest.mock import Mock

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image, ImageOps
from test_house import notebook_code

from replication import paths
from replication.accuracy import unpack
from replication.dataset import folders, imagenette, photographs
from replication.imagenet import evaluation, released
from squeezenet import preprocess_input


def paint(path, red=0, size=(50, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    ImageOps.expand(Image.new("RGB", size, (red, 0, 0)), 1, "white").save(path, "PNG")  # the crop leaves the frame out


class ByColour:
    """A model whose score of a class is how near the mean red, of the pixels it is shown, is to 20 x class."""

    def __init__(self, classes=10):
        self.classes = np.arange(classes)
        self.shapes = []

    def predict_on_batch(self, x):
        self.shapes.append(x.shape)
        red = x[..., 2] - preprocess_input(np.zeros((1, 1, 1, 3)))[..., 2]  # Caffe's order and mean
        return -np.abs(red.mean((1, 2))[:, None] - 20 * self.classes)


SETTINGS = SimpleNamespace(side=32, crop=28, batch_size=2, truth=None)


def test_a_flat_folder_is_measured_by_its_truth(tmp_path):
    paint(tmp_path / "val/ILSVRC2012_val_00000001.JPEG")
    (tmp_path / "val.txt").write_text("ILSVRC2012_val_00000001.JPEG 65\n")
    found, _ = evaluation.of_folder(SimpleNamespace(folder=tmp_path / "val", truth=tmp_path / "val.txt"))
    assert [label for *_, label in found] == [65]


def test_accuracy_is_counted_over_what_can_be_read(tmp_path):
    """Class 0 is right, class 1 second, class 9 out of the first five; three files are no images."""
    for label, reds in {0: [0, 0, 0], 1: [0], 9: [0]}.items():
        for i, red in enumerate(reds):
            paint(tmp_path / str(label) / f"{i}.JPEG", red)
    paint(tmp_path / "0" / "cut.JPEG", size=(4000, 3000))
    os.truncate(tmp_path / "0" / "cut.JPEG", 20_000)
    (tmp_path / "1" / "notes.txt").write_text("no image")
    (tmp_path / "1" / "empty.JPEG").touch()
    (tmp_path / "readme").touch()
    model = ByColour()
    index = folders.index(tmp_path)
    labels = [int(index.classes[label]) for label in index.labels]  # the names of the classes
    files = [(name, tmp_path / name, label) for name, label in zip(index.files, labels, strict=True)]
    found = evaluation.evaluate(model, (files, index.refused), SETTINGS)
    assert model.shapes == [(2, 28, 28, 3), (2, 28, 28, 3), (1, 28, 28, 3)]
    assert (found["images"], found["top1"], found["top5"]) == (5, 3 / 5, 4 / 5)
    assert [found[f"top1_{end}"] for end in ("low", "high")] == pytest.approx([0.2307, 0.8824], abs=1e-4)
    assert unpack(found["correct"]["top1"], 5).tolist() == [True, True, True, False, False]
    assert unpack(found["correct"]["top5"], 5).tolist() == [True, True, True, True, False]
    reasons = dict(found["refused"])
    assert set(reasons) == {"readme", "0/cut.JPEG", "1/notes.txt", "1/empty.JPEG"}
    assert "truncated" in reasons["0/cut.JPEG"] and reasons["1/notes.txt"] == photographs.UNREADABLE


def test_the_clean_photographs_of_imagenette_are_imagenets_validation_photographs(tmp_path, monkeypatch):
    """Wherever they lie, sorted by name; they can be read for one network after the other."""
    for name in ("val/n03888257/ILSVRC2012_val_00000002.JPEG", "train/n01440764/ILSVRC2012_val_00000001.JPEG",
                 "train/n01440764/n01440764_1.JPEG"):  # fmt: skip
        paint(tmp_path / "imagenette2-160" / name)
    with tarfile.open(tmp_path / "imagenette.tar", "w") as tar:
        tar.add(tmp_path / "imagenette2-160", "imagenette2-160")
    monkeypatch.setattr(imagenette, "find", lambda: tmp_path / "imagenette.tar")
    monkeypatch.setattr(imagenette, "COUNTS", {"train": 2, "val": 1})
    clean, others = (evaluation.of_imagenette(5, clean=clean) for clean in (True, False))
    names = [f"ILSVRC2012_val_{i:08}.JPEG" for i in (1, 2)]
    assert [(name, label) for name, _, label in clean[0]] == list(zip(names, (0, 701), strict=True))
    assert [name for name, *_ in others[0]] == ["n01440764_1.JPEG"]
    first, again = (evaluation.evaluate(ByColour(1000), clean, SETTINGS) for _ in range(2))
    assert first == again and first["images"] == 2


@pytest.mark.parametrize("score", [0.0, np.nan])
def test_imagenets_folders_have_imagenets_labels_and_a_model_that_cannot_tell_is_not_right(tmp_path, score):
    for name in ("n01440764/a", "n01440764/b", "n01443537/a", "n01484850/a"):  # tench, goldfish, great white shark
        paint(tmp_path / f"{name}.JPEG")
    photographs, refused = evaluation.of_folder(SimpleNamespace(folder=tmp_path, truth=None))
    assert [label for *_, label in photographs] == [0, 0, 1, 2] and refused == []
    model = SimpleNamespace(predict_on_batch=lambda x: np.full((len(x), 1000), score))
    found = evaluation.evaluate(model, (photographs, refused), SETTINGS)
    assert (found["images"], found["top1"], found["top5"]) == (4, 0, 0)


def test_a_folder_without_a_single_image_is_an_error(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"none of 1 files is an image .* \(notes\.txt: "):
        evaluation.evaluate(ByColour(), ([("notes.txt", tmp_path / "notes.txt", 0)], []), SETTINGS)


@pytest.mark.filterwarnings("ignore:the commit is not recorded")
def test_the_notebook_runs_without_weights_and_photographs_and_finds_yours_from_the_root(tmp_path, monkeypatch, capsys):
    """JupyterLab starts its kernel in notebooks/, `jupyter nbconvert --execute` takes a SystemExit for a failure."""
    paint(tmp_path / "mine/a.png")
    (tmp_path / "mine/notes.txt").write_text("no image")
    code = notebook_code("imagenet").replace("photographs_folder: str = None", 'photographs_folder = "mine"')
    monkeypatch.setattr(released, "networks", lambda _: ({}, {"squeezenet": "no weights"}))
    monkeypatch.setattr(imagenette, "find", Mock(side_effect=FileNotFoundError("Imagenette is not at hand")))
    for name, place in {"ROOT": "", "IMAGENET": "imagenet", "RUNS": "runs"}.items():
        monkeypatch.setattr(paths, name, tmp_path / place)
    monkeypatch.chdir(tmp_path / "mine")
    names = {}
    exec(code, names)
    plt.close("all")
    result = json.loads((tmp_path / "imagenet/imagenet.json").read_text())
    assert result == {"missing": {"squeezenet": "no weights"}, "imagenette": {}, "evaluated": {}}
    assert "a.png" in names["shown"] and len(names["shown"]) == 7
    told = capsys.readouterr().out
    assert "notes.txt is left out" in told and "not run: Imagenette is not at hand" in told
