"""Models that Keras saved: bare, or with a network as the last layer behind what prepares its images."""

import keras

from squeezenet.weights.network import Weights, tensors


def read(path):
    """The weights of a .keras file. Keras' safe mode runs no code of the file."""
    model = keras.models.load_model(path, compile=False)
    network = model.layers[-1] if isinstance(model.layers[-1], keras.Model) else model
    return Weights(tensors(network), network)
