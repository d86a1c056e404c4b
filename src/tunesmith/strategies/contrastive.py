"""Texts learn to lie near those of their class; the head is solved on what comes of it."""

from __future__ import annotations

from tunesmith.plan import Phase, Plan
from tunesmith.strategies.rates import decayed


def plan(
    stages: int,
    epochs: float,
    lr: float,
    *,
    head_lr: float | None = None,  # noqa: ARG001  the head is solved
    decay: float = 1.0,
    parts: str = "all",
    patience: int | None = None,
) -> Plan:
    """Train every stage on pairs of examples, and solve the head at the end of each epoch.

    Tunstall et al. 2022 (SetFit, arXiv:2209.11055), for few labelled texts and a sentence encoder. In an
    epoch each example meets four of its class and four of others, so that five epochs are SetFit's 20
    iterations.
    The head's place in the table holds the stages' rate; no step of it is taken.

    >>> print(plan(stages=3, epochs=5, lr=1e-5))
    contrastive     5     1e-05     1e-05     1e-05     1e-05  (pairs; head solved by lbfgs)
    """
    lrs = (*decayed(lr, stages, decay), lr)
    phase = Phase("contrastive", epochs, lrs, parts, patience, solver="lbfgs", loss="contrastive")
    return Plan("contrastive", (phase,))
