"""A batch of stored activations, in the place of a network's inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tunesmith.networks.replay import Cut, nothing

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.networks.network import Network


@dataclass(frozen=True)
class Activations:
    """What frozen stages put out for B examples; a network goes on from here.

    tensors: one for each of the cut's stored leaves, B first. rest: token tensors [B, T] that the code
    between the modules looks at; None for images, which are not needed any more.
    """

    cut: Cut
    tensors: tuple[Tensor, ...]
    rest: Mapping[str, Tensor] | None = None

    def resume(self, network: Network) -> Any:
        """What the network puts out."""
        # Nobody looks at the inputs any more where modules follow one another, or none is left.
        rest = self._inputs(network) if self.cut.calls and not self.cut.chain else None
        return self.cut.resume(network, self.tensors, rest)

    def each(self, change: Callable[[Tensor], Tensor]) -> Activations:
        """The same with every tensor changed: moved to a device, some of its examples."""
        rest = None if self.rest is None else {name: change(t) for name, t in self.rest.items()}
        return replace(self, tensors=tuple(change(t) for t in self.tensors), rest=rest)

    def _inputs(self, network: Network) -> Any:
        if self.rest is not None:
            return network.preprocess.ready(self.rest)
        preprocess: Any = network.preprocess
        first = self.tensors[0]
        shape = (len(first), 3, preprocess.size, preprocess.size)
        image = nothing(shape, first.dtype, device=first.device)
        return image if preprocess.argument is None else {preprocess.argument: image}
