"""How weights and freed memory lie on a CPU while a network trains."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tunesmith.plan import Phase

# mallopt's names of them, from glibc's malloc.h, and what they are when nobody sets them.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
USUAL = {TRIM_THRESHOLD: 128 * 2**10, TOP_PAD: 128 * 2**10, MMAP_MAX: 65_536}
KEPT = {TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 * 2**20, MMAP_MAX: 0}


def lay_out(module: nn.Module, phase: Phase, run: Callable[[], Tensor]) -> bool:
    """Give convolutions on a CPU their weights in channels_last where a phase trains every stage.

    There a step of MobileNetV2 takes 0.7 of its time. The sums run in another order, so the rule is
    the plan's alone: whatever replays a frozen stage keeps the layout in which it was stored.

    run: the network's answer to a few examples; code that insists on the usual layout fails there
    and keeps it.
    """
    usual: torch.memory_format = torch.contiguous_format
    if next(module.parameters()).device.type != "cpu":
        return False  # a GPU's layout is chosen once, for all phases
    module.to(memory_format=usual)
    shapes = [tensor.ndim for tensor in module.parameters()]
    if phase.frozen_prefix > 0 or 4 not in shapes or 5 in shapes:
        return False
    training = {m: m.training for m in module.modules()}
    module.to(memory_format=torch.channels_last)
    module.eval()
    try:
        with torch.inference_mode():
            run()
    except RuntimeError:  # a `view` of what does not lie in a row
        module.to(memory_format=usual)
        return False
    finally:
        for part, mode in training.items():
            part.training = mode
    return True


@contextmanager
def memory_kept() -> Iterator[None]:
    """Keep freed memory in the process, with glibc: a step's tensors are the next step's.

    Otherwise every large tensor is mapped anew and its pages are cleared one by one, 0.3 of the time
    of MobileNetV2's steps. It is given back at the end. No number depends on it.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    libc = ctypes.CDLL(None)
    known = hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")
    for name, value in KEPT.items() if known else ():
        libc.mallopt(name, value)
    try:
        yield
    finally:
        for name, value in USUAL.items() if known else ():
            libc.mallopt(name, value)
        if known:
            libc.malloc_trim(ctypes.c_size_t(0))
