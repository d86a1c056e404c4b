"""What one text of each pair tells alone: two baselines, and a thing to know of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.pairs import apart
from tunesmith.errors import BadData
from tunesmith.health.sides import NAMES, Alone
from tunesmith.training.baselines import tf_idf
from tunesmith.training.sampling import sampled

if TYPE_CHECKING:
    from tunesmith.data.data import Data
    from tunesmith.tasks.task import Labels, Task


def answers_alone(data: Data, task: Task, labels: Labels, most: int, *, seed: int) -> dict[str, list[Any]]:
    """The answers to the test split by the words of the first text, and by those of the second.

    Where they are good, labels can be met without comparing texts: of natural language inference the
    hypothesis alone told much (Poliak et al. 2018, arXiv:1805.01042). A side without any word is left out.

    most: training examples that are learned from.
    """
    targets = np.asarray(task.targets(data.train, labels))
    rows = sampled(targets, most, seed=seed)
    known, asked = (
        [apart(item) for item in items] for items in (data.train[rows.tolist()]["item"], data.test["item"][:])
    )
    found = {}
    for side, name in enumerate(NAMES):
        texts, others = ([pair[side] for pair in own] for own in (known, asked))
        try:
            found[name] = tf_idf(texts, targets[rows], others, len(labels.names))
        except ValueError:  # no word, or one class alone
            continue
    return found


def told_alone(data: Data, task: Task, most: int, *, seed: int) -> tuple[Alone, ...]:
    """How far each text alone tells the answer; () where the training split cannot be learned from."""
    try:
        labels = task.labels(data)
        targets = task.targets(data.test, labels)
    except (BadData, KeyError, ValueError):  # equal numbers, no example, a class that train has not
        return ()
    metric = "accuracy" if task.answers == "classes" else "r2"

    def value(answers: list[Any]) -> float:
        return task.score(task.outcomes(answers, targets), labels, only=metric)[metric]

    trivial = value(task.trivial(labels, len(targets))[1])
    answers = answers_alone(data, task, labels, most, seed=seed)
    return tuple(Alone(name, metric, value(own), trivial) for name, own in answers.items())
