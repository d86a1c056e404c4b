"""How good a head on frozen features becomes with how many labels."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunesmith.choosing.learning_curve import Curve, curve, learning_curve
from tunesmith.choosing.rows import windows_within
from tunesmith.errors import BadData
from tunesmith.tasks.task import less_is_better
from tunesmith.training.examples import Examples
from tunesmith.training.feeds import Feed
from tunesmith.training.recorded import Recorded
from tunesmith.training.sampling import drawn
from tunesmith.training.solving_parts import MOST, answers_with, solve_parts
from tunesmith.verbs.reporting import Reporter
from tunesmith.verbs.started import Started

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST: Final = 20  # examples that have parts; a head of fewer says nothing


def curve_of(
    started: Started,
    recorded: Recorded,
    targets: NDArray[Any],
    rows: NDArray[np.int64],
    asked: NDArray[np.int64],
    whole: list[Any] | None = None,
) -> Curve | None:
    """How good a head on some features becomes with how many labels, on some test examples.

    whole: answers of a head that has learned from all of these rows, where they are known already.
    """
    task, labels, metric = started.task, started.labels, curve_metric(started)
    targeted = task.targets(started.data.test, labels)
    truth = [targeted[row] for row in asked]
    if metric is None or len(rows) < 2 * len(labels.names):
        return None
    return learning_curve(
        recorded.pooled(started.examples["train"], rows),
        targets[rows],
        recorded.pooled(started.examples["test"], asked),
        lambda answers: task.score(task.outcomes(answers, truth), labels)[metric],
        len(labels.names),
        seed=started.asked["seed"],
        whole=whole,
    )


def curve_metric(started: Started) -> str | None:
    """What a learning curve shows: the metric that decides, or R² of numbers; None where less is better."""
    metric = started.plan.settings.metric or started.task.deciding(started.labels)
    if not less_is_better(metric):
        return metric
    return "r2" if started.task.answers == "numbers" else None


def curve_of_parts(started: Started, say: Reporter) -> Curve | None:
    """The same of a head on words or tokens, of as many examples as hold the tokens that it is solved on.

    None where there is no such head, and where the features before it are not stored: it would cost much.
    """
    task, labels, metric = started.task, started.labels, curve_metric(started)
    depth = max(started.replaying.cuts, default=None) if started.replaying else None
    train, seed = started.examples["train"], started.asked["seed"]
    windows = windows_within(train, MOST, seed=seed)
    rows = windows if train.of is None else np.unique(train.of[windows])
    if depth is None or metric is None or len(rows) < FEWEST:
        return None
    truth = task.targets(started.data.test, labels)
    test = Feed(started.examples["test"], started.recorded, depth)
    batch = 2 * started.plan.settings.batch

    def learned(size: int, draw: int) -> list[Any]:
        own = rows[drawn(len(rows), size, seed=seed + draw)]
        split = started.data.train.select(own)
        with closing(Examples(split, started.network.preprocess, started.store, task=task)) as known:
            feed = Feed(known, started.recorded, depth)
            head = solve_parts(started.network, task, feed, labels, seed=seed)
            if head is None:
                raise BadData(f"no head can be solved on the {task.parts} of {size} examples")
            return answers_with(head, started.network, task, test, labels, batch=batch)

    with say.work(f"a learning curve of {len(rows):,} examples", 0):
        try:
            return curve(
                len(rows), learned, lambda answers: task.score(task.outcomes(answers, truth), labels)[metric]
            )
        except BadData:  # too few to solve a head on: there is no curve then
            return None
