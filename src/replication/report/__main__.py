"""Render reports/, and the parts of README.md that come from it and from the package."""

import argparse

import pandas as pd

from replication import paths, records
from replication.report import page, tables
from squeezenet import weights


def cards():
    """The networks in the package, by their cards."""
    return pd.DataFrame(
        {
            "file": f"`{card['name']}.sqnt`",
            "parameters": f"{card['parameters']:,}",
            "bytes": f"{card['bytes']:,}",
            f"{card['dataset']} top-1, %": tables.percent(card, "accuracy"),
            "epochs": str(card["epochs"]),
            "seed": str(card["seed"]),
        }
        for card in map(records.read, sorted(weights.CIFAR10.glob("*.json")))
    )


def renew(text, name, content):
    """Put what was made into a document, between its markers of that name; a ValueError if one is missing."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if not 0 <= text.find(begin) < text.find(end):
        raise ValueError(f"restore the markers {begin} and {end}")
    return f"{text.partition(begin)[0]}{begin}\n\n{content.strip()}\n\n{end}{text.partition(end)[2]}"


def readme(facts, draft=False):
    """README.md, rendered anew; errors as in `page.render`."""
    text = renew((paths.ROOT / "README.md").read_text(), "findings", page.render(facts, "findings.md.j2", draft))
    return renew(text, "cards", tables.markdown(cards()))


def main():
    parser = argparse.ArgumentParser("python -m replication.report", description=__doc__)
    parser.add_argument("--draft", action="store_true", help="mark unsupported sentences, and render anyway")
    draft, facts = parser.parse_args().draft, page.read()
    text = readme(facts, draft)
    page.write(facts, page.draw(facts), draft=draft)
    records.write(paths.ROOT / "README.md", text)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
