"""Every row stands in one batch of an epoch, the order is a function of seed and epoch, nothing hangs."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from tunesmith.training.batches import BUCKET, POOLS, ahead, epoch_order, examples, reading_order


@pytest.mark.parametrize(("count", "batch"), [(1, 1), (5, 2), (64, 8), (65, 8), (3, 10), (1001, 7)])
@pytest.mark.parametrize("ragged", [False, True])
def test_every_row_stands_in_exactly_one_batch(count: int, batch: int, ragged: bool, seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(1, 512, count) if ragged else None
    found = epoch_order(count, batch, seed=seed, epoch=0, lengths=lengths)
    assert sorted(np.concatenate(found).tolist()) == list(range(count))
    assert len(found) == -(-count // batch)
    assert sorted(len(rows) for rows in found)[1:] == [min(batch, count)] * (len(found) - 1)


def test_the_order_is_a_function_of_seed_and_epoch(seed: int) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(epoch_order(100, 8, seed=seed, epoch=epoch)).tolist()  # type: ignore[no-any-return]

    np.random.seed(1)
    first = order(seed, 3)
    np.random.seed(2)  # the global generator has no say
    assert order(seed, 3) == first
    assert order(seed, 4) != first
    assert order(seed + 1, 3) != first


def padding(batches: list[np.ndarray], lengths: np.ndarray) -> float:
    """The share of a batch's tokens that is padding."""
    whole = sum(int(lengths[rows].max()) * len(rows) for rows in batches)
    return 1 - float(lengths.sum()) / whole


def test_texts_of_similar_length_share_a_batch(seed: int) -> None:
    """Lengths drawn evenly from 1 to 512: two in a batch of 32 differ by 10 where 1,600 are sorted."""
    lengths = np.random.default_rng(seed).integers(1, 513, 32 * BUCKET * POOLS)
    assert padding(epoch_order(len(lengths), 32, seed=seed, epoch=0, lengths=lengths), lengths) < 0.03
    assert padding(epoch_order(len(lengths), 32, seed=seed, epoch=0), lengths) > 0.4  # what it is without


def test_few_texts_do_not_meet_the_same_others_in_every_epoch(seed: int) -> None:
    lengths = np.random.default_rng(seed).permutation(128)
    met = set()
    for epoch in range(10):
        order = epoch_order(128, 8, seed=seed, epoch=epoch, lengths=lengths)
        (own,) = (rows for rows in order if 0 in rows)
        met |= {int(row) for row in own} - {0}
    assert len(met) > 20  # 7 if all were sorted at once, at most 70


def test_the_longest_texts_do_not_always_come_first(seed: int) -> None:
    lengths = np.arange(320)
    first = [int(epoch_order(320, 32, seed=seed, epoch=e, lengths=lengths)[0].max()) for e in range(10)]
    assert len(set(first)) > 3


def test_rows_are_drawn_in_proportion_to_their_shares(seed: int) -> None:
    """90 rows of one class, 10 of another, each class drawn with probability 1/2."""
    shares = np.array([0.5 / 90] * 90 + [0.5 / 10] * 10)
    drawn = np.concatenate(
        [np.concatenate(epoch_order(100, 8, seed=seed, epoch=e, shares=shares)) for e in range(100)]
    )
    assert len(drawn) == 10_000
    assert np.mean(drawn >= 90) == pytest.approx(0.5, abs=0.02)  # four standard errors of 0.005


def test_reading_keeps_the_order_or_begins_with_the_longest() -> None:
    assert [b.tolist() for b in reading_order(5, 2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in reading_order(4, 2, np.array([3, 9, 9, 1]))] == [[1, 2], [0, 3]]
    assert reading_order(0, 2) == []


def test_examples_are_rows_in_the_order_asked_for() -> None:
    import datasets

    dataset = datasets.Dataset.from_dict({"id": ["a", "b", "c"], "item": ["x", "y", "z"]})
    assert examples(dataset, np.array([2, 0])) == [{"id": "c", "item": "z"}, {"id": "a", "item": "x"}]


def ours() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "tunesmith-batches"]


BATCHES = [np.array([i]) for i in range(100)]


def test_ahead_gives_what_make_gives_in_order() -> None:
    assert list(ahead(lambda rows: int(rows[0]) ** 2, BATCHES)) == [i**2 for i in range(100)]
    assert ours() == []


def test_ahead_makes_only_a_few_batches_more_than_were_asked_for() -> None:
    made: list[int] = []
    batches = ahead(lambda rows: made.append(int(rows[0])), BATCHES, depth=3)
    next(batches)
    deadline = time.monotonic() + 5
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.001)
    batches.close()
    assert len(made) <= 5  # one given, three ready, one in the hand


def test_ahead_raises_an_error_where_its_batch_is_asked_for() -> None:
    def make(rows: np.ndarray) -> int:
        if rows[0] == 3:
            raise ValueError("picture 3 is broken")
        return int(rows[0])

    seen: list[int] = []
    with pytest.raises(ValueError, match="picture 3 is broken"):
        seen.extend(ahead(make, BATCHES))
    assert seen == [0, 1, 2]
    assert ours() == []


def test_aheads_thread_ends_when_the_consumer_stops_early() -> None:
    for value in ahead(lambda rows: int(rows[0]), BATCHES):
        assert len(ours()) == 1
        if value == 2:
            break
    assert ours() == []


def test_aheads_thread_ends_when_the_consumer_fails() -> None:
    def consume() -> None:
        for _ in ahead(lambda rows: int(rows[0]), BATCHES):
            raise RuntimeError("the loop fell over")

    try:
        consume()
    except RuntimeError as error:
        error.__traceback__ = None  # it holds the frame, and the frame the generator
    assert ours() == []
