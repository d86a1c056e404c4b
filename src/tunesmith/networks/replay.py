"""Replay: a network goes on from stored activations as if its frozen stages had just run.

No graph is traced and no module is replaced. While a network is replayed, the frozen modules' `forward`
is another function, on the instances: it answers with placeholders that cost nothing, and the network's
own code does the rest. At the cut the stored tensors take the placeholders' place, either as arguments
of the first module behind the cut or as outputs of frozen modules. Placeholders hold NaN, so that
whatever would read one by mistake is seen at once.

Which tensors must be stored is found by networks.cuts.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

if TYPE_CHECKING:
    from tunesmith.networks.network import Network

ENTRY = -1  # in the place of a call's number: the arguments of the first call behind the cut
LIVE: Any = object()  # the answer that a call shall run itself
Play = Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


@dataclass(frozen=True)
class Size:
    """How long one dimension is: `factor` times B, T, both or nothing, plus `more`.

    >>> Size(1, "T", 2).at(4, 10)
    12
    """

    factor: int
    of: str
    more: int = 0

    def at(self, examples: int, tokens: int) -> int:
        """The length for so many examples of so many tokens."""
        grown = (examples if "B" in self.of else 1) * (tokens if "T" in self.of else 1)
        return self.factor * grown + self.more


@dataclass(frozen=True)
class Leaf:
    """A tensor that is stored at a cut.

    call: number of the frozen call that puts it out, or ENTRY. place: among the flattened leaves.
    """

    call: int
    place: int
    sizes: tuple[Size, ...]
    dtype: torch.dtype

    def shape(self, examples: int, tokens: int) -> tuple[int, ...]:
        """Its shape for so many examples of so many tokens."""
        return tuple(size.at(examples, tokens) for size in self.sizes)

    def bytes(self, tokens: int) -> int:
        """Bytes of one example's part in float32; of a text of so many tokens."""
        return 4 * math.prod(self.shape(1, tokens))

    @property
    def ragged(self) -> bool:
        """Whether dimension 1 counts the tokens of a text: padding need not be stored then."""
        return len(self.sizes) > 1 and self.sizes[1] == Size(1, "T")


@dataclass(frozen=True)
class Output:
    """The form of what a frozen call puts out; tensors as sizes and type, anything else as it was."""

    spec: TreeSpec
    leaves: tuple[Any, ...]

    def placeholder(
        self,
        examples: int,
        tokens: int,
        stored: Mapping[int, Tensor],
        *,
        device: torch.device | str = "cpu",
        solid: bool = False,
    ) -> Any:
        """The same form, its tensors stored ones or NaN. solid: may be written to in place."""

        def tensor(i: int, leaf: Leaf) -> Tensor:
            if i in stored:
                return stored[i]
            return nothing(leaf.shape(examples, tokens), leaf.dtype, device=device, solid=solid)

        leaves = [tensor(i, f) if isinstance(f, Leaf) else f for i, f in enumerate(self.leaves)]
        return tree_unflatten(leaves, self.spec)


@dataclass(frozen=True)
class Cut:
    """Where a network is cut, and what must be stored there to go on.

    at: stages before this one are frozen. calls: the frozen ones, in order: path and form; None: this
    one runs, because what it puts out is the same for all examples (tables of positions, angles).
    entry: path of the first module called behind the cut. stored: what is stored, in order.
    chain: where everything behind the cut is one module after the other: their paths; the network's
    own code is not run then.

    With `at` the number of parts it lies behind the head: what is stored is what the network says.
    """

    at: int
    calls: tuple[tuple[str, Output | None], ...]
    entry: str
    stored: tuple[Leaf, ...]
    chain: tuple[str, ...] = ()
    solid: bool = False

    def maker(self, leaf: Leaf) -> str:
        """The path of the frozen module that puts a leaf out; of an argument, of the one that ran last."""
        return self.calls[leaf.call][0] if self.calls else ""

    def resume(self, network: Network, tensors: Sequence[Tensor], rest: Any) -> Any:
        """What the network puts out, from the stored tensors on.

        tensors: as in `stored`, for B examples; may be overwritten by in-place layers, so hand out
        copies. rest: the network's own input, as far as the code between its modules looks at it;
        for images a placeholder.
        """
        module = network.module
        if self.at == len(network.parts):
            return tensors[0]
        if self.chain:
            out = tensors[0]
            for path in self.chain:
                out = module.get_submodule(path)(out)
            return out
        stored: dict[int, dict[int, Tensor]] = {}
        for leaf, tensor in zip(self.stored, tensors, strict=True):
            stored.setdefault(leaf.call, {})[leaf.place] = tensor
        B, T = extent(rest)
        device = tensors[0].device
        asked = iter(enumerate(self.calls))

        def answer(path: str) -> Any:
            number, (expected, output) = next(asked)
            if path != expected:
                raise RuntimeError(f"{path} was called where {expected} was expected; it cannot be replayed.")
            if output is None:
                return LIVE
            return output.placeholder(B, T, stored.get(number, {}), device=device, solid=self.solid)

        def enter(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return substituted(args, kwargs, stored.get(ENTRY, {}))

        return replayed(network, self, answer, enter, rest)


def behind_the_head(network: Network) -> Cut:
    """The cut behind which nothing is left to run."""
    return Cut(len(network.parts), (), "", (Leaf(ENTRY, 0, (), torch.float32),))


def replayed(
    network: Network,
    cut: Cut,
    answer: Callable[[str], Any],
    enter: Callable[[tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]],
    rest: Any,
) -> Any:
    """Run the network's own code: frozen calls are answered, the first call behind the cut is entered.

    answer: a frozen call's output, or LIVE. enter: the arguments of the entry to those it shall have.
    """
    behind = False
    left = len(cut.calls)

    def play(path: str, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nonlocal behind, left
        if left and path != cut.entry:
            left -= 1
            out = answer(path)
            return forward(*args, **kwargs) if out is LIVE else out
        if not behind and path == cut.entry:
            behind = True
            args, kwargs = enter(args, kwargs)
        return forward(*args, **kwargs)

    with conducted(network.module, {path for path, _ in cut.calls} | {cut.entry}, play):
        return network.run(rest)


@contextmanager
def conducted(module: nn.Module, paths: Iterable[str], play: Play) -> Iterator[None]:
    """While this lasts, calls of these modules go to `play(path, forward, args, kwargs)`.

    `forward` is hidden on the instance, not the module replaced: hooks hang on modules. Other threads that
    run the module meanwhile (records are computed again beside training) see it as it was, and one that
    wants to conduct it too waits.
    """
    hidden: list[tuple[nn.Module, Any]] = []
    thread = threading.get_ident()
    with _CONDUCTING:
        try:
            for path in paths:
                part = module.get_submodule(path)
                hidden.append((part, part.__dict__.get("forward")))
                part.__dict__["forward"] = partial(_played, play, thread, path, part.forward)
            yield
        finally:
            for part, before in reversed(hidden):
                if before is None:
                    del part.__dict__["forward"]
                else:
                    part.__dict__["forward"] = before


_CONDUCTING = threading.RLock()


def _played(
    play: Play, thread: int, path: str, forward: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    if threading.get_ident() != thread:
        return forward(*args, **kwargs)
    return play(path, forward, args, kwargs)


def substituted(
    args: tuple[Any, ...], kwargs: dict[str, Any], stored: Mapping[int, Tensor]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call with stored tensors in some places."""
    if not stored:
        return args, kwargs
    leaves, spec = tree_flatten((args, kwargs))
    out: tuple[tuple[Any, ...], dict[str, Any]] = tree_unflatten(
        [stored.get(i, leaf) for i, leaf in enumerate(leaves)], spec
    )
    return out


def nothing(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    *,
    device: torch.device | str = "cpu",
    solid: bool = False,
) -> Tensor:
    """A placeholder: NaN everywhere, or 0 where the type has none; takes no memory unless solid."""
    value = torch.nan if dtype.is_floating_point or dtype.is_complex else 0
    if solid:
        return torch.full(shape, value, dtype=dtype, device=device)
    return torch.full((), value, dtype=dtype, device=device).expand(shape)


def extent(inputs: Tensor | Mapping[str, Tensor]) -> tuple[int, int]:
    """B and T of an input; T is 0 for images."""
    if isinstance(inputs, Mapping):
        first = next(iter(inputs.values()))
        return len(first), (int(first.shape[1]) if first.ndim == 2 else 0)
    return len(inputs), 0
