"""Files that are either whole or not there, whenever the power goes; and what a disk refuses, in words."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tunesmith.errors import DiskFailed, TunesmithError

CURES: Final = {
    errno.ENOSPC: "free some space on that disk, or name a folder on another",
    errno.EDQUOT: "free some of what you may occupy there, or name a folder elsewhere",
    errno.EFBIG: "files may not grow so large there; name a folder elsewhere",
    errno.EROFS: "name a folder that can be written to",
    errno.EACCES: "ask for the right to it, or name a folder of your own",
    errno.EPERM: "ask for the right to it, or name a folder of your own",
    errno.EIO: "the disk fails: save what matters to another",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open: close other programs",
    errno.ENAMETOOLONG: "choose a shorter name",
}
LOST: Final = (errno.EIO, errno.ENOSPC, errno.EDQUOT)  # of an fsync: what was written may be gone


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader finds the old one or the new one, never a part.

    Temporary file beside it, fsync, rename, fsync of the folder: the order that survives a crash
    (Pillai et al. 2014, OSDI).

    Raises DiskFailed if the disk refuses; the old file stands then. An fsync is never tried again: after
    a failed one the system takes what it lost for written (Rebello et al. 2020, ATC).
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with disk_failures(path, size=len(data)):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; at the end it appears at `path` with all its files, or not at all.

    Raises DiskFailed if the disk refuses.
    """
    with disk_failures(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path)
        temporary.mkdir()
        try:
            yield temporary
            for file in sorted(temporary.rglob("*")):
                if file.is_file():
                    with file.open("rb") as opened:
                        os.fsync(opened.fileno())
                else:
                    sync_folder(file)
            sync_folder(temporary)
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(path.parent)


def clear_leftovers(folder: Path) -> None:
    """Remove what writers that were killed left behind in a folder that nobody else writes to."""
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def sync_folder(path: Path) -> None:
    """Make renames in a folder last; where a system cannot, its own journal has to do.

    Raises OSError where the disk says that it lost them.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in LOST:
            raise
    finally:
        os.close(handle)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def disk_failures(path: Path, *, size: int | None = None, verb: str = "written") -> Iterator[None]:
    """What the system refuses inside the block, as DiskFailed with the path and the cure.

    path: where it happened, if the system names no file. size: bytes that were to be written.
    """
    try:
        yield
    except (TunesmithError, ConnectionError):  # the latter: whoever read our words has gone
        raise
    except Exception as error:
        number, why, named = _refusal(error)
        if not number and not isinstance(error, OSError):
            raise
        # Of a temporary file people know the place, not the name.
        where = named if named and ".tmp" not in named else path
        wanted = f" ({size:,} bytes)" if size is not None and number in LOST else ""
        cure = f"; {CURES[number]}" if number in CURES else ""
        raise DiskFailed(f"{where} cannot be {verb}{wanted}: {why.rstrip('.')}{cure}.") from error


def _refusal(error: Exception) -> tuple[int, str, str | None]:
    """The system's number of an error (0: it is not the system's), its words, and the file that it names."""
    if isinstance(error, OSError):
        named = error.filename if isinstance(error.filename, str) else None
        return error.errno or 0, error.strerror or str(error), named
    found = re.search(r"\(os error (\d+)\)", str(error))  # as libraries in Rust say it
    return (int(found[1]), os.strerror(int(found[1])), None) if found else (0, "", None)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
