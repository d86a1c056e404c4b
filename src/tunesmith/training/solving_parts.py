"""A linear head for answers that have parts, solved on what frozen stages say of every token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from tunesmith.errors import BadPlan
from tunesmith.networks.network import Network
from tunesmith.tasks.task import Labels, Task
from tunesmith.training.feeds import Feed
from tunesmith.training.predicting import predict
from tunesmith.training.solvers import Linear, least_squares
from tunesmith.training.solving import linear_head

MOST: Final = 20_000  # tokens with an answer that a head is solved on
BATCH: Final = 32  # rows that go through at a time


def solve_parts(network: Network, task: Task, train: Feed, labels: Labels, *, seed: int = 0) -> Linear | None:
    """The head of least squared error on frozen features of 20,000 tokens, in rows that are drawn.

    None where the head is not one linear layer, or where what it is given has no class of its own
    (`Task.classes`).
    """
    try:
        layer = linear_head(network)
    except BadPlan:
        return None
    features: list[np.ndarray] = []
    classes: list[np.ndarray] = []
    met = 0
    for given, own in _given(network, layer, task, train, labels, seed):
        if own is None:
            return None
        rows = own >= 0
        features.append(given[rows].float().cpu().numpy())
        classes.append(own[rows].cpu().numpy())
        met += len(classes[-1])
        if met >= MOST:
            break
    if not met:
        return None
    block = np.concatenate(features)[:MOST], np.concatenate(classes)[:MOST]
    return least_squares(lambda: [(*block, _weights(block[1]))], len(labels.names))


def _weights(classes: np.ndarray) -> np.ndarray:
    """How much each token counts: the less, the more there are of its class, by the square root.

    On CrossNER's politics the head has F1 0.36 so, 0.27 with all alike, and 0.37 as logistic regression,
    which takes ten times as long; most words are outside of every span, and least squares marks too few.
    """
    counts = np.bincount(classes)
    own = 1 / np.sqrt(counts[classes])
    found: np.ndarray = own / own.mean()
    return found


def answers_with(
    head: Linear, network: Network, task: Task, feed: Feed, labels: Labels, *, batch: int
) -> list[Any]:
    """Predictions of the network with a solved head in the place of its own, which it gets back."""
    with _headed(linear_head(network), head):
        return predict(network, task, feed, labels, batch=batch)


def _given(
    network: Network, layer: nn.Linear, task: Task, train: Feed, labels: Labels, seed: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """What the head is given for some rows, [B, T, D], and the class of each token, [B, T]."""
    caught: list[Tensor] = []
    device = layer.weight.device
    order = np.random.default_rng(seed).permutation(len(train))
    network.module.eval()
    handle = layer.register_forward_pre_hook(lambda _, given: caught.append(given[0]))
    try:
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                batch = train.batch(np.sort(order[start : start + BATCH]), task, labels).to(device)
                caught.clear()
                network(batch.inputs)
                yield caught[0], task.classes(batch)
    finally:
        handle.remove()


@contextmanager
def _headed(layer: nn.Linear, head: Linear) -> Iterator[None]:
    """The layer with other weights meanwhile."""
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(head.weights.T)))
        if layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(head.bias))
    try:
        yield
    finally:
        layer.load_state_dict(before)
