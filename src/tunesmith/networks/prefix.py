"""The frozen part of a network as a module of its own: raw inputs in, what is stored of them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from tunesmith.networks.kinds import axis_of_maps, stated_axis
from tunesmith.networks.network import Network, said_by
from tunesmith.networks.pooled import mean_of_tokens
from tunesmith.networks.replay import ENTRY, Cut, conducted


class Prefix(nn.Module):
    """raw inputs -> the tensors of each cut, then the pooled features of every stage [C, D].

    names: of the token tensors that it takes, in order; empty: it takes images.
    cuts: what is stored, input side first. pooled: also what each stage hands on, averaged over
    positions or tokens, one stage after the other; the last is what the head is given.
    The module behind it is left as it was after every call; what lies behind the last cut never runs.
    """

    def __init__(
        self, network: Network, cuts: Sequence[Cut] = (), *, names: Sequence[str] = (), pooled: bool = True
    ) -> None:
        super().__init__()
        # Exporters put a module back into the mode that it says it was in, and its parts with it.
        self.training = False
        self.module = network.module
        self.cuts, self.names, self.pooled = tuple(cuts), tuple(names), pooled
        self.widths: tuple[int, ...] = ()  # of the pooled features, stage by stage; known after a call
        self._network = (network,)  # in a tuple: it is no module of this one
        self._owner = {path: i for i, part in enumerate(network.parts) for path in part.modules}
        self._axes = {path: stated_axis(network.module, path) for path in self._owner}
        self._last = len(network.stages) if pooled else max(cut.at for cut in cuts)
        self._wanted = {leaf.call for cut in cuts for leaf in cut.stored}

    @property
    def axes(self) -> list[int | None]:
        """Stage by stage the dimension of its maps that counts channels, as its last module says."""
        (network,) = self._network
        return [self._axes[stage.modules[-1]] for stage in network.stages]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Images uint8 [C, 3, H, W], or token tensors [C, T] in the order of `names`."""
        (network,) = self._network
        given: Any = dict(zip(self.names, inputs, strict=True)) if self.names else inputs[0]
        stored: dict[int, tuple[Tensor, ...]] = {}
        pooled: list[Tensor] = []
        outputs: dict[int, list[Any]] = {}
        count = passed = 0
        cut_at = {cut.at: cut for cut in self.cuts}
        mask = given.get("attention_mask") if isinstance(given, Mapping) else None
        latest: Any = None
        axis: int | None = None  # of the channels in what ran last

        def boundary(at: int, arguments: list[Any]) -> None:
            if cut := cut_at.get(at):
                leaves = (arguments if leaf.call == ENTRY else outputs[leaf.call] for leaf in cut.stored)
                # Copies: in-place layers of later stages would write into them.
                stored[at] = tuple(
                    found[leaf.place].clone() for leaf, found in zip(cut.stored, leaves, strict=True)
                )
            if self.pooled:
                main = main_tensor([*arguments, *tree_flatten(latest)[0]], len(inputs[0]))
                none = inputs[0].new_zeros((len(inputs[0]), 0), dtype=torch.float32)
                pooled.append(none if main is None else pooled_features(main, mask, axis=axis))

        def play(
            path: str, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            nonlocal count, passed, latest, axis
            if self._owner[path] > passed:
                arguments = tree_flatten((args, kwargs))[0]
                while passed < min(self._owner[path], self._last):
                    passed += 1
                    boundary(passed, arguments)
                if passed == self._last:
                    raise _Reached
            latest, axis = forward(*args, **kwargs), self._axes[path]
            if count in self._wanted:
                outputs[count] = tree_flatten(latest)[0]
            count += 1
            return latest

        with conducted(self.module, self._owner, play), suppress(_Reached):
            out = network.run(network.preprocess.ready(given))
            if len(network.parts) in cut_at:
                stored[len(network.parts)] = (said_by(out),)
        if not torch._C._get_tracing_state():
            self.widths = tuple(part.shape[1] for part in pooled)
        tensors = [t for cut in self.cuts for t in stored[cut.at]]
        return (*tensors, torch.cat(pooled, 1)) if self.pooled else tuple(tensors)


class _Reached(BaseException):
    """The network came to its last cut; an `except Exception` of its own does not catch this."""


def pooled_features(features: Tensor, mask: Tensor | None = None, *, axis: int | None = None) -> Tensor:
    """Averaged over positions or tokens, [B, D].

    features: [B, D], maps [B, C, H, W] or [B, H, W, C], token states [B, T, D].
    mask: [B, T], 1 for a token and 0 for padding, which does not count.
    axis: of maps the dimension of the channels; None: what their shape says, of square images.
    """
    if features.ndim == 4:
        return features.mean((1, 2) if axis_of_maps(features, axis) == 3 else (2, 3))
    if features.ndim == 3:
        if mask is None or mask.shape != features.shape[:2]:
            return features.mean(1)
        return mean_of_tokens(features, mask)
    return features.flatten(1)


def main_tensor(leaves: Sequence[Any], count: int) -> Tensor | None:
    """Of what crosses a boundary the first tensor with a part for each example, if there is one.

    leaves: of any kind. count: examples in the batch.
    """
    for leaf in leaves:
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.ndim > 1 and len(leaf) == count:
            return leaf
    return None
