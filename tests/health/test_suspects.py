"""Doubted labels: planted errors come first, honest labels do not, and folds never share equal bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunesmith.health import suspects
from tunesmith.health.examine import Features, examine
from tunesmith.health.neighbours import neighbours
from tunesmith.health.seen import Seen
from tunesmith.health.suspects import FOLDS, ROUNDS, doubts, fold_of, sample_of


def clouds(seed: int, count: int = 300, width: int = 16, apart: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Three clouds of features, and which one each example is of."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    middles = apart * random.standard_normal((3, width)) / np.sqrt(2)
    return (middles[labels] + random.standard_normal((count, width))).astype(np.float32), labels


def flipped(labels: np.ndarray, seed: int, share: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """The labels with a share of them wrong, and which."""
    random = np.random.default_rng(seed + 1)
    rows = random.permutation(len(labels))[: round(share * len(labels))]
    wrong = labels.copy()
    wrong[rows] = (wrong[rows] + random.integers(1, 3, len(rows))) % 3
    return wrong, rows


def test_flipped_labels_are_the_most_doubted(seed: int) -> None:
    features, labels = clouds(seed)
    wrong, rows = flipped(labels, seed)
    found = doubts(features, wrong, np.arange(300))
    assert np.isin(rows, found.order[:30]).mean() >= 0.9
    assert found.suspected[rows].mean() >= 0.6
    assert (found.guess[rows] == labels[rows]).mean() >= 0.9


def test_with_features_that_say_nothing_no_flip_stands_out(seed: int) -> None:
    _, labels = clouds(seed)
    wrong, rows = flipped(labels, seed)
    nothing = np.random.default_rng(seed).standard_normal((300, 16)).astype(np.float32)
    found = doubts(nothing, wrong, np.arange(300))
    assert np.isin(rows, found.order[:30]).mean() < 0.5


def test_right_labels_are_hardly_suspected(seed: int) -> None:
    features, labels = clouds(seed)
    assert doubts(features, labels, np.arange(300)).suspected.mean() < 0.02


def test_equal_bytes_share_a_fold_and_classes_are_dealt_evenly(seed: int) -> None:
    same = np.random.default_rng(seed).integers(0, 60, 200)
    labels = same % 4
    folds = fold_of(labels, same, seed=seed)
    assert all(len(set(folds[same == number])) == 1 for number in np.unique(same))
    single = fold_of(np.arange(200) % 4, np.arange(200), seed=seed)
    assert [np.bincount(single[np.arange(200) % 4 == k], minlength=FOLDS).tolist() for k in range(4)] == [
        [10] * FOLDS
    ] * 4


def test_every_part_of_a_fit_is_counted_and_the_same_seed_gives_the_same_bits(seed: int) -> None:
    features, labels = clouds(seed, count=60)
    done: list[int] = []
    first = doubts(features, labels, np.arange(60), seed=seed, progress=done.append)
    assert sum(done) == ROUNDS
    assert np.array_equal(first.own, doubts(features, labels, np.arange(60), seed=seed).own)
    assert not np.array_equal(first.own, doubts(features, labels, np.arange(60), seed=seed + 1).own)


def test_a_suspect_is_named_with_what_it_looks_like(kit: Any, seed: int) -> None:
    from tunesmith.health.repeats import same_bytes
    from tunesmith.health.roll import rolled

    features, labels = clouds(seed, count=90, apart=4.0)
    labels[4] = 2  # of class 1
    pairs = [(f"text {i} with words of its own, {i * i}", "abc"[k]) for i, k in enumerate(labels)]
    data = kit.data_of("text", {"train": pairs[:60], "test": pairs[60:]})
    roll = rolled(data)
    keys: list[bytes | None] = [str(i).encode() for i in range(90)]
    assert len(same_bytes([k for k in keys if k])) == 90
    found = examine(Seen(data, roll, keys), features=Features("timm/x", features))
    finding = kit.one(found.health, "suspected_labels")
    assert (finding.groups[0][0].id, finding.groups[0][0].label) == ("train/4", "c")
    assert finding.groups[0][0].note.startswith("looks like b (0.")
    assert found.health.model == "timm/x"


def test_large_data_are_learned_from_in_part_and_answered_for_in_full(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, labels = clouds(seed, count=900, apart=4.0)
    wrong, rows = flipped(labels, seed)
    assert doubts(features, wrong, np.arange(900)).learned == 900
    monkeypatch.setattr(suspects, "WORK", 300 * 16 * 3)
    found = doubts(features, wrong, np.arange(900), seed=seed)
    assert found.learned == pytest.approx(300, abs=15)
    assert (found.own > 0).all()
    assert np.isin(rows, found.order[:90]).mean() >= 0.9
    assert np.array_equal(found.own, doubts(features, wrong, np.arange(900), seed=seed).own)


def test_a_sample_has_its_share_of_each_class_and_fold_and_some_of_the_rare_ones(seed: int) -> None:
    labels = np.repeat([0, 1, 2], [3000, 900, 12])
    folds = fold_of(labels, np.arange(3912), seed=seed)
    chosen = sample_of(labels, folds, 391, seed=seed)
    counts = np.asarray([np.bincount(folds[chosen & (labels == k)], minlength=FOLDS) for k in range(3)])
    assert counts.tolist() == [[60] * FOLDS, [18] * FOLDS, [2] * FOLDS]
    assert sample_of(labels, folds, 3912, seed=seed).all()
    assert not np.array_equal(chosen, sample_of(labels, folds, 391, seed=seed + 1))


def test_a_network_that_learned_from_the_labels_is_not_asked_of_them(kit: Any, seed: int) -> None:
    from tunesmith.health.roll import rolled

    features, labels = clouds(seed, count=90, apart=4.0)
    labels[4] = 2
    data = kit.data_of("text", {"train": [(f"text {i}, {i * i}", "abc"[k]) for i, k in enumerate(labels)]})
    seen = Seen(data, rolled(data), [str(i).encode() for i in range(90)])
    assert "suspected_labels" in kit.kinds(examine(seen, features=Features("m", features)).health)
    health = examine(seen, features=Features("m", features, learned=True)).health
    assert health.skipped == {"suspected_labels": "learned_from"}
    assert "suspected_labels" not in kit.kinds(health)


def test_classes_too_small_to_hold_examples_back_are_left_alone(kit: Any) -> None:
    pairs = [(f"{'ab'[i % 2]} text {i * 7919}", "ab"[i % 2]) for i in range(6)]
    data = kit.data_of("text", {"train": pairs})
    from tunesmith.health.roll import rolled

    seen = Seen(data, rolled(data), [str(i).encode() for i in range(6)])
    found = examine(seen, features=Features("m", np.eye(6, dtype=np.float32)))
    assert found.health.skipped["suspected_labels"] == "too_few"


def test_a_neighbour_far_closer_than_all_others_is_found_and_no_stranger(seed: int) -> None:
    random = np.random.default_rng(seed)
    features = random.standard_normal((120, 32)).astype(np.float32)
    splits = np.repeat([0, 2], [100, 20])
    features[105] = features[7] + 0.05 * random.standard_normal(32)
    assert neighbours(features, splits).tolist() == [[105, 7]]


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_unit_of_features_does_not_count(seed: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    features = random.standard_normal((120, 32)).astype(np.float32)
    features[110] = features[50]
    splits = np.repeat([0, 2], [100, 20])
    assert neighbours(features * np.float32(scale), splits).tolist() == [[110, 50]]
