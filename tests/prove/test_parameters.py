"""Every key of params.yaml with what it must not be: what is refused is refused by one line that names the key."""

import collections
import copy
import math

import pytest
import yaml

from replication import params, paths
from replication.advantages import versions
from replication.authors.files import Authors
from replication.compress.steps import Compress
from replication.dataset.splits import Dataset
from replication.export import networks
from replication.imagenet.released import ImageNet
from replication.train import recipe, runs
from replication.transfer.fine_tuning import Transfer
from squeezenet import models

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


def places(value, path=()):
    """The paths of all keys below a value."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(value[key], (*path, key))


def changed(section, path, change):
    """A section in which a function of a table or list and a key has changed something."""
    value = copy.deepcopy(VALUES[section])
    *before, last = path
    inner = value
    for key in before:
        inner = inner[key]
    change(inner, last)
    return value


def set_to(value):
    return lambda inner, key: inner.__setitem__(key, value)


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


def cases(section, part):
    """What is done, the path of the key, and the section with it."""
    for path in places(VALUES[section]):
        if part not in ("", path[0]):
            continue
        yield from ((odd, path, changed(section, path, set_to(odd))) for odd in ODD + NO_NUMBERS)
        if isinstance(path[-1], str):
            unknown = (*path[:-1], f"{path[-1]}_")
            yield "absent", path, changed(section, path, lambda inner, key: inner.pop(key))
            yield "unknown", unknown, changed(section, unknown, set_to(1))


@pytest.mark.parametrize("name", SECTIONS)
def test_every_key(name, tmp_path, record_property):
    """Wrong types, out-of-range values, NaN, infinity, absent and unknown keys of params.yaml"""
    counts, wrong, (section, _, part) = collections.Counter(), [], name.partition(".")
    for what, path, value in cases(section, part):
        said = answer(section, SECTIONS[name], value, tmp_path)
        if said is not None and not named(said, section, path):
            wrong.append(f"{'.'.join(map(str, (section, *path)))} {what!r}: {said}")
        counts[said is None] += 1
    record_property("tried", counts.total())
    record_property("outcome", f"{counts[False]} refused by a line that names the key, {counts[True]} are valid")
    assert counts[False] and not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "option", ["model", "use_bypass", "squeeze_ratio", "pct3x3", "compression", "pools", "unknown"]
)
def test_variants(option, record_property):
    """Wrong values of a variant's keywords"""
    wrong, refused = [], 0
    for odd in ODD + NO_NUMBERS:
        try:
            options = {"model": "squeezenet", option: odd}
            models.create(input_shape=(32, 32, 3), nb_classes=10, **options)
        except (TypeError, ValueError) as error:
            refused += 1
            if "\n" in str(error) or option not in str(error):
                wrong.append(f"{option} {odd!r}: {type(error).__name__}: {error}")
    record_property("tried", len(ODD + NO_NUMBERS))
    record_property("outcome", f"{refused} refused by a line that names the keyword")
    assert not wrong, "\n".join(wrong)
