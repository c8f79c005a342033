"""Photographs: the one reader of image files, and batches that threads read while a network computes.

Files are read a few batches ahead of their use, so that memory does not grow with their number.
"""

import collections
import concurrent.futures
import os
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION

THREADS = max(2, os.cpu_count())  # that read files; their number changes no result
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")  # of PIL's; for PostScript it would start Ghostscript
UNREADABLE = f"not in a readable format ({', '.join(FORMATS)}); HEIC, AVIF and JPEG 2000 files must be converted"


def upright(file):
    """Open an image as a person sees it: turned by its EXIF orientation, on white where transparent, in 8-bit RGB.

    Grayscale of 16 bits is scaled to 0..255.

    Args:
        file: a path, or a binary file.

    Returns:
        A PIL image.

    Raises:
        OSError, SyntaxError, ValueError: PIL cannot read the file, or the range of its values is not known.
    """
    with Image.open(file, formats=FORMATS) as image:
        if image.width * image.height > Image.MAX_IMAGE_PIXELS:  # of which PIL only warns
            raise ValueError(f"{image.width} x {image.height} pixels are more than {Image.MAX_IMAGE_PIXELS:,}")
        white = _white(image)
        turned = ImageOps.exif_transpose(image)
        if white:
            turned = _scaled(turned, *white)
        if turned.has_transparency_data:
            turned = turned.convert("RGBA")
            turned = Image.alpha_composite(Image.new("RGBA", turned.size, "white"), turned)
        return turned.convert("RGB")


def _white(image):
    """The values of black and white in grayscale of 16 bits; None for an image of 8 bits a channel."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        twelve = image.format == "TIFF" and image.tag_v2[BITSPERSAMPLE] == (12,)
        white = 4095 if twelve else 65535
        white_is_zero = image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0
        return (white, 0) if white_is_zero else (0, white)
    if image.mode in ("I", "F"):
        raise ValueError(
            "which of its 32-bit, signed or floating-point values is white is not known: save 8 or 16 bits"
        )
    return None


def _scaled(image, black, white):
    """Grayscale of 16 bits in 8 bits."""
    values = np.array(image, "float32")
    if "transparency" in image.info:  # a PNG's value that is transparent
        values[values == image.info["transparency"]] = white
    return Image.fromarray(np.round(255 * (values - black) / (white - black)).astype(np.uint8))


def warp(image, side, resample=None):
    """A PIL image as uint8 (side, side, 3), whatever its proportions.

    Args:
        resample: one of PIL's filters, which smooth. None is the released files': Caffe's convert_imageset, by OpenCV's
            bilinear interpolation between the nearest four pixels, to within a level.
    """
    if resample is not None:
        return np.asarray(image.resize((side, side), resample))
    box = (0, 0, *image.size)
    return np.asarray(image.transform((side, side), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR))


def read(file, side, resample=None):
    """The pixels of an image file, as `upright` opens and `warp` warps it: uint8 RGB (side, side, 3)."""
    return warp(upright(file), side, resample)


def centre(images, crop):
    """The middle of images (..., height, width, channels), where Caffe takes it."""
    top, left = ((size - crop) // 2 for size in images.shape[-3:-1])
    return images[..., top : top + crop, left : left + crop, :]


def try_read(file, side, resample=None):
    """The pixels and None, or None and the reason why the file has none."""
    try:
        return read(file, side, resample), None
    except UnidentifiedImageError:
        return None, UNREADABLE
    except Exception as error:  # a damaged file may fail a decoder in any way
        return None, getattr(error, "strerror", None) or str(error) or type(error).__name__


def in_order(function, items, ahead):
    """Call a function in threads and yield the results in the order of the items, at most `ahead` of them at once."""
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        waiting = collections.deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def statistics(images):
    """Mean and standard deviation of each colour over images, of 0 to 255."""

    def moments(i):
        pixels = images[i].astype("float64")
        return pixels.mean((0, 1)), np.square(pixels).mean((0, 1))

    mean, square = np.mean(list(in_order(moments, range(len(images)), 8 * THREADS)), axis=0)
    return mean, np.sqrt(square - np.square(mean))


@dataclass(frozen=True)
class Photographs:
    """Files that index like an array of images (n, side, side, 3): an integer reads one, all else selects files."""

    folder: Path
    files: np.ndarray
    side: int
    numbers: np.ndarray  # the index in the whole folder, which seeds an image's augmentation
    augmentation: tuple | None = None

    def __len__(self):
        return len(self.files)

    def __getitem__(self, chosen):
        if not isinstance(chosen, int | np.integer):
            return replace(self, files=self.files[chosen], numbers=self.numbers[chosen])
        image, reason = try_read(self.folder / self.files[chosen], self.side)
        if reason:
            remedy = "Restore it and rerun to resume, or leave it out by `dvc repro -f dataset` and train anew"
            raise OSError(f"{self.folder / self.files[chosen]}: {reason}. {remedy}")
        return image

    def augmented(self, key, shift, mirror):
        """The same files, cropped at random and mirrored half the time, as `key` and the file decide.

        Args:
            key: integers, such as a seed and an epoch.
            shift: pixels that a crop may be off the centre, as far as the image reaches; every place is as likely.
        """
        return replace(self, augmentation=(tuple(key), shift, mirror))

    def crop(self, i, crop):
        """One image (crop, crop, 3), from the centre unless `augmented`."""
        image = self[i]
        if self.augmentation is None:
            return centre(image, crop)
        key, shift, mirror = self.augmentation
        rng = np.random.default_rng([*key, self.numbers[i]])
        room = self.side - crop
        low, high = max(0, room // 2 - shift), min(room, room // 2 + shift)
        top, left = rng.integers(low, high + 1, 2)
        image = image[top : top + crop, left : left + crop]
        return image[:, ::-1] if mirror and rng.random() < 0.5 else image


class Batches(keras.utils.PyDataset):
    """Photographs for `fit`, `evaluate` and `predict`, in order, read by threads two batches ahead.

    Keras' own threads are not used: when `fit` on JAX builds a model, the batches that they have read ahead come again,
    and as many of the last batches are lost.

    Args:
        images: `Photographs`.
        labels: (n,) integers, returned as one-hot vectors of `classes`; None for images alone.
        crop: pixels, at most the images' side.
    """

    def __init__(self, images, labels, batch_size, crop, classes=None):
        super().__init__()
        self.images, self.labels, self.batch_size, self.crop, self.classes = images, labels, batch_size, crop, classes
        self.pool, self.ahead = concurrent.futures.ThreadPoolExecutor(THREADS), {}

    def __len__(self):
        return -(-len(self.images) // self.batch_size)

    def __getitem__(self, batch):
        for soon in range(batch, min(batch + 3, len(self))):
            if soon not in self.ahead:
                self.ahead[soon] = [self.pool.submit(self.images.crop, i, self.crop) for i in self._part(soon)]
        pixels = np.stack([read.result() for read in self.ahead.pop(batch)])
        if self.labels is None:
            return (pixels,)
        return pixels, keras.utils.to_categorical(self.labels[self._part(batch)], self.classes)

    def _part(self, batch):
        return range(len(self.images))[batch * self.batch_size : (batch + 1) * self.batch_size]
