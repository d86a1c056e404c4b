"""What a person sees while a verb runs: the form of it; the doors draw it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tunesmith.runs import Run
    from tunesmith.training.loop import Event


class Reporter(Protocol):
    """Where a verb tells what it does."""

    def say(self, line: str) -> None:
        """A plain statement."""

    def warn(self, line: str) -> None:
        """Something that the person may want to change."""

    def work(self, what: str, total: int) -> Any:
        """A context around a long piece of work; gives a function to call with the items just done."""

    def event(self, event: Event) -> None:
        """Something happened in training."""

    def finished(self, run: Run) -> None:
        """The run is scored and saved."""


class Lines:
    """Plain lines on standard error, one per epoch: for files, pipes and notebooks' logs."""

    def say(self, line: str) -> None:
        """Write the line."""
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def warn(self, line: str) -> None:
        """Write the line with a mark."""
        self.say(f"warning: {line}")

    def work(self, what: str, total: int) -> Any:  # noqa: ARG002
        """Say that it begins."""
        from contextlib import nullcontext

        self.say(f"{what} …")
        return nullcontext(lambda _: None)

    def event(self, event: Event) -> None:
        """Write phases, epochs and what went wrong; steps pass silently."""
        from tunesmith.training.loop import EpochEnd, Halved, PhaseEnd, PhaseStart

        if isinstance(event, PhaseStart):
            self.say(f"phase {event.phase.name}: {event.steps:,} steps, {event.parameters:,} numbers train")
        elif isinstance(event, EpochEnd):
            self.say(epoch_line(event.row, best=event.best))
        elif isinstance(event, Halved):
            self.warn(
                f"memory ran out: batches of {event.batch} go in {event.pieces} pieces, gradients added up"
            )
        elif isinstance(event, PhaseEnd) and event.stopped:
            self.say(f"phase {event.phase.name} ended early: {event.stopped}")

    def finished(self, run: Run) -> None:
        """Write the outcome."""
        for line in outcome(run):
            self.say(line)


class Silent(Lines):
    """Says nothing; warnings are in the run's log."""

    def say(self, line: str) -> None:
        """Nothing."""


def epoch_line(row: dict[str, Any], *, best: bool) -> str:
    """One row per epoch, for logs."""
    metrics = "  ".join(
        f"{name} {row[name]:.4f}"
        for name in row
        if name not in ("phase", "epoch", "steps", "lr", "seconds", "log_loss")
        and isinstance(row[name], float)
    )
    place = f"{row['phase']:<10} epoch {row['epoch']:>3}"
    return f"{place}  {metrics}  {row['seconds']:.0f}s{'  best' if best else ''}"


def outcome(run: Run) -> list[str]:
    """What the closing box says."""
    scores = run.scores
    lines = []
    test = scores["test"]["metrics"]
    for metric in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss"):
        if metric in test:
            m = test[metric]
            lines.append(
                f"{metric.replace('_', ' '):<18} {m['value']:.3f}  [{m['low']:.3f}, {m['high']:.3f}]"
            )
    for name, baseline in scores["baselines"].items():
        m = baseline["metrics"][scores["metric"]]
        lines.append(
            f"{name:<18} {m['value']:.3f}  [{m['low']:.3f}, {m['high']:.3f}]  "
            f"{scores['metric'].replace('_', ' ')}"
        )
    lines.append(scores["verdict"])
    return lines
