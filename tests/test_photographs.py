"""Folders of photographs: who is of which class, what is left out, what a pixel is, how many are right."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from replication.dataset import photographs
from replication.imagenet import evaluation

WNIDS = ["n01440764", "n01443537", "n01484850"]


def draw(path, seed=0, size=(40, 30), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, "PNG" if path.suffix == ".png" else "JPEG")
    return path


@pytest.fixture
def by_class(tmp_path):
    """Two images for each of three classes."""
    for label, wnid in enumerate(WNIDS):
        for i in range(2):
            draw(tmp_path / wnid / f"{wnid}_{i}.JPEG", seed=10 * label + i)
    return tmp_path


@pytest.fixture
def flat(tmp_path):
    """Four validation images of classes 2, 0, 1, 2, with the development kit's files and Caffe's."""
    folder, kit = tmp_path / "val", tmp_path / "data"
    kit.mkdir()
    for i in range(4):
        draw(folder / f"ILSVRC2012_val_{i + 1:08}.JPEG", seed=i)
    # The kit numbers classes in an order of its own, and has nodes that are no classes.
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    rows = [(1, WNIDS[1], "goldfish", 0), (2, WNIDS[2], "shark", 0), (3, WNIDS[0], "tench", 0), (4, "n0", "fish", 3)]
    savemat(kit / "meta.mat", {"synsets": np.array(rows, kinds).reshape(-1, 1)})
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n3\n1\n2\n")
    (kit / "val.txt").write_text("".join(f"ILSVRC2012_val_{i + 1:08}.JPEG {k}\n" for i, k in enumerate((2, 0, 1, 2))))
    return folder, kit


def test_folders_are_classes_in_sorted_order(by_class):
    index = photographs.index(by_class)
    assert index.classes == WNIDS and index.labels.tolist() == [0, 0, 1, 1, 2, 2] and index.refused == []
    assert all((by_class / file).exists() for file in index.files)


def test_some_folders_of_a_networks_classes(by_class):
    """A part of ImageNet keeps ImageNet's labels."""
    index = photographs.index(by_class, ["n00000001", *WNIDS, "n99999999"])
    assert index.labels.tolist() == [1, 1, 2, 2, 3, 3]


def test_folders_that_the_network_does_not_know_are_named(by_class):
    with pytest.raises(ValueError, match=r"1 of 3 folders are no class of the network: n01484850"):
        photographs.index(by_class, WNIDS[:2])


@pytest.mark.parametrize("truth", ["val.txt", "ILSVRC2012_validation_ground_truth.txt"])
def test_flat_folder_with_either_ground_truth(flat, truth):
    folder, kit = flat
    draw(folder / "holiday.JPEG")
    index = photographs.index(folder, truth=kit / truth)
    assert index.labels.tolist() == [2, 0, 1, 2] and len(index.files) == 4
    assert index.refused == [("holiday.JPEG", f"not in {truth}")]
    assert index.classes == (None if truth == "val.txt" else WNIDS)


def test_flat_folder_needs_a_ground_truth_that_fits(flat):
    folder, kit = flat
    with pytest.raises(FileNotFoundError, match=r"no class folders.*val\.txt.*meta\.mat"):
        photographs.index(folder)
    with pytest.raises(ValueError, match="has label 2, the network 2 classes"):
        photographs.index(folder, WNIDS[:2], kit / "val.txt")
    (kit / "val.txt").write_text("one two three\n")
    with pytest.raises(ValueError, match=r"val\.txt is neither"):
        photographs.index(folder, truth=kit / "val.txt")


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is no folder of images"):
        photographs.index(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no file of a class"):
        photographs.index(tmp_path)


def test_warp_is_bilinear_between_neighbours_without_smoothing(tmp_path):
    """As OpenCV's resize, against its arithmetic: pixel centres, edges repeated."""
    path = draw(tmp_path / "a.png", size=(61, 45))
    pixels = np.asarray(Image.open(path)).astype(float)

    def between(values, count):
        at = np.clip((np.arange(count) + 0.5) * len(values) / count - 0.5, 0, len(values) - 1)
        low = np.minimum(at.astype(int), len(values) - 2)
        share = (at - low)[:, None, None]
        return values[low] * (1 - share) + values[low + 1] * share

    expected = between(between(pixels, 32).swapaxes(0, 1), 32).swapaxes(0, 1)
    assert np.abs(photographs.read(path, 32) - expected).max() < 1.01


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_every_colour_mode_becomes_rgb(tmp_path, mode):
    image = photographs.read(draw(tmp_path / "a.JPEG", mode=mode), 32)
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8


def test_postscript_is_no_image_and_starts_no_ghostscript(tmp_path, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)
    path = tmp_path / "a.JPEG"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    assert photographs.try_read(path, 32) == (None, "no image")


def test_an_image_of_too_many_pixels_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    Image.new("1", (10, 10)).save(tmp_path / "large.png")
    image, reason = photographs.try_read(tmp_path / "large.png", 8)
    assert image is None and "10 x 10 pixels" in reason


def test_centre_is_caffes():
    image = np.arange(256 * 256).reshape(256, 256, 1)
    assert photographs.centre(image, 227)[0, 0, 0] == 14 * 256 + 14


def test_results_come_in_order_and_few_are_under_way():
    started, lock = [], threading.Lock()

    def work(i):
        with lock:
            started.append(i)
        return i

    seen = []
    for i in photographs.in_order(work, range(100), ahead=5, threads=3):
        assert max(started) <= i + 5
        seen.append(i)
    assert seen == list(range(100))


def test_sift_reads_every_file_once_and_names_what_is_left_out(by_class):
    (by_class / WNIDS[1] / "notes.txt").write_text("no image")
    index = photographs.sift(photographs.index(by_class), 32)
    assert index.labels.tolist() == [0, 0, 1, 1, 2, 2] and index.refused == [(f"{WNIDS[1]}/notes.txt", "no image")]


def test_a_class_of_which_nothing_can_be_read_is_an_error(by_class):
    for path in (by_class / WNIDS[2]).iterdir():
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="no file of n01484850 is an image"):
        photographs.sift(photographs.index(by_class), 32)


@pytest.fixture
def images(by_class):
    files = photographs.index(by_class).files
    return photographs.Photographs(by_class, files, 40, np.arange(len(files)))


def test_photographs_index_like_an_array(images):
    whole = np.stack([images[i] for i in range(6)])
    chosen = images[np.array([4, 1])]
    assert len(chosen) == 2 and (np.stack([chosen[0], chosen[1]]) == whole[[4, 1]]).all()
    mean, std = photographs.statistics(images)
    np.testing.assert_allclose(mean, whole.mean((0, 1, 2)))
    np.testing.assert_allclose(std, whole.std((0, 1, 2)))


def test_augmentation_depends_on_key_and_file_alone(images):
    """Not on the order, nor on the batch; another epoch has other crops."""
    first, second = (images.augmented((7, epoch), 4, True) for epoch in (0, 1))
    order = np.array([3, 0, 5, 1, 4, 2])
    straight, shuffled = (
        np.concatenate([b[0] for b in each])
        for each in (
            [photographs.Batches(first, None, 4, 32)[i] for i in range(2)],
            [photographs.Batches(first[order], None, 3, 32)[i] for i in range(2)],
        )
    )
    np.testing.assert_array_equal(straight[order], shuffled)
    assert (straight != photographs.Batches(second, None, 6, 32)[0][0]).any()


def test_crops_come_from_everywhere_within_reach_and_are_mirrored_half_the_time(tmp_path):
    """Caffe's: 30 places each way for crops of 227 from 256 pixels. Pixels tell their place."""
    ramp = np.stack(np.broadcast_arrays(np.arange(256)[:, None], np.arange(256)[None], 0), -1).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    image = photographs.Photographs(tmp_path, np.array(["a.png"]), 256, np.arange(1))
    crops = [image.augmented((0, epoch), 15, True).crop(0, 227) for epoch in range(500)]
    assert {int(c[0, 0, 0]) for c in crops} == set(range(30)) == {int(c[0, :, 1].min()) for c in crops}
    assert 0.4 < np.mean([c[0, 0, 1] > c[0, -1, 1] for c in crops]) < 0.6
    near = [image.augmented((0, epoch), 2, False).crop(0, 227) for epoch in range(100)]
    assert {int(c[0, 0, 0]) for c in near} == set(range(12, 17)) == {int(c[0, 0, 1]) for c in near}


def test_batches_have_labels_as_vectors_and_a_last_smaller_one(images):
    batches = photographs.Batches(images, np.array([0, 0, 1, 1, 2, 2]), 4, 32, 3)
    pixels, labels = batches[1]
    assert len(batches) == 2 and pixels.shape == (2, 32, 32, 3) and labels.tolist() == [[0, 0, 1]] * 2


def test_a_file_that_broke_since_is_an_error_that_names_it(images):
    path = images.folder / images.files[2]
    path.write_bytes(b"")
    with pytest.raises(OSError, match=r"n01443537_0\.JPEG: no image\. Run `dvc repro -f dataset`"):
        photographs.Batches(images, None, 6, 32)[0]


class ByColour:
    """A model whose score of a class is how near the mean red, of the pixels it is shown, is to 20 x class."""

    def __init__(self, classes=10):
        self.classes = np.arange(classes)
        self.shapes = []

    def predict_on_batch(self, x):
        self.shapes.append(x.shape)
        return -np.abs(x.mean((1, 2))[:, :1] - 20 * self.classes)


def paint(path, red):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (50, 40), (red, 0, 0)).save(path, "PNG")


def test_accuracy_is_counted_over_what_can_be_read(tmp_path):
    """Class 0 is right, class 1 second, class 9 out of the first five; three files are no images."""
    for label, reds in enumerate(([0, 0, 0], [0], [], [], [], [], [], [], [], [0])):
        (tmp_path / str(label)).mkdir()
        for i, red in enumerate(reds):
            paint(tmp_path / str(label) / f"{i}.JPEG", red)
    whole = draw(tmp_path / "0" / "cut.JPEG", size=(400, 300))
    whole.write_bytes(whole.read_bytes()[:20_000])
    (tmp_path / "5" / "notes.txt").write_text("no image")
    (tmp_path / "5" / "empty.JPEG").touch()
    (tmp_path / "readme").touch()
    model = ByColour()
    found, seconds = evaluation.evaluate(
        model, photographs.index(tmp_path), lambda x: x.astype("float32"), side=32, crop=28, batch_size=2
    )
    assert model.shapes == [(2, 28, 28, 3), (2, 28, 28, 3), (1, 28, 28, 3)]
    assert (found["images"], found["top1"], found["top5"]) == (5, 3 / 5, 4 / 5)
    assert found["top1_low"] == pytest.approx(0.2307, abs=1e-4) and found["top1_high"] == pytest.approx(
        0.8824, abs=1e-4
    )
    reasons = dict(found["refused"])
    assert set(reasons) == {"readme", "0/cut.JPEG", "5/notes.txt", "5/empty.JPEG"}
    assert "truncated" in reasons["0/cut.JPEG"] and reasons["5/notes.txt"] == "no image"
    assert seconds > 0


def test_imagenets_folders_have_imagenets_labels(by_class):
    found = evaluation.validation_images(SimpleNamespace(folder=by_class, truth=None))
    assert len(found.classes) == 1000 and found.labels.tolist() == [0, 0, 1, 1, 2, 2]  # tench, goldfish, great white


@pytest.mark.parametrize("score", [0.0, np.nan])
def test_a_model_that_cannot_tell_is_not_right(by_class, score):
    model = ByColour()
    model.predict_on_batch = lambda x: np.full((len(x), 10), score)
    found, _ = evaluation.evaluate(model, photographs.index(by_class), lambda x: x, 32, 28)
    assert (found["images"], found["top1"], found["top5"]) == (6, 0, 0)


def test_a_folder_without_a_single_image_is_an_error(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").touch()
    with pytest.raises(ValueError, match="none of 1 files is an image"):
        evaluation.evaluate(ByColour(), photographs.index(tmp_path), lambda x: x, 32, 28)
