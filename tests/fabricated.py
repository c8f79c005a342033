"""Made-up results of the stages, as the report reads them."""

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from replication import results
from squeezenet.weights import sqnt

ACCURACY = {"squeezenet": 0.60, "simple_bypass": 0.63, "complex_bypass": 0.62, "alexnet": 0.65, "sr_500": 0.64}


def run(variants, seeds=(42,), epochs=1, accuracy=None, images=200, name="laptop", rng=0):
    """Trainings with given shares of right answers, by network; the networks find the same images easy."""
    rng = np.random.default_rng(rng)
    easy = rng.random(images)
    rows, history, correct = [], [], {}
    for i, variant in enumerate(variants):
        for seed in seeds:
            share = {**ACCURACY, **(accuracy or {})}.get(variant, 0.5 + 0.01 * i)
            hardness = easy + 0.2 * rng.random(images)
            right = hardness.argsort().argsort() < round(share * images)
            correct[variant, seed] = right
            low, high = proportion_confint(right.sum(), images, method="wilson")
            rows.append(
                {
                    "variant": variant, "seed": seed, "dataset": "CIFAR-10", "epochs": epochs,
                    "accuracy": right.mean(), "accuracy_low": low, "accuracy_high": high,
                    "train_images": 900, "validation_images": 100, "validation_accuracy": 0.5,
                    "test_images": images, "parameters": 700_000 + i, "macs": 8_000_000,
                    "params": {"train": {"dropout": 0.5, "momentum": 0.9}},
                    "seconds": 60.0, "commit": "0" * 40, "versions": {"keras": "3"}, "hardware": "none",
                    "backend": "tensorflow",
                }
            )  # fmt: skip
            curve = {"epoch": range(1, epochs + 1), "loss": 2.0, "accuracy": 0.4, "val_loss": 2.0, "val_accuracy": 0.4}
            history.append(pd.DataFrame(curve).assign(variant=variant, seed=seed))
    return results.Run(name, pd.DataFrame(rows), pd.concat(history, ignore_index=True), correct, list(seeds))


def compressed(network, rows, images=200):
    """What stage `compress` leaves, of (method, bits, bytes, accuracy)."""
    found = {"rows": [], "correct": {}}
    for i, (method, bits, size, accuracy) in enumerate(rows):
        right = np.arange(images) < accuracy * images
        low, high = proportion_confint(right.sum(), images, method="wilson")
        row = {"network": network, "method": method, "bits": bits, "file": f"{i}.sqnt", "bytes": int(size)}
        row |= {"ratio": 8e7 / size, "n": images, "accuracy": right.mean(), "accuracy_low": low, "accuracy_high": high}
        found["rows"].append(row)
        found["correct"][f"{i}.sqnt"] = right
    sections = dict.fromkeys(sqnt.SECTIONS, 1000)
    steps = ("none", "pruned", "6 bit, Huffman", "6 bit", "dense, retrained")
    found["steps"] = [
        {"network": network, "step": step, "bytes": 7000, "fixed_length": 9000, "validation": 0.5, **sections}
        for step in steps
    ]
    return found
