"""What the stages of a network began with, and how far each went from there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Final

import torch
from torch import Tensor

from tunesmith.reports.content import Moved

if TYPE_CHECKING:
    from torch import nn

    from tunesmith.networks.network import Network, Stage
    from tunesmith.plan import Plan

PIECE: Final = 1 << 20  # numbers that are compared at a time


class Pretrained:
    """The weights that a network begins with, of the stages that a plan moves.

    They lie in a file without a name, which goes with the process: a second copy in memory would cost as
    much as the network itself, and loading the network again would take seconds, and could not be done at
    all for a person's own module. Heads begin from random numbers and are not followed; buffers are kept,
    for who wants the network back, but are no part of a distance.

    folder: on the disk that is to hold them.
    """

    def __init__(self, network: Network, plan: Plan, folder: Path) -> None:
        self._stages = [any(phase.lrs[i] > 0 for phase in plan.phases) for i in range(len(network.stages))]
        self._file: IO[bytes] = TemporaryFile(dir=folder)  # noqa: SIM115 (lives as long as this object)
        self._buffers: dict[str, Tensor] = {
            name: tensor.detach().cpu().clone()
            for name, tensor in network.module.named_buffers()
            if any(name in stage.weights for stage, moves in self._of(network) if moves)
        }
        for tensor in self._followed(network).values():
            for piece in _pieces(tensor):
                self._file.write(piece.view(torch.uint8).numpy().tobytes())
        self._file.flush()  # a disk that is full says so now, not when training is over

    def distances(self, network: Network) -> tuple[Moved, ...]:
        """How far every stage is now from where it began; 0 for stages that were never unfrozen."""
        self._file.seek(0)
        found = []
        parameters = dict(network.module.named_parameters())
        for stage, trained in self._of(network):
            gone = size = 0.0
            for name in stage.weights if trained else ():
                if name in parameters:
                    more = self._compared(parameters[name])
                    gone, size = gone + more[0], size + more[1]
            found.append(Moved(stage.name, math.sqrt(gone / size) if size else 0.0, trained))
        return tuple(found)

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()

    def tensors(self, network: Network) -> dict[str, Tensor]:
        """The parameters and buffers that the moved stages began with, by name, on the CPU."""
        self._file.seek(0)
        found = {}
        for name, weight in self._followed(network).items():
            then = torch.empty(weight.numel(), dtype=weight.dtype)
            for piece in torch.split(then, PIECE):
                raw = bytearray(self._file.read(piece.numel() * piece.element_size()))
                if raw:
                    piece.copy_(torch.frombuffer(raw, dtype=piece.dtype))
            found[name] = then.view(weight.shape)
        return found | {name: tensor.clone() for name, tensor in self._buffers.items()}

    def _of(self, network: Network) -> Iterator[tuple[Stage, bool]]:
        return zip(network.stages, self._stages, strict=True)

    def _followed(self, network: Network) -> dict[str, nn.Parameter]:
        parameters = dict(network.module.named_parameters())
        return {
            name: parameters[name]
            for stage, trained in self._of(network)
            for name in stage.weights
            if trained and name in parameters
        }

    def _compared(self, weight: Tensor) -> tuple[float, float]:
        """|now - then|² and |then|² of the tensor that comes next in the file."""
        gone = size = 0.0
        for piece in _pieces(weight):
            raw = bytearray(self._file.read(piece.numel() * piece.element_size()))
            then = torch.frombuffer(raw, dtype=piece.dtype).double()
            gone += float((piece.double() - then).square().sum())
            size += float(then.square().sum())
        return gone, size


def _pieces(weight: Tensor) -> Iterator[Tensor]:
    """A tensor's numbers in order, on the CPU, so many at a time; none of a tensor that has none."""
    if not weight.numel():
        return
    for piece in torch.split(weight.detach().reshape(-1), PIECE):
        yield piece.cpu().contiguous()
