"""Bad values in params.yaml: one line names the file and the key."""

import copy
import functools
import re
import shutil

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from replication import params, paths
from replication.train import recipe, runs
from replication.train.recipe import Train

VALUES = yaml.safe_load(paths.PARAMS.read_text())
KEYS = [f"variants.squeezenet.{key}" for key in ("learning_rate", "compresion", "weights")]
KEYS += [f"runs.table3.recipe.{key}" for key in ("dropout", "shfit", "epochs")]


def refused(content, tmp_path):
    """What `params.read` says of section train of a file."""
    path = tmp_path / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else yaml.safe_dump(content).encode())
    with pytest.raises(ValueError) as caught:
        params.read("train", Train, path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"train", b"other: {}"])
def test_a_file_without_the_section(content, tmp_path):
    assert refused(content, tmp_path) == "section train is missing"


@pytest.mark.parametrize("content", [b"train: {epochs: [", b"\0", b"\xff\xfe\xfd", b"train: {}\ntrain: {}"])
def test_a_file_that_is_no_yaml_is_named(content, tmp_path):
    refused(content, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("momentum", 9, r"train\.momentum: Input should be less than 1 \(got 9\)"),
        ("batchsize", 9, r"train\.batchsize: Extra inputs"),
        *(("learning_rate", value, r"train\.learning_rate: ") for value in (float("inf"), float("nan"), "fast", None)),
    ],
)
def test_a_wrong_key_or_value_is_named(key, value, message, tmp_path):
    assert re.match(message, refused({"train": VALUES["train"] | {key: value}}, tmp_path))


@pytest.mark.parametrize("key", KEYS)
def test_variants_and_runs_are_checked_as_section_train_is(key, tmp_path, monkeypatch):
    values = copy.deepcopy(VALUES)
    *before, last = key.split(".")
    functools.reduce(dict.__getitem__, before, values)[last] = -1
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    for module in (recipe, runs):
        monkeypatch.setattr(module, "read", functools.partial(params.read, path=tmp_path / "params.yaml"))
    with pytest.raises(ValueError, match=re.escape(f"{key}: ")) as caught:
        runs.training(before[1] if before[0] == "runs" else "laptop", "squeezenet")
    assert "\n" not in str(caught.value)


def test_dvc_leaves_params_as_they_stand(tmp_path):
    """`-S` writes the whole file anew: where nothing changes, not a byte does; else one line."""
    copy = tmp_path / "params.yaml"
    shutil.copy(paths.PARAMS, copy)
    apply_overrides(copy, ["train.momentum=0.9", "dataset.limit=null"])
    assert copy.read_text() == paths.PARAMS.read_text()
    apply_overrides(copy, ["train.momentum=0.75"])
    before, after = (path.read_text().splitlines() for path in (paths.PARAMS, copy))
    assert len(before) == len(after) and sum(a != b for a, b in zip(before, after, strict=True)) == 1
