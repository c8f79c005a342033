"""params.yaml, validated section by section: a stage describes its own, as `train.recipe.Train` does."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from replication import paths


class Section(BaseModel):
    """A section of params.yaml: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read(section, kind, path=paths.PARAMS):
    """Read one section of params.yaml.

    Args:
        section: its name, such as "train".
        kind: a `Section`, or any type that pydantic validates.
        path: of another params.yaml.

    Raises:
        ValueError: a key is missing, unknown or out of range; the message names the file and the keys.
    """
    values = yaml.safe_load(Path(path).read_text())
    if section not in values:
        raise ValueError(f"{path}: section {section} is missing")
    try:
        return TypeAdapter(kind).validate_python(values[section])
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, (section, *e['loc'])))}: {e['msg']} (got {e['input']!r})" for e in error.errors()]
        raise ValueError(f"{path}: {'; '.join(wrong)}") from None
