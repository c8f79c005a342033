"""Where things are, and params.yaml, validated. The one module that knows a path."""

import os
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

# Read when TensorFlow is imported. It leaves oneDNN off on CPUs without AVX-512, where it pays as well.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).resolve().parents[2]
PARAMS = ROOT / "params.yaml"
DATA = ROOT / "data"
PAPER = DATA / "paper"  # the paper's numbers, in git
EXTERNAL = DATA / "external"  # what the user brings along, ignored by git
DATASET = DATA / "dataset"
TRAIN = DATA / "train"
COMPRESS = DATA / "compress"
AUTHORS = DATA / "authors"
IMAGENET = DATA / "imagenet"
INTERRUPTED = DATA / "interrupted"  # training states to go on from; gone when a training ends
REPORTS = ROOT / "reports"
FULL = REPORTS / "full"  # a file for each training at the full budget, in git


Fraction = Annotated[float, Field(gt=0, le=1)]
Bits = Annotated[int, Field(ge=1, le=12)]


class Section(BaseModel):
    """A section of params.yaml: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Folder(Section):
    train: Path | None
    validation: Path | None
    truth: Path | None
    side: PositiveInt


class Dataset(Section):
    name: Literal["cifar10", "folder"]
    source: Literal["auto", "local", "keras", "npm"]
    folder: Folder
    limit: PositiveInt | None
    validation: PositiveInt

    @model_validator(mode="after")
    def folders(self):
        for key in ("train", "validation"):
            if self.name == "folder" and getattr(self.folder, key) is None:
                raise ValueError(f"for dataset.name: folder give dataset.folder.{key}")
        return self


class Train(Section):
    """The section train, and of the section budgets the one in use."""

    seeds: list[NonNegativeInt] = Field(min_length=1)
    epochs: PositiveInt
    batch_size: PositiveInt
    accumulate: PositiveInt
    learning_rate: PositiveFloat
    warmup: float = Field(ge=0, lt=1)
    momentum: float = Field(ge=0, lt=1)
    nesterov: bool
    weight_decay: float = Field(ge=0)
    clip_norm: PositiveFloat | None
    centralise: bool
    label_smoothing: float = Field(ge=0, lt=1)
    initializer: Literal["xavier", "he_centred"]
    dropout: float = Field(ge=0, lt=1)
    crop: PositiveInt
    shift: NonNegativeInt
    mirror: bool
    standardise: bool
    dtype: Literal["float32", "mixed_bfloat16"]
    threads: PositiveInt


class Pruned(Section):
    """How a variant is compressed. Layers that `kept` does not name are kept whole."""

    kept: dict[str, Fraction] | None = None
    quality: PositiveFloat | None = None
    bits: dict[str, Bits | dict[str, Bits]] = Field(min_length=1)
    retrain: dict[Literal["pruned", "shared"], PositiveInt]
    svd: PositiveFloat | None = None

    @model_validator(mode="after")
    def one_rule(self):
        if (self.kept is None) == (self.quality is None):
            raise ValueError("give either kept or quality")
        return self


class Compress(Section):
    learning_rate: dict[Literal["pruned", "shared"], PositiveFloat]
    variants: dict[str, Pruned]


class Transfer(Section):
    folder: Path | None
    per_class: PositiveInt
    test: PositiveInt
    side: PositiveInt
    epochs: PositiveInt
    batch_size: PositiveInt


class ImageNet(Section):
    folder: Path | None
    truth: Path | None
    bypass: Path | None
    side: PositiveInt
    crop: PositiveInt
    batch_size: PositiveInt
    agreement: PositiveInt
    transfer: Transfer

    @model_validator(mode="after")
    def crop_fits(self):
        if self.crop > self.side:
            raise ValueError(f"imagenet.crop, {self.crop}, is more than imagenet.side, {self.side}")
        return self


class Budget(Section):
    bits: PositiveInt
    bytes: PositiveInt | None


class Authors(Section):
    file: Path
    url: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    ours: list[Budget]
    calibration: PositiveInt
    photographs: PositiveInt


class Params(Section):
    convergence: list[PositiveInt]
    dataset: Dataset
    train: Train
    compress: Compress
    imagenet: ImageNet
    authors: Authors
    variants: dict[str, dict]

    @model_validator(mode="after")
    def crop_fits(self):
        if self.dataset.name == "folder" and self.train.crop > self.dataset.folder.side:
            raise ValueError(f"crop, {self.train.crop}, is more than dataset.folder.side")
        return self


def load_params(path=PARAMS, budget=None):
    """Read params.yaml, with the values of a budget in the section train.

    Args:
        budget: one of params.yaml's `budgets`; None for the one that its `budget` names.

    Raises:
        ValueError: a key is missing, unknown or out of range; the message names the file and the keys.
    """
    values = yaml.safe_load(Path(path).read_text())
    budgets, chosen = values.pop("budgets", None) or {}, values.pop("budget", None)
    budget, train = budget or chosen, values.get("train") or {}
    if budgets.get(budget) is None:
        raise ValueError(f"{path}: budget must be one of budgets: {', '.join(budgets)} (got {budget!r})")
    if twice := train.keys() & budgets[budget]:
        raise ValueError(f"{path}: {', '.join(sorted(twice))}: give it in budgets.{budget}, not in train")
    try:
        return Params.model_validate(values | {"train": train | budgets[budget]})
    except ValidationError as error:
        places = [".".join(map(str, e["loc"])) for e in error.errors()]
        for key in budgets[budget]:
            places = [f"budgets.{budget}.{key}" if place == f"train.{key}" else place for place in places]
        errors = zip(places, error.errors(), strict=True)
        wrong = "; ".join(f"{place}: {e['msg']} (got {e['input']!r})" for place, e in errors)
        raise ValueError(f"{path}: {wrong}") from None


def train_dir(variant, seed, budget=None):
    """The folder of one training: model.keras, history.csv, predictions.npz, metrics.json."""
    return (DATA / budget if budget else TRAIN) / variant / str(seed)
