"""One training in several processes, as torchrun starts them.

Every process has the whole network and goes through the same events; each computes its share of a
batch, and of a validation. Only the main one speaks and writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def place() -> tuple[int, int]:
    """This process's number, from 0, the main one, and how many there are."""
    from accelerate import PartialState

    state = PartialState()
    return int(state.process_index), int(state.num_processes)


def main() -> bool:
    """Whether this process is the one that speaks and writes."""
    return place()[0] == 0


def from_main(make: Callable[[], T]) -> T:
    """What `make` gives in the main process, for all of them; the others wait for it."""
    from accelerate.utils import broadcast_object_list

    if place()[1] == 1:
        return make()
    box = [make() if main() else None]
    broadcast_object_list(box)
    return box[0]  # type: ignore[return-value]


def from_all(own: list[T]) -> list[T]:
    """Every process's list, one after the other, for all of them."""
    from accelerate.utils import gather_object

    return own if place()[1] == 1 else list(gather_object(own))


def any_of(claim: bool) -> bool:
    """Whether it is true in some process: they must all stop, or none."""
    return any(from_all([claim]))


def add_up(tensors: Iterable[Tensor]) -> None:
    """Replace tensors, the same ones in every process, by their sums over all processes."""
    mine = list(tensors)
    if place()[1] == 1 or not mine:
        return
    flat = torch.cat([tensor.detach().float().reshape(-1) for tensor in mine])
    torch.distributed.all_reduce(flat)
    sums = torch.split(flat, [tensor.numel() for tensor in mine])
    with torch.no_grad():
        for tensor, total in zip(mine, sums, strict=True):
            tensor.copy_(total.view_as(tensor))


def wait() -> None:
    """Go on when every process is here."""
    from accelerate import PartialState

    PartialState().wait_for_everyone()


@contextmanager
def main_first() -> Iterator[None]:
    """The main process does it, then the others: they find in the cache what it left there."""
    from accelerate import PartialState

    with PartialState().main_process_first():
        yield
