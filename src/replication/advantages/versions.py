"""Downloads and updates of a network in all its forms, and LiteRT's memory for it: what stage `advantages` measures."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt

from replication.advantages import updates
from replication.advantages.arena import arena
from replication.compress.retraining import retrain
from replication.compress.steps import Bits
from replication.params import Section
from replication.train.recipe import check_options
from squeezenet import costs, deep_compression, models, weights
from squeezenet.weights import sqnt

Network = Annotated[dict, AfterValidator(lambda options: check_options(options, "network") or options)]


class Plan(Section):
    """An entry of params.yaml's advantages.variants."""

    bits: list[Bits] = Field(min_length=1)
    images: dict[Literal["dense", "pruned", "shared"], PositiveInt] = Field(min_length=3)
    arenas: dict[str, Network]


class Advantages(Section):
    """The section advantages of params.yaml."""

    variants: dict[str, Plan]


class Versions:
    """The next version of a network in each form in which a client may have it, and the bytes that it takes.

    Args:
        training: `runs.Training` of the network: its name, recipe and seed, which also draws images.
        model: as stage `train` leaves it; its weights are changed by every step.
        pruned: tensors of the pruned network, as stage `compress` leaves it.
        plan: `Plan`.
        settings: `compress.steps.Compress`: learning rates, and what pruning keeps.
        split: training `splits.Split`.
    """

    def __init__(self, training, model, pruned, plan, settings, split):
        self.training, self.model, self.network, self.pruned = training, model, model.layers[-1], pruned
        self.plan, self.settings, self.split = plan, settings, split
        shape = {"input_shape": list(self.network.input_shape[1:]), "nb_classes": self.network.output_shape[-1]}
        self.architecture = {**shape, **training.options}
        self.trained, self.rows = weights.tensors(self.network), {}

    def dense(self):
        """The trained network, and the same trained further."""
        self.trained_on = self._retrain(self.trained, "dense")
        self._measure("32 bits", "trained further", self.trained, self.trained_on, "dense")

    def compressed(self):
        """Pruned and shared, trained further within that; and the further trained network, compressed anew.

        Whatever is compressed anew is not trained afterwards, in the old version as in the new one.
        """
        tuned = self._retrain(self.pruned, "pruned")
        self._measure("pruned", "trained further within the zeros", self.pruned, tuned, "pruned")
        compression = self.settings.plan(self.training.variant)
        kept = {"kept": compression.kept, "quality": compression.quality}
        anew = [deep_compression.prune_network(each, **kept) for each in (self.trained, self.trained_on)]
        self._measure("pruned", "compressed anew", *anew, "dense")
        for bits in self.plan.bits:
            shared = deep_compression.share_network(self.pruned, bits)
            tuned = self._retrain(shared, "shared")
            self._measure(f"{bits} bits", "shared values tuned", shared, tuned, "shared")
            both = (deep_compression.share_network(each, bits) for each in anew)
            self._measure(f"{bits} bits", "compressed anew", *both, "dense")

    def arenas(self, image_sizes):
        """LiteRT's activation memory beside our estimate, at 32 and 8 bits, for each (input_shape, nb_classes)."""
        rows = []
        for name, options in self.plan.arenas.items():
            for shape, classes in image_sizes:
                network = models.create(input_shape=shape, nb_classes=classes, **options | {"dropout_rate": None})
                live = max(each.activations for each in costs.live_activations(network, keep_input=True))
                for bits in (32, 8):
                    row = {"network": name, "side": shape[0], "classes": classes, "bits": bits}
                    rows.append(row | {"liveness": live * bits // 8, "litert": int(arena(network, bits))})
        return rows

    def _retrain(self, values, kind):
        weights.set_tensors(self.network, values)
        rate = self.settings.learning_rate["shared" if kind == "shared" else "pruned"]
        images = self.plan.images[kind]
        retrain(self.model, self.split, self.training.recipe, rate, images, kind == "shared")
        return weights.tensors(self.network)

    def _measure(self, form, how, old, new, kind):
        images = min(self.plan.images[kind], len(self.split.labels))
        before, after = updates.raw(old), updates.raw(new)
        update = updates.encode(old, new)
        arrived = updates.apply(old, update)
        if any((arrived[name] != new[name]).any() for name in new):
            raise RuntimeError(f"{self.training.variant}, {form}, {how}: an update does not give the new version")
        found = {
            "download": len(sqnt.encode(new, self.architecture)),
            "update": len(update),
            "deflated download": len(updates.deflate(after)),
            "deflated update": len(updates.deflate(after, before)),
        }
        about = {"network": self.training.variant, "form": form, "how": how, "images": images}
        self.rows[form, how] = about | found
        print(f"{form}, {how}: an update of {len(update):,} bytes", flush=True)
