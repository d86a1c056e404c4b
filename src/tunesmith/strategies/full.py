"""Every stage trains from the first step."""

from __future__ import annotations

from tunesmith.plan import Phase, Plan
from tunesmith.strategies.rates import decayed


def plan(
    stages: int,
    epochs: float,
    lr: float,
    *,
    head_lr: float | None = None,
    decay: float = 1.0,
    parts: str = "all",
    patience: int | None = None,
) -> Plan:
    """Train every stage, the input's side more gently if decay is below 1.

    Girshick et al. 2013 (arXiv:1311.2524) for fine-tuning; Clark et al. 2020 (arXiv:2003.10555) for
    the decay by depth.

    >>> print(plan(stages=3, epochs=5, lr=1e-4, head_lr=1e-3, decay=0.5))
    full        5   2.5e-05     5e-05     1e-04     1e-03
    """
    head = lr if head_lr is None else head_lr
    lrs = (*decayed(lr, stages, decay), head)
    return Plan("full", (Phase("full", epochs, lrs, parts, patience),))
