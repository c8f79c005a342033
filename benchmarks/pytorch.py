"""The paper's networks as one writes them in PyTorch, from torchvision's fire module, without dropout."""

import torch
from torch import nn
from torchvision.models.squeezenet import Fire

from squeezenet import arguments, models


def create(model, side, classes, **options):
    """A network of `squeezenet.models` for images of so many pixels, which gives logits."""
    small = side < arguments.SMALL_IMAGE
    layers = alexnet(small, classes) if model == "alexnet" else squeezenet(model, small, classes, **options)
    network = nn.Sequential(*layers)
    network(torch.zeros(1, 3, side, side))  # lazy layers learn their size
    return network


def squeezenet(model, small, classes, **metaparameters):
    variant = models.VARIANTS["squeezenet_1_1" if model == "squeezenet_11" else "squeezenet_1_0"]
    stem = {"kernel_size": 3, "padding": 1} if small else {"kernel_size": variant.kernel}
    yield from (nn.Conv2d(3, variant.filters, stride=2, **stem), nn.ReLU(), pool())
    channels = variant.filters
    for i, (squeeze, *expand) in zip(models.FIRES, models.fire_widths(**metaparameters), strict=True):
        yield Fire(channels, squeeze, *expand)
        channels = sum(expand)
        if f"fire{i}" in variant.pools:
            yield pool()
    yield from (nn.Conv2d(channels, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def alexnet(small, classes):
    stem = nn.Conv2d(3, 96, 3, 2, padding=1) if small else nn.Conv2d(3, 96, 11, 4)
    yield from (stem, nn.ReLU(), nn.LocalResponseNorm(5), pool())
    yield from (nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), nn.LocalResponseNorm(5), pool())
    yield from (nn.Conv2d(256, 384, 3, padding=1), nn.ReLU())
    yield from (nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU())
    yield from (nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), pool(), nn.Flatten())
    yield from (nn.LazyLinear(4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, classes))


def pool():
    return nn.MaxPool2d(3, 2, ceil_mode=True)
