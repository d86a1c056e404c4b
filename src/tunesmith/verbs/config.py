"""A file of options: YAML of names and values, and nothing else that YAML can say."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tunesmith.errors import BadOption
from tunesmith.registry import did_you_mean

LARGEST: Final = 200_000  # bytes; a file that names every option has 2,000
DEEPEST: Final = 2  # a mapping of lists
NOTHING: Final = ("", "~", "null", "Null", "NULL")
TRUE: Final = ("true", "yes", "on")
FALSE: Final = ("false", "no", "off")


def read_config(path: Path, verb: Callable[..., Any]) -> dict[str, Any]:
    """Options of a verb from a YAML file: the keys are those of the command line and of Python.

    What a value is, the option decides, as on the command line: `augment: no` is a word, `lr: 1e-4` a
    number. A relative `plan` is looked for beside the file first: a run's asked.yaml means its own plan.json.

    Raises BadOption with the line: for what is no such file, for an unknown key, with a guess, for a value
    of another kind, and for tags, anchors and nested things, which no option needs.
    """
    known = {n: p for n, p in inspect.signature(verb).parameters.items() if n not in ("config", "reporter")}
    options: dict[str, Any] = {}
    for key, value, line in _entries(path):
        where, name = f"{path}:{line}", key.replace("-", "_")
        if name not in known:
            guess = did_you_mean(name[:80], known) or "; `tunesmith fit --help` lists them."
            raise BadOption(f"{where}: unknown option {key[:80]!r}{guess}")
        if name in options:
            raise BadOption(f"{where}: {key} stands there a second time; leave one of them.")
        options[name] = _typed(value, known[name], where)
    if isinstance(options.get("plan"), str) and (path.parent / options["plan"]).is_file():
        options["plan"] = str(path.parent / options["plan"])
    return options


def kind_of(parameter: inspect.Parameter) -> type:
    """The type of an option outside of Python; what can be several things is text."""
    words = _words(parameter) - {"None"}
    if isinstance(parameter.default, bool) or words == {"bool"}:
        return bool
    if words <= {"int"}:
        return int
    if words <= {"float", "int"}:
        return float
    return str


def _words(parameter: inspect.Parameter) -> set[str]:
    return set(re.findall(r"[A-Za-z]+", str(parameter.annotation)))


def _entries(path: Path) -> Iterator[tuple[str, Any, int]]:
    """Names and values, as YAML writes them, with their lines; a value is text, None or a list of texts."""
    import yaml

    text = _text(path)
    try:
        _refuse_extras(path, text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        why = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        raise BadOption(f"{path}{line} is not plain YAML ({why}); write 'name: value' lines.") from error
    if not isinstance(root, yaml.MappingNode):
        raise BadOption(f"{path} must hold options as 'name: value' lines.")
    for key, node in root.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or isinstance(node, yaml.MappingNode):
            raise BadOption(f"{path}:{line}: an option is a name and a value, not a mapping.")
        if isinstance(node, yaml.SequenceNode):
            yield key.value, [_scalar(path, entry) for entry in node.value], line
        else:
            yield key.value, _scalar(path, node), line


def _scalar(path: Path, node: Any) -> str | None:
    value = getattr(node, "value", None)
    if not isinstance(value, str):
        raise BadOption(f"{path}:{node.start_mark.line + 1}: lists in lists are no option.")
    return None if node.style is None and value in NOTHING else value


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise BadOption(f"the configuration {path} is no file.")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise BadOption(f"the configuration {path} cannot be read: {error.strerror}.") from error
    if len(content) > LARGEST:
        raise BadOption(f"{path} is larger than {LARGEST:,} bytes, and so no file of options.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadOption(f"{path}:{line} is not UTF-8 text; save it as UTF-8.") from error


def _refuse_extras(path: Path, text: str) -> None:
    """Raise BadOption for what could make objects, copies of copies, or depths: no option needs them."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        tag = getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadOption(f"{path}:{line}: anchors and aliases (&, *) are not read; write the value out.")
        if tag:
            raise BadOption(
                f"{path}:{line}: the tag {str(tag)[:80]!r} is not read; write a plain value, or put it "
                f"in quotes."
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise BadOption(f"{path}:{line}: options are 'name: value' lines, and this lies deeper.")


def _typed(value: Any, parameter: inspect.Parameter, where: str) -> Any:
    """The value as the option's type, from text."""
    words, kind, name = _words(parameter), kind_of(parameter), parameter.name
    if "Literal" in words:  # a number, or a word that stands for one
        if isinstance(value, str) and value in words - {"Literal", "float", "None"}:
            return value
        kind = float
    if isinstance(value, list):
        if not words & {"Sequence", "Any"}:
            raise BadOption(f"{where}: {name} takes one value; found a list of {len(value)}.")
        return value
    if value is None:
        if "None" in words or "Any" in words:
            return None
        raise BadOption(f"{where}: {name} has no value; leave the line out for the default.")
    wanted: Mapping[type, str] = {bool: "true or false", int: "a whole number", float: "a number"}
    try:
        if kind is bool:
            return {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}[value.lower()]
        number = kind(value)
        if kind is float and not math.isfinite(number):
            raise ValueError(value)
    except (ValueError, KeyError) as error:
        raise BadOption(f"{where}: {name} takes {wanted[kind]}; found {value[:80]!r}.") from error
    return number
