"""The commands."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tunesmith.choosing.scores import SCORES
from tunesmith.cli.options import Grouped, Shown, as_command
from tunesmith.errors import BadOption
from tunesmith.exports import FORMATS
from tunesmith.registry import Registry
from tunesmith.sources import SOURCES
from tunesmith.strategies import STRATEGIES
from tunesmith.tasks import TASKS
from tunesmith.verbs.check import check
from tunesmith.verbs.compare import compare
from tunesmith.verbs.evaluate import evaluate
from tunesmith.verbs.exporting import export
from tunesmith.verbs.fit import fit
from tunesmith.verbs.looking import demo, models, plan, stage_rows, stages
from tunesmith.verbs.predict import predict
from tunesmith.verbs.rank import rank
from tunesmith.verbs.rates import lr
from tunesmith.verbs.report import report
from tunesmith.verbs.resume import resume
from tunesmith.verbs.storing import ASKED, store
from tunesmith.verbs.verifying import verify

WRITTEN = (".csv", ".tsv", ".jsonl", ".parquet")
EXAMPLES = """
\b
Examples:
  tunesmith fit photos/ --model timm/mobilenetv2_100 --strategy gradual
  tunesmith check photos/
  tunesmith rank photos/
  tunesmith fit reviews.csv --target label --model hf/bert-base-uncased
  tunesmith predict runs/latest new.jpg another.jpg
  tunesmith evaluate runs/latest test/
  tunesmith resume runs/latest
"""

app = typer.Typer(
    help="Fine-tune pretrained networks for images and text, and see honestly whether it helped.\n\n"
    + EXAMPLES,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
QUIET: Shown = (bool, False, "say nothing but errors.")
LINES: Shown = (bool, False, "one JSON object a line on standard output.")
ONE: Shown = (bool, False, "as JSON.")


def _version(asked: bool) -> None:
    if asked:
        from tunesmith import __version__

        typer.echo(f"tunesmith {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def top(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 (its callback acts)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version.")
    ] = False,
) -> None:
    """Options before the verb."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _reported(verb: Callable[..., Any]) -> Callable[..., None]:
    """A verb that tells what it does, in the form that was asked for."""

    def then(*, quiet: bool = False, json: bool = False, **options: Any) -> None:
        from tunesmith.cli.drawing import reporter_for

        with reporter_for(quiet=quiet, as_json=json) as reporter:
            verb(**options, reporter=reporter)

    return then


def _check(*, json: bool = False, **options: Any) -> None:
    from tunesmith.cli.drawing import reporter_for
    from tunesmith.cli.health import draw

    with reporter_for(quiet=json, as_json=False) as reporter:
        health = check(**options, reporter=reporter)
    if json:
        from tunesmith.health.saving import to_json

        typer.echo(to_json(health))
        return
    draw(health, page=options.get("page"))


def _rank(*, json: bool = False, **options: Any) -> None:
    from tunesmith.cli.drawing import reporter_for
    from tunesmith.cli.ranking import draw

    with reporter_for(quiet=json, as_json=False) as reporter:
        ranking = rank(**options, reporter=reporter)
    if json:
        typer.echo(ranking.to_json())
        return
    draw(ranking)


def _predict(*, run: str, items: list[str] | None = None, output: str | None = None, **options: Any) -> None:
    check_ending(output)
    found: Any = items
    if options.get("question") or options.get("context"):
        found = items
    elif not items or items == ["-"]:
        if sys.stdin.isatty():
            typer.echo("one text or path a line, please; Ctrl-D ends", err=True)
        found = [line.rstrip("\n") for line in sys.stdin if line.strip()]
        if not found:
            raise BadOption("no items: name some, or give one text or path a line on standard input.")
    elif len(items) == 1 and os.path.exists(items[0]):  # noqa: PTH110  a Path refuses long texts
        found = items[0]
    write_rows(predict(run, found, **options), output)


def check_ending(output: str | None) -> None:
    """Raise BadOption, before anything is predicted, for a file of a kind that cannot be written."""
    if output and Path(output).suffix.lower() not in WRITTEN:
        raise BadOption(f"--output takes a file that ends in {', '.join(WRITTEN)}; found {output!r}.")


def write_rows(rows: list[dict[str, Any]], output: str | None) -> None:
    """Predictions as a table: CSV on standard output, or a .csv, .tsv, .jsonl or .parquet file."""
    from tunesmith.files import write_whole

    if not output:
        sys.stdout.write(_separated(rows, ","))
        return
    ending = Path(output).suffix.lower()
    if ending == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        write_whole(Path(output), buffer.getvalue())
    elif ending == ".jsonl":
        write_whole(Path(output), "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    else:
        write_whole(Path(output), _separated(rows, "\t" if ending == ".tsv" else ","))


def _separated(rows: list[dict[str, Any]], delimiter: str) -> str:
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _written(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def _written(value: Any) -> Any:
    """A value as a cell of a table: six digits of a number, JSON of what has parts."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:.6g}" if isinstance(value, float) else value


def _evaluate(*, json: bool = False, **options: Any) -> None:
    from tunesmith.verbs.reporting import Silent, words

    silent = json and not options.get("skip_bad")  # what was left out is listed, on standard error
    scores = evaluate(**options, reporter=Silent() if silent else None)
    if json:
        _echo_json(scores.as_dict())
        return
    typer.echo(f"{scores.count:,} examples, with 95 % intervals")
    for name, score in scores.metrics.items():
        if "/" not in name:
            typer.echo(f"  {words(name):<18} {score.told(name)}")
    parts = [name.partition("/") for name in scores.metrics if "/" in name]
    kinds = list(dict.fromkeys(kind for kind, _, _ in parts))
    if not kinds:
        return
    named = list(dict.fromkeys(name for _, _, name in parts))
    what = "class" if "recall" in kinds else "column"
    width = max(len(what), *(len(name) for name in named))
    headings = "".join(f"{words(kind):<22}" for kind in kinds)
    typer.echo(f"\n{what:<{width}}  {headings}".rstrip())
    for name in named:
        cells = "".join(f"{scores[f'{kind}/{name}'].told(kind):<22}" for kind in kinds)
        typer.echo(f"{name:<{width}}  {cells}".rstrip())


def _report(**options: Any) -> None:
    typer.echo(report(**options))


def _export(**options: Any) -> None:
    typer.echo(export(**options))


def _verify(*, json: bool = False, **options: Any) -> None:
    proof = verify(**options)
    if json:
        from dataclasses import asdict

        _echo_json(asdict(proof))
    else:
        typer.echo(f"sound: every file is as it was written\n{proof.told()}")


def _compare(*, runs: list[str] | None = None, json: bool = False, **options: Any) -> None:
    from tunesmith.cli.comparing import draw

    found = compare(runs or [], **options)
    if json:
        from dataclasses import asdict

        _echo_json(asdict(found))
    else:
        draw(found)
    if options.get("page"):
        typer.echo(f"page: {options['page']}", err=True)


def _stages(*, json: bool = False, **options: Any) -> None:
    network = stages(**options)
    rows = stage_rows(network)
    if json:
        _echo_json(rows)
        return
    width = max(len(row["stage"]) for row in rows)
    typer.echo(f"{network.origin}: {len(network.stages)} stages and the head")
    for line in network.loaded:
        typer.echo(line)
    typer.echo(f"\n{'':>3} {'stage':<{width}} {'parameters':>12} {'work':>7}  modules")
    for i, row in enumerate(rows):
        shown = ", ".join(row["modules"][:3]) + (
            f" and {len(row['modules']) - 3} more" if len(row["modules"]) > 3 else ""
        )
        number = "" if i == len(rows) - 1 else str(i)
        typer.echo(
            f"{number:>3} {row['stage']:<{width}} {row['parameters']:>12,} {row['share']:>7.1%}  {shown}"
        )


def _plan(*, json: bool = False, **options: Any) -> None:
    from dataclasses import asdict

    from tunesmith.cli.drawing import reporter_for
    from tunesmith.cli.stage_table import draw
    from tunesmith.plan import table

    with reporter_for(quiet=json, as_json=False) as reporter:
        made = plan(**options, reporter=reporter)
    if json and made.evidence:
        rows = [{**asdict(row), "ratio": row.ratio} for row in made.evidence]
        _echo_json({"plan": asdict(made.plan), "stages": rows, "says": made.says})
        return
    if made.evidence:
        draw(made.evidence, made.says)
        typer.echo("")
    typer.echo(made.plan.to_json() if json else table(made.plan, made.names))


def _lr(*, json: bool = False, **options: Any) -> None:
    from tunesmith.cli.drawing import reporter_for
    from tunesmith.cli.rates import draw

    with reporter_for(quiet=json, as_json=False) as reporter:
        found = lr(**options, reporter=reporter)
    if json:
        from dataclasses import asdict

        _echo_json(asdict(found))
        return
    draw(found, plot=options.get("plot"))


def _models(*, json: bool = False, **options: Any) -> None:
    found = models(**options)
    if json:
        from dataclasses import asdict

        _echo_json([asdict(model) for model in found])
        return
    if not found:
        typer.echo("no model of that name is known; a part of a name is enough", err=True)
        return
    width, kinds = max(len(m.name) for m in found), max(len(m.kind) for m in found)
    known = max(len(m.data or "") for m in found)
    typer.echo(
        f"{'model':<{width}}  {'task':<{kinds}}  {'millions':>8}  local  {'pretraining':<{known}}  licence"
    )
    for m in found:
        size = f"{m.parameters:.1f}" if m.parameters else ""
        typer.echo(
            f"{m.name:<{width}}  {m.kind:<{kinds}}  {size:>8}  {'yes' if m.local else '':<5}  "
            f"{m.data or '':<{known}}  {m.licence or ''}"
        )


def _store(*, json: bool = False, **options: Any) -> None:
    action = options.get("action", "ls")
    if action == "clear" and not options.get("yes") and sys.stdin.isatty():
        there = store(**{**options, "action": "ls"})
        size = _bytes(sum(row["size"] for row in there))
        what = "1 shelf" if len(there) == 1 else f"{len(there)} shelves"
        asked = f"Remove {what} with {size}? ({ASKED})"
        if there and not typer.confirm(asked, err=True):
            raise typer.Exit(1)
        options["yes"] = True
    rows = store(**options)
    harmed = action == "verify" and not all(row["sound"] for row in rows)
    if json:
        _echo_json(rows)
    elif not rows:
        typer.echo("the store is empty", err=True)
    else:
        _echo_shelves(rows, action)
    if harmed and not json:
        typer.echo("what is damaged counts as missing: it will be computed again when it is needed", err=True)
    raise typer.Exit(int(harmed))


def _echo_shelves(rows: list[dict[str, Any]], action: str) -> None:
    """Columns of what is known, the numbers to the right; at the end what is wrong with a shelf."""
    shown = {
        "ls": ("what", "model", "cut", "engine", "records", "size", "last_used"),
        "verify": ("what", "model", "cut", "records", "damaged", "torn"),
        "clear": ("what", "model", "cut", "size", "removed"),
    }[action]
    table = [("key", *(name.replace("_", " ") for name in shown), "")]
    for row in rows:
        cells = [_cell(name, row[name]) for name in shown]
        table.append((row["key"][:12], *cells, row.get("problem", "")))
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    right = [name in ("records", "size", "damaged", "torn") for name in ("key", *shown, "")]
    for line in table:
        cells = [f"{c:>{w}}" if r else f"{c:<{w}}" for c, w, r in zip(line, widths, right, strict=True)]
        typer.echo("  ".join(cells).rstrip())
    if action != "verify":
        total = _bytes(sum(row["size"] for row in rows if row.get("removed", True)))
        typer.echo(f"\n{total} {'removed' if action == 'clear' else 'in all'}")


def _cell(name: str, value: Any) -> str:
    if name == "size":
        return _bytes(value)
    if name == "removed":
        return "yes" if value else "no, a process uses it"
    if name == "last_used":
        return (value or "")[:16].replace("T", " ")
    return "" if value is None else f"{value:,}" if name == "records" else str(value)


def _bytes(count: float) -> str:
    units = iter(("bytes", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while count >= 1000 and unit != "TB":
        count, unit = count / 1000, next(units)
    return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"


def _echo_json(thing: Any) -> None:
    typer.echo(json.dumps(thing, ensure_ascii=False, indent=1))


def _add(
    verb: Callable[..., Any],
    then: Callable[..., Any],
    example: str,
    *,
    arguments: tuple[str, ...] = (),
    **extra: Shown,
) -> None:
    name = verb.__name__
    app.command(
        name,
        cls=Grouped,
        help=(verb.__doc__ or "").strip().splitlines()[0],
        epilog=f"\b\nExample: tunesmith {name} {example}",
    )(as_command(name, verb, then, arguments=arguments, extra=extra))


_add(
    fit,
    _reported(fit),
    "photos/ --model timm/mobilenetv2_100 --strategy gradual --epochs 8",
    arguments=("data",),
    quiet=QUIET,
    json=LINES,
)
_add(resume, _reported(resume), "runs/latest", arguments=("run",), quiet=QUIET, json=LINES)
_add(check, _check, "photos/ --model timm/mobilenetv2_100 --page health.html", arguments=("data",), json=ONE)
_add(rank, _rank, "photos/ --models timm/resnet50,timm/mobilenetv2_100", arguments=("data",), json=ONE)
_add(evaluate, _evaluate, "runs/latest test/", arguments=("run", "data"), json=ONE)
_add(
    predict,
    _predict,
    "runs/latest new.jpg another.jpg --output answers.csv",
    arguments=("run", "items"),
    items=(
        list[str],
        None,
        "files, folders, texts or a table; none, or -: one text or path a line from standard input.",
    ),
    output=(str, None, f"a file that ends in {', '.join(WRITTEN)}; by default CSV on standard output."),
)
_add(report, _report, "runs/latest --open", arguments=("run",))
_add(export, _export, "runs/latest --to onnx", arguments=("run",))
_add(verify, _verify, "runs/latest/exports/onnx", arguments=("folder",), json=ONE)
_add(
    compare,
    _compare,
    "runs/first runs/second",
    arguments=("runs",),
    runs=(list[str], None, "folders of two or more finished runs; the others are compared with the first."),
    json=ONE,
)
_add(stages, _stages, "torchvision/resnet18@none", arguments=("model",), json=ONE)
_add(
    plan,
    _plan,
    "photos/ --model timm/mobilenetv2_100",
    arguments=("data",),
    json=(bool, False, "as JSON; without DATA for fit --plan."),
)
_add(lr, _lr, "photos/ --model timm/mobilenetv2_100 --plot rates.svg", arguments=("data",), json=ONE)
_add(models, _models, "mobilenet --local", arguments=("pattern",), json=ONE)
_add(
    store,
    _store,
    "ls",
    arguments=("action", "keys"),
    keys=(list[str], None, "only shelves whose keys begin so; all of them when none is named."),
    json=ONE,
)
_add(demo, _reported(demo), "--epochs 3", quiet=QUIET, json=LINES)


def _listing(name: str, what: str, names: Callable[[], list[tuple[str, str]]]) -> None:
    def command() -> None:
        rows = names()
        width = max(len(first) for first, _ in rows)
        for first, second in rows:
            typer.echo(f"{first:<{width}}  {second}")

    command.__name__ = name
    app.command(name, help=what, epilog=f"\b\nExample: tunesmith {name}")(command)


def _summaries(registry: Registry) -> list[tuple[str, str]]:
    """Names, each with the first line of its module's docstring, read without importing it."""
    import ast
    from importlib.util import find_spec

    rows = []
    for name in registry.names():
        spec = find_spec(registry.members[name].partition(":")[0]) if name in registry.members else None
        text = (
            ast.get_docstring(ast.parse(Path(spec.origin).read_text("utf-8")))
            if spec and spec.origin
            else None
        )
        rows.append((name, (text or "").partition("\n")[0]))
    return rows


_listing("tasks", "The tasks that can be learned.", lambda: _summaries(TASKS))
_listing("strategies", "The strategies: which stages train when.", lambda: _summaries(STRATEGIES))
_listing("scores", "The scores that a ranking shows.", lambda: _summaries(SCORES))
_listing("sources", "The sources of networks.", lambda: _summaries(SOURCES))
_listing("formats", "The formats of exports.", lambda: _summaries(FORMATS))
