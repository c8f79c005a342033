"""`python -m replication.report` renews what README.md and docs/ have of the report, and of the package."""

import json

import nbformat
import pandas as pd

from replication import paths
from replication.report import tables
from squeezenet import weights


def cards():
    """The networks in the package, by their cards."""
    found = [json.loads(path.read_text()) for path in sorted(weights.CIFAR10.glob("*.json"))]
    return pd.DataFrame(
        {
            "file": f"`{card['name']}.sqnt`",
            "parameters": f"{card['parameters']:,}",
            "bytes": f"{card['bytes']:,}",
            f"{card['dataset']} top-1, %": tables.interval(
                *(100 * card[key] for key in ("accuracy", "accuracy_low", "accuracy_high"))
            ),
            "epochs": str(card["epochs"]),
            "seed": str(card["seed"]),
        }
        for card in found
    )


def departures():
    """Where the recipe departs from the paper's and why, and what it keeps: as notebooks/train.ipynb says."""
    story = nbformat.read(paths.NOTEBOOKS / "train.ipynb", as_version=4).cells[0].source
    return story[story.index("| the paper") :]


def renew(text, name, content):
    """Put what was made into a document, between its markers of that name.

    Raises:
        ValueError: a marker is missing.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"{begin} and {end} have to enclose what is renewed")
    return f"{before}{begin}\n\n{content.strip()}\n\n{end}{after}"


def documents():
    """Document -> its text as it has to be."""
    findings = (paths.REPORTS / "tables/findings.md").read_text()
    made = {
        "README.md": {"findings": findings, "cards": tables.markdown(cards())},
        "docs/recipe.md": {"departures": departures()},
    }
    texts = {paths.ROOT / name: (paths.ROOT / name).read_text() for name in made}
    for path, contents in zip(texts, made.values(), strict=True):
        for name, content in contents.items():
            texts[path] = renew(texts[path], name, content)
    return texts


def main():
    for document, text in documents().items():
        document.write_text(text)


if __name__ == "__main__":
    main()
