"""Stopping on request: the first Ctrl-C or SIGTERM ends training with a checkpoint, the second at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

REQUESTS: Final = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM came; to whoever catches it the same as Ctrl-C, but for the exit code."""


def exit_code(stop: KeyboardInterrupt) -> int:
    """What a shell expects of a process that a signal ended: 128 and the signal's number."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)


class Request:
    """Whether, and by which signal, it was asked to stop."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __bool__(self) -> bool:
        return self.number is not None

    def answer(self) -> KeyboardInterrupt:
        """The exception that ends the work."""
        return Terminated() if self.number == signal.SIGTERM else KeyboardInterrupt()


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM raises where the block is, as Ctrl-C does, so that everything is closed on the way out."""
    with _handled({signal.SIGTERM: _raise}):
        yield


@contextmanager
def interruptible() -> Iterator[Request]:
    """The first request in the block is only noted; whoever runs it asks for it. The second one raises."""
    request = Request()

    def note(number: int, frame: FrameType | None) -> None:
        if request:
            _raise(number, frame)
        request.number = number

    with _handled(dict.fromkeys(REQUESTS, note)):
        yield request


@contextmanager
def _handled(handlers: dict[Any, Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets the main thread alone choose
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: it was set from outside Python, and cannot be set from inside
                signal.signal(number, handler)


def _raise(number: int, _: FrameType | None) -> None:
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
