"""How good a head on frozen features becomes with how many labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunesmith.choosing.learning_curve import Curve, curve, learning_curve
from tunesmith.errors import BadData
from tunesmith.tasks.task import less_is_better
from tunesmith.training.feeds import Feed
from tunesmith.training.recorded import Recorded
from tunesmith.training.sampling import drawn
from tunesmith.training.solving_parts import Parts, answers_with
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


def curve_of_parts(started: Started, parts: Parts, say: Reporter) -> Curve | None:
    """The same of a head on words or tokens, of the examples of the parts that it was solved on.

    None where the features before the head are not stored, so that each point would cost a pass.
    """
    task, labels, seed, metric = started.task, started.labels, started.asked["seed"], curve_metric(started)
    depth = max(started.replaying.cuts, default=None) if started.replaying else None
    examples = np.unique(parts.of)
    if depth is None or metric is None or len(examples) < FEWEST:
        return None
    truth = task.targets(started.data.test, labels)
    test = Feed(started.examples["test"], started.recorded, depth)
    batch = 2 * started.plan.settings.batch

    def learned(size: int, draw: int) -> list[Any]:
        head = parts.head(len(labels.names), examples[drawn(len(examples), size, seed=seed + draw)])
        return answers_with(head, started.network, task, test, labels, batch=batch)

    def score(answers: list[Any]) -> float:
        return task.score(task.outcomes(answers, truth), labels)[metric]

    with say.work(f"a learning curve of {len(examples):,} examples", 0):
        try:
            return curve(len(examples), learned, score)
        except BadData:  # none of a few has the parts of which a head can be made
            return None
