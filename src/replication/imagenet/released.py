"""The released networks, as far as their weights are at hand."""

from pathlib import Path

from pydantic import PositiveInt, model_validator

from replication import paths
from replication.params import Section
from squeezenet import SqueezeNet, SqueezeNet_11
from squeezenet.weights import authors


class ImageNet(Section):
    """The section imagenet of params.yaml."""

    folder: Path | None
    truth: Path | None
    bypass: Path | None
    side: PositiveInt
    crop: PositiveInt
    batch_size: PositiveInt
    photographs: PositiveInt
    threads: PositiveInt

    @model_validator(mode="after")
    def crop_fits(self):
        if self.crop > self.side:
            raise ValueError(f"imagenet.crop, {self.crop}, is more than imagenet.side, {self.side}")
        return self


def networks(settings):
    """The released networks whose weights can be had, and why the others are missing: two dicts by name.

    `squeezenet` is what the authors' compressed file holds: pruned, with 8-bit weights.
    """
    shape, found, missing = (settings.crop, settings.crop, 3), {}, {}
    for name, constructor, weights in (
        ("squeezenet", SqueezeNet, lambda: authors.find(paths.EXTERNAL / authors.NAME)),
        ("squeezenet_11", SqueezeNet_11, lambda: "imagenet"),
    ):
        try:
            found[name] = constructor(shape, weights=weights())
        except (ImportError, FileNotFoundError) as error:
            missing[name] = str(error).replace(f"{paths.ROOT}/", "")
    if settings.bypass:
        found["simple_bypass"] = SqueezeNet(shape, use_bypass="simple", weights=paths.ROOT / settings.bypass)
    else:
        missing["simple_bypass"] = "no weights (`imagenet.bypass` in params.yaml)"
    return found, missing
