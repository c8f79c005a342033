"""Compress the released networks by ImageNet photographs, once, and measure their files on photographs.

`python -m replication.authors` needs Imagenette and half an hour of one core. The files go to data/authors_photographs,
and what was measured to data/evidence/authors.json, for git.

Imagenette has ten of ImageNet's classes. The released networks were trained on its photographs, but for the 500 of
ImageNet's validation set, which are called clean.
"""

import hashlib
import io
import itertools
import json

import numpy as np
from statsmodels.stats.weightstats import DescrStatsW
from tqdm import tqdm

from replication import paths, records
from replication.authors import files
from replication.dataset import imagenette, photographs
from replication.measures import pack
from replication.params import read
from replication.train import devices
from squeezenet import SqueezeNet, preprocess_input, preprocessing, weights
from squeezenet.deep_compression import Quantiser
from squeezenet.weights import authors, sqnt

FOLDER = paths.DATA / "authors_photographs"
MEASURED = ("clean", "others")
SIDE, CROP, BATCH = 256, 227, 32  # photographs are warped and cropped as in the paper


def load(count):
    """Imagenette in three parts: name -> list of (contents of a JPEG file, label in ImageNet's order).

    Args:
        count: of "calibration": as many of each class, spread over its photographs of train/ that are not "clean".
    """
    label_of = {wnid: label for label, (wnid, _) in enumerate(preprocessing.labels())}
    parts, of_class = {"clean": [], "others": []}, {wnid: [] for wnid in imagenette.CLASSES}
    for split, wnid, name, content in sorted(imagenette.files(imagenette.find())):
        clean = imagenette.CLEAN.match(name)
        part = parts["clean"] if clean else of_class[wnid] if split == "train" else parts["others"]
        part.append((content, label_of[wnid]))
    parts["calibration"] = []
    for each in of_class.values():
        chosen = set(np.linspace(0, len(each) - 1, count // len(of_class)).round().astype(int))
        for i, photograph in enumerate(each):
            parts["calibration" if i in chosen else "others"].append(photograph)
    return parts


def pixels(part):
    """The photographs of a part, one by one, as uint8 (227, 227, 3)."""
    opened = photographs.in_order(lambda each: photographs.read(io.BytesIO(each[0]), SIDE), part, 2 * BATCH)
    return (photographs.centre(photograph, CROP) for photograph in tqdm(opened, total=len(part)))


def first(network, tensors, part):
    """The class that a network with these tensors names first for each photograph: an int array."""
    weights.set_tensors(network, tensors)
    left, classes = pixels(part), []
    while batch := list(itertools.islice(left, BATCH)):
        classes.extend(network.predict_on_batch(preprocess_input(np.stack(batch))).argmax(1))
    return np.array(classes)


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


def measure(name, budgets, parts):
    """Make the files of a released network and measure them: what the row has of the network, and of each file."""
    version = "1.0" if name == "squeezenet" else "1.1"
    source = authors.find(paths.EXTERNAL / authors.NAME) if version == "1.0" else "imagenet"
    network = SqueezeNet((CROP, CROP, 3), version=version, weights=source)
    tensors = weights.tensors(network)
    made = [(files.PAPER, *each) for each in files.shared(tensors).items()] if version == "1.0" else []
    quantiser = Quantiser(network, files.LOGITS, preprocess_input(np.stack(list(pixels(parts["calibration"])))))
    made += [
        (files.OURS, f"{name}_{budget}.sqnt", quantiser.encode(budget, weights.RELEASED[version])) for budget in budgets
    ]
    truth = {part: np.array([label for _, label in parts[part]]) for part in MEASURED}
    reference = {part: first(network, tensors, parts[part]) for part in MEASURED}
    before, rows = {part: reference[part] == truth[part] for part in MEASURED}, []
    for kind, file, data in made:
        (FOLDER / file).write_bytes(data)
        shown = MEASURED if kind == files.OURS else MEASURED[:1]
        classes = {part: first(network, sqnt.decode(data)[1], parts[part]) for part in shown}
        after = {part: classes[part] == truth[part] for part in shown}
        changes = {part: change(before[part], after[part]) for part in shown}
        if kind == files.OURS:
            changes["all"] = change(*(np.concatenate([each[part] for part in shown]) for each in (before, after)))
        row = {"network": name, **files.sizes(kind, file, data), "sha256": hashlib.sha256(data).hexdigest()}
        row |= {"agreement": float((classes["clean"] == reference["clean"]).mean()), "change": changes}
        rows.append(row | {"correct": {part: pack(right) for part, right in after.items()}})
        print(file, row["agreement"], changes, flush=True)
    return {part: pack(right) for part, right in before.items()}, rows


if __name__ == "__main__":
    settings = read("authors", files.Authors)
    devices.set_up(threads=1, seed=0)
    FOLDER.mkdir(parents=True, exist_ok=True)
    photographs_of = load(settings.imagenette_calibration)
    made = {name: measure(name, budgets, photographs_of) for name, budgets in settings.imagenette.items()}
    row = {"photographs": {part: len(each) for part, each in photographs_of.items()}}
    row |= {"released": {name: correct for name, (correct, _) in made.items()}}
    row |= {"files": [each for _, rows in made.values() for each in rows], **records.provenance()}
    row |= {"decoded": files.decoded(authors.find(paths.EXTERNAL / authors.NAME).read_bytes())}
    records.write(paths.EVIDENCE / "authors.json", json.dumps(row, indent=1) + "\n")
