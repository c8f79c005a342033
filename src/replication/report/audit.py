"""Every number that the paper prints about architecture, size, ratio and compression, held against ours.

Each row of data/paper has a quantity, which `answers` measures; `readings` judges the answer.
"""

import math

import pandas as pd

from replication.report.answers import MEASURES, Answers, model_of
from replication.report.readings import CONTRADICTED, DRAWN, judge, text
from squeezenet import costs

FILES = ("table1", "table2", "table3", "figure3", "text")
DRAWN_TO = 0.1  # how far off a number may be that is read off a drawing


def read_paper(folder):
    """The rows of data/paper's tables, figure and text as one frame of strings; `source` is printed or drawn."""
    frames = [pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False) for name in FILES]
    paper = pd.concat(frames, ignore_index=True).fillna("")
    return paper.assign(source=paper.source.replace("", "printed"))


def read_cited(folder):
    """What the papers and files that the paper rests on say, and where: data/paper/cited.csv."""
    return pd.read_csv(folder / "cited.csv")


def audit(paper, cited, variants, authors=None, imagenet=None):
    """Compare each printed number with ours.

    Args:
        paper: the frame of `read_paper`. Rows that name a network outside `variants` are left out.
        cited: the frame of `read_cited`.
        variants: name -> entry of params.yaml.
        authors: data/authors/authors.json, or None where the authors' file has not been decoded.
        imagenet: data/imagenet/imagenet.json, or None.

    Returns:
        A frame with where, subject, quantity, unit, source, printed, ours, reading, how, difference, verdict, note.

    Raises:
        ValueError: a row has a quantity that nothing measures.
    """
    answers = Answers(paper, cited, variants, authors, imagenet)
    rows = []
    for row in paper.itertuples():
        if not {row.variant, row.reference} <= {"", *variants}:
            continue
        measure, _, part = row.quantity.partition(", ")
        if measure not in MEASURES:
            raise ValueError(f"data/paper: {row.where}, {row.subject}: nothing measures {row.quantity!r}")
        found = MEASURES[measure](answers, row, part)
        judged = judge(row.printed, found)
        note = found.note
        if row.source == "drawn" and judged.difference is not None:
            close = "agrees" if abs(judged.difference) <= DRAWN_TO else "differs"
            fits = "agrees in this reading" if judged.verdict != CONTRADICTED else ""
            note = f"read off the drawing; {fits or f'{close}, as far as {DRAWN_TO:g} can tell'}"
        if row.source == "drawn":
            judged = judged._replace(verdict=DRAWN)
        if judged.verdict == CONTRADICTED and len(found.readings) > 1:
            tried = "; ".join(f"{reading.words or found.how}: {text(reading.value)}" for reading in found.readings)
            note = f"tried {tried}" + f". {note}" * bool(note)
        ours, difference = text(judged.ours), text(judged.difference)
        told = (row.where, row.subject, row.quantity, row.unit, row.source, row.printed)
        rows.append((*told, ours, judged.reading, judged.how, difference, judged.verdict, note))
    columns = ["where", "subject", "quantity", "unit", "source", "printed", "ours", "reading", "how", "difference"]
    return pd.DataFrame(rows, columns=[*columns, "verdict", "note"])


def size_units(paper, variants):
    """How many printed sizes of Figure 3 each reading of the paper's "MB" explains: a unit and a rounding."""
    sizes = paper[paper["where"].str.startswith("Figure 3") & (paper.quantity == "size") & paper.variant.isin(variants)]
    sizes = sizes[sizes.source == "printed"]
    rows = []
    for unit, size in (("MiB = 2^20 bytes", costs.MIB), ("MB = 10^6 bytes", 10**6)):
        for rounding, rounded in (("up", math.ceil), ("to nearest", round), ("down", math.floor)):
            fits = 0
            for row in sizes.itertuples():
                scale = 10 ** len(row.printed.partition(".")[2])
                ours = 4 * model_of(variants[row.variant]).count_params() / size
                fits += rounded(ours * scale) == round(float(row.printed) * scale)
            rows.append((unit, rounding, fits, len(sizes)))
    return pd.DataFrame(rows, columns=["unit", "rounded", "fits", "sizes"])
