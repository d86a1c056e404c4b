"""PyTorch itself, operation by operation: runs whatever the network runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tunesmith.engines.engine import device_of, handed_out


@dataclass(eq=False)
class Eager:
    """Calls the prefix.

    channels_last: 4-D inputs get this memory layout, which bf16 convolutions and GPUs prefer; it
        changes the order of sums. The weights are left as they are: the live network shares them.
    """

    prefix: nn.Module
    precision: str
    device: torch.device
    channels_last: bool
    name: str = "eager"

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """See Engine."""
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        with torch.inference_mode(), autocast:
            outputs = self.prefix(*(self._placed(tensor) for tensor in inputs))
        return [handed_out(tensor) for tensor in outputs]

    def _placed(self, tensor: Tensor) -> Tensor:
        placed = tensor.to(self.device, non_blocking=True)
        if self.channels_last and placed.ndim == 4:
            return placed.contiguous(memory_format=torch.channels_last)
        return placed


def build(prefix: nn.Module, example: Sequence[Tensor], *, precision: str, ragged: bool, rows: int) -> Eager:
    """See engine.build; nothing is prepared."""
    del example, ragged, rows
    device = device_of(prefix)
    return Eager(prefix, precision, device, channels_last=precision == "bf16" or device.type == "cuda")


def live(prefix: nn.Module) -> Eager:
    """The reference that every engine is compared with: fp32, in the network's own memory layout."""
    return Eager(prefix, "fp32", device_of(prefix), channels_last=False, name="live")
