"""Stage authors: photographs that repeat, files held against the network they are of, and a file that is not here."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from replication import paths
from replication.authors import files, images
from squeezenet import models, weights


@pytest.fixture(scope="module")
def network():
    return models.create(**files.ARCHITECTURE)


@pytest.fixture
def photographs():
    return np.random.default_rng(0).integers(0, 256, (4, 30, 40, 3), dtype=np.uint8)


def test_crops_repeat_and_are_as_the_network_takes_them(photographs):
    first, again, other = (images.crops(photographs[0], 3, seed) for seed in (0, 0, 1))
    assert first.shape == (3, 227, 227, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_same_weights_agree_and_others_do_not(network, photographs):
    """The network has its own weights again afterwards."""
    tensors = weights.tensors(network)
    negated = {name: -tensor if name.startswith("conv10") else tensor for name, tensor in tensors.items()}
    coded = [files.lossless(each)["range"] for each in (tensors, negated)]
    unseen = {"small": images.enlarged(photographs[:3]), "portrait": images.enlarged(photographs[3:])}
    quantiser = SimpleNamespace(errors=lambda tensors: [{"layer": "conv1", "weights": 0.0, "output": 0.0}])
    compared, errors = files.compare(network, dict(zip((8, 7), coded, strict=True)), quantiser, unseen, nonzero=1)
    same, other = compared.to_dict("records")
    assert (same["bits"], same["bytes"], same["photographs"], same["small photographs"]) == (8, len(coded[0]), 4, 3)
    assert same["same_top1"] == same["portrait same_top5"] == 1 and same["logits_relative_error"] == 0
    assert other["same_top1"] == 0 and other["logits_relative_error"] > 0 and list(errors) == [8, 7]
    for name, tensor in weights.tensors(network).items():
        np.testing.assert_array_equal(tensor, tensors[name])


def test_without_the_file_the_notebook_ends_well_and_says_what_to_do(tmp_path):
    """In a copy of the project, from where nothing can be downloaded."""
    shutil.copytree(paths.ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(paths.PARAMS, tmp_path)
    environment = {
        "PYTHONPATH": str(tmp_path / "src"),
        "KERAS_HOME": str(tmp_path),
        "https_proxy": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "papermill", str(paths.NOTEBOOKS / "authors.ipynb"), str(tmp_path / "out.ipynb")]
    result = subprocess.run(command, cwd=tmp_path, env=os.environ | environment, text=True, capture_output=True)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "data/authors/authors.json").read_text())
    assert found["available"] is False
    assert "Download https://" in found["reason"] and "to data/external/compressed_SqueezeNet.net" in found["reason"]
