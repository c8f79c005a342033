"""SqueezeNet and AlexNet as Keras models (Iandola et al. 2016, arXiv 1602.07360)."""

try:
    import keras  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"Keras does not import ({error}). It needs a backend: pip install tensorflow, jax or torch, "
        "and name it in KERAS_BACKEND if it is not tensorflow"
    ) from None

from squeezenet.initial import initialise, standardise
from squeezenet.models import AlexNet, SqueezeNet, SqueezeNet_11
from squeezenet.preprocessing import decode_predictions, preprocess_input

__version__ = "0.3.0"
__all__ = [
    "AlexNet",
    "SqueezeNet",
    "SqueezeNet_11",
    "__version__",
    "decode_predictions",
    "initialise",
    "preprocess_input",
    "standardise",
]
