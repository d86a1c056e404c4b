"""Labels that are doubted: a classifier that had not seen an example is confident of another class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

FOLDS: Final = 5
STRENGTHS: Final = (0.01, 0.001)  # of the classifier's weights: C of scikit-learn, standardised features
STEPS: Final = 200
FITS: Final = len(STRENGTHS) + FOLDS - 1


@dataclass(frozen=True)
class Doubts:
    """What a classifier that had not seen an example says of its label.

    own: [N], the probability of the label that is there; the lowest is the strongest doubt.
    guess: [N], the likeliest other class. sure: [N], its probability.
    suspected: [N], whether the example is confidently of another class.
    strength: C of the classifier: of those tried the one with the least log-loss on the first fold.
    """

    own: Floats
    guess: Ints
    sure: Floats
    suspected: NDArray[np.bool_]
    strength: float

    @property
    def order(self) -> Ints:
        """Every example, the most doubted first."""
        return np.argsort(self.own, kind="stable")


def doubts(
    features: NDArray[np.float32],
    labels: Ints,
    same: Ints,
    *,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Doubts:
    """Confident learning (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068) over logistic regression.

    Probabilities are out of fold, 5 folds, and byte-equal examples share one. An example is suspected
    where its probability of another class is at least what examples of that class have on average.
    The most doubted are those whose own label is least probable.

    features: [N, D]. labels: [N], 0 to K - 1. same: [N], equal numbers for equal bytes, each class in FOLDS
    different ones at least. seed: of the folds. progress: called with the fits just done, of FITS.
    """
    folds = fold_of(labels, same, seed=seed)
    rows = np.arange(len(labels))
    chances = np.zeros((len(labels), int(labels.max()) + 1))
    held = np.flatnonzero(folds == 0)
    losses = []
    for C in STRENGTHS:  # the first fold chooses, all folds answer
        answers = _held_out(features, labels, folds == 0, C)
        losses.append(-float(np.log(np.clip(answers[np.arange(len(held)), labels[held]], 1e-12, 1)).mean()))
        if losses[-1] == min(losses):
            strength, chances[held] = C, answers
        if progress:
            progress(1)
    for fold in range(1, FOLDS):
        chances[folds == fold] = _held_out(features, labels, folds == fold, strength)
        if progress:
            progress(1)
    own = chances[rows, labels]
    K = chances.shape[1]
    least = np.asarray([own[labels == k].mean() for k in range(K)])
    confident = np.where(chances >= least, chances, -1.0).argmax(1)
    known = (chances >= least).any(1)
    others = chances.copy()
    others[rows, labels] = -1.0
    guess = others.argmax(1)
    sure = others[rows, guess]
    return Doubts(own, guess, sure, known & (confident != labels), strength)


def fold_of(labels: Ints, same: Ints, *, seed: int = 0) -> Ints:
    """A fold for each example, [N] of 0 to 4: classes evenly dealt, equal bytes together."""
    _, first, inverse = np.unique(same, return_index=True, return_inverse=True)
    random = np.random.default_rng(seed)
    order = first[random.permutation(len(first))]
    order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(order)) % FOLDS
    return fold[first][inverse]


def _held_out(
    features: NDArray[np.float32], labels: Ints, held: NDArray[np.bool_], strength: float
) -> Floats:
    """Probabilities of the examples that are held back, by a classifier of all others: [n, K]."""
    from sklearn.linear_model import LogisticRegression

    known = features[~held]
    middle, spread = known.mean(0), known.std(0)
    spread[spread < 1e-4 * max(float(spread.max()), 1e-30)] = np.inf  # constant features say nothing
    model = LogisticRegression(C=strength, max_iter=STEPS, tol=1e-3)
    model.fit((known - middle) / spread, labels[~held])
    chances = np.zeros((int(held.sum()), int(labels.max()) + 1))
    chances[:, model.classes_] = model.predict_proba((features[held] - middle) / spread)
    return chances
