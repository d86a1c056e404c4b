"""Samples of rows are what they say, and the same for the same seed."""

from __future__ import annotations

import numpy as np

from tunesmith.training.sampling import drawn, sampled


def test_a_sample_holds_every_class_with_its_share() -> None:
    targets = np.array([0] * 80 + [1] * 15 + [2] * 5)
    rows = sampled(targets, 20, seed=0)
    assert np.bincount(targets[rows]).tolist() == [16, 3, 1]
    assert len(set(rows.tolist())) == 20
    assert sampled(targets, 20, seed=0).tolist() == rows.tolist()
    assert sampled(targets, 20, seed=1).tolist() != rows.tolist()
    assert sampled(targets, 200, seed=0).tolist() == list(range(100))


def test_a_draw_is_sorted_without_repeats_and_whole_where_all_fit() -> None:
    rows = drawn(100, 20, seed=0)
    assert len(set(rows.tolist())) == 20
    assert rows.tolist() == sorted(rows.tolist())
    assert drawn(100, 20, seed=0).tolist() == rows.tolist()
    assert drawn(100, 20, seed=1).tolist() != rows.tolist()
    assert drawn(100, 100, seed=0).tolist() == list(range(100))
