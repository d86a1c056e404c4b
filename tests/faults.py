"""A disk that refuses: the n-th thing written below some folders fails, once or from then on.

For a child process, which `arm` changes for good. Counted are opening a file to write, writing to it,
fsync, mkdir, rename and symlink; and writers outside of Python (safetensors) as one thing each.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
from pathlib import Path
from typing import Any


class Disk:
    """Counts what is written, and refuses.

    refuse: the number of what is refused, from 1; 0: nothing. code: of the error. forever: all that follows,
    too. done: what was asked of the disk so far.
    """

    def __init__(self, folders: list[str], refuse: int, code: int, *, forever: bool) -> None:
        self.folders = tuple(os.path.realpath(folder) for folder in folders)
        self.refuse, self.code, self.forever = refuse, code, forever
        self.done: list[str] = []

    def below(self, path: object) -> bool:
        if isinstance(path, int):
            path = str(Path(f"/proc/self/fd/{path}").readlink())
        if not isinstance(path, str | os.PathLike):
            return False
        return os.path.realpath(path).startswith(self.folders)

    def asked(self, what: str, path: object, *, named: bool = True) -> None:
        if not self.below(path):
            return
        self.done.append(what)
        if len(self.done) == self.refuse or (self.forever and 0 < self.refuse <= len(self.done)):
            where = (str(path),) if named else ()
            raise OSError(self.code, os.strerror(self.code), *where)


def arm(folders: list[str], refuse: int, code: int, *, forever: bool = False) -> Disk:
    """Let this process write below these folders to such a disk."""
    import safetensors.torch
    from safetensors import SafetensorError

    disk = Disk(folders, refuse, code, forever=forever)
    plainly, write, fsync = io.open, os.write, os.fsync
    save = safetensors.torch.save_file

    class Raw(io.FileIO):
        def write(self, data: Any) -> Any:
            disk.asked("write", self.name, named=False)
            return super().write(data)

    def opened(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
        if not set(mode) & set("wax+") or not disk.below(file):
            return plainly(file, mode, buffering, *rest, **more)
        raw = Raw(file, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, more.get("encoding") or "utf-8")

    def written(descriptor: int, data: Any) -> int:
        disk.asked("write", descriptor, named=False)
        return write(descriptor, data)

    def synced(descriptor: int) -> None:
        disk.asked("fsync", descriptor, named=False)
        fsync(descriptor)

    def saved(tensors: Any, path: Any, metadata: Any = None) -> None:
        try:
            disk.asked("write", path)
        except OSError as error:
            said = f"Error while serializing: I/O error: {error.strerror} (os error {error.errno})"
            raise SafetensorError(said) from None
        save(tensors, path, metadata)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            flags = arguments[2]
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR):
                disk.asked("open", arguments[0])
        elif event in ("os.rename", "os.mkdir", "os.symlink"):
            disk.asked(event.removeprefix("os."), arguments[1] if event != "os.mkdir" else arguments[0])

    io.open = builtins.open = opened
    os.write, os.fsync = written, synced  # type: ignore[assignment]
    safetensors.torch.save_file = saved  # type: ignore[assignment]
    sys.addaudithook(watch)
    return disk


def note(disk: Disk, path: str) -> None:
    """Leave behind what was asked of the disk; where nothing is refused any more."""
    disk.refuse = 0
    Path(path).write_text("\n".join(disk.done))
