"""params.yaml that nobody should have written: one line that names the file and the key."""

import functools
import shutil

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from replication import params, paths
from replication.train import recipe, runs
from replication.train.recipe import Train


def refused(content, tmp_path, read=lambda path: params.read("train", Train, path)):
    path = tmp_path / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else yaml.safe_dump(content).encode())
    with pytest.raises(ValueError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"train", b"other: {}"])
def test_a_file_without_the_section(content, tmp_path):
    assert refused(content, tmp_path) == "section train is missing"


@pytest.mark.parametrize("content", [b"train: {epochs: [", b"\0", b"\xff\xfe\xfd"])
def test_a_file_that_is_no_yaml_is_named(content, tmp_path):
    refused(content, tmp_path)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "fast", None])
def test_numbers_are_finite(value, tmp_path):
    values = yaml.safe_load(paths.PARAMS.read_text())
    values["train"]["learning_rate"] = value
    assert refused(values, tmp_path).startswith("train.learning_rate: ")


@pytest.mark.parametrize("key", ["variants.squeezenet.learning_rate", "runs.table3.recipe.dropout"])
def test_what_names_a_recipe_is_checked_as_section_train_is(key, tmp_path, monkeypatch):
    values = yaml.safe_load(paths.PARAMS.read_text())
    *before, last = key.split(".")
    functools.reduce(dict.__getitem__, before, values)[last] = "fast"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    for module in (recipe, runs):
        monkeypatch.setattr(module, "read", functools.partial(params.read, path=tmp_path / "params.yaml"))
    with pytest.raises(ValueError) as caught:
        runs.training(before[1] if before[0] == "runs" else "laptop", "squeezenet")
    assert "\n" not in str(caught.value) and f"{key}: " in str(caught.value)


def test_dvc_leaves_params_as_they_stand(tmp_path):
    """`-S` writes the whole file anew: where nothing changes, not a byte does; else one line."""
    copy = tmp_path / "params.yaml"
    shutil.copy(paths.PARAMS, copy)
    apply_overrides(copy, ["train.momentum=0.9", "dataset.limit=null"])
    assert copy.read_text() == paths.PARAMS.read_text()
    apply_overrides(copy, ["train.momentum=0.75"])
    before, after = (path.read_text().splitlines() for path in (paths.PARAMS, copy))
    assert len(before) == len(after) and sum(a != b for a, b in zip(before, after, strict=True)) == 1
