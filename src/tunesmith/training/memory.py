"""When a batch does not fit into memory, it goes in pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from tunesmith.errors import OutOfMemory

T = TypeVar("T")


def pieces_that_fit(run: Callable[[int], T], size: int, pieces: int = 1) -> tuple[T, int]:
    """Call `run(pieces)`, doubling the pieces as long as memory runs out.

    size: examples in the batch, the most pieces that make sense.
    Returns the result and the number of pieces that fitted. Raises OutOfMemory when one example is
    too much.
    """
    while True:
        try:
            return run(pieces), pieces
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            if pieces >= size:
                raise OutOfMemory(
                    "even one example at a time does not fit into memory; use a smaller network, smaller "
                    "images (--image-size) or shorter texts (--max-length)."
                ) from error
        pieces = min(pieces * 2, size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def ran_out(error: BaseException) -> bool:
    """Whether an exception says that memory, of the device or of the machine, ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
