"""Only the head trains: the network is a fixed feature extractor."""

from __future__ import annotations

from tunesmith.plan import Phase, Plan
from tunesmith.strategies.rates import frozen


def plan(
    stages: int,
    epochs: float,
    lr: float,
    *,
    head_lr: float | None = None,
    decay: float = 1.0,  # noqa: ARG001  every strategy takes it
    patience: int | None = None,
) -> Plan:
    """Train the head, freeze every stage.

    Donahue et al. 2013 (arXiv:1310.1531); Kornblith et al. 2018 (arXiv:1805.08974). `lr` serves only
    where head_lr is None; decay is not used.

    >>> print(plan(stages=3, epochs=5, lr=1e-3))
    head        5         .         .         .     1e-03
    """
    head = lr if head_lr is None else head_lr
    return Plan("linear_probe", (Phase("head", epochs, (*frozen(stages), head), patience=patience),))
