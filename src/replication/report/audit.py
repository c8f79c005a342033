"""Every number that the paper prints about architecture, size and compression, held against ours.

The released network is the standard, and the described one where none was released. A number is contradicted only if it
fails in every fair reading. What the networks were built from proves nothing if it agrees and is left to the tests.
"""

import math
import operator
import re

import numpy as np
import pandas as pd

from replication import paths
from replication.report import ours
from replication.report.ours import Ours

CUTS = {"size": "up", "ratio": "down", "kept in all": "down"}  # the directions in which the paper may have rounded

# Verdicts
HOLDS, SELF, CITED, ATTAINABLE = "holds", "consistent with itself", "cited", "attainable"
CONTRADICTED, SELF_NOT, SLIP = "contradicted", "contradicts itself", "differs from its source"
NOT_ATTAINED = "not attained here"  # by the paper's method, at its accuracy, without fine-tuning
DRAWN, NEEDS_IMAGENET, NEEDS_FILE, EXAMPLE = "drawn", "needs ImageNet", "needs a file of the authors", "an example"
FAULTS = (CONTRADICTED, SELF_NOT)
VERDICTS = (
    HOLDS, ATTAINABLE, CONTRADICTED, NOT_ATTAINED, SELF, SELF_NOT, CITED, SLIP, DRAWN, NEEDS_IMAGENET, NEEDS_FILE,
    EXAMPLE,
)  # fmt: skip
BY_SOURCE = {  # how ours is known -> the verdict if a reading fits, and if none does
    ours.BUILT: (None, SELF_NOT),
    ours.COMPUTED: (HOLDS, CONTRADICTED),
    ours.DECODED: (HOLDS, CONTRADICTED),
    ours.MEASURED: (ATTAINABLE, NOT_ATTAINED),
    ours.LOSSY: (NOT_ATTAINED, NOT_ATTAINED),
    ours.PRINTED: (SELF, SELF_NOT),
    ours.CITED: (CITED, SLIP),
}
NOT_TESTABLE = {"size": NEEDS_FILE, "bits": NEEDS_FILE, "example": EXAMPLE}  # the rest needs ImageNet
BOUNDS = {"<": operator.lt, ">": operator.gt, ">=": operator.ge}


def read_paper(folder=paths.PAPER):
    """The paper's tables, Figure 3 and text as one frame of strings, a row for each printed or drawn number.

    Returns:
        A frame with key, where, subject, quantity, unit, printed, source (printed or drawn), network and against: the
        networks that the number is about, by their names in params.yaml and in data/paper/table2.csv.
    """
    frames = {name: _strings(folder / f"{name}.csv") for name in ("table1", "table2", "table3", "figure3", "text")}
    table2 = frames["table2"]
    names = table2.architecture + ", " + table2.compression + ", " + table2.bits + " bit"
    tables = [
        frames["table1"].rename(columns={"layer": "subject"}).assign(where="Table 1", network=""),
        table2.drop(columns=["architecture", "compression"]).assign(where="Table 2", subject=names),
        frames["table3"].rename(columns={"architecture": "subject"}).assign(where="Table 3"),
        frames["figure3"].rename(columns={"panel": "where", "point": "subject"}),
    ]
    paper = pd.concat([*map(_long, tables), frames["text"].rename(columns={"statement": "subject"})])
    paper = paper.fillna({"against": "", "source": "printed"})
    paper.loc[(paper.quantity == "ratio") & (paper.against == ""), "against"] = "alexnet"
    paper.insert(0, "key", paper["where"] + "/" + paper.subject + "/" + paper.quantity)
    return paper.reset_index(drop=True)


def _strings(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _long(table):
    """A table as the paper prints it, with the units in its header, as a row for each cell."""
    about = [name for name in ("where", "subject", "network", "against", "source") if name in table]
    cells = table.melt(about, var_name="header", value_name="printed", ignore_index=False).sort_index(kind="stable")
    cells[["quantity", "unit"]] = cells.header.str.extract(r"([^(]+?)(?: \((.+)\))?$").fillna("")
    return cells[cells.printed != ""].drop(columns="header")


def read_cited(folder=paths.PAPER):
    """What the papers and files that the paper rests on say, and where: by (subject, quantity)."""
    return pd.read_csv(folder / "cited.csv").set_index(["subject", "quantity"])


def read_errata(folder=paths.PAPER):
    """A sentence for each number that ours or the paper itself contradicts, by its key."""
    return _strings(folder / "errata.csv").set_index("key").sentence


def audit(paper, cited, errata, variants, file):
    """Compare each printed number with ours.

    Args:
        paper, cited, errata: of the functions above.
        variants: name -> entry of params.yaml.
        file: data/evidence/authors.json.

    Returns:
        A frame with key, where, what, printed, unit, ours, reading, verdict, note and repeats: the key of the number of
        the same network that this one repeats, if any.
    """
    side, first, rows = Ours(paper, cited, variants, file), {}, []
    for row in paper.itertuples():
        readings, note = side.readings(row)
        if readings is None:
            continue
        about = (row.network or row.key, row.quantity, row.against)
        value, reading, verdict = judge(row.printed, readings, CUTS.get(row.quantity))
        if not readings:
            verdict, twin = NOT_TESTABLE.get(row.quantity, NEEDS_IMAGENET), first.setdefault(about, row)
            if row is not twin and row.source == "printed" and agree(row.printed, float(twin.printed)) is None:
                value, verdict = float(twin.printed), SELF_NOT
        if row.source == "drawn":
            note, verdict = "read off the drawing", DRAWN
        if verdict in FAULTS:
            tried = "; ".join(f"{words or how}: {text(value)}" for value, how, words in readings[1:] and readings)
            note = ". ".join(filter(None, (errata.get(row.key, "").rstrip("."), tried and f"Tried {tried}")))
        repeats = first.setdefault((*about, row.printed), row).key
        what = row.subject if row.quantity in row.subject else f"{row.subject}, {row.quantity}"
        rows.append(
            {
                "key": row.key, "where": row.where, "what": what, "printed": row.printed,
                "unit": row.unit, "ours": text(value), "reading": reading, "verdict": verdict, "note": note,
                "repeats": "" if repeats == row.key else repeats,
            }
        )  # fmt: skip
    return pd.DataFrame(rows).dropna(subset="verdict", ignore_index=True)


def judge(printed, readings, cut=None):
    """Hold a printed number against the readings of it: the first that fits decides.

    Returns:
        Our value, the reading in words and the verdict, None for a number from which the network was built. If no
        reading fits, the first one's value and no words.
    """
    for value, how, words in readings:
        rounding = agree(printed, value, cut)
        if rounding is None and how == ours.MEASURED and agree(f"<{printed}", value):
            rounding = "smaller"
        if rounding is not None:
            return value, ", ".join(filter(None, (words, rounding))), BY_SOURCE[how][0]
    return (readings[0].value, "", BY_SOURCE[readings[0].how][1]) if readings else (None, "", "")


def agree(printed, value, cut=None):
    """How ours has to be rounded to be the printed number, in words; None if nothing makes it so.

    With `cut` "up" or "down" it may also have been rounded in that direction, and to the digits before its last zeros,
    if these are two or more (240).
    """
    number = re.fullmatch(r"(<|>=?)?([\d,]*\.?\d+)", printed)
    if not number or isinstance(value, str):
        return "exact" if printed == value else None
    bound, digits = number[1], number[2].replace(",", "")
    target, step = float(digits), 10.0 ** -len(digits.partition(".")[2])
    if bound:
        return "as a bound" if BOUNDS[bound](value, target) else None
    if math.isclose(value, target, rel_tol=1e-9, abs_tol=1e-12):
        return "exact"
    if abs(value - target) <= step / 2:
        return "to nearest"
    if cut and 0 < (target - value if cut == "up" else value - target) < step:
        return f"rounded {cut}"
    zeros = len(digits) - len(digits.rstrip("0")) if "." not in digits else 0
    if cut and zeros and len(digits) - zeros > 1 and abs(value - target) <= 10**zeros / 2:
        return f"to {len(digits) - zeros} significant digits"
    return None


def text(value):
    """As in the tables: counts whole, the rest with four digits."""
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def counts(audited):
    """How many numbers got each verdict; one that is printed in several places counts once."""
    found = audited[audited.repeats == ""].verdict.value_counts()
    return {verdict: int(found.get(verdict, 0)) for verdict in VERDICTS}


def as_printed(paper, audited, where):
    """A table of the paper as it prints it; ours stands behind a number that is contradicted."""
    cells, found = paper[paper["where"] == where], audited[audited.verdict.isin(FAULTS)].set_index("key").ours
    shown = cells.printed + cells.key.map(found).map(" (ours: {})".format, na_action="ignore").astype(object).fillna("")
    wide = cells.assign(shown=shown).pivot(index="subject", columns="quantity", values="shown").fillna("")
    header = _strings(paths.PAPER / f"{where.lower().replace(' ', '')}.csv").columns.str.partition(" (")
    return wide.loc[cells.subject.unique(), [name for name, *_ in header if name in wide]].rename_axis(columns=None)


def size_units(paper, variants):
    """How many printed sizes of Figure 3 each reading of the paper's "MB" explains: a unit and a rounding."""
    sizes = paper[paper["where"].str.startswith("Figure 3") & (paper.quantity == "size") & (paper.source == "printed")]
    numbers, scales = sizes.printed.astype(float), 10 ** sizes.printed.str.partition(".")[2].str.len()
    counts = sizes.network.map(lambda name: 4 * ours.network_of(variants[name]).count_params())
    rows = []
    for unit, size in list(ours.UNITS.items())[:2]:
        for name, rounded in {"up": np.ceil, "to nearest": np.round, "down": np.floor}.items():
            fits = np.isclose(rounded(counts / size * scales) / scales, numbers)
            rows.append({"unit": unit, "rounded": name, "fits": int(fits.sum()), "sizes": len(sizes)})
    return pd.DataFrame(rows)
