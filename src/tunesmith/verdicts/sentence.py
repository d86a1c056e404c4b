"""Whether fine-tuning helped, in one sentence."""

from __future__ import annotations

from tunesmith.evaluation import Score


def sentence(
    metric: str,
    ours: Score,
    baseline: str,
    theirs: Score,
    gap: Score,
    count: int,
    *,
    detectable: float | None = None,
) -> str:
    """The verdict on the test split.

    gap: how much better ours is on the same units, with its paired interval.
    detectable: the true difference that would have been proven 4 times of 5; None, or 0 where both
        answered all alike and nothing is known of it: not said.

    >>> ours, theirs, gap = Score(.91, .88, .94), Score(.85, .81, .89), Score(.06, .02, .1)
    >>> print(sentence("accuracy", ours, "linear probe", theirs, gap, 300))
    accuracy 0.910 against 0.850 for the linear probe on the same 300: +0.060 [+0.020, +0.100], better.
    """
    said = metric.replace("_", " ").replace("f1", "F1")
    if gap.low > 0:
        outcome = "better"
    elif gap.high < 0:
        outcome = "worse"
    else:
        outcome = "no difference proven"
        if detectable:
            outcome += f" (one of {detectable:.3f} would have been, 4 times of 5)"
    return (
        f"{said} {ours.value:.3f} against {theirs.value:.3f} for the {baseline} on the same {count}: "
        f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}], {outcome}."
    )
