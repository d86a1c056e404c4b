"""How far up a network is worth training: rungs from the head to the whole, and when to stop climbing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunesmith.choosing.folds import climbed, out_of_fold, parted, put_back
from tunesmith.choosing.pilot import Pilot
from tunesmith.data.data import Data
from tunesmith.errors import Diverged
from tunesmith.evaluation import gap
from tunesmith.networks.network import Network
from tunesmith.plan import Plan
from tunesmith.tasks.task import Labels, Task
from tunesmith.training import processes
from tunesmith.training.examples import Examples
from tunesmith.training.recorded import Recorded
from tunesmith.training.replaying import Replaying
from tunesmith.training.rungs import Rung, judged, left_out, passed_over

if TYPE_CHECKING:
    from tunesmith.tasks.task import Outcomes

# Shares of the work: one block of BERT-base or ViT-S holds 8 %; MobileNetV2's last convolution, 6 %, is none.
BLOCK, QUARTER = 0.08, 0.25
# Epochs of a rung that is worth its time: one of a whole network unlearns more than it learns.
FEWEST: Final = 3


def depths(network: Network) -> list[int]:
    """How many of the last stages make the last block, the last quarter of the work, and everything."""
    work = [stage.macs for stage in network.stages]
    count, total = len(work), sum(work)
    if not total:
        return sorted({1, math.ceil(count / 4), count})
    shares = [sum(work[count - depth :]) / total for depth in range(count + 1)]
    block, quarter = (
        next(d for d in range(1, count + 1) if shares[d] >= least) for least in (BLOCK, QUARTER)
    )
    return sorted({block, quarter, count})


def costs(plan: Plan, measured: Pilot, *, train: int, valid: int, replayed: bool) -> list[float | None]:
    """Predicted seconds of each phase, from what a pilot measured; None where a head is solved.

    replayed: whether frozen stages are given back from the store instead of being computed.
    """
    found: list[float | None] = []
    for phase in plan.phases:
        start = phase.frozen_prefix
        epoch = measured.seconds(start, start if replayed else 0, train=train, valid=valid)
        found.append(None if phase.solver else phase.epochs * epoch)
    return found


def within(
    plan: Plan, seconds: Sequence[float | None], limit: float, *, times: int = 1
) -> tuple[Plan, list[float | None]]:
    """The plan with as many whole epochs of each rung as fit the time limit, and its costs.

    Rungs get equally many, so that the first do not leave the last without any; where they would be fewer
    than FEWEST, the last one is given up, and so on down. What is given up stays as it is, and will not be
    begun; the first rung is given up where not one epoch fits. times: how often a rung trains, in folds and
    then on the whole.
    """
    each = [0.0 if c is None else times * c / p.epochs for p, c in zip(plan.phases, seconds, strict=True)]
    most = [phase.epochs for phase in plan.phases]
    rungs = [i for i, cost in enumerate(each) if cost]
    fewest = {i: min(FEWEST, most[i]) for i in rungs}
    while len(rungs) > 1 and sum(fewest[i] * each[i] for i in rungs) > limit:
        rungs.pop()
    counts = {i: fewest[i] if len(rungs) > 1 else min(1.0, most[i]) for i in rungs}
    left = limit - sum(counts[i] * each[i] for i in rungs)
    if left < 0:
        counts = {}
    while growing := [i for i in counts if counts[i] + 1 <= most[i] and each[i] <= left]:
        next_ = min(growing, key=lambda i: (counts[i], -i))
        counts[next_], left = counts[next_] + 1, left - each[next_]
    phases = tuple(replace(phase, epochs=counts.get(i, most[i])) for i, phase in enumerate(plan.phases))
    costs = [
        None if cost is None else cost * phase.epochs / most[i]
        for i, (cost, phase) in enumerate(zip(seconds, phases, strict=True))
    ]
    return replace(plan, phases=phases), costs


def expected(plan: Plan, seconds: Sequence[float | None]) -> list[Rung]:
    """The rungs of a plan before any of them is trained."""
    first, *others = zip(plan.phases, seconds, strict=True)
    begun = Rung(first[0].name, None, None, first[1], True, "first")
    return [begun, *(left_out(phase.name, cost, "not_reached") for phase, cost in others)]


def outcome(before: Sequence[Rung], rows: Sequence[Mapping[str, Any]]) -> list[Rung]:
    """The rungs after training: what was expected, with what became of those that were reached."""
    reached = {row["name"]: Rung(**row) for row in rows}
    return [reached.get(rung.name, rung) for rung in before]


def cut_down(plan: Plan, rungs: Sequence[Rung]) -> Plan:
    """The plan up to the last rung that was taken, with nothing left to decide."""
    taken = [phase for phase, rung in zip(plan.phases, rungs, strict=True) if rung.taken]
    return replace(plan, phases=tuple(replace(phase, must_gain=False) for phase in taken))


@dataclass(frozen=True)
class Climbed:
    """What folds decided. answers: of the last rung that was taken, out of fold, one per training example."""

    rungs: tuple[Rung, ...]
    answers: list[Any]


def climb(
    network: Network,
    task: Task,
    data: Data,
    labels: Labels,
    plan: Plan,
    examples: dict[str, Examples],
    recorded: Recorded,
    replaying: Replaying | None,
    folds: np.ndarray,
    *,
    metric: str,
    make: Callable[[Any], Examples],
    seconds: Sequence[float | None],
    told: Callable[[Rung], object],
    time_limit: float | None = None,
    device: str = "auto",
) -> Climbed:
    """The rungs as out-of-fold answers decide on them; the network is left as it was.

    Every fold goes up the ladder with the others: its network trains a rung from where it was on the last
    one taken, on stored activations, and answers what was held back. A rung is taken if these answers gain
    more than the gain's standard error on that one's; after one that does not, only the last is tried. A rung
    that gained nothing in the folds so far, two or more, is left without the others.

    folds: [N] of the training split. make: Examples of some rows of it. seconds: predicted, of each phase
    trained once on the whole. told: hears of every rung as soon as it is known. time_limit: of all of it,
    the fit that follows included; a rung that would not leave time for that is not tried, nor one above it.
    """
    began = time.monotonic()
    targets = task.targets(data.train, labels)
    rungs: list[Rung] = []
    answers: dict[int, Any] = {}
    top, parts = len(plan.phases) - 1, len(set(folds.tolist()))

    def late(index: int) -> bool:
        """Whether a rung would not leave time for the whole, which trains on what was taken and on it."""
        if time_limit is None:
            return False
        taken = sum(s or 0.0 for s, rung in zip(seconds, rungs, strict=False) if rung.taken)
        # Each fold learns from all but its own part: together they cost one time less than they are.
        ahead = taken + parts * (seconds[index] or 0.0)
        return processes.any_of(time.monotonic() - began + ahead > time_limit)

    with put_back(network, plan.phases) as state, ExitStack() as opened:
        held = parted(data, examples, folds, make, state)
        for part in held:
            opened.callback(part.close)
        for index, phase in enumerate(plan.phases):
            rung = left_out(phase.name, seconds[index], "not_reached")
            below = not rungs or rungs[-1].taken
            if any(r.why == "too_long" for r in rungs):
                pass
            elif passed_over(below=below, last=index == top, last_fits=not late(top)):
                rung = replace(rung, why="passed_over")
            elif rungs and late(index):
                rung = replace(rung, why="too_long")
            else:
                before = [dict(part.state) for part in held]
                learn = partial(
                    climbed,
                    network=network,
                    task=task,
                    labels=labels,
                    phases=plan.phases[: index + 1],
                    settings=plan.settings,
                    recorded=recorded,
                    replaying=replaying,
                    device=device,
                )
                both = partial(_both, task, answers, targets)
                try:
                    if rungs:
                        rows, now = out_of_fold(held, learn, partial(_hopeless, both, task, labels, metric))
                        rung = judged(phase.name, seconds[index], task, *both(rows, now), labels, metric)
                    else:
                        rows, now = out_of_fold(held, learn)
                        rung = replace(rung, taken=True, why="first")
                except Diverged:
                    if not rungs:
                        raise
                    rung = replace(rung, why="diverged")
                if rung.taken:
                    answers = dict(zip(rows, now, strict=True))
                else:
                    for part, state in zip(held, before, strict=True):
                        part.state = state
            rungs.append(rung)
            told(rung)
    return Climbed(tuple(rungs), [answers[row] for row in range(len(targets))])


def _both(
    task: Task, below: Mapping[int, Any], targets: Sequence[Any], rows: Sequence[int], now: list[Any]
) -> tuple[Outcomes, Outcomes]:
    """What became of some rows by a rung's answers, and by those of the rung below to the same."""
    truth = [targets[row] for row in rows]
    return task.outcomes(now, truth), task.outcomes([below[row] for row in rows], truth)


def _hopeless(
    both: Callable[[Sequence[int], list[Any]], tuple[Outcomes, Outcomes]],
    task: Task,
    labels: Labels,
    metric: str,
    rows: Sequence[int],
    now: list[Any],
) -> bool:
    """Whether a rung's answers so far gain nothing; its error, which is most of the work, is not asked."""
    return gap(task, *both(rows, now), labels, metric) <= 0.0
