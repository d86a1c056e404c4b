"""The commands."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tunesmith.cli.options import as_command
from tunesmith.registry import Registry
from tunesmith.sources import SOURCES
from tunesmith.strategies import STRATEGIES
from tunesmith.tasks import TASKS
from tunesmith.verbs.evaluate import evaluate
from tunesmith.verbs.fit import fit
from tunesmith.verbs.looking import demo, models, preview, stage_rows, stages
from tunesmith.verbs.predict import predict
from tunesmith.verbs.resume import resume

EXAMPLES = """
Examples:

  tunesmith fit photos/ --model timm/mobilenetv2_100 --strategy gradual --epochs 8

  tunesmith fit reviews.csv --target label --model hf/sentence-transformers/all-MiniLM-L6-v2

  tunesmith predict runs/latest new.jpg another.jpg

  tunesmith evaluate runs/latest test/

  tunesmith resume runs/latest
"""

app = typer.Typer(
    help="Fine-tune pretrained networks for images and text, and see honestly whether it helped."
    + "\n\n"
    + EXAMPLES,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
QUIET = (bool, False, "say nothing but errors.")
JSON = (bool, False, "one JSON object a line on standard output.")


def _version(asked: bool) -> None:
    if asked:
        from tunesmith import __version__

        typer.echo(f"tunesmith {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version.")
    ] = False,
) -> None:
    """Options before the verb."""


def _fit(*, quiet: bool, json: bool, **options: Any) -> None:
    from tunesmith.cli.drawing import reporter_for

    run = fit(**options, reporter=reporter_for(quiet=quiet, as_json=json))
    if run is not None and not json:
        _next(run.folder, quiet=quiet)


def _resume(*, quiet: bool, json: bool, run: str, **_: Any) -> None:
    from tunesmith.cli.drawing import reporter_for

    done = resume(run, reporter=reporter_for(quiet=quiet, as_json=json))
    if not json:
        _next(done.folder, quiet=quiet)


def _next(folder: Path, *, quiet: bool) -> None:
    try:
        shown = folder.relative_to(Path.cwd())
    except ValueError:
        shown = folder
    if not quiet:
        typer.echo(f"run: {shown}")
        typer.echo(f"next: tunesmith predict {shown} FILE_OR_TEXT …")


def _predict(*, run: str, items: list[str], output: str | None, **options: Any) -> None:
    found: Any = items
    if not items or items == ["-"]:
        found = [line.rstrip("\n") for line in sys.stdin if line.strip()]
    elif len(items) == 1 and Path(items[0]).exists():
        found = items[0]
    rows = predict(run, found, **options)
    write_rows(rows, output)


def write_rows(rows: list[dict[str, Any]], output: str | None) -> None:
    """Predictions as a table: CSV on standard output, or a .csv, .tsv, .jsonl or .parquet file."""
    from tunesmith.errors import BadOption

    ending = Path(output).suffix.lower() if output else ".csv"
    if ending == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), output)
        return
    if ending not in (".csv", ".tsv", ".jsonl"):
        raise BadOption(f"--output takes .csv, .tsv, .jsonl or .parquet; found {output!r}.")
    stream = Path(output).open("w", encoding="utf-8", newline="") if output else sys.stdout  # noqa: SIM115
    try:
        if ending == ".jsonl":
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        elif rows:
            writer = csv.DictWriter(
                stream,
                list(rows[0]),
                delimiter="\t" if ending == ".tsv" else ",",
                lineterminator="\n",
            )
            writer.writeheader()
            writer.writerows(
                {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows
            )
    finally:
        if output:
            stream.close()


def _evaluate(*, json: bool, **options: Any) -> None:
    scores = evaluate(**options)
    if json:
        import json as encoder

        typer.echo(encoder.dumps(scores.as_dict()))
        return
    typer.echo(f"{scores.count:,} examples, 95 % intervals")
    plain = {name: s for name, s in scores.metrics.items() if "/" not in name}
    for name, score in plain.items():
        typer.echo(f"{name.replace('_', ' '):<18} {score}")
    classes = [name.partition("/")[2] for name in scores.metrics if name.startswith("recall/")]
    width = max([5, *(len(c) for c in classes)])
    typer.echo(f"\n{'class':<{width}}  {'precision':<22}{'recall':<22}{'f1':<22}")
    for name in classes:
        cells = "".join(f"{scores[f'{metric}/{name}']!s:<22}" for metric in ("precision", "recall", "f1"))
        typer.echo(f"{name:<{width}}  {cells}")


def _add(
    name: str,
    verb: Callable[..., Any],
    then: Callable[..., Any],
    *,
    arguments: tuple[str, ...],
    epilog: str,
    extra: dict[str, Any] | None = None,
) -> None:
    command = as_command(verb, then, arguments=arguments, extra=extra)
    summary = (verb.__doc__ or "").strip().splitlines()[0]
    app.command(name, help=summary, epilog=f"Example: {epilog}")(command)


_add(
    "fit",
    fit,
    _fit,
    arguments=("data",),
    extra={"quiet": QUIET, "json": JSON},
    epilog="tunesmith fit photos/ --model timm/mobilenetv2_100 --strategy gradual --epochs 8",
)
_add(
    "resume",
    resume,
    _resume,
    arguments=("run",),
    extra={"quiet": QUIET, "json": JSON},
    epilog="tunesmith resume runs/latest",
)
_add(
    "evaluate",
    evaluate,
    _evaluate,
    arguments=("run", "data"),
    extra={"json": (bool, False, "as one JSON object.")},
    epilog="tunesmith evaluate runs/latest test/",
)


@app.command(
    "predict",
    epilog="Example: tunesmith predict runs/latest new.jpg another.jpg --output answers.csv",
)
def predict_command(
    run: Annotated[
        str,
        typer.Argument(
            help="the run's folder; runs/latest is the newest one.",
            metavar="RUN",
            show_default=False,
        ),
    ],
    items: Annotated[
        list[str] | None,
        typer.Argument(
            help="files, folders, texts or a table; none, or -: one text or path a line from standard input.",
            metavar="[ITEMS]...",
            show_default=False,
        ),
    ] = None,
    item: Annotated[
        str | None, typer.Option(help="the column of a table with texts or with paths of images.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="names for the columns of a table without header.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="only this split, of data that have splits.")] = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="a column for every class.")] = False,
    batch: Annotated[int, typer.Option(help="items at a time.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="a .csv, .tsv, .jsonl or .parquet file; by default CSV on standard output.",
        ),
    ] = None,
) -> None:
    """A run's answers for new items: label and probability."""
    _predict(
        run=run,
        items=items or [],
        output=output,
        item=item,
        columns=columns,
        split=split,
        probabilities=probabilities,
        batch=batch,
        device=device,
    )


def _stages(*, json: bool, **options: Any) -> None:
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


def _preview(*, json: bool, **options: Any) -> None:
    from tunesmith.plan import table

    plan, names = preview(**options)
    typer.echo(plan.to_json() if json else table(plan, names))


def _models(*, json: bool, **options: Any) -> None:
    found = models(**options)
    if json:
        from dataclasses import asdict

        _echo_json([asdict(model) for model in found])
        return
    width = max((len(model.name) for model in found), default=5)
    typer.echo(f"{'model':<{width}}  {'millions':>8}  local  pretraining data, licence")
    for model in found:
        size = f"{model.parameters:.1f}" if model.parameters else ""
        typer.echo(
            f"{model.name:<{width}}  {size:>8}  {'yes' if model.local else '':<5}  "
            f"{', '.join(filter(None, (model.data, model.licence)))}"
        )


def _demo(*, quiet: bool, json: bool, **options: Any) -> None:
    from tunesmith.cli.drawing import reporter_for

    run = demo(**options, reporter=reporter_for(quiet=quiet, as_json=json))
    if not json:
        _next(run.folder, quiet=quiet)


def _echo_json(thing: Any) -> None:
    typer.echo(json.dumps(thing, ensure_ascii=False, indent=1))


_add(
    "stages",
    stages,
    _stages,
    arguments=("model",),
    extra={"json": (bool, False, "as JSON.")},
    epilog="tunesmith stages torchvision/resnet18@none",
)
app.command(
    "plan",
    help="Print the plan that a strategy makes.",
    epilog="Example: tunesmith plan --strategy gradual --stages 12 --epochs 8",
)(as_command(preview, _preview, arguments=(), extra={"json": (bool, False, "as JSON, for --plan.")}))
_add(
    "models",
    models,
    _models,
    arguments=("pattern",),
    extra={"json": (bool, False, "as JSON.")},
    epilog="tunesmith models mobilenet --local",
)
_add("demo", demo, _demo, arguments=(), extra={"quiet": QUIET, "json": JSON}, epilog="tunesmith demo")


def _listing(name: str, what: str, names: Callable[[], list[tuple[str, str]]]) -> None:
    def command() -> None:
        rows = names()
        width = max(len(first) for first, _ in rows)
        for first, second in rows:
            typer.echo(f"{first:<{width}}  {second}")

    command.__name__ = name
    app.command(name, help=what)(command)


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
_listing("sources", "The sources of networks.", lambda: _summaries(SOURCES))
