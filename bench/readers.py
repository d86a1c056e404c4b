"""The table of everything that reads what others wrote: bench/hostile.py goes through it.

CONTROLS are readers that do what no reader may; whoever looks for faults must find each of them.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from pathlib import Path
from random import Random

from data_readers import DATA
from inputs import Reader, Sample
from run_readers import RUNS


def _plain(_: Random) -> Sample:
    return Sample({"a.txt": b"some words"}, "a.txt")


def _raises(path: Path) -> None:
    raise IndexError(path)


def _hangs(_: Path) -> None:
    while True:
        pass


def _grows(_: Path) -> None:
    bytearray(300 << 20).find(b"1")


def _executes(_: Path) -> None:
    exec("canary = 1")


def _writes(_: Path) -> None:
    Path("canary").write_text("sang")


def _warns(_: Path) -> None:
    warnings.warn("mind the gap", stacklevel=1)


def _speaks(_: Path) -> None:
    os.write(sys.stderr.fileno(), b"libjpeg: mind the gap\n")


def _dies(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


READERS = {reader.name: reader for reader in (*DATA, *RUNS)}
CONTROLS = {
    reader.name: reader
    for reader in (
        Reader("control-traceback", _raises, _plain),
        Reader("control-hang", _hangs, _plain),
        Reader("control-memory", _grows, _plain),
        Reader("control-code-exec", _executes, _plain),
        Reader("control-code-write", _writes, _plain),
        Reader("control-noise-warning", _warns, _plain),
        Reader("control-noise-stderr", _speaks, _plain),
        Reader("control-crash", _dies, _plain),
    )
}
