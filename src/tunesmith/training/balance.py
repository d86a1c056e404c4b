"""What to do when some classes have many examples and others few."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.errors import BadData, BadOption
from tunesmith.tasks.task import Labels


def class_weights(labels: Labels) -> np.ndarray:
    """How much an example of each class counts, so that all classes count the same in sum.

    N / (K n_c), float64 [K]; the mean over the training examples is 1.

    >>> class_weights(Labels(("cat", "dog"), (30, 10))).tolist()
    [0.6666666666666666, 2.0]

    Raises BadOption for labels without classes.
    """
    if not labels.counts:
        raise BadOption("balance makes classes count alike, and there are no classes here; leave it out.")
    counts = np.asarray(labels.counts, dtype=float)
    return counts.sum() / (len(counts) * counts)  # type: ignore[no-any-return]


def example_weights(dataset: Any, labels: Labels, balance: str) -> np.ndarray | None:
    """How much each training example counts in the loss, float64 [N] of mean 1; None: all the same.

    The person's own `weight` column and `balance="weights"` multiply.
    Raises BadData if every weight is 0.
    """
    own = np.asarray(dataset["weight"], dtype=float) if "weight" in dataset.column_names else None
    if own is not None and not own.any():
        raise BadData("every training example has the weight 0, so there is nothing to learn from.")
    if balance != "weights":
        return None if own is None else own / own.mean()
    index = {name: i for i, name in enumerate(labels.names)}
    weights = class_weights(labels)[[index[label] for label in dataset["label"]]]
    if own is not None:
        weights = weights * own
    return weights / weights.mean()  # type: ignore[no-any-return]


def sampling_shares(dataset: Any, labels: Labels, balance: str) -> np.ndarray | None:
    """How likely each training example is to be drawn, float64 [N] of sum 1; None: each once an epoch.

    With `balance="sampler"` every class is drawn equally often.
    """
    if balance != "sampler":
        return None
    index = {name: i for i, name in enumerate(labels.names)}
    weights = class_weights(labels)[[index[label] for label in dataset["label"]]]
    return weights / weights.sum()  # type: ignore[no-any-return]
