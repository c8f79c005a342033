"""Every key of params.yaml with what it must not be: what is refused is refused by one line that names the key."""

import collections
import copy
import math

import pytest
import yaml

from replication import params, paths
from replication.advantages import versions
from replication.authors.compressed import Authors
from replication.compress.steps import Compress
from replication.dataset.splits import Dataset
from replication.export import networks
from replication.imagenet.released import ImageNet
from replication.train import recipe, runs
from replication.transfer.fine_tuning import Transfer

VALUES = yaml.safe_load(paths.PARAMS.read_text())
SECTIONS = {
    "dataset": Dataset,
    "train": recipe.Train,
    "compress": Compress,
    "imagenet": ImageNet,
    "authors": Authors,
    "transfer": Transfer,
    "advantages": versions.Advantages,
    "runs.table3": dict[str, runs.Run],
    "export": networks.Export,
}
ODD = ["no such", "", "2000-01-01", [], ["no such"], {}, {"a": 1}, None, True, 0, -1, 1.5, 2**62]
NO_NUMBERS = [math.nan, math.inf, -math.inf]


def changes(value, path=()):
    """Change a table or list key by key: what is done and the key's path, before it is undone."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        before = value[key]
        for odd in ODD + NO_NUMBERS:
            value[key] = odd
            yield odd, (*path, key)
        if isinstance(value, dict):
            del value[key]
            yield "absent", (*path, key)
            value |= {key: before, f"{key}_": 1}
            yield "unknown", (*path, f"{key}_")
            del value[f"{key}_"]
        value[key] = before
        if isinstance(before, dict | list):
            yield from changes(before, (*path, key))


def answer(section, kind, value, folder):
    """What `params.read` says of a section; None if it takes it."""
    path = folder / "params.yaml"
    path.write_text(yaml.dump({section: value}, Dumper=yaml.CSafeDumper))
    try:
        params.read(section, kind, path)
    except ValueError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def named(said, section, path):
    """Whether one line names the key, or the one that it is in."""
    keys = [".".join(map(str, (section, *path[:n]))) for n in range(1, len(path) + 1)]
    return said.count("\n") == 0 and any(key in said for key in keys[-2:])


@pytest.mark.parametrize("name", SECTIONS)
def test_every_key(name, tmp_path, record_property):
    """Wrong types, out-of-range values, NaN, infinity, absent and unknown keys of params.yaml"""
    counts, wrong, (section, _, part) = collections.Counter(), [], name.partition(".")
    value = copy.deepcopy({part: VALUES[section][part]} if part else VALUES[section])
    for what, path in changes(value):
        said = answer(section, SECTIONS[name], value, tmp_path)
        if said is not None and not named(said, section, path):
            wrong.append(f"{'.'.join(map(str, (section, *path)))} {what!r}: {said}")
        counts[said is None] += 1
    record_property("tried", counts.total())
    record_property("outcome", f"{counts[False]} refused by a line that names the key, {counts[True]} are valid")
    assert counts[False] and not wrong, "\n".join(wrong)
