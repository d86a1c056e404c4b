"""How the command line draws: a live bar and a row per epoch on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from tunesmith.verbs.reporting import Lines, Reporter, Silent

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.runs import Run
    from tunesmith.training.events import Event


@contextmanager
def reporter_for(*, quiet: bool, as_json: bool) -> Iterator[Reporter]:
    """Where a verb tells what it does: a terminal, a file or pipe, a machine, or nobody."""
    if as_json:
        yield Json()
    elif quiet:
        yield Silent()
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        live = Live()
        try:
            yield live
        finally:
            live.close()  # or the terminal is left without its cursor


def complain(message: str) -> None:
    """Say why something was refused."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        console.print("[bold red]error:[/] ", end="")
        console.print(message, markup=False, highlight=False)
    else:
        sys.stderr.write(f"error: {message}\n")


class Json:
    """One JSON object a line on standard output: for machines."""

    def say(self, line: str) -> None:
        """A statement."""
        self._write({"say": line})

    def warn(self, line: str) -> None:
        """A warning."""
        self._write({"warn": line})

    @contextmanager
    def work(self, what: str, total: int) -> Iterator[Any]:
        """A long piece of work begins."""
        self._write({"work": what, "total": total})
        yield lambda _: None

    def event(self, event: Event) -> None:
        """An event of training, by its kind."""
        assert is_dataclass(event)
        self._write({"event": type(event).__name__, **asdict(event)})

    def finished(self, run: Run) -> None:
        """The run's folder and scores."""
        self._write({"finished": str(run.folder), "scores": run.scores})

    def _write(self, thing: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(_finite(thing), ensure_ascii=False) + "\n")
        sys.stdout.flush()


class Live(Lines):
    """A bar that moves, a row per epoch above it, and a box at the end."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console

        self.console = console or Console(stderr=True, highlight=False)
        self._bar: Any = None
        self._task: Any = None

    def say(self, line: str) -> None:
        """A line above the bar."""
        self.console.print(line, markup=False, soft_wrap=True)

    def warn(self, line: str) -> None:
        """A line that is seen."""
        self.console.print(f"[yellow]warning:[/] {_plain(line)}")

    @contextmanager
    def work(self, what: str, total: int) -> Iterator[Any]:
        """A bar, or a turning mark where nobody counts what is done."""
        if not total:
            with self.console.status(_plain(what)):
                yield lambda _: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(_plain(what), total=total)
            yield lambda count: bar.advance(task, count)

    def event(self, event: Event) -> None:
        """Move the bar; write rows."""
        from tunesmith.training.events import PhaseEnd, PhaseStart, Step
        from tunesmith.training.supervisor import Remedied

        if isinstance(event, PhaseStart):
            super().event(event)
            self._open(event.phase.name, event.steps)
        elif isinstance(event, Step):
            if self._bar:
                self._bar.update(self._task, completed=event.step, loss=f"{event.loss:.4f}")
        elif isinstance(event, PhaseEnd) or (isinstance(event, Remedied) and event.trouble != "no gradient"):
            self.close()
            super().event(event)
        else:
            super().event(event)

    def finished(self, run: Run) -> None:
        """The closing box: scores, verdict, where it lies, what to do next."""
        from rich.panel import Panel

        from tunesmith.verbs.reporting import leads, outcome

        self.close()
        said = "\n".join([*outcome(run), "", *leads(run)])
        self.console.print(Panel(_plain(said), title="result", expand=False))

    def close(self) -> None:
        """Take the bar away."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _open(self, name: str, steps: int) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self._task = self._bar.add_task(_plain(name), total=steps, loss="…")
        self._bar.start()


def _finite(thing: Any) -> Any:
    """The same without NaN and infinities, which JSON does not have."""
    if isinstance(thing, dict):
        return {key: _finite(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [_finite(value) for value in thing]
    return None if isinstance(thing, float) and not math.isfinite(thing) else thing


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
