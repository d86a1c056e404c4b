"""Options of a verb's function as options of the command line: one source, its signature and docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from tunesmith.verbs.config import kind_of
from tunesmith.verbs.stopping import exit_code

# Options that need a more telling form than their name gives.
SHORT = {
    "model": "-m",
    "strategy": "-s",
    "epochs": "-e",
    "out": "-o",
    "quiet": "-q",
    "config": "-c",
    "output": "-o",
}
GROUPS = {  # of `fit`; the other verbs have few options
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
        "solver",
        "clip",
        "loss",
        "label_smoothing",
        "balance",
        "augment",
        "batch_norm",
        "metric",
    ),
    "What is kept": ("keep", "baselines", "beside"),
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
        "long_texts",
    ),
    "Frozen stages": ("engine", "replay", "views", "store_limit"),
    "The machine": ("precision", "device", "seed", "time_limit", "checkpoint_every", "offline"),
}
UNSEEN = {
    "resume": ("data", "model"),
    "report": ("data",),
    "export": ("data",),
}  # parameters that only Python has, beside every verb's reporter
Shown = tuple[Any, Any, str]  # type, default, help


class Grouped(TyperCommand):
    """A command whose help has its options in groups, each under a heading."""

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write the arguments, then group after group."""
        groups: dict[str, list[Any]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            usual = "Options" if isinstance(parameter, TyperOption) else "Arguments"
            if record is not None:
                heading = getattr(parameter, "rich_help_panel", None) or usual
                groups.setdefault(heading, []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def as_command(
    name: str,
    verb: Callable[..., Any],
    then: Callable[..., Any],
    *,
    arguments: tuple[str, ...] = (),
    extra: Mapping[str, Shown] | None = None,
) -> Callable[..., Any]:
    """A function for typer whose options are the parameters of `verb`.

    then: called with what was given, by name; the rest keeps the defaults of `verb`.
    arguments: parameters that stand without a name. extra: further options, and parameters that take
    another form here.
    """
    helps = described(verb)
    shown: dict[str, Shown] = {
        n: (kind_of(p), p.default, helps.get(n, ""))
        for n, p in inspect.signature(verb).parameters.items()
        if n != "reporter" and n not in UNSEEN.get(name, ())
    }
    shown |= extra or {}
    parameters = [_parameter("ctx", inspect.Parameter.empty, typer.Context)]
    for option, (kind, default, words) in shown.items():
        info: Any
        if option in arguments:
            info = typer.Argument(help=words, show_default=False, metavar=option.upper())
        else:
            flag = option.replace("_", "-")
            # What is on by default needs a word that turns it off.
            flags = [f"--{flag}/--no-{flag}" if default is True else f"--{flag}"]
            flags += [SHORT[option]] if option in SHORT else []
            group = next((g for g, names in GROUPS.items() if option in names and name == "fit"), None)
            told = default is not None and kind is not bool
            info = typer.Option(*flags, help=words, rich_help_panel=group, show_default=told)
        parameters.append(
            _parameter(option, default, Annotated[kind | None if default is None else kind, info])
        )

    def command(ctx: typer.Context, **given: Any) -> None:
        sources = {n: ctx.get_parameter_source(n) for n in given}
        try:
            then(**{n: value for n, value in given.items() if getattr(sources[n], "name", "") != "DEFAULT"})
        except KeyboardInterrupt as stop:
            typer.echo(f"\n{str(stop) or 'stopped'}", err=True)
            raise typer.Exit(exit_code(stop)) from stop

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__name__ = name
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


def _parameter(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
