"""Folders of photographs: the class of each file, what is left out, and what a pixel is."""

import os
import re
import struct

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from replication.dataset import folders, photographs, prepare
from replication.dataset.splits import Dataset, Folder

WNIDS = ["n01440764", "n01443537", "n01484850"]


def draw(path, seed=0, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG" if path.suffix == ".png" else "JPEG")
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


def test_folders_are_classes_in_sorted_order_or_some_of_a_networks(by_class):
    """A part of ImageNet keeps ImageNet's labels."""
    index = folders.index(by_class)
    assert index.classes == WNIDS and index.labels.tolist() == [0, 0, 1, 1, 2, 2] and index.refused == []
    assert all((by_class / file).exists() for file in index.files)
    assert folders.index(by_class, ["n00000001", *WNIDS, "n99999999"]).labels.tolist() == [1, 1, 2, 2, 3, 3]
    with pytest.raises(ValueError, match=r"1 of 3 folders are not classes of the network: n01484850"):
        folders.index(by_class, WNIDS[:2])
    for old, new in zip(WNIDS, ("train", "Val", "test"), strict=True):
        (by_class / old).rename(by_class / new)
    for classes, split in ((None, "train"), (WNIDS, "Val")):  # a network is measured on images not seen in training
        with pytest.raises(ValueError, match=f"Val and test and train, which are not classes: give .*{split}$"):
            folders.index(by_class, classes)


@pytest.mark.parametrize("truth", ["val.txt", "ILSVRC2012_validation_ground_truth.txt"])
def test_flat_folder_with_either_ground_truth(flat, truth):
    folder, kit = flat
    draw(folder / "holiday.JPEG")
    index = folders.index(folder, WNIDS, kit / truth)
    assert index.labels.tolist() == [2, 0, 1, 2] and len(index.files) == 4
    assert index.refused == [("holiday.JPEG", f"not in {truth}")]


def test_flat_folder_needs_a_ground_truth_that_fits(flat):
    folder, kit = flat
    with pytest.raises(FileNotFoundError, match=r"no class folders: put the images .*val\.txt.*meta\.mat"):
        folders.index(folder)
    with pytest.raises(ValueError, match="has label 2; labels end at 1"):
        folders.index(folder, WNIDS[:2], kit / "val.txt")
    (kit / "meta.mat").rename(kit / "elsewhere.mat")
    with pytest.raises(FileNotFoundError, match=r"ground_truth\.txt needs the development kit's meta\.mat beside it"):
        folders.index(folder, truth=kit / "ILSVRC2012_validation_ground_truth.txt")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("one two three\n", r"val\.txt is neither.*'one two three'"),
        ("my cat.jpg 1\nmy cat.jpg 2\n", r"val\.txt gives my cat\.jpg the labels 1 and 2"),
        ("a.JPEG 0\n", r"val\.txt names no file of .*: a\.JPEG is not there, a\.jpg is"),
        ("a.jpg 0\n".encode("utf-16"), r"val\.txt is not UTF-8 text"),
    ],
)
def test_a_ground_truth_that_cannot_be_right_is_an_error_that_names_it(tmp_path, lines, message):
    draw(tmp_path / "val/a.jpg")
    truth = tmp_path / "val.txt"
    truth.write_bytes(lines if isinstance(lines, bytes) else lines.encode())
    with pytest.raises(ValueError, match=message):
        folders.index(tmp_path / "val", list("abc"), truth)


def test_val_txt_may_have_a_mark_of_its_encoding_and_blanks(tmp_path):
    for name in ("a.jpg", "my cat.jpg", "z.jpg"):
        draw(tmp_path / "val" / name)
    (tmp_path / "val.txt").write_text("\ufeffa.jpg 3\n\n  val/my cat.jpg\t1  \nz.jpg  2")
    index = folders.index(tmp_path / "val", list("abcd"), tmp_path / "val.txt")
    assert index.files.tolist() == ["a.jpg", "my cat.jpg", "z.jpg"] and index.labels.tolist() == [3, 1, 2]


def test_hidden_files_and_folders_are_no_images_and_no_classes(by_class):
    expected = folders.index(by_class)
    for name in (".ipynb_checkpoints/a.JPEG", "__MACOSX/a.JPEG", f"{WNIDS[0]}/.DS_Store", f"{WNIDS[0]}/._a.JPEG"):
        draw(by_class / name)
    draw(by_class / WNIDS[1] / ".ipynb_checkpoints/a.JPEG")
    found = folders.index(by_class)
    assert found.classes == WNIDS and found.refused == [] and (found.files == expected.files).all()


def test_what_cannot_be_followed_or_named_is_left_out_with_the_reason(by_class):
    (by_class / WNIDS[0] / "more").symlink_to(by_class / WNIDS[1], target_is_directory=True)
    draw(by_class / WNIDS[2] / os.fsdecode(b"caf\xe9.JPEG"))
    (by_class / "zebra").symlink_to("an unmounted disk", target_is_directory=True)
    index = folders.index(by_class)
    assert len(index.files) == 6 and index.refused == [
        ("zebra", "in no class's folder"),
        (f"{WNIDS[0]}/more", "a link to a folder, which is not followed"),
        (f"{WNIDS[2]}/caf\\xe9.JPEG", "its name is not UTF-8"),
    ]
    draw(by_class / os.fsdecode(b"caf\xe9") / "a.JPEG")
    with pytest.raises(ValueError, match=r"caf\\xe9 holds no file that can be read .*its name is not UTF-8"):
        folders.index(by_class)


def test_all_errors_of_a_small_folder_are_told_together(by_class):
    index = folders.index(by_class)
    folder = Folder(train=by_class, validation=by_class, side=24)
    data = Dataset(name="folder", folder=folder, limit=None, validation=2)
    train = {"crop": 24, "batch_size": 2, "accumulate": 2}
    folders.check(index, data, train)
    with pytest.raises(ValueError, match=r"^train\.crop must be at most dataset\.folder\.side, 24\. Received: 32$"):
        prepare.prepare(data)  # with section train as it is
    with pytest.raises(ValueError, match=r"folder\.validation must lie outside of dataset\.folder\.train\. Received"):
        prepare.prepare(data.model_copy(update={"folder": folder.model_copy(update={"side": 32})}))
    with pytest.raises(ValueError, match=r"accumulate must .* 4, .*2 x 3; train\.crop .*folder\.side, 24.*: 32"):
        folders.check(index, data, train | {"crop": 32, "accumulate": 3})
    (by_class / WNIDS[0] / "broken.JPEG").write_text("")  # which is refused before any image is read
    with pytest.raises(ValueError, match=r"dataset\.validation must be less than the 7 .*Received: 7; train\.crop"):
        prepare.prepare(data.model_copy(update={"validation": 7}))


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


STEPS = np.array([[0, 100, 200, 255]])


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("a.png", Image.fromarray((STEPS * 257).astype("uint16")), {}),
        ("b.tiff", Image.fromarray((STEPS * 257).astype(">u2")), {}),
        ("c.tiff", Image.fromarray(((255 - STEPS) * 257).astype("uint16")), {"tiffinfo": {262: 0}}),  # white is zero
        ("a.pgm", Image.fromarray((STEPS * 257).astype("uint16")), {}),
    ],
)
def test_grayscale_of_16_bits_is_scaled(tmp_path, name, image, options):
    image.save(tmp_path / name, **options)
    np.testing.assert_array_equal(np.asarray(photographs.upright(tmp_path / name))[..., 0], STEPS)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_values_whose_white_is_not_known_are_refused(tmp_path, dtype):
    Image.fromarray(STEPS.astype(dtype)).save(tmp_path / "a.tiff")
    image, why = photographs.try_read(tmp_path / "a.tiff", 4)
    assert image is None and "32-bit, signed or floating-point values is white is not known" in why


def test_grayscale_of_12_bits_is_scaled(tmp_path):
    """A TIFF of black and white, which Pillow reads and does not write."""
    tags = {256: 2, 257: 1, 258: 12, 259: 1, 262: 1, 273: 122, 277: 1, 278: 1, 279: 3}
    data = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    (tmp_path / "a.tiff").write_bytes(struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + data + bytes(4) + b"\0\x0f\xff")
    assert np.asarray(photographs.upright(tmp_path / "a.tiff"))[0, :, 0].tolist() == [0, 255]


def test_what_is_transparent_is_white(tmp_path):
    """Alpha, half and whole, of colours and of grays; the one transparent value of a palette, of 8 and of 16 bits."""
    for pixels, expected in (([[0, 9, 0, 0]], 255), ([[0, 0, 0, 255]], 0), ([[0, 0, 0, 127]], 128), ([[0, 0]], 255)):
        Image.fromarray(np.uint8([pixels])).save(tmp_path / "a.png")
        assert np.unique(photographs.upright(tmp_path / "a.png")).tolist() == [expected]
    for dtype in ("uint8", "uint16"):
        Image.fromarray(np.array([[0, np.iinfo(dtype).max // 5]], dtype)).save(tmp_path / "b.png", transparency=0)
        assert np.asarray(photographs.upright(tmp_path / "b.png"))[0, :, 0].tolist() == [255, 51]
    palette = Image.fromarray(np.uint8([[0, 200]])).convert("P")
    palette.save(tmp_path / "c.gif", transparency=0)
    assert np.asarray(photographs.upright(tmp_path / "c.gif"))[0, :, 0].tolist() == [255, 200]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tiff"])
def test_a_photograph_is_turned_the_right_way_up(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turned by a quarter
    image = Image.fromarray(np.repeat(np.uint8([[[0], [255]]]), 3, -1))
    image.resize((64, 64), Image.Resampling.NEAREST).save(tmp_path / name, exif=exif)
    above, below = photographs.read(tmp_path / name, 2)[:, 0, 0]
    assert above < 50 and below > 200


@pytest.mark.parametrize("name", ["a.avif", "a.jp2", "a.ps", "a.txt"])
def test_a_format_that_is_not_read_is_refused_with_those_that_are(tmp_path, name, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)  # for PostScript PIL would start Ghostscript
    (tmp_path / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    if name in ("a.avif", "a.jp2"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    image, reason = photographs.try_read(tmp_path / name, 32)
    assert image is None and re.search(r"JPEG, PNG, .*HEIC, AVIF and JPEG 2000 files must be converted", reason)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("side", "words"), [(10, "10 x 10 pixels"), (20, "exceeds limit")])  # PIL warns, or refuses
def test_an_image_of_too_many_pixels_is_refused_before_it_is_read(tmp_path, monkeypatch, side, words):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    Image.new("1", (side, side)).save(tmp_path / "large.png")
    image, reason = photographs.try_read(tmp_path / "large.png", 8)
    assert image is None and words in reason


def test_a_folder_without_a_file_of_the_networks_classes_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no file of a class"):
        folders.index(tmp_path, ["empty", "full"])


def test_few_files_are_read_ahead():
    started = []
    for i in photographs.in_order(lambda i: started.append(i) or i, range(100), ahead=5):
        assert max(started) <= i + 5


def test_a_class_of_which_nothing_can_be_read_is_an_error(by_class):
    for path in (by_class / WNIDS[2]).iterdir():
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="no file of n01484850 is an image"):
        folders.sift(folders.index(by_class), 32)


@pytest.fixture
def images(by_class):
    files = folders.index(by_class).files
    return photographs.Photographs(by_class, files, 40, np.arange(len(files)))


def test_augmentation_depends_on_key_and_file_alone(images):
    """Not on the order, nor on the batch; another epoch has other crops."""
    first, second = (images.augmented((7, epoch), 4, True) for epoch in (0, 1))
    order = np.array([3, 0, 5, 1, 4, 2])
    straight = photographs.Batches(first, None, 6, 32)[0][0]
    shuffled = np.concatenate([photographs.Batches(first[order], None, 3, 32)[i][0] for i in range(2)])
    np.testing.assert_array_equal(straight[order], shuffled)
    assert (straight != photographs.Batches(second, None, 6, 32)[0][0]).any()
    batches = photographs.Batches(first, np.repeat([0, 1, 2], 2), 4, 32, 3)
    assert len(batches) == 2 and batches[1][1].tolist() == [[0, 0, 1]] * 2  # labels as vectors, a smaller last batch


def test_crops_come_from_everywhere_within_reach_and_are_mirrored_half_the_time(tmp_path):
    """Caffe's: 30 places each way for crops of 227 from 256 pixels. Pixels tell their place."""
    ramp = np.stack(np.broadcast_arrays(np.arange(256)[:, None], np.arange(256)[None], 0), -1).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    image = photographs.Photographs(tmp_path, np.array(["a.png"]), 256, np.arange(1))
    assert image.crop(0, 227)[0, 0].tolist() == [14, 14, 0]  # the centre, where Caffe takes it
    crops = [image.augmented((0, epoch), 15, True).crop(0, 227) for epoch in range(500)]
    assert {int(c[0, 0, 0]) for c in crops} == set(range(30)) == {int(c[0, :, 1].min()) for c in crops}
    assert 0.4 < np.mean([c[0, 0, 1] > c[0, -1, 1] for c in crops]) < 0.6
    near = [image.augmented((0, epoch), 2, False).crop(0, 227) for epoch in range(100)]
    assert {int(c[0, 0, 0]) for c in near} == set(range(12, 17)) == {int(c[0, 0, 1]) for c in near}


def test_a_file_that_broke_since_is_an_error_that_names_it(images):
    path = images.folder / images.files[2]
    path.write_bytes(b"")
    with pytest.raises(
        OSError, match=r"n01443537_0\.JPEG: not in a readable .* Restore it and rerun to resume, or leave it out by"
    ):
        photographs.Batches(images, None, 6, 32)[0]
