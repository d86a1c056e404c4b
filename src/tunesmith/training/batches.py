"""Which examples stand in which batch: a function of the seed and the epoch, so that it can be resumed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
BUCKET = 50  # batches that are sorted by length together: little padding, and still a shuffle
POOLS = 4  # of rows sorted so, at least: sorted all at once, few rows meet the same others in every epoch


def epoch_order(
    count: int,
    batch: int,
    *,
    seed: int,
    epoch: int,
    lengths: np.ndarray | None = None,
    shares: np.ndarray | None = None,
) -> list[np.ndarray]:
    """The batches of one training epoch: arrays of row numbers, every row once.

    lengths: tokens per row; rows of similar length then share a batch, in random order.
    shares: how likely each row is to be drawn (sum 1); rows are then drawn with replacement.

    >>> [b.tolist() for b in epoch_order(5, 2, seed=0, epoch=0)]
    [[2, 4], [3, 0], [1]]
    """
    random = np.random.default_rng([seed, epoch])
    rows = random.permutation(count) if shares is None else random.choice(count, count, p=shares)
    if lengths is None:
        return [rows[i : i + batch] for i in range(0, count, batch)]
    batches = []
    size = batch * max(min(BUCKET, count // (batch * POOLS)), 1)
    for start in range(0, count, size):
        pool = rows[start : start + size]
        pool = pool[np.argsort(-lengths[pool], kind="stable")]
        batches += [pool[i : i + batch] for i in range(0, len(pool), batch)]
    return [batches[i] for i in random.permutation(len(batches))]


def reading_order(count: int, batch: int, lengths: np.ndarray | None = None) -> list[np.ndarray]:
    """The batches of an evaluation: in order, or the longest first where lengths are known."""
    rows = np.arange(count) if lengths is None else np.argsort(-lengths, kind="stable")
    return [rows[i : i + batch] for i in range(0, count, batch)]


def examples(dataset: Any, rows: np.ndarray) -> list[dict[str, Any]]:
    """Some rows of a data set, as one mapping each."""
    columns = dataset[rows.tolist()]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def ahead(
    make: Callable[[np.ndarray], T], batches: Sequence[np.ndarray], depth: int = 3
) -> Generator[T, None, None]:
    """`make` of each batch, a few batches ahead, in one thread beside the training.

    `make` must draw no random numbers: threads share torch's generator. One thread is enough here:
    decoding frees the interpreter lock, and two cores have no room for more.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(thing: tuple[T | None, BaseException | None]) -> None:
        while not stop.is_set():
            try:
                ready.put(thing, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for rows in batches:
                if stop.is_set():
                    return
                put((make(rows), None))
        except BaseException as error:  # noqa: BLE001  it is raised again where the batch is asked for
            put((None, error))

    thread = threading.Thread(target=work, daemon=True, name="tunesmith-batches")
    thread.start()
    try:
        for _ in batches:
            thing, error = ready.get()
            if error is not None:
                raise error
            yield thing  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()
