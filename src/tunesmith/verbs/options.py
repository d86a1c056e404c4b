"""Options as people write them: durations, stage names, a file of options."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tunesmith.errors import BadOption
from tunesmith.registry import did_you_mean

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


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
        raise BadOption(f"a time limit is written 90s, 10m, 1h30m; found {duration!r}.")
    return total


def positive(name: str, value: float | None, *, most: float) -> None:
    """Raise BadOption unless a number lies in (0, most]."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise BadOption(f"{name} must lie above 0 and at most {most:g}; found {value!r}.")


def read_config(path: Path, verb: Callable[..., Any]) -> dict[str, Any]:
    """Options of a verb from a YAML file: the keys are those of the command line and of Python.

    Raises BadOption for what is no such file, and for an unknown key, with a guess.
    """
    import yaml

    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadOption(f"the configuration {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BadOption(f"{path} is not plain YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(loaded, Mapping):
        raise BadOption(f"{path} must hold options as 'name: value' lines.")
    known = [name for name in inspect.signature(verb).parameters if name != "reporter"]
    options = {}
    for key, value in loaded.items():
        name = str(key).replace("-", "_")
        if name not in known:
            raise BadOption(f"{path}: unknown option {key!r}{did_you_mean(name, known)}")
        options[name] = value
    return options
