"""Find what must be stored to cut a network before one of its stages: tried, not deduced.

1. Run the network and keep what its frozen calls put out and what the first call behind the cut is given.
2. Answer the frozen calls with NaN: arguments that turn NaN are what crosses the cut. If the output is
   right, bit for bit, once they are put back, they are all that must be stored.
3. Otherwise outputs of frozen calls are read further on too (feature pyramids, skip connections): those
   that a gradient from the output reaches. They are stored in place of the arguments, and tried likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from tunesmith.errors import CannotReplay
from tunesmith.networks.network import Network, said_by
from tunesmith.networks.replay import (
    ENTRY,
    LIVE,
    Cut,
    Leaf,
    Output,
    Size,
    conducted,
    extent,
    nothing,
    replayed,
    substituted,
)


@dataclass
class _Seen:
    """One live pass: frozen calls with their leaves as they were at the cut, the entry, the output."""

    calls: list[tuple[str, Any, list[Any]]] = field(default_factory=list)  # path, spec, leaves
    entry: str = ""
    arguments: list[Any] = field(default_factory=list)
    chain: tuple[str, ...] = ()
    output: Any = None


def find_cut(
    network: Network,
    at: int,
    first: Tensor | Mapping[str, Tensor],
    second: Tensor | Mapping[str, Tensor],
) -> Cut:
    """The cut before stage `at` (the number of stages: before the head).

    first, second: real examples as the task's collate makes them, of different numbers (3 and 2 will
    do) and, if they are texts, of different lengths. The network must stand in eval mode.
    Raises CannotReplay with the reason.
    """
    try:
        seen, other = _live(network, at, first), _live(network, at, second)
    except CannotReplay:
        raise
    except Exception as error:  # whatever a network's own code makes of these examples
        raise CannotReplay(
            f"it cannot be run on a few examples ({' '.join(str(error).split())[:120]})"
        ) from error
    sizes = _Sizes(extent(first), extent(second))
    if [path for path, _, _ in seen.calls] != [path for path, _, _ in other.calls]:
        raise CannotReplay("its modules are not called in the same order every time")
    calls: list[tuple[str, Output | None]] = []
    for number, ((path, spec, leaves), (_, _, others)) in enumerate(
        zip(seen.calls, other.calls, strict=True)
    ):
        formed = [sizes.leaf(number, i, a, b) for i, (a, b) in enumerate(zip(leaves, others, strict=True))]
        calls.append((path, Output(spec, tuple(formed))))
    bare = Cut(at, tuple(calls), seen.entry, ())
    rest = _hollow(network, first)
    reasons = []
    for form in (bare, _sharing(bare), replace(bare, solid=True), _sharing(replace(bare, solid=True))):
        for attempt in (_by_arguments, _by_outputs):
            try:
                cut, tensors = attempt(network, form, seen, other, sizes, rest)
                _check(network, cut, tensors, rest, seen)
                _check(network, cut, _taken(cut, other), _hollow(network, second), other)
            except CannotReplay as reason:
                reasons.append(str(reason))
            # Whatever a network's own code makes of placeholders: it is not replayed then.
            except Exception as error:  # noqa: BLE001
                reasons.append(f"{type(error).__name__}: {' '.join(str(error).split())[:120]}")
            else:
                return _chained(network, cut, tensors, rest, seen)
    raise CannotReplay(reasons[0] if reasons[0] == reasons[1] else f"{reasons[0]}; {reasons[1]}")


def _sharing(cut: Cut) -> Cut:
    """The cut with those frozen calls running whose outputs are the same for all examples.

    Tables of relative positions and rotary angles cross every cut of some language models; they are made
    of weights and positions alone, have no part for each example, and cannot be stored with one.
    """
    shared = {
        number
        for number, (_, output) in enumerate(cut.calls)
        if output is not None
        and any(isinstance(leaf, Leaf) for leaf in output.leaves)
        and not any(isinstance(leaf, Leaf) and leaf.sizes[:1] == (Size(1, "B"),) for leaf in output.leaves)
    }
    calls = tuple((p, None if n in shared else output) for n, (p, output) in enumerate(cut.calls))
    return replace(cut, calls=calls)


def _by_arguments(
    network: Network, cut: Cut, seen: _Seen, other: _Seen, sizes: _Sizes, rest: Any
) -> tuple[Cut, list[Tensor]]:
    """Store the arguments of the first call behind the cut that depend on frozen stages."""
    poisoned: list[int] = []

    def enter(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        leaves, _ = tree_flatten((args, kwargs))
        poisoned.extend(i for i, leaf in enumerate(leaves) if _is_poisoned(leaf))
        return substituted(args, kwargs, {i: seen.arguments[i].clone() for i in poisoned})

    with torch.no_grad():
        replayed(network, cut, _silent(cut, rest), enter, rest)
    if not poisoned:
        raise CannotReplay(f"nothing that {cut.entry} is given comes from the frozen stages")
    stored = tuple(sizes.stored(ENTRY, i, seen.arguments[i], other.arguments[i]) for i in poisoned)
    cut = replace(cut, stored=stored)
    return cut, _taken(cut, seen)


def _by_outputs(
    network: Network, cut: Cut, seen: _Seen, other: _Seen, sizes: _Sizes, rest: Any
) -> tuple[Cut, list[Tensor]]:
    """Store the outputs of frozen calls that a gradient from the network's output reaches."""
    sources: dict[tuple[int, int], Tensor] = {}
    number = -1

    def answer(_: str) -> Any:
        nonlocal number
        number += 1
        _, spec, leaves = seen.calls[number]
        if cut.calls[number][1] is None:
            return LIVE
        handed = []
        for i, leaf in enumerate(leaves):
            if isinstance(leaf, Tensor) and leaf.is_floating_point():
                sources[number, i] = leaf.clone().requires_grad_()
                leaf = sources[number, i].clone()
            handed.append(leaf)
        return tree_unflatten(handed, spec)

    with torch.enable_grad():
        output = replayed(network, cut, answer, lambda args, kwargs: (args, kwargs), rest)
        total = _output(output).double().sum()
        reached = torch.autograd.grad(total, list(sources.values()), allow_unused=True)
    used = [place for place, gradient in zip(sources, reached, strict=True) if gradient is not None]
    stored = tuple(sizes.stored(n, i, seen.calls[n][2][i], other.calls[n][2][i]) for n, i in used)
    if not stored:
        raise CannotReplay("nothing that frozen stages put out reaches the output")
    cut = replace(cut, stored=stored)
    return cut, _taken(cut, seen)


def _check(network: Network, cut: Cut, tensors: Sequence[Tensor], rest: Any, seen: _Seen) -> None:
    """Raise unless the cut gives the live output, twice: in-place layers spoil only the second time."""
    expected = _output(seen.output)
    with torch.no_grad():
        for _ in range(2):
            found = _output(cut.resume(network, [t.clone() for t in tensors], rest))
            if not torch.equal(found, expected):
                what = "reads more of the frozen stages than can be stored at this cut"
                raise CannotReplay(f"the rest of the network {what}")


def _chained(network: Network, cut: Cut, tensors: Sequence[Tensor], rest: Any, seen: _Seen) -> Cut:
    """The same cut with a chain, where that gives the same output."""
    if len(cut.stored) != 1 or cut.stored[0].call != ENTRY or not seen.chain:
        return cut
    shorter = replace(cut, chain=seen.chain)
    try:
        _check(network, shorter, tensors, rest, seen)
    except (CannotReplay, TypeError, RuntimeError):
        return cut
    return shorter


# -- one live pass ---------------------------------------------------------------------------------


def _live(network: Network, at: int, inputs: Tensor | Mapping[str, Tensor]) -> _Seen:
    owner = {path: i for i, part in enumerate(network.parts) for path in part.modules}
    seen = _Seen()
    pending: list[tuple[str, Any]] = []  # outputs until the cut is reached
    later: list[tuple[str, list[Any], Any]] = []  # calls behind the cut: path, arguments, output

    def play(path: str, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not seen.entry and owner[path] >= at:
            seen.entry = path
            # Copies of what there is at this moment: later layers may write into it, as earlier ones did.
            for called, out in pending:
                leaves, spec = tree_flatten(out)
                seen.calls.append((called, spec, [_kept(leaf) for leaf in leaves]))
            pending.clear()
            seen.arguments = [_kept(leaf) for leaf in tree_flatten((args, kwargs))[0]]
        given = tree_flatten((args, kwargs))[0]
        out = forward(*args, **kwargs)
        if seen.entry:
            later.append((path, given, out))
        else:
            pending.append((path, out))
        return out

    with torch.no_grad(), conducted(network.module, owner, play):
        seen.output = network.run(network.preprocess.ready(inputs))
    if not seen.entry:
        raise CannotReplay("nothing behind the cut is called")
    seen.chain = _chain(later, _output(seen.output))
    return seen


def _chain(later: list[tuple[str, list[Any], Any]], output: Tensor) -> tuple[str, ...]:
    """The calls behind the cut if each is given nothing but what the one before put out."""
    paths = tuple(path for path, _, _ in later)
    if len(set(paths)) < len(paths) or any(len(given) != 1 for _, given, _ in later):
        return ()
    for (_, _, out), (_, given, _) in pairwise(later):
        if given[0] is not out:
            return ()
    return paths if later[-1][2] is output else ()


def _kept(leaf: Any) -> Any:
    return leaf.detach().clone() if isinstance(leaf, Tensor) else leaf


def _taken(cut: Cut, seen: _Seen) -> list[Tensor]:
    return [
        seen.arguments[leaf.place] if leaf.call == ENTRY else seen.calls[leaf.call][2][leaf.place]
        for leaf in cut.stored
    ]


def _silent(cut: Cut, rest: Any) -> Callable[[str], Any]:
    B, T = extent(rest)
    device = (next(iter(rest.values())) if isinstance(rest, Mapping) else rest).device
    forms = iter(cut.calls)

    def answer(_: str) -> Any:
        _, output = next(forms)
        return LIVE if output is None else output.placeholder(B, T, {}, device=device, solid=cut.solid)

    return answer


def _is_poisoned(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point() and bool(leaf.isnan().any())


def _hollow(network: Network, inputs: Tensor | Mapping[str, Tensor]) -> Any:
    """The network's input as a replay has it: token ids and masks as they are, images as placeholders."""
    ready = network.preprocess.ready(inputs)
    if isinstance(ready, Mapping):
        return {n: _like(t) if t.is_floating_point() else t for n, t in ready.items()}
    return _like(ready)


def _like(tensor: Tensor) -> Tensor:
    return nothing(tensor.shape, tensor.dtype, device=tensor.device)


def _output(out: Any) -> Tensor:
    logits: Tensor = said_by(out)
    if not isinstance(logits, Tensor):
        raise CannotReplay("it puts out something else than one tensor")
    return logits


# -- sizes -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sizes:
    """Two passes of different B and T tell how each dimension grows."""

    one: tuple[int, int]
    two: tuple[int, int]

    def leaf(self, call: int, place: int, a: Any, b: Any) -> Any:
        """A tensor's form; anything else as it is."""
        if not isinstance(a, Tensor):
            return a
        if not isinstance(b, Tensor) or a.ndim != b.ndim or a.dtype != b.dtype:
            raise CannotReplay("what its modules put out changes its form from batch to batch")
        sizes = tuple(self._size(i, x, y) for i, (x, y) in enumerate(zip(a.shape, b.shape, strict=True)))
        return Leaf(call, place, sizes, a.dtype)

    def stored(self, call: int, place: int, a: Any, b: Any) -> Leaf:
        """A tensor's form, if it has one part for each example."""
        leaf: Leaf = self.leaf(call, place, a, b)
        inner = leaf.sizes[2:] if leaf.ragged else leaf.sizes[1:]
        if not leaf.sizes or leaf.sizes[0] != Size(1, "B") or any("T" in s.of for s in inner):
            raise CannotReplay(
                f"a tensor of {tuple(a.shape)} that crosses the cut is not one part per example"
            )
        if not leaf.dtype.is_floating_point:
            raise CannotReplay("what crosses the cut are no real numbers")
        return leaf

    def _size(self, place: int, x: int, y: int) -> Size:
        (B1, T1), (B2, T2) = self.one, self.two
        if x == y:
            return Size(0, "", x)
        tokens = x - T1 if T1 and x - T1 == y - T2 else None
        by_batch = x * B2 == y * B1 and x % B1 == 0
        if by_batch and (place == 0 or tokens is None):
            return Size(x // B1, "B")
        if tokens is not None:
            return Size(1, "T", tokens)
        if T1 and x * T2 == y * T1 and x % T1 == 0:
            return Size(x // T1, "T")
        if T1 and x * B2 * T2 == y * B1 * T1 and x % (B1 * T1) == 0:
            return Size(x // (B1 * T1), "BT")
        raise CannotReplay(f"a dimension is {x} for a batch of {self.one} and {y} for one of {self.two}")
