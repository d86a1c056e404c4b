"""How weights and freed memory lie on a CPU while a network trains."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tunesmith.plan import Phase

# mallopt's names of them, from glibc's malloc.h. At the end stand the values that glibc itself comes to
# by and by: once one was set it adapts none of them any more.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4
KEPT = {TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 * 2**20, MMAP_MAX: 0}
USUAL = {TRIM_THRESHOLD: 64 * 2**20, TOP_PAD: 128 * 2**10, MMAP_THRESHOLD: 32 * 2**20, MMAP_MAX: 65_536}
TUNABLES = "GLIBC_TUNABLES"


def lay_out(module: nn.Module, phase: Phase, run: Callable[[], Tensor]) -> bool:
    """Give convolutions on a CPU their weights in channels_last where a phase trains every stage.

    There a step of MobileNetV2 takes 0.7 of its time. The sums run in another order, so the rule is
    the plan's alone: whatever replays a frozen stage keeps the layout in which it was stored.

    run: the network's answer to a few examples, in the modes and with the gradients of the phase; code
        that insists on the usual layout fails there, forwards or backwards, and keeps it.
    """
    usual: torch.memory_format = torch.contiguous_format
    if next(module.parameters()).device.type != "cpu":
        return False  # a GPU's layout is chosen once, for all phases
    module.to(memory_format=usual)
    shapes = [tensor.ndim for tensor in module.parameters()]
    if phase.frozen_prefix > 0 or 4 not in shapes or 5 in shapes:
        return False
    module.to(memory_format=torch.channels_last)
    if _trains(module, run):
        return True
    module.to(memory_format=usual)
    return False


def _trains(module: nn.Module, run: Callable[[], Tensor]) -> bool:
    """Whether a step can be taken; nothing is left of it."""
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    random = torch.get_rng_state()
    try:
        with torch.enable_grad():
            run().float().sum().backward()  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 (a `view` of what does not lie in a row, or whatever else it checks)
        return False
    finally:
        torch.set_rng_state(random)
        for buffer, before in buffers:
            buffer.copy_(before)
        for parameter in module.parameters():
            parameter.grad = None
    return True


@contextmanager
def memory_kept() -> Iterator[None]:
    """Keep freed memory in the process, with glibc: a step's tensors are the next step's.

    Otherwise every large tensor is mapped anew and its pages are cleared one by one, 0.3 of the time
    of MobileNetV2's steps. It is given back at the end, as what reading the data left is at the
    beginning. No number depends on it. Whoever set something for malloc in the environment is left alone.
    """
    chosen = any(n.startswith("MALLOC_") for n in os.environ) or "malloc" in os.environ.get(TUNABLES, "")
    if chosen or not sys.platform.startswith("linux"):
        yield
        return
    libc = ctypes.CDLL(None)
    known = hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")
    if known:
        libc.malloc_trim(ctypes.c_size_t(0))
    for name, value in KEPT.items() if known else ():
        libc.mallopt(name, value)
    try:
        yield
    finally:
        for name, value in USUAL.items() if known else ():
            libc.mallopt(name, value)
        if known:
            libc.malloc_trim(ctypes.c_size_t(0))
