"""A linear head for answers that have parts, solved on what frozen stages say of words and tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from tunesmith.errors import BadPlan
from tunesmith.networks.network import Network
from tunesmith.tasks.rows import Rows
from tunesmith.tasks.task import Labels, Task
from tunesmith.training.feeds import Feed
from tunesmith.training.heads import are_numbers
from tunesmith.training.predicting import predict
from tunesmith.training.solvers import Linear, least_squares
from tunesmith.training.solving import linear_head

MOST: Final = 20_000  # parts that a head is solved on
OTHERS: Final = 30  # parts of a window that are not the answer: 100 are no better on xquad, 10 are worse
BATCH: Final = 32  # rows that go through at a time


@dataclass(frozen=True)
class Parts:
    """Some parts of drawn examples, as the head is given them, with their answers.

    features: float32 [n, D]. targets: int [n] or float [n, K], as `tasks.rows.Rows` has them. of: int64 [n],
    the example of each.
    """

    features: np.ndarray
    targets: np.ndarray
    of: np.ndarray

    def head(self, outputs: int, examples: np.ndarray | None = None) -> Linear:
        """The head of least squared error on all of them, or on those of some examples."""
        rows = np.arange(len(self.of)) if examples is None else np.flatnonzero(np.isin(self.of, examples))
        features, targets = self.features[rows], self.targets[rows]
        weights = None if are_numbers(targets) else _weights(targets)
        return least_squares(lambda: [(features, targets, weights)], outputs)


def gathered(network: Network, task: Task, train: Feed, labels: Labels, *, seed: int = 0) -> Parts | None:
    """20,000 parts of whole examples (`Task.rows`) that are drawn, for a linear head to be solved on.

    Where one part of a window is the answer, it meets 30 others of its window.
    None where the head is not one linear layer, where what it is given holds no such parts, and where there
    may be no answer: how sure of one to be, a head would have to learn from validation.
    """
    try:
        layer = linear_head(network)
    except BadPlan:
        return None
    if not task.parts or labels.thresholds:
        return None
    draw = np.random.default_rng(seed)
    example_of = np.arange(len(train)) if train.examples.of is None else train.examples.of
    found: list[tuple[np.ndarray, ...]] = []
    met = 0
    for rows, windows in _given(network, layer, task, train, labels, draw):
        if rows is None:
            return None
        some = _thinned(rows, draw)
        own = [tensor[some].cpu().numpy() for tensor in (rows.states.float(), rows.targets, rows.of)]
        found.append((own[0], own[1], example_of[windows[own[2]]]))
        met += len(some)
        if met >= MOST:
            break
    if not met:
        return None
    features, targets, of = (np.concatenate(own)[:MOST] for own in zip(*found, strict=True))
    return Parts(features, targets, of)


def _thinned(rows: Rows, draw: np.random.Generator) -> np.ndarray:
    """All rows that have a class; of those among which one is the answer, that one and 30 others."""
    if rows.targets.ndim == 1:
        return np.arange(len(rows.of))
    of, answer = rows.of.cpu().numpy(), rows.targets.cpu().numpy().any(1)
    order = np.lexsort((np.where(answer, -1.0, draw.random(len(of))), of))
    first = np.searchsorted(of[order], of[order])  # where the rows of the same window begin
    place = np.arange(len(of)) - first
    found: np.ndarray = np.sort(order[place < OTHERS + rows.targets.shape[1]])
    return found


def _weights(classes: np.ndarray) -> np.ndarray:
    """How much each part counts: the less, the more there are of its class, by the square root.

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
    network: Network, layer: nn.Linear, task: Task, train: Feed, labels: Labels, draw: np.random.Generator
) -> Iterator[tuple[Rows | None, np.ndarray]]:
    """The parts of windows that are drawn, by what the head is given of them, and which windows these are."""
    caught: list[Tensor] = []
    inner = layer.forward

    def catch(given: Tensor) -> Tensor:
        caught.append(given)
        return inner(given)

    device = layer.weight.device
    order = draw.permutation(len(train))
    network.module.eval()
    # Not a hook: a replay that enters here hands what it stored to `forward`, and hooks see what it hides.
    layer.__dict__["forward"] = catch
    try:
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                windows = np.sort(order[start : start + BATCH])
                batch = train.batch(windows, task, labels).to(device)
                caught.clear()
                network(batch.inputs)
                yield task.rows(caught[0], batch), windows
    finally:
        del layer.__dict__["forward"]


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
