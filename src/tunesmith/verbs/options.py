"""Options as people write them: durations, sizes, and a file of options beside them."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from tunesmith.errors import BadOption
from tunesmith.verbs.config import read_config

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
IN_MEMORY = "<in memory: "  # how a file of options names what only lived in a process
Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def seconds(duration: str | float | None) -> float | None:
    """A duration in seconds.

    >>> seconds("10m"), seconds("1h30m"), seconds("45"), seconds(None)
    (600.0, 5400.0, 45.0, None)
    """
    if duration is None:
        return None
    text = str(duration).strip().lower()
    found = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if found and re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
        total = sum(float(number) * UNITS[unit] for number, unit in found)
    else:
        try:
            total = float(text)
        except ValueError:
            total = -1.0
    if not 0 < total < math.inf:
        raise BadOption(f"a duration is written 90s, 10m or 1h30m; found {duration!r}.")
    return total


def size(text: str | int) -> int:
    """A number of bytes.

    >>> size("500MB"), size("1.5 GB"), size("0"), size(2048)
    (500000000, 1500000000, 0, 2048)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", str(text).strip().lower())
    if isinstance(text, bool) or not found:
        raise BadOption(f"a size is written 500MB or 20GB; found {text!r}.")
    power: int = ["", "k", "m", "g", "t"].index(found[2])
    return round(float(found[1]) * float(1000**power))


def bytes_in_words(count: float) -> str:
    """A number of bytes as people write it.

    >>> bytes_in_words(512), bytes_in_words(15.2e6), bytes_in_words(2.34e9)
    ('512 B', '15 MB', '2.3 GB')
    """
    power = max(0, min(4, int(math.log10(max(count, 1)) // 3)))
    amount = count / 1000**power
    return f"{amount:.{0 if amount >= 10 or not power else 1}f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def duration(seconds: float) -> str:
    """Seconds as people write them.

    >>> duration(0.31), duration(42.4), duration(99), duration(5400)
    ('0.3s', '42s', '1m39s', '1h30m')
    """
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"


def rate(value: object) -> object:
    """A learning rate that was written in words as a number; "auto", None and what is none as they are.

    >>> rate("3e-4"), rate("auto"), rate(None), rate("fast")
    (0.0003, 'auto', None, 'fast')
    """
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def whole(name: str, value: object, *, least: int = 1) -> None:
    """Raise BadOption unless a value is None or a whole number that is large enough."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadOption(f"{name} is a whole number from {least}; found {value!r}.")


def configured(verb: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """The verb with its option `config` obeyed: a file of options, over which what is given wins."""

    @wraps(verb)
    def with_file(*args: Given.args, **options: Given.kwargs) -> Answer:
        given = inspect.signature(verb).bind(*args, **options).arguments
        path = given.pop("config", None)
        if path is not None:
            given = {**read_config(Path(path).expanduser(), verb), **given}
            lost = [
                name
                for name, value in given.items()
                if isinstance(value, str) and value.startswith(IN_MEMORY)
            ]
            if lost:
                raise BadOption(f"{path}: {lost[0]} was given in memory; give it again beside config.")
        return verb(**given)  # type: ignore[call-arg]

    return with_file
