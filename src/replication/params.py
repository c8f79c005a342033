"""params.yaml, validated section by section: a stage describes its own, as `train.recipe.Train` does."""

import functools

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from replication import paths


class Section(BaseModel):
    """A section of params.yaml: unknown keys and infinite numbers are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def read(section, kind, path=paths.PARAMS):
    """A section of params.yaml, validated as `kind`: a `Section`, or any type that pydantic validates.

    Raises:
        ValueError: of one line, which names the file and the keys that are missing, unknown or out of range.
    """
    try:
        values = _parsed(path.read_text())
    except (YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict) or section not in values:
        raise ValueError(f"{path}: section {section} is missing")
    return validate(section, kind, values[section], path)


@functools.cache
def _parsed(text):
    return YAML(typ="safe").load(text)  # as DVC reads it: a key given twice is an error


def validate(section, kind, values, path=paths.PARAMS):
    """Values as `kind`; errors as those of `read`, with `section` before the keys."""
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, (section, *e['loc'])))}: {e['msg']} (got {e['input']!r})" for e in error.errors()]
        raise ValueError(f"{path}: {'; '.join(wrong)}") from None
