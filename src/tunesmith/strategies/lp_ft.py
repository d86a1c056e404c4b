"""Linear probing, then fine-tuning: the head learns first, so that it cannot distort the features."""

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
    probe: float = 0.4,
    parts: str = "all",
    patience: int | None = None,
) -> Plan:
    """Train the head alone for a share of the epochs, then every stage.

    Kumar et al. 2022 (arXiv:2202.10054): a random head sends large random gradients into good
    features; a trained one does not. In the second phase the head goes on at the stages' rate.

    probe: the share of the epochs for the head; rounded to whole epochs where the total is whole.

    >>> print(plan(stages=3, epochs=5, lr=1e-4, head_lr=1e-3))
    head        2         .         .         .     1e-03
    full        3     1e-04     1e-04     1e-04     1e-04
    """
    if not 0 < probe < 1:
        raise BadPlan(f"probe is the head's share of the epochs, between 0 and 1; found {probe!r}.")
    first = epochs * probe
    if float(epochs).is_integer() and epochs >= 2:
        first = min(max(round(first), 1), int(epochs) - 1)
    head = lr if head_lr is None else head_lr
    return Plan(
        "lp_ft",
        (
            Phase("head", first, (*frozen(stages), head), patience=patience),
            Phase("full", epochs - first, (*decayed(lr, stages, decay), lr), parts, patience),
        ),
    )
