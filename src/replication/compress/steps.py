"""Deep Compression of a trained network: each step ends in a file, and is measured on the network decoded from it."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from replication.compress.retraining import retrain
from replication.params import Section
from replication.train.loop import evaluate
from squeezenet import deep_compression, models, weights
from squeezenet.deep_compression.sharing import MOST_BITS
from squeezenet.weights import sqnt

Share = Annotated[float, Field(gt=0, le=1)]
Bits = Annotated[int, Field(ge=1, le=MOST_BITS)]
QUALITIES = (0.25, 0.5, 0.75, 1.0, 1.5)  # standard deviations of a layer, for the curve of what pruning costs


class Plan(Section):
    """How a variant is compressed. Layers that `kept` does not name are kept whole."""

    kept: dict[str, Share] | None = None
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
    """The section compress of params.yaml."""

    learning_rate: dict[Literal["pruned", "shared"], PositiveFloat]
    variants: dict[str, Plan]


class Steps:
    """The steps of one network's compression. Each may be called once, in the order in which they stand here.

    Args:
        variant: its name.
        options: keywords of `models.create`.
        model: as stage `train` leaves it; its weights are changed by every step.
        settings: `Compress`.
        recipe: `recipe.Train` of the variant.
        splits: training, validation and test `splits.Split`.
        seed: of the drawn images.
        folder: where the files go.

    Raises:
        ValueError: params.yaml does not say how to compress this variant.
    """

    def __init__(self, variant, options, model, settings, recipe, splits, seed, folder):
        if variant not in settings.variants:
            known = ", ".join(settings.variants)
            raise ValueError(f"params.yaml: compress.variants has no {variant!r}. It has {known}")
        self.variant, self.model, self.network = variant, model, model.layers[-1]
        self.settings, self.plan, self.recipe = settings, settings.variants[variant], recipe
        self.train, self.validation, self.test = splits
        self.seed, self.folder = seed, folder
        shape = {"input_shape": list(self.network.input_shape[1:]), "nb_classes": self.network.output_shape[-1]}
        self.architecture = {**shape, **options}
        self.alexnet_bytes = 4 * models.create(model="alexnet", **shape).count_params()  # the yardstick of Table 2
        self.trained = weights.tensors(self.network)
        self.steps, self.rows, self.correct = [], [], {}

    def none(self):
        """The network as trained."""
        self._measure("none", self.trained, {"method": "none", "bits": 32})

    def svd(self):
        """Denton et al. (2014): the large dense layers become products of two thin ones."""
        *dense, _ = [name for name, tensor in self.trained.items() if tensor.ndim == 2]  # the last is small
        thin = {name: tensor for name, tensor in self.trained.items() if name not in dense}
        for name in dense:
            thin[f"{name}/left"], thin[f"{name}/right"] = deep_compression.factorise(self.trained[name], self.plan.svd)
        self._measure("svd", thin, {"method": "SVD", "bits": 32})

    def qualities(self):
        """What pruning costs before any retraining: share kept and validation accuracy by quality."""
        rows = []
        for quality in QUALITIES:
            pruned = deep_compression.prune_network(self.trained, quality=quality)
            weights.set_tensors(self.network, pruned)
            kept = sum(map(np.count_nonzero, pruned.values())) / sum(tensor.size for tensor in self.trained.values())
            accuracy = evaluate(self.model, self.validation)["accuracy"]
            rows.append({"quality": quality, "kept": kept, "validation": accuracy})
        return rows

    def prune(self):
        """Prune the small weights and retrain the others."""
        pruned = deep_compression.prune_network(self.trained, kept=self.plan.kept, quality=self.plan.quality)
        self._show("pruned, before retraining", pruned)
        self._retrain("pruned")
        self.pruned = weights.tensors(self.network)
        self._measure("pruned", self.pruned, {"method": "Network Pruning", "bits": 32} if self.plan.svd else None)

    def share(self):
        """Let the weights of a layer share a few values, fine-tune these, and code what is left by its entropy."""
        for bits, each in self.plan.bits.items():
            shared = deep_compression.share_network(self.pruned, each)
            self._show(f"{bits} bits, before fine-tuning", shared)
            self._retrain("shared", shared=True)
            self.shared = weights.tensors(self.network)
            self._measure(f"{bits} bit, Huffman", self.shared, coder="huffman")
            row = {"method": "Deep Compression", "bits": int(bits) if bits.isdigit() else bits}
            self._measure(f"{bits} bit", self.shared, row)

    def control(self):
        """The dense network, trained on for as many images by the same schedules: what compression is compared with."""
        weights.set_tensors(self.network, self.trained)
        self._retrain("pruned")
        self._measure("dense, retrained", weights.tensors(self.network), {"method": "none, retrained", "bits": 32})
        self._retrain("shared")
        dense = weights.tensors(self.network)
        self._measure("dense, fine-tuned", dense, {"method": "none, retrained and fine-tuned", "bits": 32})

    def run(self):
        """All steps, for Table 2."""
        self.none()
        if self.plan.svd:
            self.svd()
        self.prune()
        self.share()
        self.control()

    def _retrain(self, kind, shared=False):
        rate, images = self.settings.learning_rate[kind], self.plan.retrain[kind]
        retrain(self.model, self.train, self.validation, self.recipe, rate, images, self.seed, shared)

    def _show(self, step, values):
        weights.set_tensors(self.network, values)
        print(f"{step}: {evaluate(self.model, self.validation)['accuracy']:.1%}", flush=True)

    def _measure(self, step, values, row=None, coder="range"):
        """Store tensors, decode the file, measure the network in it; `row` is method and bits, for Table 2."""
        data = sqnt.encode(values, self.architecture, coder)
        path = self.folder / f"{step.replace(' ', '_')}.sqnt"
        path.write_bytes(data)
        weights.set_tensors(self.network, sqnt.decode(data)[1])
        accuracy = evaluate(self.model, self.validation)["accuracy"]
        fixed = sum(tensor["fixed_length"] for tensor in sqnt.describe(data))
        sizes = {"bytes": len(data), "fixed_length": int(fixed)}
        self.steps.append(
            {"network": self.variant, "step": step, **sizes, "validation": accuracy, **sqnt.byte_table(data)}
        )
        if row:
            found = evaluate(self.model, self.test)
            self.correct[path.name] = found["probabilities"].argmax(1) == self.test.labels
            measured = {key: found[key] for key in ("accuracy", "accuracy_low", "accuracy_high")}
            size = {"file": path.name, "bytes": len(data), "ratio": self.alexnet_bytes / len(data)}
            self.rows.append({"network": self.variant, **row, **size, **measured, "n": len(self.test.labels)})
        print(
            f"{step}: {len(data):,} bytes, {accuracy:.1%} of {len(self.validation.labels)} validation images",
            flush=True,
        )
