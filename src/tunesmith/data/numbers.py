"""Numbers as answers: which columns hold them, what a cell holds, and the one form that they travel in.

A row's numbers travel in its `label`, as JSON: "12.5" for one column, "[12.5, 3.0]" for several.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any, Final

from tunesmith.data.labels import missing, short

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MANY: Final = 20  # different whole numbers, above which they may be no classes
MOSTLY: Final = 0.9  # share of cells that are numbers, from which a column holds numbers
FILLED: Final = 0.1  # share of the whole numbers between least and greatest that classes fill at least
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}([,' \u00a0\u202f]\d{3})+(\.\d+)?|[+-]?\d{1,3}(\.\d{3}){2,}(,\d+)?")
_POINTED = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d+")
_UNIT = re.compile(r"([+-]?[\d.,]+)\s*([^\d\s.,][^\d]*)|([^\d\s.,+-]+)\s*([+-]?[\d.,]+)")


def written(numbers: Sequence[float]) -> str:
    """Numbers as a label.

    >>> written([12.5]), written([12.5, 3])
    ('12.5', '[12.5, 3.0]')
    """
    own = [float(number) for number in numbers]
    return json.dumps(own[0] if len(own) == 1 else own)


def numbers_in(labels: Iterable[str]) -> NDArray[np.float64]:
    """The numbers of labels that `written` made: float64 [N, K].

    >>> numbers_in(["[12.5, 3.0]", "[1.0, 2.0]"]).tolist()
    [[12.5, 3.0], [1.0, 2.0]]
    """
    import numpy as np

    found = [json.loads(label) for label in labels]
    return np.asarray(found, np.float64).reshape(len(found), -1 if found else 1)


def number_of(value: object) -> float | str:
    """The number that a cell holds, or why it holds none: what follows "where has ..." in a sentence.

    >>> number_of(" 1e3 "), number_of(7)
    (1000.0, 7.0)
    >>> number_of("12,5")
    "'12,5', with a decimal comma (or one between thousands); write 12.5, or 125"
    """
    if isinstance(value, bool):
        return f"{value}, which is no number; write 1 and 0"
    if isinstance(value, Real | Decimal):  # numpy's too
        number = float(value)
        if math.isnan(number):
            return "NaN in the place of a number"
        return number if math.isfinite(number) else f"{number}, and an infinite number cannot be learned"
    if missing(value):
        return "an empty cell in the place of a number"
    if isinstance(value, bytes):
        return number_of(value.decode("utf-8", "replace"))
    if hasattr(value, "item") and getattr(value, "size", 0) == 1:  # an array or a tensor of one number
        return number_of(value.item())
    if callable(getattr(value, "numpy", None)) and getattr(value, "ndim", None) == 0:
        return number_of(value.item())  # type: ignore[attr-defined]
    if not isinstance(value, str):
        return f"{short(value)}, a {type(value).__name__}, in the place of a number"
    return _in_text(value.strip())


def _in_text(text: str) -> float | str:
    if not text:
        return "an empty cell in the place of a number"
    if _NUMBER.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else f"{text}, and an infinite number cannot be learned"
    lower = text.lower().lstrip("+-")
    if lower in ("nan", "na", "n/a", "null", "none"):
        return f"{text} in the place of a number"
    if lower in ("inf", "infinity"):
        return f"{text}, and an infinite number cannot be learned"
    bare = re.sub(r"[,'\s]", "", text)
    if _THOUSANDS.fullmatch(text) and not _COMMA.fullmatch(text):
        plain = bare.replace(".", "") if text.count(".") > 1 else bare
        return f"{short(text)}, with signs between thousands; write {plain}"
    if _POINTED.fullmatch(text):
        return f"{short(text)}, with a decimal comma; write {text.replace('.', '').replace(',', '.')}"
    if _COMMA.fullmatch(text):
        way = f"{text.replace(',', '.')}, or {bare}"
        return f"{short(text)}, with a decimal comma (or one between thousands); write {way}"
    if unit := _UNIT.fullmatch(text):
        number_, sign = (unit[1], unit[2]) if unit[1] else (unit[4], unit[3])
        return f"{short(text)}, with a unit inside; write {number_}, and {short(sign.strip())} into its name"
    return f"{short(text)} in the place of a number"


def hold_numbers(columns: Sequence[Sequence[Any]]) -> bool:
    """Whether columns of labels are numbers to be met as nearly as can be, and not the names of classes.

    columns: the first cells of each. Several columns are numbers; one is where nine of ten cells are numbers
    and one of them a fraction. Whole numbers are classes, unless there are more than 20 different ones, most
    of which occur once, over a range ten times as wide: no class could be learned from these.

    >>> hold_numbers([["1.5", "2.0", "4"]]), hold_numbers([[1, 2, 3, 1]])
    (True, False)
    >>> hold_numbers([[n * n * 100 for n in range(30)]])
    True
    """
    import numpy as np

    if len(columns) > 1:
        return True
    cells = [cell for cell in columns[0] if not missing(cell) and str(cell).strip()]
    found = [number_of(cell) for cell in cells]
    numbers = np.asarray([number for number in found if isinstance(number, float)])
    if not len(numbers) or len(numbers) < MOSTLY * len(cells):
        return False
    if (numbers % 1 != 0).any():
        return True
    values, counts = np.unique(numbers, return_counts=True)
    wide = FILLED * (values[-1] - values[0]) > len(values)
    return len(values) > MANY and bool((counts == 1).mean() > 0.5) and bool(wide)


def said_numbers(names: Sequence[str]) -> str:
    """The clause that says how classes that look like numbers would be read as these; nothing for others.

    >>> said_numbers(["1000.50 EUR", "1005.00 EUR"])
    "; if these are numbers, they are written as none ('1000.50 EUR', with a unit inside; write 1000.50, and 'EUR' into its name)"
    >>> said_numbers(["7", "9"])
    '; if these are numbers, name the task: --task text-regression or image-regression'
    >>> said_numbers(["red", "9"])
    ''
    """  # noqa: E501
    found = [number_of(name) for name in names[:1000] if not name[:1].isalpha()]  # "class 7" is a name
    wrong = [own for own in found if isinstance(own, str) and "; write " in own]
    if len(wrong) + sum(isinstance(own, float) for own in found) < MOSTLY * len(names[:1000]):
        return ""
    if wrong:
        return f"; if these are numbers, they are written as none ({wrong[0]})"
    return "; if these are numbers, name the task: --task text-regression or image-regression"


def told(names: Sequence[str], numbers: NDArray[np.float64]) -> str:
    """What the columns of numbers hold, for the person who brought them.

    >>> import numpy as np
    >>> told(["price"], np.array([[1.0], [2.0], [6.0]]))
    'price 1 to 6, mean 3, half of them from 1.5 to 4'
    """
    import numpy as np

    parts = []
    for k, name in enumerate(names):
        own = numbers[:, k]
        quarter, half = np.percentile(own, (25, 75))
        low, high, mean, quarter, half = map(four_digits, (own.min(), own.max(), own.mean(), quarter, half))
        parts.append(f"{name} {low} to {high}, mean {mean}, half of them from {quarter} to {half}")
    return "; ".join(parts)


def four_digits(number: float) -> str:
    """A number to four digits that count, as people write it.

    >>> [four_digits(x) for x in (157_123.0, 1.25, -0.00012, 3e12)]
    ['157,100', '1.25', '-0.00012', '3,000,000,000,000']
    """
    return f"{float(f'{number:.4g}'):,.15g}"
