"""A network's answers over a whole data set, in the data's order, with flat memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from tunesmith.networks.network import Network
from tunesmith.tasks.task import Batch, Labels, Task
from tunesmith.training.batches import ahead, examples, reading_order


@dataclass(frozen=True)
class Answers:
    """Predictions in the data's order, and the mean loss over labelled examples (None without)."""

    predictions: list[Any]
    loss: float | None


def predict(
    network: Network,
    task: Task,
    dataset: Any,
    labels: Labels,
    *,
    batch: int,
    lengths: np.ndarray | None = None,
    autocast: Callable[[], Any] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Answers:
    """Run the network over a data set in eval mode.

    lengths: tokens per example; batches then hold texts of similar length.
    autocast: makes the context of mixed precision. progress: called with the examples just done.
    """
    device = next(network.module.parameters()).device
    network.module.eval()
    found: list[Any] = [None] * len(dataset)
    total, counted = 0.0, 0
    order = reading_order(len(dataset), batch, lengths)
    make = partial(collated, dataset, task, network, labels)
    with torch.inference_mode():
        for rows, ready in zip(order, ahead(make, order), strict=True):
            loaded = ready.to(device)
            with autocast() if autocast else torch.autocast(device.type, enabled=False):
                answers, loss = _halving(network, task, loaded)
            for row, answer in zip(rows, answers, strict=True):
                found[row] = answer
            if loss is not None:
                total, counted = total + loss * loaded.size, counted + loaded.size
            if progress:
                progress(loaded.size)
    return Answers(found, total / counted if counted else None)


def collated(dataset: Any, task: Task, network: Network, labels: Labels, rows: np.ndarray) -> Batch:
    """One batch of a data set, on the CPU."""
    return task.collate(examples(dataset, rows), network.preprocess, labels)


def _halving(network: Network, task: Task, batch: Batch) -> tuple[list[Any], float | None]:
    """Predictions and mean loss of a batch, in pieces where it does not fit into memory."""
    from tunesmith.training.memory import pieces_that_fit

    def run(pieces: int) -> tuple[list[Any], float | None]:
        answers: list[Any] = []
        total = 0.0
        for piece in batch.parts(pieces):
            answers += task.predict(network, piece)
            if piece.targets is not None:
                total += float(task.loss(network, piece)) * piece.size
        return answers, total / batch.size if batch.targets is not None else None

    result, _ = pieces_that_fit(run, batch.size)
    return result
