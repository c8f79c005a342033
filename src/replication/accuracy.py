"""Accuracy and top-k accuracy, with their intervals."""

import base64

import numpy as np
from statsmodels.stats.proportion import proportion_confint


def with_interval(correct):
    """The share of correct answers, with its 95% Wilson interval: accuracy, accuracy_low, accuracy_high."""
    low, high = proportion_confint(correct.sum(), len(correct), method="wilson")
    return {"accuracy": float(correct.mean()), "accuracy_low": float(low), "accuracy_high": float(high)}


def classes_better(scores, labels):
    """For each image, how many classes score at least as high as the true one: ties count as errors, as in Caffe."""
    return (~(scores < scores[np.arange(len(labels)), labels][:, None])).sum(1) - 1


def top(better):
    """Shares of images with fewer than 1 or 5 classes better than the true one, with intervals: top1, top1_low, ..."""
    shares = {f"top{k}": with_interval(np.asarray(better) < k) for k in (1, 5)}
    return {key.replace("accuracy", top): value for top, share in shares.items() for key, value in share.items()}


def pack(correct):
    """A bool array as text, eight to a byte."""
    return base64.b64encode(np.packbits(correct)).decode()


def unpack(text, count):
    """The first `count` values that `pack` packed."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=count).astype(bool)
