"""Models that Keras saved: bare, or with a network as the last layer behind what prepares its images."""

import zipfile

import keras

from squeezenet.weights.network import Weights, at_most, tensors

INFLATED, ROOM = 16, 2**24  # times the file's bytes, and bytes, that its members may have


def read(path):
    """The weights of a .keras file. Keras' safe mode runs no code of the file.

    Raises:
        ValueError: its members claim far more bytes than the file has, or its layers more weights than it has bytes.
    """
    with zipfile.ZipFile(path) as archive:
        claimed = sum(member.file_size for member in archive.infolist())
    if claimed > INFLATED * path.stat().st_size + ROOM:
        raise ValueError(f"its members claim {claimed:,} bytes, the file has {path.stat().st_size:,}")
    with at_most(claimed):
        model = keras.models.load_model(path, compile=False)
    network = model.layers[-1] if isinstance(model.layers[-1], keras.Model) else model
    return Weights(tensors(network), network)
