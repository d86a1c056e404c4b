"""One process that reads hostile inputs and is watched: one line of JSON for every input.

`python bench/watching.py READER START STOP SEED FOLDER` is started by bench/hostile.py, which sees to it
that another goes on after the input that killed this one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from inputs import Reader, Sample, drawn

HANG = 2.0  # seconds of the processor for one input
GROWTH = 256 * 2**20  # bytes that a process may grow by
RUNS = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile",
    "subprocess.Popen", "pty.spawn", "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto",
    "urllib.Request", "pickle.find_class", "exec", "compile", "ctypes.dlopen", "code.__new__",
    "marshal.loads",
)  # fmt: skip
CHANGES = (
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.mkdir",
    "os.chmod",
    "os.truncate",
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """What an input made the process do that no input may: run code, reach out, write elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.allowed = (str(folder.resolve()) + os.sep, "/dev/null", "/proc/self/")
        self.armed = False
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        if event in RUNS:
            if not _importing():
                self.seen.append(f"{event} {str(arguments)[:200]}")
        elif event == "open":
            path, mode, flags = arguments
            writing = any(sign in mode for sign in "wax+") if isinstance(mode, str) else bool(flags & WRITES)
            if writing:
                self._check(event, path)
        elif event in CHANGES:
            for path in arguments[:2]:
                self._check(event, path)

    def _check(self, event: str, path: object) -> None:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if isinstance(path, str | os.PathLike) and not os.path.abspath(path).startswith(self.allowed):  # noqa: PTH100
            self.seen.append(f"{event} {os.fspath(path)!r}"[:200])


def _importing() -> bool:
    """Whether a module is just being imported: libraries load parts of themselves when first needed."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
    return False


def held(what: str) -> int:
    """VmRSS or VmHWM of this process, in bytes."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(what + ":")[1].split()[0]) * 1024


def forget_peak() -> None:
    """Let VmHWM start anew from what is held now."""
    Path("/proc/self/clear_refs").write_text("5")


def lay(sample: Sample, folder: Path) -> Path:
    """Write a sample's files into a fresh folder; the path that its reader is given."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in sample.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / sample.given if sample.given else folder


def outcome(reader: Reader, path: Path, guard: Guard) -> tuple[str, str]:
    """What came of it: "read", or "refused" with the message, or "traceback" with its last lines."""
    from tunesmith.errors import TunesmithError

    stopped: Exception | None = None
    guard.armed = True
    try:
        reader.read(path)
    except Exception as error:  # noqa: BLE001 (that is what is looked for)
        stopped = error
    guard.armed = False  # before the traceback is formatted: that compiles lines of code
    if stopped is None:
        return "read", ""
    if isinstance(stopped, TunesmithError):
        return "refused", str(stopped)
    return "traceback", "".join(traceback.format_exception(stopped))[-2000:]


def main(name: str, start: int, stop: int, seed: int, folder: Path) -> None:
    """Read the inputs from start up to stop."""
    from readers import CONTROLS, READERS

    reader = {**READERS, **CONTROLS}[name]
    here, said = folder / "here", folder / "said.txt"
    here.mkdir(parents=True, exist_ok=True)
    os.environ["TUNESMITH_CACHE"] = str(folder / "cache")
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    with said.open("wb", buffering=0) as quiet:
        os.dup2(quiet.fileno(), 1)
        os.dup2(quiet.fileno(), 2)
    os.chdir(here)
    guard = Guard(folder)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for number in (0, 50, 100, 150) if name in READERS else ():  # right ones: what is imported is imported
        outcome(reader, lay(drawn(reader, seed, number), folder / "input"), guard)
    guard.seen.clear()
    forget_peak()
    before, noise = held("VmRSS"), said.stat().st_size
    for number in range(start, stop):
        path = lay(drawn(reader, seed, number), folder / "input")
        forget_peak()
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, HANG)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            found, words = outcome(reader, path, guard)
        signal.setitimer(signal.ITIMER_PROF, 0)
        seconds, grown, spoken = time.process_time() - began, held("VmHWM") - before, said.stat().st_size
        strange = sorted({entry.name for entry in folder.iterdir()} - {"input", "cache", "here", "said.txt"})
        left = [*strange, *(path.name for path in here.iterdir())]
        if guard.seen or left:
            found, words = "code", "; ".join([*guard.seen, *(f"left {name!r}" for name in left)])
        elif grown > GROWTH:
            found, words = "memory", f"grew by {grown / 2**20:.0f} MiB; {words}"
        elif warned or spoken > noise:
            found, words = (
                "noise",
                "; ".join(str(w.message) for w in warned) or said.read_text()[noise:][-300:],
            )
        guard.seen.clear()
        noise = spoken
        row = {"number": number, "outcome": found, "words": words[:2000], "seconds": seconds, "grown": grown}
        lines.write(json.dumps(row) + "\n")
        if number % 100 == 0:
            shutil.rmtree(folder / "cache", ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
