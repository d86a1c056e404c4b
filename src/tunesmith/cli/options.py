"""Options of a verb's function as options of the command line: one source, its signature and docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any

import typer

# Options that need a more telling form than their name gives.
SHORT = {
    "model": "-m",
    "strategy": "-s",
    "epochs": "-e",
    "out": "-o",
    "quiet": "-q",
    "config": "-c",
}
PANELS = {
    "What trains": (
        "strategy",
        "epochs",
        "lr",
        "head_lr",
        "decay",
        "unfreeze",
        "parts",
        "patience",
        "plan",
        "head",
        "dropout",
        "untie",
    ),
    "How it trains": (
        "optimizer",
        "momentum",
        "weight_decay",
        "schedule",
        "warmup",
        "batch",
        "clip",
        "label_smoothing",
        "balance",
        "augment",
        "batch_norm",
        "metric",
    ),
    "The data": (
        "item",
        "target",
        "split",
        "group",
        "weight",
        "columns",
        "valid_size",
        "test_size",
        "skip_bad",
        "image_size",
        "max_length",
    ),
    "The machine": ("precision", "device", "seed", "time_limit", "checkpoint_every", "offline"),
}
UNSEEN = {"resume": ("data", "model")}  # parameters that only Python has, beside every verb's reporter


def as_command(
    verb: Callable[..., Any],
    then: Callable[..., Any],
    *,
    arguments: tuple[str, ...],
    extra: dict[str, Any] | None = None,
) -> Callable[..., Any]:
    """A function for typer whose options are the parameters of `verb`.

    then: called with everything that was given, by name. arguments: parameters that stand without
    a name. extra: further options, name to (type, default, help).
    """
    helps = described(verb)
    parameters = []
    for name, parameter in inspect.signature(verb).parameters.items():
        if name == "reporter" or name in UNSEEN.get(verb.__name__, ()):
            continue
        kind = _kind(str(parameter.annotation), parameter.default)
        default = None if parameter.default is inspect.Parameter.empty else parameter.default
        words = helps.get(name, "")
        panel = next((p for p, names in PANELS.items() if name in names), None)
        info: Any
        if name in arguments:
            required = parameter.default is inspect.Parameter.empty
            info = typer.Argument(help=words, show_default=False, metavar=name.upper())
            default = inspect.Parameter.empty if required else default
        elif kind is bool:
            info = typer.Option(
                f"--{name.replace('_', '-')}", help=words, rich_help_panel=panel, show_default=False
            )
        else:
            flags = [f"--{name.replace('_', '-')}", *([SHORT[name]] if name in SHORT else [])]
            info = typer.Option(*flags, help=words, rich_help_panel=panel, show_default=default is not None)
        annotation: Any = kind if kind is bool or default is not None else kind | None
        if name in arguments and default is inspect.Parameter.empty:
            annotation = kind
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=Annotated[annotation, info],
            )
        )
    for name, (kind, default, words) in (extra or {}).items():
        flags = [f"--{name.replace('_', '-')}", *([SHORT[name]] if name in SHORT else [])]
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=Annotated[kind, typer.Option(*flags, help=words, show_default=False)],
            )
        )

    def command(**given: Any) -> None:
        then(**given)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__name__ = verb.__name__
    return command


def described(verb: Callable[..., Any]) -> dict[str, str]:
    """What a verb's docstring says of each parameter.

    >>> def verb(data):
    ...     '''Do it.
    ...
    ...     data: what to
    ...         do it to.
    ...     '''
    >>> described(verb)
    {'data': 'what to do it to.'}
    """
    text = inspect.getdoc(verb) or ""
    found: dict[str, str] = {}
    name = None
    for line in text.splitlines()[1:]:
        start = re.match(r"([a-z_]+): (.*)", line)
        if start:
            name = start.group(1)
            found[name] = start.group(2).strip()
        elif name and line.startswith("    "):
            found[name] += " " + line.strip()
        else:
            name = None
    return found


def _kind(annotation: str, default: Any) -> Any:
    """The type that the command line reads; what can be several things is read as text."""
    if isinstance(default, bool) or annotation == "bool":
        return bool
    words = set(re.findall(r"[A-Za-z]+", annotation)) - {"None"}
    if words <= {"int"}:
        return int
    if words <= {"float", "int"}:
        return float
    return str
