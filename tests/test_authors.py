"""The authors' weights in other files: the paper's method, what a file changes on photographs, and a missing file."""

import json
from collections import Counter
from unittest.mock import Mock

import keras
import numpy as np
import pytest
from test_house import notebook_code

from replication import paths
from replication.accuracy import unpack
from replication.authors import compressed
from replication.authors.__main__ import change, load
from replication.dataset import imagenette
from squeezenet.weights import sqnt


@pytest.mark.parametrize("bits", [8, 6])
def test_the_papers_method_shares_values_and_codes_them_by_huffman(bits):
    """Of two layers, of which a third of the weights is left."""
    rng, pruned = np.random.default_rng(0), {}
    for name, shape in (("conv1", (7, 7, 3, 32)), ("conv10", (1, 1, 64, 100))):
        kernel = rng.normal(0, 0.1, shape).astype("float32")
        pruned[f"{name}/kernel"] = np.where(np.abs(kernel) > 0.1, kernel, 0).astype("float32")
        pruned[f"{name}/bias"] = rng.normal(0, 0.1, shape[-1]).astype("float32")
    ((name, data),) = compressed.shared(pruned, [bits]).items()
    _, restored = sqnt.decode(data)
    assert name == f"paper_{bits}bit.sqnt" and sqnt.CODERS[data[5]] == "huffman"
    for name, tensor in pruned.items():
        if tensor.ndim == 1:
            np.testing.assert_array_equal(restored[name], tensor, err_msg=name)
        else:
            values = np.unique(restored[name][restored[name] != 0])
            nearest = values[np.abs(values - tensor[..., np.newaxis]).argmin(-1)]
            assert 1 < len(values) <= 2**bits - 1, name
            np.testing.assert_array_equal(restored[name], np.where(tensor == 0, 0, nearest), err_msg=name)


def test_a_change_is_counted_photograph_by_photograph():
    before = np.array([True] * 60 + [False] * 40)
    after = before.copy()
    after[[0, 1, 2, 70]] = ~after[[0, 1, 2, 70]]
    found = change(before, after)
    assert (found["photographs"], found["lost"], found["gained"], found["points"]) == (100, 3, 1, -2)
    assert (found["accuracy_before"], found["accuracy"]) == (0.6, 0.58)
    assert (found["low"], found["high"]) == pytest.approx((-6.262, 2.340), abs=0.01)
    row = json.loads((paths.EVIDENCE / "authors.json").read_text())
    for file in row["files"]:
        for part, bits in file["correct"].items():
            pair = [unpack(x, row["photographs"][part]) for x in (row["released"][file["network"]][part], bits)]
            assert change(*pair) == pytest.approx(file["change"][part])
    none = change(before, before)
    assert none["points"] == 0 and none["low"] == -none["high"] < 0  # no change of few photographs proves nothing


def test_calibration_is_on_training_photographs_that_the_measurement_leaves_out(monkeypatch):
    archive = [
        (split, wnid, f"{prefix}_{i:08}.JPEG", f"{split} {wnid} {prefix} {i}".encode())
        for wnid in imagenette.CLASSES
        for split, prefix, count in (("train", wnid, 9), ("train", "ILSVRC2012_val", 2), ("val", wnid, 3))
        for i in range(count)
    ]
    monkeypatch.setattr(imagenette, "find", lambda: None)
    monkeypatch.setattr(imagenette, "files", lambda path: reversed(archive))
    parts = load(30)
    sizes = {name: len(part) for name, part in parts.items()}
    assert sizes == {"clean": 20, "others": 86, "calibration": 30, "tuning": 4}
    contents = {part: [file.read() for _, file, _ in each] for part, each in parts.items()}
    assert len(set().union(*contents.values())) == len(archive)
    assert all(b"train" in content and b"ILSVRC" not in content for content in contents["calibration"])
    assert all(b"ILSVRC" in content for content in contents["clean"])
    assert set(Counter(label for *_, label in parts["calibration"]).values()) == {3}  # of each class


def test_without_the_file_the_notebook_ends_well_and_says_what_to_do(tmp_path, monkeypatch):
    """From where nothing can be downloaded."""
    monkeypatch.setattr(keras.utils, "get_file", Mock(side_effect=ConnectionError("no route")))
    for name, place in {"ROOT": "", "EXTERNAL": "data/external", "AUTHORS": "data/authors"}.items():
        monkeypatch.setattr(paths, name, tmp_path / place)
    exec(notebook_code("authors"), {})
    found = json.loads((tmp_path / "data/authors/authors.json").read_text())
    assert found["available"] is False
    assert "(no route). Download https://" in (why := found["reason"]) and "to data/external/compressed_Sq" in why
