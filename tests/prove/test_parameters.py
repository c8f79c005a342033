"""Every key of params.yaml with what it must not be: one line that names the key.

What a key must not be is what the JSON schema of its section's model refuses, by jsonschema; and no number may be
infinite or none, which JSON cannot say.
"""

import collections
import copy
import math

import jsonschema
import pytest
import yaml
from pydantic import TypeAdapter

from replication import params, paths
from replication.advantages.communication import Communication
from replication.advantages.versions import Advantages
from replication.authors.files import Authors
from replication.compress.steps import Compress
from replication.dataset.splits import Dataset
from replication.evidence.rows import Plan
from replication.imagenet.released import ImageNet
from replication.train.recipe import Train
from replication.transfer.few import Transfer

VALUES = yaml.safe_load(paths.PARAMS.read_text())
SECTIONS = {
    "dataset": Dataset,
    "train": Train,
    "compress": Compress,
    "imagenet": ImageNet,
    "authors": Authors,
    "transfer": Transfer,
    "advantages": Advantages,
    "communication": Communication,  # of advantages
    "evidence": Plan,
    "variants": dict[str, dict],
}
VALUES["communication"] = VALUES["advantages"]["communication"]
ODD = ["no such", "", "2000-01-01", [], ["no such"], {}, {"a": 1}, None, True, 0, -1, 1.5, 2**62]
NO_NUMBERS = [math.nan, math.inf, -math.inf]
CONVERTED = (True, 0)  # pydantic takes true for 1 and 0 for false, as YAML 1.1 does on and off


def places(value, path=()):
    """The paths of all keys below a value."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(value[key], (*path, key))


def changed(section, path, change):
    """A section with another value, or by DELETE without one."""
    value = copy.deepcopy(VALUES[section])
    *before, last = path
    inner = value
    for key in before:
        inner = inner[key]
    change(inner, last)
    return value


def answer(section, value, folder):
    """What `params.read` says of a section; None if it takes it."""
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump({section: value}))
    try:
        params.read(section, SECTIONS[section], path)
    except ValueError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def named(said, section, path):
    """Whether one line names the key, or the one that it is in."""
    keys = [".".join(map(str, (section, *path[:n]))) for n in range(1, len(path) + 1)]
    return said.count("\n") == 0 and any(key in said for key in keys[-2:])


def cases(section):
    """What is done, the path of the key, and the section with it."""
    for path in places(VALUES[section]):
        for odd in ODD + NO_NUMBERS:
            yield odd, path, changed(section, path, lambda inner, key, odd=odd: inner.__setitem__(key, odd))
        if isinstance(path[-1], str):
            yield "absent", path, changed(section, path, lambda inner, key: inner.pop(key))
            unknown = (*path[:-1], f"{path[-1]}_")
            yield "unknown", unknown, changed(section, unknown, lambda inner, key: inner.__setitem__(key, 1))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key(section, tmp_path, record_property):
    """Wrong types, out-of-range values, NaN, infinity, absent and unknown keys of params.yaml"""
    schema = jsonschema.Draft202012Validator(TypeAdapter(SECTIONS[section]).json_schema())
    counts, wrong = collections.Counter(), []
    for what, path, value in cases(section):
        said = answer(section, value, tmp_path)
        no_number = isinstance(what, float) and not math.isfinite(what)
        invalid = no_number or not schema.is_valid(value)
        where = f"{'.'.join(map(str, (section, *path)))} {what!r}"
        if said is None and invalid and not any(what is value for value in CONVERTED):
            wrong.append(f"{where} is taken")
        elif said is not None and not named(said, section, path):
            wrong.append(f"{where}: {said}")
        counts[said is None] += 1
    record_property("tried", counts.total())
    record_property("outcome", f"{counts[False]} refused by a line that names the key, {counts[True]} are valid")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "section train is missing"),
        ("[1, 2]", "section train is missing"),
        ("train", "section train is missing"),
        ("train:", "train: "),
        ("train: {epochs: [", "line 1"),
        ("train: {epochs: 1}\ntrain: {epochs: 2}", "train"),
        ("\x00", ""),
    ],
    ids=["empty", "list", "word", "no section", "syntax", "twice", "binary"],
)
def test_files(content, message, tmp_path):
    """params.yaml that is no table of sections"""
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        params.read("train", Train, path)
    assert "\n" not in str(caught.value) and "params.yaml" in str(caught.value)
