"""How the loss answers to the learning rate: a few steps at rising rates, of which nothing is left.

Smith 2015 (arXiv:1506.01186), in the form that fastai gave it: 100 rates that rise by a constant factor,
the end where the smoothed loss is four times its best, and three readings of the curve.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
from torch import Tensor, nn

from tunesmith.errors import BadOption, BadPlan, Diverged
from tunesmith.plan import HIGHEST_LR, Phase, Plan
from tunesmith.training.loop import Training
from tunesmith.training.state import random_tensors, random_values, restore_random

LOW: Final = 1e-7
STEPS: Final = 100
FEWEST: Final = 20  # steps below which a curve cannot be read
RUNAWAY: Final = 4.0  # times the best smoothed loss
MEMORY: Final = 0.98  # of the smoothed loss, per step
LAST_LEFT_OUT: Final = 5  # steps: there the loss already runs away, or the curve just ends
LEAST_FALL: Final = 0.05  # of the smoothed loss; a flatter curve recommends nothing


@dataclass(frozen=True)
class RangeTest:
    """A curve of losses over learning rates, and what may be read from it.

    phase: of the plan. lrs: the rate of the stages next to the head at each step, or of the head where it
        trains alone; other stages keep their ratio to it. losses: of the batches. smoothed: their moving
        average.
    ended: why the test ended. option: of a fit, that takes these rates: "lr", or "head_lr" where the head
        trains alone.
    head_first: whether the head was solved before, as earlier phases of the plan would have trained it.
    valley: half-way down the longest fall of the smoothed loss. minimum: a tenth of the rate at which it is
        least. steepest: where it falls fastest. None: the loss falls at no rate.
    """

    phase: str
    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    ended: str
    option: str
    head_first: bool
    valley: float | None
    minimum: float | None
    steepest: float | None


def range_test(
    training: Training,
    *,
    phase: int | None = None,
    low: float = LOW,
    high: float = HIGHEST_LR,
    steps: int = STEPS,
) -> RangeTest:
    """Train a phase for some steps at rates from `low` to `high`, then put everything back, bit for bit.

    Weights, buffers, gradients, layouts, modes and random state are afterwards what they were, so a
    training in whose midst the test is made ends with the same bits. The test itself depends on the plan's
    seed alone. It begins with the network as it stands; where all earlier phases train the head alone, a
    linear head is solved first (on stored features), because that is what they would do.

    training: says which network, data and plan. phase: index into the plan; None: the first that is trained
        in steps. Raises BadPlan for a phase whose head is solved: it has no rate. Raises Diverged where
        the first loss is no number already.
    """
    index = first_in_steps(training.plan) if phase is None else phase
    tested = training.plan.phases[index]
    if tested.solved:
        raise BadPlan(
            f"phase {tested.name!r} is solved by {tested.solver}, so it has no learning rate to test."
        )
    rates = rising(low, high, steps)
    shares = [rate / named_lr(tested) for rate in rates]
    losses: list[float] = []
    smoothed: list[float] = []
    ended = "every rate was tried"
    with untouched(training.network.module):
        head_first = solved_first(training, index)
        try:
            with closing(training.trial(index, shares)) as trial:
                for loss in trial:
                    losses.append(loss)
                    smoothed.append(_next(smoothed, losses))
                    if smoothed[-1] > RUNAWAY * min(smoothed):
                        ended = f"the loss ran away at {rates[len(losses) - 1]:.1e}"
                        break
        except Diverged:
            if not losses:
                raise
            ended = f"the loss was no number at {rates[len(losses)]:.1e}"
    used = rates[: len(losses)]
    read = slice(steps // 10, max(len(used) - LAST_LEFT_OUT, 0))
    lrs, curve = used[read], smoothed[read]
    falls = len(curve) >= FEWEST // 2 and min(curve) < (1 - LEAST_FALL) * max(curve[: _least(curve) + 1])
    option = "lr" if any(tested.lrs[:-1]) else "head_lr"
    found = [how(lrs, curve) if falls else None for how in (valley, minimum, steepest)]
    curves = tuple(used), tuple(losses), tuple(smoothed)
    return RangeTest(tested.name, *curves, ended, option, head_first, *found)


def rising(low: float, high: float, steps: int) -> list[float]:
    """Rates that rise by a constant factor. Raises BadOption for a range that is none.

    >>> [f"{rate:.0e}" for rate in rising(1e-6, 1e-2, 21)[::5]]
    ['1e-06', '1e-05', '1e-04', '1e-03', '1e-02']
    """
    if not 0 < low < high <= HIGHEST_LR:
        raise BadOption(
            f"a range test goes from a low rate to a high one, above 0 and at most {HIGHEST_LR:g}; found low "
            f"{low!r} and high {high!r}."
        )
    if isinstance(steps, bool) or not isinstance(steps, int) or not FEWEST <= steps <= 100_000:
        raise BadOption(f"a range test takes at least {FEWEST} steps; found {steps!r}.")
    return [low * (high / low) ** (i / (steps - 1)) for i in range(steps)]


def first_in_steps(plan: Plan, *, stages: bool = False) -> int:
    """The index of the first phase that is trained in steps; with `stages`, rather one that trains any.

    Raises BadPlan where every phase is solved.
    """
    stepped = [i for i, phase in enumerate(plan.phases) if not phase.solved]
    if not stepped:
        raise BadPlan(f"every phase of plan {plan.strategy!r} is solved, so it has no learning rate to test.")
    deep = [i for i in stepped if any(plan.phases[i].lrs[:-1])]
    return deep[0] if stages and deep else stepped[0]


def named_lr(phase: Phase) -> float:
    """The rate that `--lr` sets: the highest of the stages, or the head's where it trains alone."""
    return max(phase.lrs[:-1]) or phase.lrs[-1]


def rows_seen(training: Training, index: int, steps: int = STEPS) -> np.ndarray:
    """The rows of the training split that a range test takes, so that their records can be made before."""
    found: list[np.ndarray] = []
    epoch = 0
    while len(found) < steps:
        found += training.order(index, epoch)
        epoch += 1
    return np.unique(np.concatenate(found[:steps]) % len(training.supply.examples["train"]))


def head_comes_first(plan: Plan, index: int) -> bool:
    """Whether phases come before, and all of them train the head alone."""
    return index > 0 and not any(any(phase.lrs[:-1]) for phase in plan.phases[:index])


def solved_first(training: Training, index: int) -> bool:
    """Solve the head, where earlier phases train nothing else and it can be solved; whether it was."""
    solver = training.task.solver
    if not head_comes_first(training.plan, index) or training.supply.recorded is None or solver is None:
        return False
    try:
        training.solve(solver)
    except BadPlan:  # a head of several layers
        return False
    return True


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Put everything back at the end: weights, buffers, gradients, layouts, modes, random state.

    Values go back to the memory in which they lay: where a tensor begins decides, on some processors,
    in which order a product of matrices is added up.
    """
    tensors: list[Tensor] = [*module.parameters(), *module.buffers()]
    before = [(t, t.data, t.detach().clone(), t.requires_grad, t.grad) for t in tensors]
    modes = [(part, part.training) for part in module.modules()]
    random, values = random_tensors(), random_values()
    for tensor in tensors:
        tensor.grad = None  # or the test's gradients would be added to those that are there
    try:
        yield
    finally:
        for tensor, place, kept, moving, gradient in before:
            tensor.data = place.copy_(kept)  # a phase may have laid it out elsewhere
            tensor.requires_grad_(moving)
            tensor.grad = gradient
        for part, training in modes:
            part.training = training
        restore_random(random, values)


def valley(lrs: Sequence[float], losses: Sequence[float]) -> float:
    """The rate half-way down the longest fall: of the longest strictly falling subsequence of losses.

    As fastai reads it: from where the subsequence ends its length is counted back, and of that stretch
    the point after one third and one sixth is taken.

    >>> valley([1, 2, 3, 4, 5, 6, 7, 8], [9, 9, 7, 6, 5, 4, 3, 8])
    4
    """
    lengths = [1] * len(losses)
    for i, loss in enumerate(losses):
        lengths[i] += max((lengths[j] for j in range(i) if losses[j] > loss), default=0)
    length = max(lengths)
    start = lengths.index(length) - length
    return lrs[max(0, start + length // 3 + length // 6)]


def minimum(lrs: Sequence[float], losses: Sequence[float]) -> float:
    """A tenth of the rate at which the loss is least.

    >>> minimum([1, 10, 100], [3, 2, 5])
    1.0
    """
    return lrs[_least(losses)] / 10


def steepest(lrs: Sequence[float], losses: Sequence[float]) -> float:
    """The rate at which the loss falls fastest over the logarithm of the rate.

    >>> steepest([1, 10, 100], [3, 2, 0])
    10
    """
    slopes = [(losses[i + 1] - losses[i]) / math.log(lrs[i + 1] / lrs[i]) for i in range(len(losses) - 1)]
    return lrs[_least(slopes)]


def _least(values: Sequence[float]) -> int:
    return min(range(len(values)), key=values.__getitem__)


def _next(smoothed: Sequence[float], losses: Sequence[float]) -> float:
    """The moving average with the newest loss, corrected for its start at 0."""
    i = len(smoothed)
    before = smoothed[-1] * (1 - MEMORY**i) if smoothed else 0.0
    return (MEMORY * before + (1 - MEMORY) * losses[-1]) / (1 - MEMORY ** (i + 1))
