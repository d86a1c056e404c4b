"""One process trains a run: a lock on its folder, which the kernel drops when that process dies."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tunesmith.errors import BadRun
from tunesmith.files import disk_failures
from tunesmith.training import processes

POSIX: Final[bool] = os.name == "posix"  # elsewhere it is left to the person
if POSIX:
    import fcntl

LOCK: Final = "lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else trains the run in this folder while the block is under way.

    Raises BadRun if somebody does, with the process's number, and DiskFailed for a folder that cannot be
    written to: before any work is done.
    """
    if not POSIX or not processes.main():
        yield
        return
    path = folder / LOCK
    with disk_failures(path):
        descriptor = _locked(path)
    try:
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _locked(path: Path) -> int:
    """A descriptor of the lock that lies there now, which this process alone holds."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise BadRun(
                f"{path.parent} is being trained by process {who or 'unknown'}; wait for its end, or stop it "
                f"with kill -INT {who.partition(' ')[0] or 'PROCESS'} and go on then."
            ) from None
        except OSError:  # a file system without locks
            return descriptor
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)  # its last owner removed it since it was opened
