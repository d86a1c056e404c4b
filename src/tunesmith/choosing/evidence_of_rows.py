"""What a network's features tell of the parts of the probe set's examples: words, tokens, boxes, pixels.

A ridge probe answers the parts of a tenth of the groups, having learned from the other nine: words of one
sentence would give each other away. Of classes it is judged by macro-F1 over all but the background; where
one part of each window is the answer, by how often the part that it likes best is that one (hit@1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final

import numpy as np

from tunesmith.choosing.evidence import ByExample
from tunesmith.choosing.rows import Gathered
from tunesmith.choosing.scores.h_score import h_score, h_score_shrunk
from tunesmith.choosing.scores.logme import logme
from tunesmith.choosing.scores.ridge_loo import LeftOut, fitted
from tunesmith.errors import BadData
from tunesmith.training.heads import are_numbers

FOLDS: Final = 10
DOUBTFUL: Final = 0.5  # the prior's least share where hits count: single tokens say little of an answer


@dataclass(frozen=True)
class EvidenceOfRows(ByExample):
    """Out-of-fold answers of a ridge probe to the parts of N examples, and two scores of all together.

    right, marked, there: [N, K], how many parts of each example the probe takes for each class rightly, takes
    for it, and are of it; 0 of the background. errors, nulls: [N], squared, of the ridge probe and of the
    means of the other folds. seen: bool [N], which examples have parts at all. log_evidence, separation:
    LogME's and the shrunk H-score's. hits: whether one part of each window is the answer.
    """

    right: np.ndarray
    marked: np.ndarray
    there: np.ndarray
    errors: np.ndarray
    nulls: np.ndarray
    seen: np.ndarray
    log_evidence: float
    separation: float
    hits: bool

    weights: ClassVar[Mapping[str, float]] = {
        "ridge_loo": 0.5,
        "ridge_mse": 0.2,
        "logme": 0.15,
        "h_score_shrunk": 0.15,
    }

    @property
    def strata(self) -> np.ndarray:
        """Of what bootstrap samples take their share, [N]: of nothing, as examples have several classes."""
        return np.zeros(len(self.seen), np.int64)

    @property
    def least_prior(self) -> float:
        """The share of the prior in a ranking, at least."""
        return DOUBTFUL if self.hits else 0.0

    @property
    def probed(self) -> str:
        """What the probe is judged by, in words."""
        return "hit@1" if self.hits else "macro-F1"

    def over(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """The evidence by name, [R] each, with example n counted counts[r, n] times, as `Evidence.over`."""
        right, both = counts @ self.right, counts @ (self.marked + self.there)
        f1 = 2 * right / np.maximum(both, 1)
        return {
            "ridge_loo": f1.sum(1) / np.maximum((both > 0).sum(1), 1),
            "ridge_mse": -(counts @ self.errors) / np.maximum(counts @ self.nulls, 1e-300),
            "logme": np.full(len(counts), self.log_evidence),
            "h_score_shrunk": np.full(len(counts), self.separation),
        }


def evidence_of_rows(
    rows: Gathered, groups: np.ndarray, *, parts: str, outputs: int, seed: int = 0
) -> tuple[EvidenceOfRows, dict[str, float | None]]:
    """The evidence of some rows, and the scores that do not decide.

    groups: [N], of all examples, what belongs together: no group lies in two folds. parts: what the rows are
    called. outputs: K, classes or questions.
    Raises BadData for features that are not finite or the same for all rows, and for a single group.
    """
    own = np.unique(groups[rows.of])
    if len(own) < 2:
        raise BadData(
            f"all {len(rows):,} {parts} that were looked at belong together (one example or group), so none "
            f"can be held back from a probe; give more examples."
        )
    if not np.ptp(rows.features, axis=0).any():
        raise BadData(
            f"the features of all {len(rows):,} {parts} are the same: the network says nothing of them, or "
            f"its weights are damaged."
        )
    dealt = np.random.default_rng(seed).permutation(len(own)) % min(FOLDS, len(own))
    found = fitted(rows.features, rows.targets, groups=dealt[np.searchsorted(own, groups[rows.of])])
    hits = are_numbers(rows.targets)
    N = len(groups)
    right, marked, there = _hits(found, rows, (N, outputs)) if hits else _marks(found, rows, (N, outputs))
    classes = rows.targets @ 2 ** np.arange(outputs) if hits else rows.targets
    classes = classes.astype(np.int64)
    evidence = EvidenceOfRows(
        right,
        marked,
        there,
        np.bincount(rows.of, weights=found.errors, minlength=N),
        np.bincount(rows.of, weights=found.nulls, minlength=N),
        np.bincount(rows.of, minlength=N) > 0,
        logme(rows.features, rows.targets),
        h_score_shrunk(rows.features, classes),
        hits,
    )
    return evidence, {"h_score": h_score(rows.features, classes)}


def _marks(found: LeftOut, rows: Gathered, shape: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Rows that are taken for a class rightly, that are taken for it, and that are of it: [N, K] each.

    A class's answer is measured by the root of its share, as the linear probe weighs its rows: the likeliest
    class would be the background wherever that is most.
    """
    known = np.unique(rows.targets)
    guesses = known[((found.answers + found.shares) / np.sqrt(found.shares)).argmax(1)]
    right, marked, there = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    np.add.at(marked, (rows.of, guesses), 1)
    np.add.at(there, (rows.of, rows.targets), 1)
    np.add.at(right, (rows.of, guesses), guesses == rows.targets)
    for tally in (right, marked, there):
        if rows.background is not None:
            tally[:, rows.background] = 0
    return right, marked, there


def _hits(found: LeftOut, rows: Gathered, shape: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Windows whose best part is the answer, and all windows twice: [N, K] each, of each of K questions."""
    right, there = np.zeros(shape), np.zeros(shape)
    starts = np.flatnonzero(np.diff(rows.within, prepend=-1))
    for start, end in pairwise([*starts.tolist(), len(rows)]):
        best = start + found.answers[start:end].argmax(0)
        right[rows.of[start]] += rows.targets[best, np.arange(shape[1])]
        there[rows.of[start]] += 1
    return right, there, there
