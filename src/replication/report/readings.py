"""How a printed number is read and judged: every fair reading is tried before it is contradicted."""

import math
import re
from typing import NamedTuple

# How ours is known
BUILT, COMPUTED, DECODED = ("read back from our model", "computed from our model", "decoded from the authors' file")
MEASURED, PRINTED, CITED = ("measured on our file", "from other printed numbers", "from a cited source")
EVALUATED, NOT_HERE = ("measured on ImageNet with the released weights", "not testable here")

# Verdicts
EXACT, ROUNDED, STATED, AS_BUILT = ("exact", "rounded to nearest", "under a stated reading", "as built")
ATTAINABLE, CONTRADICTED, DRAWN = ("attainable", "contradicted", "drawn, not printed")
NEEDS_IMAGENET, NEEDS_FILE, EXAMPLE = ("needs ImageNet", "needs a file of the authors", "an example")
VERDICTS = (
    EXACT, ROUNDED, STATED, ATTAINABLE, AS_BUILT, CONTRADICTED, DRAWN, NEEDS_IMAGENET, NEEDS_FILE, EXAMPLE,
)  # fmt: skip
HOLDS = (EXACT, ROUNDED, STATED, ATTAINABLE)


class Reading(NamedTuple):
    """One way to read a printed number: our value for it, words that name it, and whether it is the plain way."""

    value: float | str | tuple  # least and most, where only bounds are known
    words: str = ""
    plain: bool = True
    how: str = ""  # ours is known, where not as the rest of a `Found`
    verdict: str = ""  # in place of what the reading alone decides


class Found(NamedTuple):
    """What a printed number is held against.

    Attributes:
        readings: of the printed number, the likeliest first; none where it cannot be tested here.
        how: where our values come from.
        note: what else a reader needs to check it.
        verdict: given in place of exact, rounded and stated where the readings do not decide it alone.
        cut: "up" for sizes, "down" for ratios: the paper may have rounded in that direction, which claims less than
            ours would, and to fewer digits than it prints zeros (240, 50). Empty where only the nearest is fair.
    """

    readings: list
    how: str = COMPUTED
    note: str = ""
    verdict: str = ""
    cut: str = ""


class Judged(NamedTuple):
    ours: float | str | tuple | None
    reading: str
    difference: float | None
    verdict: str
    how: str


def judge(printed, found):
    """Hold a printed number against the readings of a `Found`: the first that fits decides.

    A number fits if ours rounds to its digits. With `cut` it also fits if ours rounds to them in that direction, or to
    the digits before its trailing zeros. A bound (<, >, >=) holds or not; anything else has to be equal.
    """
    if not found.readings:
        return Judged(None, "", None, found.verdict, found.how)
    number = re.fullmatch(r"(<|>=?)?([\d,]*\.?\d+)", printed)
    for value, words, plain, how, its_verdict in found.readings:
        fit = _fit(number, printed, value, found.cut)
        if fit is not None:
            verdict = {"": EXACT, "to nearest": ROUNDED}.get(fit, STATED) if plain else STATED
            reading = ", ".join(filter(None, (words, f"rounded {fit}" * bool(fit))))
            return Judged(
                value, reading, _difference(number, value), its_verdict or found.verdict or verdict, how or found.how
            )
    value = found.readings[0].value
    return Judged(value, "", _difference(number, value), CONTRADICTED, found.how)


def _fit(number, printed, value, cut):
    """How ours has to be rounded to be the printed number; "" for not at all, None if nothing makes it so."""
    if not number or isinstance(value, str):
        return "" if printed == value else None
    bound, digits = number.group(1), number.group(2).replace(",", "")
    target, step = float(digits), 10.0 ** -len(digits.partition(".")[2])
    if isinstance(value, tuple):
        return "" if value[0] < target and (bound or target <= value[1]) else None
    if bound:
        holds = {"<": value < target, ">": value > target, ">=": value >= target}[bound]
        return "" if holds else None
    if math.isclose(value, target, rel_tol=1e-9, abs_tol=1e-12):
        return ""
    if abs(value - target) <= step / 2:
        return "to nearest"
    if cut and 0 < (target - value if cut == "up" else value - target) < step:
        return cut
    significant = len(digits.rstrip("0"))
    if cut and "." not in digits and abs(value - target) <= 10.0 ** (len(digits) - significant) / 2:
        return f"to {significant} significant digit{'s' * (significant > 1)}"
    return None


def _difference(number, value):
    return value - float(number.group(2).replace(",", "")) if number and not isinstance(value, str | tuple) else None


def built(value, note=""):
    """A constant of our model, which was built from the paper: agreeing, it proves nothing."""
    return Found([Reading(value)], BUILT, note, AS_BUILT)


def needs(verdict, note=""):
    return Found([], NOT_HERE, note, verdict)


def text(value):
    """As in the tables: counts whole, the rest with four digits."""
    if isinstance(value, tuple):
        return " to ".join(map(text, value))
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
