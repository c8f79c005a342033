"""The authors' `compressed_SqueezeNet.net`: SqueezeNet 1.0 for ImageNet after Deep Compression.

Little-endian, without magic, padding or checksum. First, for each layer in the order conv1; squeeze1x1,
expand1x1, expand3x3 of fire2 to fire9; conv10, the number n of its stored entries as uint32. Then, for
each layer:

    256 x float32        codebook; entry 0 is 0, the rest is not sorted
    outputs x float32    biases
    n x uint8            codes
    ceil(n / 2) x uint8  gaps of 4 bits, low nibble first

A gap is the number of zeros before an entry, in the kernel flattened as (out, in, height, width). An
entry of code 0 behind gap 15 is a filler. There is no Huffman coding.
"""

import functools
import hashlib
import io
import math
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from PIL import Image

from squeezenet import config, costs, models

ARCHITECTURE = {
    "model": "squeezenet",
    "input_shape": [227, 227, 3],
    "nb_classes": 1000,
    "as_released": True,
    "dropout_rate": None,
}
CODEBOOK = 256
FILLER = 15


def find(params):
    """The path of the file: the user's copy, or else a download from the authors' repository; verified.

    Args:
        params: `Params.authors`.

    Raises:
        FileNotFoundError: there is no copy and the download failed.
        ValueError: the copy is not the authors' file.
    """
    path = config.ROOT / params.file
    if not path.exists():
        try:
            path = Path(keras.utils.get_file(path.name, params.url, file_hash=params.sha256, hash_algorithm="sha256"))
        except Exception as error:  # Keras raises a bare one, whatever went wrong
            raise FileNotFoundError(f"no {params.file}, and {params.url} did not serve it ({error})") from None
    if hashlib.sha256(path.read_bytes()).hexdigest() != params.sha256:
        raise ValueError(f"{path} is not the authors' file: its sha256 differs from params.yaml's authors.sha256")
    return path


@functools.cache
def _kernels():
    """Name and kernel shape (height, width, in, out) of each layer, in the order of the file."""
    network = models.create(**ARCHITECTURE)
    return {name: tuple(network.get_layer(name).kernel.shape) for name in costs.per_layer(network).layer}


def decode(data):
    """Decode the authors' file.

    Returns:
        Tensors for `compression.set_tensors`, and a frame with the stored entries, weights, nonzero weights and
        biases of each layer.

    Raises:
        ValueError: the bytes do not make up SqueezeNet's layers.
    """
    counts, sizes = _measure(data)
    stream, tensors, rows = io.BytesIO(data[sizes["counts"] :]), {}, []
    for (name, shape), n in zip(_kernels().items(), counts, strict=True):
        height, width, inputs, outputs = shape
        codebook = np.frombuffer(stream.read(4 * CODEBOOK), "<f4")
        bias = np.frombuffer(stream.read(4 * outputs), "<f4")
        codes = np.frombuffer(stream.read(n), np.uint8)
        pairs = np.frombuffer(stream.read(-(-n // 2)), np.uint8)
        gaps = np.stack([pairs & 15, pairs >> 4], axis=1).ravel()
        positions = np.cumsum(gaps[:n] + 1, dtype=np.int64) - 1
        if (
            codebook[0] != 0
            or not np.isfinite(codebook).all()
            or not np.isfinite(bias).all()
            or gaps[n:].any()
            or (gaps[:n][codes == 0] != FILLER).any()
            or (n and positions[-1] >= math.prod(shape))
        ):
            raise ValueError(f"damaged authors' file: {name} breaks the rules of the format")
        kernel = np.zeros(math.prod(shape), np.float32)
        kernel[positions] = codebook[codes]
        kernel = kernel.reshape(outputs, inputs, height, width).transpose(2, 3, 1, 0)
        tensors |= {f"{name}/kernel": np.ascontiguousarray(kernel), f"{name}/bias": bias}
        rows.append((name, n, kernel.size, np.count_nonzero(kernel), outputs))
    return tensors, pd.DataFrame(rows, columns=["layer", "stored", "weights", "nonzero", "biases"]).set_index("layer")


def byte_table(data):
    """Bytes of the counts, codebooks, biases, codes and gaps; they sum to the size of the file."""
    return pd.Series(_measure(data)[1])


def _measure(data):
    """Stored entries by layer, and the bytes of each kind of content, which must make up the file."""
    kernels = _kernels()
    counts = [int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(len(kernels))]
    sizes = {
        "counts": 4 * len(kernels),
        "codebooks": 4 * CODEBOOK * len(kernels),
        "biases": 4 * sum(shape[-1] for shape in kernels.values()),
        "codes": sum(counts),
        "gaps": sum(-(-n // 2) for n in counts),
    }
    if sum(sizes.values()) != len(data):
        raise ValueError(f"damaged authors' file: {len(data)} bytes, where its counts make {sum(sizes.values())}")
    return counts, sizes


def crops(photograph, count, seed=0):
    """Random squares of a photograph, (count, 227, 227, 3) pixels: a third of its shorter side, or more."""
    image, rng = Image.fromarray(photograph), np.random.default_rng(seed)
    squares = []
    for _ in range(count):
        side = round(min(image.size) * rng.uniform(1 / 3, 1))
        left, top = (rng.integers(0, size - side + 1) for size in image.size)
        squares.append(_to_input(image.crop((left, top, left + side, top + side))))
    return np.stack(squares)


def enlarged(images):
    """Small images, enlarged to (n, 227, 227, 3) pixels."""
    return np.stack([_to_input(Image.fromarray(image)) for image in images])


def _to_input(image):
    return np.asarray(image.resize(ARCHITECTURE["input_shape"][:2], Image.Resampling.BICUBIC))
