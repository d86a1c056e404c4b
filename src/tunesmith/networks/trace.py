"""What one forward pass does: which module is called when, what work it does, what must stay alive.

Time is counted in ticks: every call, return and tensor operation takes one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

# Besides products: how an example meets a weight when the example is a number of tokens.
LOOKUPS = {
    torch.ops.aten.embedding,
    torch.ops.aten._embedding_bag,
    torch.ops.aten.index,
    torch.ops.aten.index_select,
    torch.ops.aten.gather,
}


@dataclass(eq=False)
class Call:
    """One call of a module: from tick `start` to `end`; `path` is its first registered name."""

    path: str
    module: nn.Module
    start: int
    end: int = 0
    children: list[Call] = field(default_factory=list)

    def walk(self) -> Iterator[Call]:
        """This call and all that happen within it, in order."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(eq=False)
class Value:
    """The memory of one tensor and of all views of it.

    weighted, exemplary: it depends on a weight, on the example.
    born: the tick at which it became an activation; None if it is none: a mask or a table of
        positions depends on the example or on weights, but is not what flows through a network.
    reads: ticks, ascending.
    """

    weighted: bool = False
    exemplary: bool = False
    born: int | None = None
    reads: list[int] = field(default_factory=list)


@dataclass(eq=False)
class Trace:
    """One forward pass.

    root: a call around everything; its path is "", its first child usually the network.
    weights: parameter and buffer names to the memory that holds them.
    operations: tick, values read, values written.
    outputs: what the pass returned.
    """

    root: Call
    weights: dict[str, Value] = field(default_factory=dict)
    operations: list[tuple[int, list[Value], list[Value]]] = field(default_factory=list)
    work: list[tuple[int, int]] = field(default_factory=list)
    activations: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)

    def crossing(self, tick: int) -> list[Value]:
        """Activations that exist at this tick and are read after it."""
        return [v for v in self.activations if v.reads and v.born < tick < v.reads[-1]]  # type: ignore[operator]

    def macs(self, start: int, end: int) -> int:
        """Multiply-accumulates of the operations in [start, end); 0 where none could be counted."""
        return sum(macs for tick, macs in self.work if start <= tick < end)

    def reads_activation(self, call: Call) -> bool:
        """Whether something that the network computed before this call is read within it."""
        return any(
            v.born < call.start and _next(v.reads, call.start) < call.end  # type: ignore[operator]
            for v in self.activations
        )

    def makes_output(self, call: Call) -> bool:
        """Whether what this call computes reaches the output of the network."""
        reached: set[Value] = set()
        for tick, read, written in self.operations:
            if call.start < tick < call.end or reached.intersection(read):
                reached.update(written)
        return bool(reached.intersection(self.outputs))


def _next(ticks: list[int], tick: int) -> float:
    i = bisect_left(ticks, tick)
    return ticks[i] if i < len(ticks) else float("inf")


def trace(module: nn.Module, call: Callable[[nn.Module], object]) -> Trace:
    """Run one forward pass in eval mode, without gradients, and note what happens.

    Works on the meta device too. The module is left as it was.
    """
    seen = _record(_Recorder(module), module, call)
    if seen.activations:
        return seen
    # No product of weights and example was met: take whatever depends on both.
    return _record(_Recorder(module, strict=False), module, call)


def _record(recorder: _Recorder, module: nn.Module, call: Callable[[nn.Module], object]) -> Trace:
    with ExitStack() as stack:
        stack.enter_context(_evaluating(module))
        # Fused attention hides its modules and its work; these two make it show both.
        stack.enter_context(_no_fast_path())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        for path, part in module.named_modules():
            before = part.register_forward_pre_hook(recorder.enter(path))
            stack.callback(before.remove)
            after = part.register_forward_hook(recorder.leave)
            stack.callback(after.remove)
        stack.enter_context(recorder)
        output = call(module)
    return recorder.finish(output)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every tensor operation, and every call through the hooks."""

    def __init__(self, module: nn.Module, *, strict: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.strict = strict
        self.tick = 0
        self.trace = Trace(Call("", module, 0))
        self.open = [self.trace.root]
        self.values: dict[int, Value] = {}  # by address
        self.kept: list[object] = []
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            self.trace.weights[name] = self._value(tensor, Value(weighted=True))

    def enter(self, path: str) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, _: Any) -> None:
            call = Call(path, module, self._now())
            self.open[-1].children.append(call)
            self.open.append(call)

        return hook

    def leave(self, module: nn.Module, _: Any, __: Any) -> None:
        while self.open[-1].module is not module:
            self.open.pop()
        self.open.pop().end = self._now()

    def finish(self, output: object) -> Trace:
        self.trace.root.end = self._now()
        tensors = [t for t in tree_leaves(output) if isinstance(t, Tensor)]
        self.trace.outputs = [self._value(tensor, Value()) for tensor in tensors]
        return self.trace

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        tick, kind = self._now(), func._overloadpacket
        # What no operation made and no weight holds came from outside: it is the example's.
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        read = [self._value(tensor, Value(exemplary=True)) for tensor in given]
        for value in read:
            value.reads.append(tick)
        fresh = Value(
            weighted=any(value.weighted for value in read),
            exemplary=any(value.exemplary for value in read),
        )
        product = kind in flop_registry or kind in LOOKUPS or not self.strict
        meets = fresh.weighted and fresh.exemplary and product
        flows = meets or any(value.born is not None for value in read)
        written = []
        for tensor in (t for t in tree_leaves(result) if isinstance(t, Tensor)):
            value = self._value(tensor, Value())
            value.weighted |= fresh.weighted
            value.exemplary |= fresh.exemplary
            if flows and value.born is None:
                value.born = tick
                self.trace.activations.append(value)
            written.append(value)
        self.trace.operations.append((tick, read, written))
        if kind in flop_registry:
            # A formula that does not know this call leaves its work uncounted.
            with suppress(ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError):
                flops = flop_registry[kind](*args, **kwargs, out_val=result)
                self.trace.work.append((tick, int(flops) // 2))
        return result

    def _value(self, tensor: Tensor, new: Value) -> Value:
        """The value of this tensor's memory; `new` if it was not seen before."""
        try:
            storage = tensor.untyped_storage()
        except (NotImplementedError, RuntimeError):  # sparse tensors have none
            self.kept.append(tensor)
            return self.values.setdefault(id(tensor), new)
        if storage._cdata not in self.values:
            # The reference keeps the address from being used again, but not the memory.
            self.kept.append(StorageWeakRef(storage))  # type: ignore[no-untyped-call]
        return self.values.setdefault(storage._cdata, new)

    def _now(self) -> int:
        self.tick += 1
        return self.tick


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part in training:
            part.training = True


@contextmanager
def _no_fast_path() -> Iterator[None]:
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)
