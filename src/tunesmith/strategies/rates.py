"""Learning rates over depth, shared by the strategies."""

from __future__ import annotations

from tunesmith.errors import BadPlan


def decayed(lr: float, stages: int, decay: float) -> tuple[float, ...]:
    """One rate per stage, input first: `lr` next to the head, `decay` times that one below, ...

    decay: 1.0 gives every stage the same rate. Clark et al. 2020 (ELECTRA, arXiv:2003.10555) use
    0.8 to 0.9, He et al. 2021 (MAE, arXiv:2111.06377) 0.65 to 0.75.

    >>> decayed(1e-3, 3, 0.5)
    (0.00025, 0.0005, 0.001)
    """
    if not 0 < decay <= 1:
        raise BadPlan(
            f"decay is the share of the rate that each stage towards the input keeps, "
            f"above 0 and at most 1; found {decay!r}."
        )
    return tuple(lr * decay ** (stages - 1 - i) for i in range(stages))


def frozen(stages: int) -> tuple[float, ...]:
    """No stage moves.

    >>> frozen(3)
    (0.0, 0.0, 0.0)
    """
    return (0.0,) * stages
