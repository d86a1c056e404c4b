"""Surgical fine-tuning: some stages, named by hand or chosen by their gradients, and the head."""

from __future__ import annotations

from collections.abc import Collection

from tunesmith.errors import BadPlan
from tunesmith.plan import Phase, Plan
from tunesmith.strategies.rates import decayed


def plan(
    stages: int,
    epochs: float,
    lr: float,
    *,
    head_lr: float | None = None,
    decay: float = 1.0,
    unfreeze: Collection[int] = (),
    parts: str = "all",
    patience: int | None = None,
) -> Plan:
    """Train the stages in `unfreeze` and the head; freeze the rest.

    Lee et al. 2022 (arXiv:2210.11466): which block to tune depends on how the data differ from those
    of pretraining: the first for a shift of the input, a middle one for a shift of features, the last
    for a shift of labels.

    unfreeze: indices of stages, 0 at the input. `--unfreeze auto` takes the contiguous quarter of them on
        which the data pull hardest (`choosing.which_stages`).
    Raises BadPlan for an index that does not exist, and when none is given.

    >>> print(plan(stages=3, epochs=5, lr=1e-4, head_lr=1e-3, unfreeze=[0]))
    stage 0     5     1e-04         .         .     1e-03
    """
    wanted = sorted(set(unfreeze))
    if not wanted:
        raise BadPlan("surgical fine-tuning needs the stages to train: unfreeze=[0], or --unfreeze NAME.")
    if wanted[0] < 0 or wanted[-1] >= stages:
        raise BadPlan(f"unfreeze={wanted} names a stage that is not there: they go from 0 to {stages - 1}.")
    head = lr if head_lr is None else head_lr
    lrs = [rate if i in wanted else 0.0 for i, rate in enumerate(decayed(lr, stages, decay))]
    name = "stage " + ", ".join(str(i) for i in wanted)
    return Plan("surgical", (Phase(name, epochs, (*lrs, head), parts, patience),))
