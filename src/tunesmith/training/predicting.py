"""A network's answers over a whole data set, in the data's order, with flat memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from tunesmith.networks.network import Network
from tunesmith.tasks.task import Batch, Labels, Task
from tunesmith.training import processes
from tunesmith.training.batches import ahead, examples, reading_order
from tunesmith.training.memory import pieces_that_fit


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
    shared: bool = False,
) -> list[Any]:
    """One prediction per example, in the data's order; the network in eval mode.

    lengths: tokens per example; batches then hold texts of similar length.
    autocast: makes the context of mixed precision. progress: called with the examples just done.
    shared: each process takes some of the batches, and all get all answers.
    """
    device = next(network.module.parameters()).device
    network.module.eval()
    first, step = processes.place() if shared else (0, 1)
    done: list[tuple[Any, list[Any]]] = []
    order = reading_order(len(dataset), batch, lengths)[first::step]
    make = partial(collated, dataset, task, network, labels)
    with torch.inference_mode():
        for rows, ready in zip(order, ahead(make, order), strict=True):
            loaded = ready.to(device)
            with autocast() if autocast else torch.autocast(device.type, enabled=False):
                done.append((rows, _halving(network, task, loaded)))
            if progress:
                progress(loaded.size)
    found: list[Any] = [None] * len(dataset)
    for rows, answers in processes.from_all(done) if shared else done:
        for row, answer in zip(rows, answers, strict=True):
            found[row] = answer
    return found


def collated(dataset: Any, task: Task, network: Network, labels: Labels, rows: np.ndarray) -> Batch:
    """One batch of a data set, on the CPU."""
    return task.collate(examples(dataset, rows), network.preprocess, labels)


def _halving(network: Network, task: Task, batch: Batch) -> list[Any]:
    """Predictions for a batch, in pieces where it does not fit into memory."""

    def run(pieces: int) -> list[Any]:
        return [answer for piece in batch.parts(pieces) for answer in task.predict(network, piece)]

    answers, _ = pieces_that_fit(run, batch.size)
    return answers
