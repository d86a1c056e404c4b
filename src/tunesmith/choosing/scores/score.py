"""What every score is, and what it refuses: one number that tells how well features suit targets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tunesmith.errors import BadData
from tunesmith.training.heads import decomposed

CONSTANT: Final = 1e-4  # of the widest feature's spread: narrower ones say nothing (as training.heads has it)

_LAST: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}


@dataclass(frozen=True)
class Score:
    """A member of the family `SCORES`.

    function: (features [N, D], targets) -> float; of "posteriors" features are [N, S], rows that sum to 1.
    needs: "features" of the network, or "posteriors" of the head that it was pretrained with.
    targets: what it is defined for: "classes" (int [N]), "labels" (0 or 1, int [N, L]), "real" (float [N]
        or [N, T]).
    larger_is_better: all but errors.
    noise_proof: whether features of noise alone, and a copy with many noise features, score below the
        features themselves whatever N and D are; where it is False the file says what goes wrong. Of
        posteriors it is not claimed: how sharp they are is the head's habit.
    paper: authors, year, arXiv.
    Values are comparable between networks on the same examples, never between data sets.
    """

    name: str
    function: Callable[..., float]
    needs: str
    targets: tuple[str, ...]
    larger_is_better: bool
    noise_proof: bool
    paper: str

    def __call__(self, features: np.ndarray, targets: np.ndarray, **options: Any) -> float:
        """The score of features, or posteriors, on these targets."""
        return self.function(features, targets, **options)


def kind_of(targets: np.ndarray) -> str:
    """What targets are: "classes", "labels" or "real"."""
    if np.issubdtype(targets.dtype, np.floating):
        return "real"
    return "classes" if targets.ndim == 1 else "labels"


def checked(features: np.ndarray, targets: np.ndarray, *, takes: tuple[str, ...]) -> tuple[Any, Any]:
    """Features as float64 [N, D], and targets; classes renumbered, so that none of 0 to K - 1 is absent.

    Raises BadData for features or targets that are not finite (naming the row), counts that differ, fewer
    than 3 examples, a single class, or targets of a kind that the score does not take.
    """
    X, y = np.asarray(features, np.float64), np.asarray(targets)
    if X.ndim != 2 or not X.shape[1] or len(X) != len(y):
        raise BadData(f"scores need features [N, D] and N targets; found {X.shape} and {y.shape}.")
    if len(X) < 3:
        raise BadData(f"a score of {len(X)} examples says nothing; give at least 3.")
    for name, array in (("features", X), ("targets", y)):
        if name == "targets" and not np.issubdtype(y.dtype, np.floating):
            continue
        bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(1))
        if len(bad):
            raise BadData(
                f"the {name} of row {bad[0]} are not finite ({len(bad)} such rows): the network overflows on "
                f"this example, or its weights are damaged."
            )
    kind = kind_of(y)
    if kind not in takes:
        raise BadData(f"this score is defined for {' and '.join(takes)}; found targets that are {kind}.")
    if kind == "classes":
        y = np.unique(y, return_inverse=True)[1]
        if y.max() == 0:
            raise BadData("all examples are of one class, so there is nothing to tell apart.")
    return X, y


def standardised(features: np.ndarray) -> np.ndarray:
    """Features with mean 0 and spread 1, [N, D'] without the constant ones; one column of 0 if all are."""
    spread = features.std(0)
    kept = spread > CONSTANT * max(float(spread.max()), 1e-30)
    if not kept.any():
        return np.zeros((len(features), 1))
    return (features[:, kept] - features[:, kept].mean(0)) / spread[kept]  # type: ignore[no-any-return]


def spectrum(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standardised features rotated onto their principal axes, [N, R], and the axes' eigenvalues, [R].

    Most scores begin with it and it is most of their work, so that of the features seen last is kept, by
    content. Not to be written into.
    """
    X = standardised(features)
    key = hashlib.blake2b(np.ascontiguousarray(X).tobytes(), digest_size=16).digest() + str(X.shape).encode()
    found = _LAST.get(key)
    if found is None:
        found = decomposed(X)[:2]
        for array in found:
            array.setflags(write=False)
        _LAST.clear()
        _LAST[key] = found
    return found


def recalls(guesses: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The share of each class that is guessed, [K]; its mean is the balanced accuracy."""
    right = np.bincount(targets[guesses == targets], minlength=int(targets.max()) + 1)
    return right / np.bincount(targets)


def macro_precision(answers: np.ndarray, labels: np.ndarray) -> float:
    """Average precision of each label, averaged over the labels that some examples have and some lack.

    answers, labels: [N, L]; of labels 1 where an example has it.
    """
    from sklearn.metrics import average_precision_score

    told = [i for i in range(labels.shape[1]) if 0 < labels[:, i].sum() < len(labels)]
    if not told:
        raise BadData("no label is on some examples and not on others, so there is nothing to tell apart.")
    return float(np.mean([average_precision_score(labels[:, i], answers[:, i]) for i in told]))


def explained(answers: np.ndarray, values: np.ndarray) -> float:
    """R²: 1 - squared error / squared error of the mean of all others, over targets [N] or [N, T]."""
    N = len(values)
    error = ((values - answers) ** 2).reshape(N, -1).sum(0)
    null = (((values - values.mean(0)) * N / (N - 1)) ** 2).reshape(N, -1).sum(0)
    return float(np.mean(1 - error / np.maximum(null, 1e-300)))
