"""Every number that the paper prints about architecture, size and compression, compared with ours.

The released network is the standard, and the described one where none was released. A number is contradicted only if it
fails in every fair reading. Numbers that the networks are built from must agree, so they are left to the tests.
"""

import math
import operator
import re
from collections import Counter

import numpy as np
import pandas as pd

from replication.report import ours, paper
from replication.report.ours import CONTRADICTED, DESCRIBED, ROUNDED, SELF_NOT

CUTS = {"size": "up", "ratio": "down", "kept in all": "down"}  # the directions in which the paper may have rounded
FAULTS = (CONTRADICTED, SELF_NOT)
NOT_TESTABLE = {"bits": "needs a file of the authors", "example": "an example"}
BOUNDS = {"<": operator.lt, ">": operator.gt, ">=": operator.ge}


def audit(numbers, file):
    """Compare each printed number with ours.

    Args:
        numbers: of `paper.numbers`.
        file: data/evidence/authors.json.

    Returns:
        A frame with key, where, what, printed, unit, ours, reading, verdict, note and repeats: the key of the number of
        the same network that this one repeats, if any.
    """
    about = numbers.network.where(numbers.network != "", numbers.key)
    first = numbers.key.groupby([about, numbers.quantity, numbers.against, numbers.printed]).transform("first")
    named = [quantity in subject for quantity, subject in zip(numbers.quantity, numbers.subject, strict=True)]
    table = numbers.assign(
        what=numbers.subject.where(named, numbers.subject + ", " + numbers.quantity),
        repeats=first.where(first != numbers.key, ""),
    )
    side, errata = ours.Ours(numbers, file), paper.table("errata").set_index("key").sentence
    compared = [_compare(row, *side.readings(row), errata) for row in table.itertuples()]
    table[["ours", "reading", "verdict", "note"]] = compared
    columns = ["key", "where", "what", "printed", "unit", "ours", "reading", "verdict", "note", "repeats"]
    return table.dropna(subset="verdict", ignore_index=True)[columns]


def _compare(row, readings, note, errata):
    """Ours, the reading, the verdict and the note of a number; no verdict of what the networks are built from."""
    if readings is None:
        return [None] * 4
    value, reading, verdict = None, "", NOT_TESTABLE.get(row.quantity, "needs ImageNet")
    if readings:
        value, reading, verdict = judge(row.printed, readings, CUTS.get(row.quantity))
    if row.source == "drawn":
        note, verdict = "read off the drawing", "drawn"
    if verdict in FAULTS:
        tried = "; ".join(f"{words}: {text(value)}" for value, _, words in readings[1:] and readings)
        note = ". ".join(filter(None, (errata.get(row.key, "").rstrip("."), tried and f"Tried {tried}")))
    released = f" (as released: {text(readings[0].value)})" if verdict in (DESCRIBED, ROUNDED) else ""
    return text(value) + released, reading, verdict, "" if released else note


def judge(printed, readings, cut=None):
    """Compare a printed number with its readings: the first that fits decides.

    Returns:
        Our value, the reading in words and the verdict. If no reading fits, the first one's value and no words.
    """
    for value, how, words in readings:
        rounding = agree(printed, value, cut)
        if rounding is not None:
            return value, ", ".join(filter(None, (words, rounding))), how[0]
    return readings[0].value, "", readings[0].how[1]


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
    """A value as text: counts whole, the rest with four digits."""
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def counts(audited):
    """How many numbers got each verdict; one that is printed in several places counts once."""
    return Counter(audited.verdict[audited.repeats == ""])


def table1(audited):
    """Table 1 as the paper prints it; our value follows a number that is contradicted."""
    table = paper.table("table1").set_index("layer").rename(columns=lambda name: name.partition(" (")[0])
    for row in audited[audited.verdict.isin(FAULTS) & (audited["where"] == "Table 1")].itertuples():
        _, layer, column = row.key.split("/")
        table.loc[layer, column] += f" (found: {row.ours})"
    return table


def size_units(numbers):
    """Which readings of the paper's "MB" explain each printed size of Figure 3: columns (unit, rounded) of bools."""
    sizes = numbers[numbers["where"].str.startswith("Figure 3") & (numbers.quantity == "size")]
    sizes = sizes[sizes.source == "printed"].drop_duplicates("network")
    printed, scales = sizes.printed.astype(float), 10 ** sizes.printed.str.partition(".")[2].str.len()
    counts = sizes.network.map(lambda name: 4 * ours.network_of(name).count_params())
    return pd.DataFrame(
        {
            (unit, words): np.isclose(rounded(counts / ours.UNITS[unit] * scales) / scales, printed)
            for unit in ("MiB", "MB of 10^6 bytes")
            for words, rounded in {"up": np.ceil, "to nearest": np.round, "down": np.floor}.items()
        }
    )
