"""One forward and one backward pass of a few examples: where the data pull, and what each stage costs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from tunesmith.networks.network import Network
from tunesmith.networks.prefix import main_tensor
from tunesmith.networks.replay import conducted
from tunesmith.tasks.task import Labels, Task
from tunesmith.training.examples import Examples
from tunesmith.training.solvers import Linear
from tunesmith.training.solving import linear_head
from tunesmith.training.state import random_tensors, random_values, restore_random

EXAMPLES: Final = 64
TOGETHER: Final = 16  # examples in a pass: what 64 at once would hold for backward is gigabytes


@dataclass(frozen=True)
class Pilot:
    """What a pass of a few examples tells of every part: the stages, input first, and the head.

    weights, gradients: norms over all weights of a part. forward, backward: seconds an example, of the
    live network in training precision. sizes: bytes an example of what reaches a part, in float32, of
    texts without padding; 0 for the first part. examples: how many passed.
    """

    weights: tuple[float, ...]
    gradients: tuple[float, ...]
    forward: tuple[float, ...]
    backward: tuple[float, ...]
    sizes: tuple[int, ...]
    examples: int

    def seconds(self, start: int, replayed: int = 0, *, train: int, valid: int = 0) -> float:
        """Predicted seconds of an epoch in which the parts from `start` on train.

        replayed: how many parts are not computed because what they put out is stored.
        train, valid: examples that are learned from, and that are answered after it.
        """
        once = sum(self.forward[replayed:])
        return train * (once + sum(self.backward[start:])) + valid * once


def pilot(
    network: Network,
    task: Task,
    labels: Labels,
    examples: Examples,
    *,
    head: Linear | None = None,
    seed: int = 0,
) -> Pilot:
    """Measure every part on 64 examples drawn by `seed`; the network is the same after, bit for bit.

    head: what the linear head holds meanwhile, its probe's solution for instance: the gradient that a
    random head sends back says little. None: it stays as it is. Everything stands in eval mode.
    """
    count = min(EXAMPLES, len(examples))
    rows = np.random.default_rng(seed).permutation(len(examples))[:count]
    if examples.lengths is not None:
        rows = rows[np.argsort(-examples.lengths[rows], kind="stable")]  # little padding
    chunks = np.array_split(rows, math.ceil(count / TOGETHER))
    device = next(network.module.parameters()).device
    watch = _Watch(network, device)
    with _untouched(network):
        network.module.eval()
        for parameter in network.module.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
            parameter.grad = None
        if head is not None:
            _hold(network, head)
        for number, chunk in enumerate(chunks):
            batch = examples.batch(chunk, task, labels).to(device)
            lengths = None if examples.lengths is None else examples.lengths[chunk]
            # The first chunk warms up caches and kernels where there is another one to time.
            watch.begin(len(chunk), lengths, timed=number > 0 or len(chunks) == 1)
            with torch.enable_grad(), conducted(network.module, watch.owner, watch.play):
                loss = task.loss(network, batch) * (len(chunk) / count)
            watch.turn()
            loss.backward()  # type: ignore[no-untyped-call]
            watch.end()
        weights, gradients = _norms(network)
    return Pilot(weights, gradients, *watch.each(), count)


class _Watch:
    """Notes when each part runs, forwards and backwards, and how much reaches it."""

    def __init__(self, network: Network, device: torch.device) -> None:
        self.owner = {path: i for i, part in enumerate(network.parts) for path in part.modules}
        count = len(network.parts)
        self.forward, self.backward = np.zeros(count), np.zeros(count)
        self.bytes, self.seen, self.timed = np.zeros(count), 0, 0
        self._device = device

    def begin(self, count: int, lengths: np.ndarray | None, *, timed: bool) -> None:
        """A chunk of so many examples begins; lengths: their tokens."""
        self.count, self.lengths, self.counts = count, lengths, timed
        self.arrivals: dict[int, float] = {}
        self.passed, self.own = 0, np.zeros(len(self.forward))
        self.seen += count
        self.began = self.now()

    def play(
        self, path: str, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        part = self.owner[path]
        if part > self.passed:
            leaf = main_tensor(tree_flatten((args, kwargs))[0], self.count)
            self.bytes[self.passed + 1 : part + 1] += self._size(leaf)
            self.passed = part
        began = self.now()
        out = forward(*args, **kwargs)
        self.own[part] += self.now() - began
        leaf = main_tensor(tree_flatten(out)[0], self.count)
        if leaf is not None and leaf.requires_grad:
            leaf.register_hook(partial(self._arrived, part))  # type: ignore[no-untyped-call]
        return out

    def turn(self) -> None:
        """The loss is there, and backward begins."""
        self.turned = self.now()
        if self.counts:  # code between the modules is shared out among them
            self.forward += self.own * ((self.turned - self.began) / max(float(self.own.sum()), 1e-12))

    def end(self) -> None:
        """Backward is through: a part's share of it ends when the gradient of what precedes it is there."""
        if not self.counts:
            return
        at, ended = self.turned, self.now()
        for part in range(len(self.backward) - 1, -1, -1):
            below = [self.arrivals[p] for p in range(part) if p in self.arrivals]
            until = max(below[-1] if below else ended, at)
            self.backward[part] += until - at
            at = until
        self.timed += self.count

    def each(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[int, ...]]:
        """Seconds forwards and backwards, and bytes, of one example in each part."""
        forward, backward = (tuple((total / self.timed).tolist()) for total in (self.forward, self.backward))
        return forward, backward, tuple(round(size) for size in (self.bytes / self.seen).tolist())

    def now(self) -> float:
        """The time when all that was asked of the device is done."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def _arrived(self, part: int, _: Tensor) -> None:
        self.arrivals.setdefault(part, self.now())

    def _size(self, leaf: Tensor | None) -> float:
        """Bytes of a chunk's tensor in float32; padding is not stored."""
        if leaf is None:
            return 0.0
        whole = 4.0 * leaf.numel()
        if self.lengths is None or leaf.ndim < 3 or leaf.shape[1] != int(self.lengths.max()):
            return whole
        return whole * float(self.lengths.mean()) / leaf.shape[1]


def _norms(network: Network) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """|w| and |gradient| over all weights of each part."""
    parameters = dict(network.module.named_parameters())
    weights, gradients = [], []
    for part in network.parts:
        own = [parameters[name] for name in part.weights if name in parameters]
        moved = [p for p in own if p.grad is not None]
        weights.append(math.sqrt(sum(float((p.detach().double() ** 2).sum()) for p in own)))
        gradients.append(
            math.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in moved if p.grad is not None))
        )
    return tuple(weights), tuple(gradients)


def _hold(network: Network, head: Linear) -> None:
    layer = linear_head(network)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weights.T.copy()))
        if layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(head.bias))


@contextmanager
def _untouched(network: Network) -> Iterator[None]:
    """Whatever happens inside: afterwards weights, buffers, modes, gradients and generators are as before."""
    module = network.module
    head = {name: tensor.detach().clone() for name, tensor in network.tensors(len(network.stages)).items()}
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    parameters = [(p, p.requires_grad, p.grad) for p in module.parameters()]
    modes = [(part, part.training) for part in module.modules()]
    random, values = random_tensors(), random_values()
    try:
        yield
    finally:
        with torch.no_grad():
            for name, tensor in network.tensors(len(network.stages)).items():
                tensor.copy_(head[name])
            for buffer, before in buffers:
                buffer.copy_(before)
        for parameter, moves, gradient in parameters:
            parameter.requires_grad_(moves)
            parameter.grad = gradient
        for part, training in modes:
            part.training = training
        restore_random(random, values)
