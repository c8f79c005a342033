"""Compress the released networks by ImageNet photographs, once, and measure their files on photographs.

`python -m replication.authors` needs Imagenette and half an hour of one core. The files go to data/authors_photographs,
and what was measured to data/evidence/authors.json, for git.

Imagenette has ten of ImageNet's classes. The released networks were trained on its photographs, but for the 500 of
ImageNet's validation set, which are called clean.
"""

import argparse
import hashlib
import io
import json

import numpy as np
from statsmodels.stats.weightstats import DescrStatsW

from replication import paths, records
from replication.accuracy import pack
from replication.authors import compressed
from replication.dataset import imagenette, photographs, splits
from replication.imagenet import evaluation, released
from replication.params import read
from replication.train import devices
from squeezenet import preprocess_input, preprocessing, weights
from squeezenet.deep_compression import Quantiser
from squeezenet.weights import authors, sqnt

FOLDER = paths.DATA / "authors_photographs"
MEASURED = ("clean", "others")


def load(count):
    """Imagenette in four parts: name -> list of (name, JPEG file, label in ImageNet's order).

    On "tuning" the quantiser's constants were chosen, by the divergence of the files' probabilities from the released
    network's. They are every 25th of the photographs that are neither "clean" nor in "calibration".

    Args:
        count: of "calibration": as many of each class, spread over its photographs of train/ that are not "clean".
    """
    label_of = {wnid: label for label, (wnid, _) in enumerate(preprocessing.labels())}
    parts, of_class = {"clean": [], "others": [], "calibration": []}, {wnid: [] for wnid in imagenette.CLASSES}
    for split, wnid, name, content in sorted(imagenette.files(imagenette.find())):
        clean = imagenette.CLEAN.match(name)
        part = parts["clean"] if clean else of_class[wnid] if split == "train" else parts["others"]
        part.append((name, io.BytesIO(content), label_of[wnid]))
    for each in of_class.values():
        chosen = set(splits.spread(len(each), count // len(of_class)))
        for i, photograph in enumerate(each):
            parts["calibration" if i in chosen else "others"].append(photograph)
    parts["tuning"] = parts["others"][::25]
    del parts["others"][::25]
    return parts


def change(before, after):
    """What a file changes of the released network's top-1 accuracy, photograph by photograph.

    Args:
        before, after: bool arrays, whether a photograph is right.

    Returns:
        accuracy_before and accuracy; how many photographs were lost and gained; their difference in points with its
        95% interval, of Agresti and Min (2005) for pairs.
    """
    count, lost, gained = len(before), int((before & ~after).sum()), int((after & ~before).sum())
    pairs = DescrStatsW([1, -1, 0], [gained + 0.5, lost + 0.5, count - gained - lost + 1])
    low, high = pairs.zconfint_mean()
    accuracies = {"accuracy_before": float(before.mean()), "accuracy": float(after.mean())}
    points = {"points": 100 * (gained - lost) / count, "low": float(100 * low), "high": float(100 * high)}
    return {"photographs": count, "lost": lost, "gained": gained, **accuracies, **points}


def measure(name, network, budgets, parts, settings):
    """Make the files of a released network and measure them: what the row has of the network, and of each file."""
    tensors, architecture = weights.tensors(network), weights.RELEASED["1.1" if name == "squeezenet_11" else "1.0"]
    made = [(compressed.PAPER, *each) for each in compressed.shared(tensors).items()] if name == "squeezenet" else []
    seen = np.stack([photographs.read(file, settings.side) for _, file, _ in parts["calibration"]])
    seen = preprocess_input(photographs.centre(seen, settings.crop))
    quantiser = Quantiser(network, compressed.LOGITS, seen)
    made += [(compressed.OURS, f"{name}_{budget}.sqnt", quantiser.encode(budget, architecture)) for budget in budgets]

    def first(tensors, part):
        weights.set_tensors(network, tensors)
        return evaluation.predict(network, (parts[part], []), settings)[0].argmax(1)

    truth = {part: np.array([label for *_, label in parts[part]]) for part in MEASURED}
    reference = {part: first(tensors, part) for part in MEASURED}
    before, rows = {part: reference[part] == truth[part] for part in MEASURED}, []
    for kind, file, data in made:
        records.write(FOLDER / file, data)
        shown = MEASURED if kind == compressed.OURS else MEASURED[:1]
        classes = {part: first(sqnt.decode(data)[1], part) for part in shown}
        after = {part: classes[part] == truth[part] for part in shown}
        changes = {part: change(before[part], after[part]) for part in shown}
        if kind == compressed.OURS:
            changes["all"] = change(*(np.concatenate([each[part] for part in shown]) for each in (before, after)))
        row = {"network": name, **compressed.sizes(kind, file, data), "sha256": hashlib.sha256(data).hexdigest()}
        row |= {"agreement": float((classes["clean"] == reference["clean"]).mean()), "change": changes}
        rows.append(row | {"correct": {part: pack(right) for part, right in after.items()}})
        print(file, row["agreement"], changes, flush=True)
    return {part: pack(right) for part, right in before.items()}, rows


if __name__ == "__main__":
    argparse.ArgumentParser("python -m replication.authors", description=__doc__).parse_args()
    plan, settings = read("authors", compressed.Authors), read("imagenet", released.ImageNet)
    devices.set_up(threads=1, seed=0)
    networks, missing = released.networks(settings)
    if lost := [reason for name, reason in missing.items() if name in plan.imagenette]:
        raise SystemExit("\n".join(lost))
    FOLDER.mkdir(parents=True, exist_ok=True)
    parts = load(plan.imagenette_calibration)
    made = {name: measure(name, networks[name], sizes, parts, settings) for name, sizes in plan.imagenette.items()}
    row = {"photographs": {part: len(each) for part, each in parts.items()}}
    row |= {"released": {name: correct for name, (correct, _) in made.items()}}
    row |= {"files": [each for _, rows in made.values() for each in rows], **records.provenance()}
    row |= {"decoded": compressed.decoded(authors.find(paths.EXTERNAL / authors.NAME).read_bytes())}
    records.write(paths.EVIDENCE / "authors.json", json.dumps(row, indent=1) + "\n")
