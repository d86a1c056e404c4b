"""The last stages and the head train; what lies below them stays frozen."""

from __future__ import annotations

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
    unfreeze: int = 2,
    parts: str = "all",
    patience: int | None = None,
) -> Plan:
    """Train the last `unfreeze` stages and the head.

    Yosinski et al. 2014 (arXiv:1411.1792): lower stages are general, upper ones specific.
    Raises BadPlan if there are not so many stages.

    >>> print(plan(stages=4, epochs=5, lr=1e-4, head_lr=1e-3, unfreeze=2))
    top 2       5         .         .     1e-04     1e-04     1e-03
    """
    if not 1 <= unfreeze <= stages:
        raise BadPlan(f"unfreeze={unfreeze} asks for more or fewer stages than there are: 1 to {stages}.")
    head = lr if head_lr is None else head_lr
    lrs = (*frozen(stages - unfreeze), *decayed(lr, stages, decay)[stages - unfreeze :], head)
    return Plan("top", (Phase(f"top {unfreeze}", epochs, lrs, parts, patience),))
