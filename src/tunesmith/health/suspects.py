"""Labels that are doubted: a classifier that had not seen an example is confident of another class."""

from __future__ import annotations

import warnings
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
PARTS: Final = 5  # of a fit, after each of which progress is told
ROUNDS: Final = PARTS * (len(STRENGTHS) + FOLDS - 1)
WORK: Final = 4e9  # examples × features × classes of a fit: minutes for all of them on two cores
FEWEST: Final = 10  # examples of a class that are learned from even so, where it has them
AT_ONCE: Final = 1 << 22  # probabilities that lie in memory a second time


@dataclass(frozen=True)
class Doubts:
    """What a classifier that had not seen an example says of its label.

    own: [N], the probability of the label that is there; the lowest is the strongest doubt.
    guess: [N], the likeliest other class. sure: [N], its probability.
    suspected: [N], whether the example is confidently of another class.
    strength: C of the classifier: of those tried the one with the least log-loss on the first fold.
    learned: examples that the classifiers learned from, in turn; all, unless that would take too long.
    """

    own: Floats
    guess: Ints
    sure: Floats
    suspected: NDArray[np.bool_]
    strength: float
    learned: int

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
    The most doubted are those whose own label is least probable. Where examples × features × classes are
    over 4e9, a sample of each class is learned from; all examples are answered for.

    features: [N, D]. labels: [N], 0 to K - 1. same: [N], equal numbers for equal bytes, each class in FOLDS
    different ones at least. seed: of the folds and the sample. progress: called with the parts of fits just
    done, of ROUNDS.
    """
    folds = fold_of(labels, same, seed=seed)
    K = int(labels.max()) + 1
    chosen = sample_of(labels, folds, round(WORK / (features.shape[1] * K)), seed=seed)
    chances = np.zeros((len(labels), K), np.float32)
    held = folds == 0
    losses = []
    for C in STRENGTHS:  # the first fold chooses, all folds answer
        answers = _held_out(features, labels, held, chosen, C, progress)
        right = answers[np.arange(len(answers)), labels[held]]
        losses.append(-float(np.log(np.clip(right, 1e-12, 1)).mean()))
        if losses[-1] == min(losses):
            strength, chances[held] = C, answers
    for fold in range(1, FOLDS):
        held = folds == fold
        chances[held] = _held_out(features, labels, held, chosen, strength, progress)
    own = chances[np.arange(len(labels)), labels].astype(np.float64)
    guess, sure, suspected = _verdicts(chances, labels, own)
    return Doubts(own, guess, sure, suspected, strength, int(chosen.sum()))


def fold_of(labels: Ints, same: Ints, *, seed: int = 0) -> Ints:
    """A fold for each example, [N] of 0 to 4: classes evenly dealt, equal bytes together."""
    _, first, inverse = np.unique(same, return_index=True, return_inverse=True)
    random = np.random.default_rng(seed)
    order = first[random.permutation(len(first))]
    order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(order)) % FOLDS
    return fold[first][inverse]


def sample_of(labels: Ints, folds: Ints, count: int, *, seed: int = 0) -> NDArray[np.bool_]:
    """Which examples are learned from, about so many in all: [N].

    Each class and fold has its share; of a class 10 at least, two in each fold, where it has them: a sample
    by class alone may leave a fold of a rare class empty.
    """
    chosen = np.ones(len(labels), bool)
    if count >= len(labels):
        return chosen
    cells = labels * FOLDS + folds
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(cells[order], kind="stable")]
    sizes = np.bincount(cells)
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # in its cell
    share = np.maximum(np.round(sizes * (count / len(labels))), FEWEST // FOLDS)
    chosen[order] = rank < np.repeat(share, sizes)
    return chosen


def _held_out(
    features: NDArray[np.float32],
    labels: Ints,
    held: NDArray[np.bool_],
    chosen: NDArray[np.bool_],
    strength: float,
    progress: Callable[[int], None] | None,
) -> Floats:
    """Probabilities of the examples that are held back, by a classifier of the chosen others: [n, K]."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    rows = ~held & chosen
    known = features[rows]
    middle, spread = known.mean(0), known.std(0)
    spread[spread < 1e-4 * max(float(spread.max()), 1e-30)] = np.inf  # constant features say nothing
    known -= middle
    known /= spread
    steps = STEPS // PARTS
    model = LogisticRegression(C=strength, max_iter=steps, tol=1e-3, warm_start=True)
    over = False
    for _ in range(PARTS):
        if not over:
            with warnings.catch_warnings():  # a part ends where the next one goes on
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(known, labels[rows])
            over = int(np.max(model.n_iter_)) < steps
        if progress:
            progress(1)
    chances = np.zeros((int(held.sum()), int(labels.max()) + 1))
    chances[:, model.classes_] = model.predict_proba((features[held] - middle) / spread)
    return chances


def _verdicts(
    chances: NDArray[np.float32], labels: Ints, own: Floats
) -> tuple[Ints, Floats, NDArray[np.bool_]]:
    """The likeliest other class of each example, its probability, and whether it is suspected."""
    N, K = chances.shape
    least = np.bincount(labels, own, K) / np.bincount(labels, minlength=K)
    guess, sure = np.empty(N, np.int64), np.empty(N)
    suspected = np.empty(N, bool)
    step = max(1, AT_ONCE // K)
    for start in range(0, N, step):
        some = slice(start, start + step)
        answers, given = chances[some].astype(np.float64), labels[some]
        rows = np.arange(len(given))
        enough = answers >= least
        suspected[some] = enough.any(1) & (np.where(enough, answers, -1.0).argmax(1) != given)
        answers[rows, given] = -1.0
        guess[some] = answers.argmax(1)
        sure[some] = answers[rows, guess[some]]
    return guess, sure, suspected
