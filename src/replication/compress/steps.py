"""What every step of Deep Compression shares: retraining, a file, and the accuracy of the network in it."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from replication import records
from replication.compress.retraining import retrain
from replication.params import Section
from replication.train.loop import evaluate
from squeezenet import models, weights
from squeezenet.deep_compression.sharing import MOST_BITS
from squeezenet.weights import sqnt

Bits = Annotated[int, Field(ge=1, le=MOST_BITS)]


class Plan(Section):
    """How a variant is compressed. Layers that `kept` does not name are kept whole."""

    kept: dict[str, Annotated[float, Field(gt=0, le=1)]] | None = None
    quality: PositiveFloat | None = None
    bits: dict[Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]+$")], Bits | dict[str, Bits]] = Field(min_length=1)
    retrain: dict[Literal["pruned", "shared"], PositiveInt] = Field(min_length=2)
    svd: PositiveFloat | None = None

    @model_validator(mode="after")
    def one_rule(self):
        if (self.kept is None) == (self.quality is None):
            raise ValueError("give either kept or quality")
        return self


class Compress(Section):
    """The section compress of params.yaml."""

    learning_rate: dict[Literal["pruned", "shared"], PositiveFloat] = Field(min_length=2)
    variants: dict[str, Plan]

    def plan(self, variant):
        """How to compress a variant; a ValueError if params.yaml does not say it."""
        if variant not in self.variants:
            raise ValueError(f"params.yaml: compress.variants has no {variant!r}. It has {', '.join(self.variants)}")
        return self.variants[variant]


class Compression:
    """The compression of one network: retrains it, and measures the file of each step.

    A step that is repeated replaces what it left before.

    Args:
        variant: its name.
        options: keywords of `models.create`.
        model: as stage `train` leaves it; its weights are changed.
        settings: `Compress`.
        recipe: `recipe.Train` of the variant.
        splits: training, validation and test `splits.Split`.
        folder: where the files go.
        epochs: of retraining after pruning; fine-tuning shared values takes one.

    Attributes:
        trained: the tensors of the model as it came.
        steps: step -> its file's bytes by content, and the accuracy on validation images.
        rows: step -> its row of Table 2, with the accuracy on test images.
        correct: file -> bool array over the test images.
    """

    def __init__(self, variant, options, model, settings, recipe, splits, folder, epochs=1):
        if type(epochs) is not int or epochs < 1:
            raise ValueError(f"epochs, of retraining, must be an integer of at least 1. Received: {epochs!r}")
        self.variant, self.model, self.network = variant, model, model.layers[-1]
        self.settings, self.plan = settings, settings.plan(variant)
        self.recipe, self.folder, self.epochs = recipe, folder, epochs
        self.train, self.validation, self.test = splits
        shape = {"input_shape": list(self.network.input_shape[1:]), "nb_classes": self.network.output_shape[-1]}
        self.architecture = {**shape, **options}
        self.alexnet_bytes = 4 * models.create(model="alexnet", **shape).count_params()  # the yardstick of Table 2
        self.trained = weights.tensors(self.network)
        self.steps, self.rows, self.correct = {}, {}, {}

    def retrain(self, kind, tensors, shared=False):
        """Retrain these tensors within their zeros and, if `shared`, within their shared values.

        Args:
            kind: "pruned" or "shared": whose images, learning rate and epochs.
        """
        weights.set_tensors(self.network, tensors)
        how = self.recipe, self.settings.learning_rate[kind], self.plan.retrain[kind]
        retrain(self.model, self.train, *how, shared, self.epochs if kind == "pruned" else 1)
        return weights.tensors(self.network)

    def accuracy(self, tensors):
        """Validation accuracy of the network with these tensors."""
        weights.set_tensors(self.network, tensors)
        return evaluate(self.model, self.validation)[0]["accuracy"]

    def measure(self, step, tensors, method=None, bits=32, coder="range"):
        """Store tensors in a file, decode it, and measure the network in it; with a `method`, for Table 2."""
        data = sqnt.encode(tensors, self.architecture, coder)
        path = self.folder / f"{step.replace(' ', '_')}.sqnt"
        records.write(path, data)
        accuracy = self.accuracy(sqnt.decode(data)[1])
        told = {"network": self.variant, "step": step, "bytes": len(data), "validation": accuracy}
        self.steps[step] = told | sqnt.byte_table(data)
        if method:
            found, probabilities = evaluate(self.model, self.test)
            self.correct[path.name] = probabilities.argmax(1) == self.test.labels
            measured = {key: found[key] for key in ("accuracy", "accuracy_low", "accuracy_high")}
            size = {"file": path.name, "bytes": len(data), "ratio": self.alexnet_bytes / len(data)}
            row = {"network": self.variant, "method": method, "bits": bits, **size, **measured}
            self.rows[step] = row | {"n": len(self.test.labels)}
