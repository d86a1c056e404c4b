"""A network as a graph: traced by torch.export, with a batch of any size and texts of any length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from tunesmith.engines.compiled import first_line
from tunesmith.engines.engine import quiet
from tunesmith.errors import BadExport
from tunesmith.exports.format import Subject
from tunesmith.networks.network import said_by
from tunesmith.networks.preprocess import ImagePreprocess

GRAPHS: Final = ("onnx", "openvino", "torch")  # formats that are traced


class Served(nn.Module):
    """A network whose inputs come by position, and whose answers are one tensor in the person's terms."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        form, labels = subject.network.preprocess, subject.labels
        self.module = subject.network.module
        self.arguments = tuple(subject.example)
        self.pixels, self.numbers = subject.pixels, bool(labels.spreads)
        if isinstance(form, ImagePreprocess):
            self.arguments = () if form.argument is None else (form.argument,)
            for name, values in (("mean", form.mean), ("std", form.std)):
                self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(-1, 1, 1))
        for name, values in (("means", labels.means), ("spreads", labels.spreads)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Images [N, 3, H, W] or tokens [N, T] to answers [N, K]."""
        ready = [self._normalised(inputs[0])] if self.pixels else inputs
        by_name = dict(zip(self.arguments, ready, strict=False))
        out: Any = self.module(**by_name) if by_name else self.module(*ready)
        answers: Tensor = said_by(out)
        return answers * self.spreads + self.means if self.numbers else answers  # type: ignore[operator]

    def _normalised(self, images: Tensor) -> Tensor:
        return (images.to(torch.float32) / 255 - self.mean) / self.std  # type: ignore[operator]


def traced(subject: Subject) -> Any:
    """The network as a torch.export program; sizes that differ from batch to batch are free.

    Raises BadExport where it cannot be traced.
    """
    inputs = tuple(subject.example.values())
    free = torch.export.Dim.DYNAMIC
    sizes: list[Mapping[int, Any]] = [{0: free, 1: free} if t.ndim == 2 else {0: free} for t in inputs]
    try:
        with quiet(), torch.no_grad():
            return torch.export.export(Served(subject).eval(), inputs, dynamic_shapes=(tuple(sizes),))
    except Exception as error:  # whatever a tracer raises
        raise BadExport(
            f"{subject.name} cannot be traced by torch.export, which takes a network that does the same for "
            f"every input, in batches of any size: {first_line(error)}. {_instead(subject)}"
        ) from error


def _instead(subject: Subject) -> str:
    """What can hold a network that has no graph, in a sentence."""
    from tunesmith.exports import FORMATS

    others = [name for name in FORMATS.names() if name not in GRAPHS]
    can = [name for name in others if FORMATS.load(name)().refuses(subject.described) is None]
    return f"What needs no graph: {', '.join(can)}." if can else "tunesmith.load gives the module itself."
