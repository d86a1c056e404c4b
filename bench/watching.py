"""Processes that read hostile inputs and are watched: one line of JSON for every input.

bench/hostile.py starts one that has imported everything. It reads a request a line, {"reader", "start",
"stop", "seed", "folder"}, and forks a child, which reads the inputs and writes a row for each; then it says
how the child ended. So the next child begins at once where an input killed the last one.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from inputs import Reader, Sample, drawn
from readers import CONTROLS, READERS

HANG = 2.0  # seconds of the processor for one input
MODULES = (
    "datasets",
    "pyarrow.parquet",
    "PIL.Image",
    "numpy",
    "tunesmith.data.read",
    "tunesmith.networks.pixels",
)
GROWTH = 256 * 2**20  # bytes that a process may grow by
RUNS = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile",
    "subprocess.Popen", "pty.spawn", "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto",
    "urllib.Request", "pickle.find_class", "exec", "ctypes.dlopen", "code.__new__",
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
PLACES = {"input", "cache", "temporary", "here", "said.txt"}
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
            own = event == "ctypes.dlopen" and str(arguments[0]).startswith(sys.prefix)
            if not (own or _importing()):
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


def watch(name: str, start: int, stop: int, seed: int, folder: Path) -> None:
    """Read the inputs from start up to stop."""
    reader = {**READERS, **CONTROLS}[name]
    here, said = folder / "here", folder / "said.txt"
    here.mkdir(parents=True, exist_ok=True)
    os.environ["TUNESMITH_CACHE"] = str(folder / "cache")
    tempfile.tempdir = str(folder / "temporary")
    Path(tempfile.tempdir).mkdir(exist_ok=True)
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
    before = held("VmRSS")
    for number in range(start, stop):
        path = lay(drawn(reader, seed, number), folder / "input")
        noise = said.stat().st_size
        forget_peak()
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, HANG)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            found, words = outcome(reader, path, guard)
        signal.setitimer(signal.ITIMER_PROF, 0)
        seconds, grown, spoken = time.process_time() - began, held("VmHWM") - before, said.stat().st_size
        strange = sorted({entry.name for entry in folder.iterdir()} - PLACES)
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
        row = {"number": number, "outcome": found, "words": words[:2000], "seconds": seconds, "grown": grown}
        lines.write(json.dumps(row) + "\n")
        if number % 100 == 0:
            shutil.rmtree(folder / "cache", ignore_errors=True)


def main() -> None:
    """Fork a child for every request, and say its process number and then its exit code."""
    for module in MODULES:
        importlib.import_module(module)
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            watch(asked["reader"], asked["start"], asked["stop"], asked["seed"], Path(asked["folder"]))
            os._exit(0)
        print(json.dumps({"child": child}), flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"exit": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
