"""The authors' `compressed_SqueezeNet.net`: SqueezeNet 1.0 for ImageNet after Deep Compression.

Little-endian, without magic, padding or checksum. First, for each layer in the order conv1; squeeze1x1,
expand1x1, expand3x3 of fire2 to fire9; conv10, the number n of its stored entries as uint32. Then, for
each layer:

    256 x float32        codebook; entry 0 is 0, the rest is not sorted
    outputs x float32    biases
    n x uint8            codes
    ceil(n / 2) x uint8  gaps of 4 bits, low nibble first

A gap is the number of zeros before an entry, in the kernel flattened as (out, in, height, width). An
entry of code 0 behind gap 15 is a filler. There is no Huffman coding. The layers' names and shapes are
not in the file.
"""

import hashlib
import io
import math
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

NAME = "compressed_SqueezeNet.net"
URL = f"https://github.com/songhan/SqueezeNet-Deep-Compression/raw/master/{NAME}"
SHA256 = "e4ab6960ae8cd81505e1c2136921201507e930966c53deaf15862a395b3a3261"
CODEBOOK = 256
FILLER = 15
SHAPES = {"conv1": (7, 7, 3, 96)}  # layer -> (height, width, in, out), in the order of the file
for i, wide in enumerate((96, 128, 128, 256, 256, 384, 384, 512)):
    squeeze = 16 * (i // 2 + 1)
    SHAPES[f"fire{i + 2}_squeeze1x1"] = (1, 1, wide, squeeze)
    SHAPES |= {f"fire{i + 2}_expand{side}x{side}": (side, side, squeeze, 4 * squeeze) for side in (1, 3)}
SHAPES["conv10"] = (1, 1, 512, 1000)


class Layer(NamedTuple):
    layer: str
    stored: int  # entries, fillers among them
    weights: int
    nonzero: int
    biases: int


def find(copy=None):
    """The path of the file: a copy, or Keras' cache, or else a download from the authors' repository; verified.

    Args:
        copy: path of the user's own file, used if it exists.

    Raises:
        FileNotFoundError: there is no copy and the download failed.
        ValueError: the copy is not the authors' file.
    """
    if copy is not None and Path(copy).exists():
        verify(Path(copy))
        return Path(copy)
    try:
        return Path(keras.utils.get_file(NAME, URL, cache_subdir="models", file_hash=SHA256, hash_algorithm="sha256"))
    except Exception as error:  # Keras raises a bare one, whatever went wrong
        where = " or ".join(map(str, filter(None, (copy, f"~/.keras/models/{NAME}"))))
        raise FileNotFoundError(
            f"SqueezeNet 1.0's ImageNet weights are not here, and could not be downloaded ({error}). "
            f"Download {URL} to {where}, or give its path as weights"
        ) from None


def verify(path):
    """Raise a ValueError if a file is not the authors'."""
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise ValueError(f"{path} is not the authors' file, its sha256 differs: download {URL}")


def read(path, _=None):
    """The weights of the authors' file.

    Raises:
        ValueError: it is another file.
    """
    verify(path)
    return decode(path.read_bytes())[0], {}


def decode(data):
    """Decode the bytes of the authors' file.

    Returns:
        Tensors by name, and a `Layer` for each layer.

    Raises:
        ValueError: the bytes do not make up the layers of `SHAPES`.
    """
    counts, sizes = _measure(data)
    stream, tensors, rows = io.BytesIO(data[sizes["counts"] :]), {}, []
    for (name, shape), n in zip(SHAPES.items(), counts, strict=True):
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
        rows.append(Layer(name, n, kernel.size, int(np.count_nonzero(kernel)), outputs))
    return tensors, rows


def byte_table(data):
    """Bytes of the counts, codebooks, biases, codes and gaps; they sum to the size of the file."""
    return _measure(data)[1]


def _measure(data):
    """Stored entries by layer, and the bytes of each kind of content, which must make up the file."""
    counts = [int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(len(SHAPES))]
    sizes = {
        "counts": 4 * len(SHAPES),
        "codebooks": 4 * CODEBOOK * len(SHAPES),
        "biases": 4 * sum(shape[-1] for shape in SHAPES.values()),
        "codes": sum(counts),
        "gaps": sum(-(-n // 2) for n in counts),
    }
    if sum(sizes.values()) != len(data):
        raise ValueError(f"damaged authors' file: {len(data)} bytes, where its counts make {sum(sizes.values())}")
    return counts, sizes
