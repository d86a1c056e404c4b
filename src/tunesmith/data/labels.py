"""Labels are strings from end to end; this is where they become so."""

from __future__ import annotations

import math
import numbers
import re
import unicodedata
from collections.abc import Sequence

from tunesmith.errors import BadData

LONGEST = 1000  # characters of a label
_FRACTION = re.compile(r"[+-]?(\d*\.\d+|\d+\.|\d+(\.\d*)?[eE][+-]?\d+)([eE][+-]?\d+)?")


def label_of(value: object, where: str) -> str | None:
    """The label that a cell holds, or None if it holds none.

    Whole numbers become their digits, spaces at the ends go.

    Raises BadData for a fraction, a list (several labels) or what is far too long for a
    name, naming `where`.

    >>> label_of(3, "a.csv:2"), label_of("1.0", "a.csv:2"), label_of(" ham ", "a.csv:2")
    ('3', '1', 'ham')
    >>> print(label_of("", "a.csv:2"))
    None
    """
    if missing(value):
        return None
    if isinstance(value, str):
        label = value.strip()
        if len(label) > LONGEST:
            raise BadData(
                f"{where}: the label is {len(label):,} characters long ({short(label)}), which is no name; "
                "name the column of labels with --target."
            )
        if _FRACTION.fullmatch(label):
            return _whole(float(label), label, where)
        return label or None
    if isinstance(value, numbers.Integral):  # numpy's and bool too
        return str(value)
    if isinstance(value, numbers.Real):
        return _whole(float(value), repr(float(value)), where)
    if isinstance(value, bytes):
        return label_of(value.decode("utf-8", "replace"), where)
    if hasattr(value, "item") and getattr(value, "size", 0) == 1:  # an array of one number
        return label_of(value.item(), where)
    if callable(getattr(value, "numpy", None)) and getattr(value, "ndim", None) == 0:
        return label_of(value.item(), where)  # type: ignore[attr-defined]
    raise BadData(
        f"{where}: the label is {short(value)}, a {type(value).__name__}; "
        "a label is one name or one whole number (several labels an item are not available yet)."
    )


def plain(label: str) -> str:
    """A label without regard to case, spaces and the forms of Unicode.

    >>> plain("Gl ASS")
    'glass'
    """
    return "".join(unicodedata.normalize("NFKC", label).casefold().split())


def said_alike(names: Sequence[str], known: Sequence[str]) -> str:
    """The clause that says which other label one of the names may be; nothing where there is none.

    >>> said_alike(["Glass"], ["Glass", "glass", "metal"])
    "; 'Glass' differs from 'glass' by case or spaces only: write them in one way if they mean the same"
    """
    own = {plain(name): name for name in reversed(names)}
    for other in known:
        name = own.get(plain(other), other)
        if name != other:
            return (
                f"; {name!r} differs from {other!r} by case or spaces only: write them in one way if they "
                "mean the same"
            )
    return ""


def missing(value: object) -> bool:
    """Whether a cell is empty: None, NaN, or a missing value of pandas.

    >>> missing(None), missing(float("nan")), missing(""), missing(0)
    (True, True, False, False)
    """
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType")


def weight_of(value: object, where: str) -> float:
    """The weight that a cell holds: a number, 0 or more.

    Raises BadData, naming `where`.
    """
    try:
        weight = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise BadData(f"{where}: a weight is a number from 0 up; found {short(value)}.")
    return weight


def group_of(value: object, where: str) -> str:
    """The group that a cell holds: the patient, the scene, the author.

    Raises BadData if it is empty, naming `where`.
    """
    if missing(value) or not str(value).strip():
        raise BadData(f"{where} has no group; every row needs one, or leave out --group.")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _whole(number: float, written: str, where: str) -> str:
    if math.isfinite(number) and number.is_integer():
        return str(int(number))
    raise BadData(
        f"{where}: the label is {written}, and classes are names or whole numbers; numbers are learned with "
        "--task image-regression or text-regression."
    )


def short(value: object) -> str:
    """A value as it is written in Python, cut where it is long.

    >>> short("word " * 20)
    "'word word word word word word word w..."
    """
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
