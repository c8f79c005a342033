"""A reproducible replication of SqueezeNet (Iandola et al. 2016, arXiv 1602.07360)."""

from squeezenet import config as config  # sets TensorFlow's environment: before Keras is imported
from squeezenet.models import AlexNet, SqueezeNet, SqueezeNet_11

__all__ = ["AlexNet", "SqueezeNet", "SqueezeNet_11"]
