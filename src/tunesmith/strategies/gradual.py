"""Gradual unfreezing: the head first, then stage after stage down to the input."""

from __future__ import annotations

import math

from tunesmith.errors import BadPlan
from tunesmith.plan import Phase, Plan
from tunesmith.strategies.rates import decayed, frozen

SPREAD = 100.0  # the largest ratio between the rates of the first and the last stage, as fastai's slices


def plan(
    stages: int,
    epochs: float,
    lr: float,
    *,
    head_lr: float | None = None,
    decay: float = 1.0,
    factor: float | None = None,
    parts: str = "all",
    patience: int | None = None,
) -> Plan:
    """Unfreeze one group of stages per phase, from the head down to the input.

    Howard & Ruder 2018 (arXiv:1801.06146). They unfreeze four groups, one an epoch, each at 1/2.6 of
    the rate above it. Networks here have up to sixty stages, so the stages are grouped until every
    phase has at least one epoch, and all stages of a group share a rate.

    factor: how much lower the rate of a group is than that of the group above it. None: theirs, 2.6,
        or less where so many groups would leave the first one with under 1/100 of the last one's rate.
    decay: on top of that, per stage.

    >>> print(plan(stages=3, epochs=4, lr=1e-3, factor=2))
    head        1         .         .         .     1e-03
    stage 2     1         .         .     5e-04     1e-03
    stage 1     1         .   2.5e-04     5e-04     1e-03
    stage 0     1  1.25e-04   2.5e-04     5e-04     1e-03
    """
    if not 2 <= epochs < math.inf:
        raise BadPlan(
            f"gradual unfreezing needs at least 2 epochs, one for the head and one for the stages; "
            f"found {epochs:g}. Pass epochs=2 or more, or strategy='full'."
        )
    groups = min(stages, int(epochs) - 1)
    if factor is None:
        factor = min(2.6, SPREAD ** (1 / max(groups - 1, 1)))
    if factor < 1:
        raise BadPlan(f"factor divides the rate from group to group, so it is at least 1; found {factor}.")
    head = lr if head_lr is None else head_lr
    start = lr / factor if head_lr is None else lr
    kept = decayed(1.0, stages, decay)
    lrs = []
    for i in range(stages):
        group = group_of(i, stages, groups)
        lrs.append(start / factor ** (groups - 1 - group) * kept[i])
    phases = []
    for unfrozen in range(groups + 1):
        bottom = math.ceil((groups - unfrozen) * stages / groups)
        name = "head" if unfrozen == 0 else f"stage {bottom}"
        phases.append(Phase(name, 0, (*frozen(bottom), *lrs[bottom:], head), parts, patience))
    lengths = shares(epochs, len(phases))
    timed = (Phase(p.name, e, p.lrs, p.parts, p.patience) for p, e in zip(phases, lengths, strict=True))
    return Plan("gradual", tuple(timed))


def group_of(stage: int, stages: int, groups: int) -> int:
    """Which of `groups` nearly equal groups a stage belongs to, both counted from the input.

    >>> [group_of(i, 5, 2) for i in range(5)]
    [0, 0, 0, 1, 1]
    """
    return max(g for g in range(groups) if math.ceil(g * stages / groups) <= stage)


def shares(epochs: float, phases: int) -> list[float]:
    """Whole epochs where the total is whole, the later phases taking what is left over.

    >>> shares(10, 4), shares(4.5, 2)
    ([2.0, 2.0, 3.0, 3.0], [2.25, 2.25])
    """
    if not float(epochs).is_integer():
        return [epochs / phases] * phases
    each, extra = divmod(int(epochs), phases)
    return [float(each + (i >= phases - extra)) for i in range(phases)]
