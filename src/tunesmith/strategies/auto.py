"""A ladder from the head to the whole network, climbed as long as validation gains."""

from __future__ import annotations

import math
from collections.abc import Collection

from tunesmith.errors import BadPlan
from tunesmith.plan import Phase, Plan
from tunesmith.strategies.rates import decayed, frozen


def plan(
    stages: int,
    epochs: float,
    lr: float,
    *,
    head_lr: float | None = None,
    decay: float = 1.0,
    unfreeze: Collection[int] = (),
    full_lr: float | None = None,
    parts: str = "all",
    patience: int | None = None,
) -> Plan:
    """Train the head, then a few of the last stages, then more, each rung from where the one before was best.

    A rung is kept if validation gains more than the gain's standard error; after one that does not, only
    the last is tried (`Phase.must_gain`). Each begins with a head that has learned already, as in Kumar et
    al. 2022 (arXiv:2202.10054), and the head goes on at the stages' rate.

    epochs: of each rung, because nobody knows how many there will be.
    unfreeze: how many of the last stages train in each rung after the head's; none: the last one, a
        quarter of them, all of them.
    full_lr: the rate where every stage trains; None: lr.
    Raises BadPlan for more or fewer stages than there are.

    >>> print(plan(stages=5, epochs=3, lr=2e-4, head_lr=1e-3, full_lr=1e-4))
    head        3         .         .         .         .         .     1e-03
    last 1      3         .         .         .         .     2e-04     2e-04  (if it gains)
    last 2      3         .         .         .     2e-04     2e-04     2e-04  (if it gains)
    full        3     1e-04     1e-04     1e-04     1e-04     1e-04     1e-04  (if it gains)
    """
    depths = sorted(set(unfreeze) or {1, math.ceil(stages / 4), stages})
    if depths[0] < 1 or depths[-1] > stages:
        raise BadPlan(f"unfreeze={depths} asks for more or fewer stages than there are: 1 to {stages}.")
    head = lr if head_lr is None else head_lr
    phases = [Phase("head", epochs, (*frozen(stages), head), patience=patience)]
    for depth in depths:
        whole = depth == stages
        own = full_lr if whole and full_lr is not None else lr
        lrs = (*frozen(stages - depth), *decayed(own, stages, decay)[stages - depth :], own)
        name = "full" if whole else f"last {depth}"
        phases.append(Phase(name, epochs, lrs, parts, patience, must_gain=True))
    return Plan("auto", tuple(phases))
