"""Whether fine-tuning helped, in one sentence."""

from __future__ import annotations

from tunesmith.evaluation import Score, figure


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
            outcome += f" (one of {figure(detectable, metric)} would have been, 4 times of 5)"
    value, low, high = (figure(own, metric, sign=True) for own in (gap.value, gap.low, gap.high))
    return (
        f"{said} {figure(ours.value, metric)} against {figure(theirs.value, metric)} for the {baseline} on "
        f"the same {count}: {value} [{low}, {high}], {outcome}."
    )
