"""The best span: by hand, joined over windows, and when none is better."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tunesmith.tasks import spans
from tunesmith.tasks.spans import Spans, best_spans, best_threshold, joined, no_span, one_span

PIECES = np.array([[-1, 0, 0], [0, 0, 3], [-1, 0, 0], [1, 0, 2], [1, 3, 5], [1, 6, 9], [-1, 0, 0]])
"""[CLS] question [SEP] three words of context [SEP]"""


def logits(starts: dict[int, float], ends: dict[int, float]) -> np.ndarray:
    found = np.full((len(PIECES), 2), -10.0)
    for token, value in starts.items():
        found[token, 0] = value
    for token, value in ends.items():
        found[token, 1] = value
    return found


def test_the_best_start_and_end_make_the_best_span() -> None:
    found = best_spans(logits({4: 3.0}, {5: 2.0}), PIECES)
    assert found.places[0].tolist() == [3, 9]
    assert (found.best, found.none, found.margin) == (5.0, -20.0, -25.0)
    assert found.text("ab cd efg") == "cd efg"


def test_a_span_neither_ends_before_it_starts_nor_leaves_the_context() -> None:
    found = best_spans(logits({5: 3.0, 1: 9.0}, {3: 3.0, 4: 2.0, 1: 9.0, 6: 9.0}), PIECES)
    assert all(start < end for start, end in found.places.tolist())
    assert found.places[0].tolist() in ([6, 9], [3, 5], [0, 2], [0, 5])
    assert found.best < 0


def test_they_are_the_best_of_all_allowed_pairs() -> None:
    random = np.random.default_rng(0)
    T = 15
    pieces = np.array([[-1, 0, 0], *([1, 2 * i, 2 * i + 1] for i in range(T - 1))])
    own = random.normal(size=(T, 2))
    pairs = [(s, e) for s, e in itertools.product(range(1, T), repeat=2) if s <= e]
    order = sorted(pairs, key=lambda pair: -(own[pair[0], 0] + own[pair[1], 1]))[: spans.BEST]
    found = best_spans(own, pieces)
    assert found.places.tolist() == [[2 * (s - 1), 2 * (e - 1) + 1] for s, e in order]


def test_a_span_has_thirty_tokens_at_most() -> None:
    pieces = np.array([[-1, 0, 0], *([1, i, i + 1] for i in range(40))])
    own = np.zeros((41, 2))
    own[1, 0], own[31, 1], own[30, 1] = 9.0, 9.0, 8.0
    assert best_spans(own, pieces).places[0].tolist() == [0, 30]


def test_a_window_without_context_has_no_span() -> None:
    found = best_spans(logits({}, {}), PIECES[:3])
    assert (len(found.places), found.text("ab"), found.chances()[1]) == (0, "", 1.0)


def test_windows_give_their_best_span_once_and_no_answer_only_if_all_do() -> None:
    one = Spans(np.array([[3, 5], [0, 2]]), np.array([2.0, 1.0]), 7.0)
    two = Spans(np.array([[8, 9], [3, 5]]), np.array([4.0, 3.0]), -1.0)
    both = joined([one, two])
    assert both.places.tolist() == [[8, 9], [3, 5], [0, 2]]
    assert both.scores.tolist() == [4.0, 3.0, 1.0]
    assert both.none == -1.0
    assert joined([one]) is one


def test_chances_are_a_softmax_over_spans_and_no_answer() -> None:
    shares, none = Spans(np.array([[0, 1], [1, 2]]), np.log([0.5, 0.3]), float(np.log(0.2))).chances()
    assert shares == pytest.approx([0.5, 0.3])
    assert none == pytest.approx(0.2)


def test_answers_that_were_not_weighed_are_answered_always() -> None:
    assert one_span(0, 5).margin < -1000
    assert no_span().margin > 1000


def test_the_threshold_is_the_best_of_all_there_are() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        margins = np.round(random.normal(size=12), 1)  # with ties
        answered, empty = random.random(12), (random.random(12) < 0.5).astype(float)

        def mean(
            threshold: float, m: np.ndarray = margins, a: np.ndarray = answered, e: np.ndarray = empty
        ) -> float:
            return float(np.where(m > threshold, e, a).mean())

        best = max(mean(threshold) for threshold in [*margins, margins.min() - 1])
        assert mean(best_threshold(margins, answered, empty)) == pytest.approx(best)


def test_of_equal_thresholds_the_one_nearest_to_nothing_is_taken() -> None:
    assert best_threshold(np.array([-3.0, 5.0]), np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1.0
