"""The networks that are timed, as one writes them in PyTorch. Geometry and widths are those of `squeezenet.models`."""

import torch
from torch import nn
from torch.nn import functional

from squeezenet import models


class Fire(nn.Module):
    """Fire module."""

    def __init__(self, channels, squeeze, expand1x1, expand3x3):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand1x1, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand3x3, 3, padding=1)

    def forward(self, x):
        x = functional.relu(self.squeeze(x))
        return functional.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))


def pool():
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def squeezenet(classes, **metaparameters):
    """SqueezeNet 1.0 for images below 64 pixels, without dropout."""
    variant, channels = models.VARIANTS["squeezenet_1_0"], 96
    parts = [nn.Conv2d(3, channels, 3, 2, padding=1), nn.ReLU(), pool()]
    for i, widths in zip(models.FIRES, models.fire_widths(**metaparameters), strict=True):
        parts.append(Fire(channels, *widths))
        channels = sum(widths[1:])
        if f"fire{i}" in variant.pools:
            parts.append(pool())
    return nn.Sequential(*parts, nn.Conv2d(channels, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def alexnet(classes):
    """AlexNet for images below 64 pixels, without dropout."""
    convolutions = [
        *(nn.Conv2d(3, 96, 3, 2, padding=1), nn.ReLU(), nn.LocalResponseNorm(5), pool()),
        *(nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), nn.LocalResponseNorm(5), pool()),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), pool()),
    ]
    dense = [nn.LazyLinear(4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, classes)]
    return nn.Sequential(*convolutions, nn.Flatten(), *dense)


NETWORKS = {"squeezenet": squeezenet, "alexnet": alexnet}
