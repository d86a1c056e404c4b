"""What a person sees while a verb runs: the form of it; the doors draw it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tunesmith.data.rows import counted
from tunesmith.verbs.options import duration

if TYPE_CHECKING:
    from tunesmith.data.data import Finding
    from tunesmith.runs import Run
    from tunesmith.training.events import Event
    from tunesmith.training.rungs import Rung

SHOWN = (  # of an epoch's numbers, where there is no room
    "train_loss", "valid_loss", "f1", "accuracy", "macro_f1", "rmse", "standardised_rmse", "r2",
)  # fmt: skip


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

    headed = False  # whether the columns of the phase that runs were named

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
        from tunesmith.training.events import EpochEnd, Halved, PhaseEnd, PhaseStart, RungEnd
        from tunesmith.training.supervisor import Remedied

        if isinstance(event, PhaseStart):
            self.say(
                f"phase {event.phase.name}: {counted(event.phase.epochs, 'epoch')}, "
                f"{counted(event.steps, 'step')}, "
                f"{event.parameters:,} weights train"
                + (f"; {event.first_token} for its first token only" if event.first_token else "")
            )
            self.headed = False
        elif isinstance(event, EpochEnd):
            if not self.headed:
                self.say(epoch_heading(event.row))
            self.headed = True
            self.say(epoch_row(event.row, best=event.best))
        elif isinstance(event, Halved):
            self.warn(
                f"memory ran out: batches of {event.batch} go in {event.pieces} pieces, gradients added up"
            )
        elif isinstance(event, RungEnd):
            self.say(rung_line(event.rung))
        elif isinstance(event, Remedied):
            self.warn(str(event))
        elif isinstance(event, PhaseEnd) and event.stopped:
            self.say(f"phase {event.phase.name} ended early: {event.stopped}")

    def finished(self, run: Run) -> None:
        """Write the outcome, and what can be done with it."""
        for line in [*outcome(run), *leads(run)]:
            self.say(line)


class Silent(Lines):
    """Says nothing."""

    def say(self, line: str) -> None:
        """Nothing."""


def say_left_out(left_out: Sequence[Finding] | None, done: str, say: Reporter) -> None:
    """Say each item that was left out, and how many. done: what became of the others."""
    if left_out:
        for finding in left_out:
            say.warn(f"left out: {finding.message.rstrip('.')}")
        say.warn(f"{counted(len(left_out), 'item')} left out, {done}")


def epoch_heading(row: dict[str, Any]) -> str:
    """What stands over `epoch_row`."""
    names = "".join(f"{words(name).replace('standardised', 'std.'):>12}" for name in SHOWN if name in row)
    return f"{'phase':<10} {'epoch':>5}{names}{'time':>8}"


def epoch_row(row: dict[str, Any], *, best: bool) -> str:
    """One epoch in 74 columns."""
    numbers = "".join(f"{_number(row.get(name)):>12}" for name in SHOWN if name in row)
    time = duration(row["seconds"])
    return f"{row['phase']:<10} {row['epoch']:>5}{numbers}{time:>8}{'  best' if best else ''}"


def epoch_line(row: dict[str, Any], *, best: bool) -> str:
    """One epoch with all its numbers named, for logs."""
    numbers = [f"{words(name)} {_number(row[name])}" for name in row if isinstance(row[name], float)]
    place = f"{row['phase']} epoch {row['epoch']}"
    return ", ".join([place, *numbers, *(["best"] if best else [])])


def rung_line(rung: Rung) -> str:
    """What became of a rung of a ladder, and why.

    >>> from tunesmith.training.rungs import Rung
    >>> rung_line(Rung("last 2", 0.031, 0.012, 95.0, True, "gain"))
    'rung last 2: gain +0.031 ± 0.012, about 1m35s; taken: the gain is above its error'
    """
    measured = [] if rung.gain is None else [f"gain {rung.gain:+.3f} ± {rung.error:.3f}"]
    cost = [] if rung.seconds is None else [f"about {duration(rung.seconds)}"]
    told = ", ".join([*measured, *cost])
    why = {
        "first": "the ladder begins here",
        "gain": "taken: the gain is above its error",
        "no_gain": "left: the gain is not above its error",
        "too_long": "left: it would not fit the time limit",
        "diverged": "left: it diverged",
        "passed_over": "passed over: the rung below gained nothing, so the last one is tried instead",
        "not_reached": "not reached",
    }[rung.why]
    return f"rung {rung.name}: {told}{'; ' if told else ''}{why}"


def outcome(run: Run) -> list[str]:
    """How the run did on the test split, beside its baselines, the best first, and the verdict."""
    from tunesmith.evaluation import sign_of

    scores = run.scores
    metric, test = scores["metric"], scores["test"]
    sign = sign_of(metric)
    best_first = sorted(scores["baselines"].items(), key=lambda b: -sign * b[1]["metrics"][metric]["value"])
    compared = {"this run": test, **dict(best_first)}
    solved = {"linear probe": "linear probe, solved in closed form"}  # beside a strategy of that name
    if twin := scores.get("twin"):
        few = f", scored on {twin['tested_on']:,} of these" if twin["tested_on"] < test["count"] else ""
        solved["random twin"] = f"random weights, frozen, learned from {twin['learned_from']:,}{few}"
    others = (name for name in test["metrics"] if "/" not in name and name != metric)
    return [
        f"{words(metric)} on the test split ({test['count']:,}), with 95 % intervals",
        *(
            f"  {_interval(part['metrics'][metric], metric)}  {solved.get(n, n)}"
            for n, part in compared.items()
        ),
        ", ".join(f"{words(name)} {_interval(test['metrics'][name], name)}" for name in others),
        *_restated(scores),
        scores["verdict"],
        *([scores["kept"]["sentence"]] if "sentence" in scores["kept"] else []),
        *(alarm["sentence"] for alarm in scores.get("alarms", ())),
    ]


def _restated(scores: Mapping[str, Any]) -> list[str]:
    """The score without test examples that were nearly seen in training, where there are any."""
    if "without_duplicates" not in scores:
        return []
    from tunesmith.evaluation import figure

    metric, fewer = scores["metric"], scores["without_duplicates"]
    if not fewer["count"]:
        return ["every test example has a twin in train or valid: these scores say nothing of new examples"]
    whole, rest = (part["metrics"][metric]["value"] for part in (scores["test"], fewer))
    return [
        f"{words(metric)} {figure(whole, metric)}, without "
        f"{counted(fewer['count_left_out'], 'near-duplicate')} of training examples {figure(rest, metric)}"
    ]


def leads(run: Run) -> list[str]:
    """Where the run lies, and what to do next."""
    try:
        shown = run.folder.relative_to(Path.cwd())
    except ValueError:
        shown = run.folder
    return [f"run: {shown}", f"next: tunesmith predict {shown} FILE_OR_TEXT"]


def words(name: str) -> str:
    """A metric's name as people write it.

    >>> words("macro_f1"), words("train_loss")
    ('macro F1', 'train loss')
    """
    return name.replace("_", " ").replace("f1", "F1")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}" if 0 < abs(value) < 1e-3 else f"{value:.4f}"


def _interval(score: dict[str, float], metric: str) -> str:
    from tunesmith.evaluation import Score

    return Score(**score).told(metric)
