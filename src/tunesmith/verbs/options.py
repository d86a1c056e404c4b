"""Options as people write them: durations, stage names, a file of options."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from tunesmith.errors import BadOption
from tunesmith.registry import did_you_mean

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
            lost = [name for name, value in given.items() if str(value).startswith(IN_MEMORY)]
            if lost:
                raise BadOption(f"{path}: {lost[0]} was given in memory; give it again beside config.")
        return verb(**given)  # type: ignore[call-arg]

    return with_file


def kind_of(parameter: inspect.Parameter) -> type:
    """The type of an option outside of Python; what can be several things is text."""
    annotation = str(parameter.annotation)
    if isinstance(parameter.default, bool) or annotation == "bool":
        return bool
    words = set(re.findall(r"[A-Za-z]+", annotation)) - {"None"}
    if words <= {"int"}:
        return int
    if words <= {"float", "int"}:
        return float
    return str


def read_config(path: Path, verb: Callable[..., Any]) -> dict[str, Any]:
    """Options of a verb from a YAML file: the keys are those of the command line and of Python.

    A relative `plan` is looked for beside the file first: a run's asked.yaml means its own plan.json.

    Raises BadOption for what is no such file, and for an unknown key, with a guess.
    """
    import yaml

    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadOption(f"the configuration {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        why = getattr(error, "problem", None) or type(error).__name__
        raise BadOption(f"{path}{line} is not plain YAML ({why}); write 'name: value' lines.") from error
    if not isinstance(loaded, Mapping):
        raise BadOption(f"{path} must hold options as 'name: value' lines.")
    known = {n: p for n, p in inspect.signature(verb).parameters.items() if n not in ("config", "reporter")}
    options = {}
    for key, value in loaded.items():
        name = str(key).replace("-", "_")
        if name not in known:
            guess = did_you_mean(name, known) or "; `tunesmith fit --help` lists them."
            raise BadOption(f"{path}: unknown option {key!r}{guess}")
        options[name] = _number(value, kind_of(known[name]))
    if isinstance(options.get("plan"), str) and (path.parent / options["plan"]).is_file():
        options["plan"] = str(path.parent / options["plan"])
    return options


def _number(value: Any, kind: type) -> Any:
    """The number that an option takes, also where YAML reads text (1e-4) or a whole number (5)."""
    if kind not in (int, float) or isinstance(value, bool):
        return value
    try:
        return float(value) if isinstance(value, str) or kind is float else value
    except (TypeError, ValueError):
        return value
