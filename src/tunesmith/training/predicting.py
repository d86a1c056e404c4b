"""A network's answers over a whole data set, in the data's order, with flat memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from tunesmith.networks.activations import Activations
from tunesmith.networks.network import Network
from tunesmith.tasks.task import Batch, Labels, Task
from tunesmith.training import processes
from tunesmith.training.batches import ahead, reading_order
from tunesmith.training.examples import Examples
from tunesmith.training.feeds import Feed
from tunesmith.training.memory import pieces_that_fit
from tunesmith.training.runner import Runner


def predict(
    network: Network,
    task: Task,
    dataset: Any,
    labels: Labels,
    *,
    batch: int,
    autocast: Callable[[], Any] | None = None,
    progress: Callable[[int], None] | None = None,
    shared: bool = False,
) -> list[Any]:
    """One prediction per example, in the data's order; the network in eval mode.

    dataset: or a Feed of one; texts of similar length share a batch.
    autocast: makes the context of mixed precision. progress: called with the examples just done.
    shared: each process takes some of the batches, and all get all answers.
    """
    device = next(network.module.parameters()).device
    network.module.eval()
    first, step = processes.place() if shared else (0, 1)
    done: list[tuple[Any, list[Any]]] = []
    feed = dataset if isinstance(dataset, Feed) else Feed(Examples(dataset, network.preprocess, task=task))
    order = reading_order(len(feed), batch, feed.lengths)[first::step]
    make = partial(feed.batch, task=task, labels=labels)
    with torch.inference_mode():
        for rows, ready in zip(order, ahead(make, order), strict=True):
            loaded = ready.to(device)
            with autocast() if autocast else torch.autocast(device.type, enabled=False):
                done.append((rows, _halving(network, task, loaded)))
            if progress:
                progress(loaded.size)
    found: list[Any] = [None] * len(feed)
    for rows, answers in processes.from_all(done) if shared else done:
        for row, answer in zip(rows, answers, strict=True):
            found[row] = answer
    return feed.examples.put_together(found, task)


def predict_by(runner: Runner, task: Task, labels: Labels) -> list[Any]:
    """The same for a runner's examples, by an engine that runs the whole network in chunks of its own."""
    examples, engine = runner.examples, runner.warm_up()
    (cut,) = runner.prefix.cuts
    order = runner.chunks(np.arange(len(examples)), examples.lengths)
    found: list[Any] = [None] * len(examples)
    for rows, inputs in zip(order, ahead(partial(runner.inputs, examples), order), strict=True):
        (said,) = engine(inputs)
        said = said[: len(rows)]
        if examples.lengths is not None and said.ndim > 2:  # of every token: none of the padding to a bucket
            said = said[:, : int(examples.lengths[rows].max())]
        batch = examples.batch(rows, task, labels, Activations(cut, (said,)))
        for row, answer in zip(rows, task.predict(runner.network, batch), strict=True):
            found[row] = answer
    return examples.put_together(found, task)


def _halving(network: Network, task: Task, batch: Batch) -> list[Any]:
    """Predictions for a batch, in pieces where it does not fit into memory."""

    def run(pieces: int) -> list[Any]:
        return [answer for piece in batch.parts(pieces) for answer in task.predict(network, piece)]

    answers, _ = pieces_that_fit(run, batch.size)
    return answers
