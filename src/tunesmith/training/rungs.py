"""Rungs of a ladder: whether training more of a network gained more than chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tunesmith.evaluation import draws, gap
from tunesmith.tasks.task import Labels, Task, less_is_better

if TYPE_CHECKING:
    from tunesmith.tasks.task import Outcomes

SAMPLES: Final = 500


@dataclass(frozen=True)
class Rung:
    """What became of a rung.

    gain, error: of validation over the rung below on the same examples, and its standard error; None where
        it was not measured.
    seconds: that training it was predicted to take; None where that was not predicted.
    taken: whether the network goes on from it.
    why: "first" (where every ladder begins), "gain" (above its error), "no_gain", "too_long" (did not fit
        the time limit), "diverged", "passed_over" (the rung below gained nothing, so the last one is tried
        instead) or "not_reached" (time was up below it).
    """

    name: str
    gain: float | None
    error: float | None
    seconds: float | None
    taken: bool
    why: str


def passed_over(*, below: bool, last: bool, last_fits: bool = True) -> bool:
    """Whether a rung is left untried because the one below it gained nothing.

    A single block may bring less than chance does and the whole network a lot, so the last rung is tried
    next, and those between are not: they would cost as much again to say what it says.
    below: whether the rung below was taken. last_fits: into the time limit; where it does not, a smaller
    rung may.
    """
    return not below and not last and last_fits


def left_out(name: str, seconds: float | None, why: str) -> Rung:
    """A rung that nothing could be measured of."""
    return Rung(name, None, None, seconds, False, why)


def judged(
    name: str,
    seconds: float | None,
    task: Task,
    ours: Outcomes,
    theirs: Outcomes,
    labels: Labels,
    metric: str,
) -> Rung:
    """A rung that is taken where `ours`, what it made, is better than `theirs` by more than the error."""
    gain, error = paired_gain(task, ours, theirs, labels, metric)
    return Rung(name, gain, error, seconds, gain > error, "gain" if gain > error else "no_gain")


def paired_gain(
    task: Task,
    ours: Outcomes,
    theirs: Outcomes,
    labels: Labels,
    metric: str,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """How much better `ours` is than `theirs` on the same units, and the standard error of that.

    Above 0 is better, also for losses. The error is that of the paired bootstrap over units (Efron 1979), and
    never less than the weight of one unit among all: that one answer turned proves nothing.
    """
    count = len(next(iter(ours.values())))
    drawn = [gap(task, ours, theirs, labels, metric, rows) for rows in draws(count, samples, seed)]
    least = 0.0 if less_is_better(metric) else (1 + 1e-9) / count  # more than rounding
    return gap(task, ours, theirs, labels, metric), max(float(np.std(drawn, ddof=1)), least)
