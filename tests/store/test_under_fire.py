"""A writer that is killed at any moment loses nothing that was committed, and nobody reads a wrong byte."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tunesmith.store import Store
from tunesmith.store.frames import FRAME, unpack

Numbered = Callable[[int], bytes]
SHELF = "5ca1ab1e"
NUMBERS = 5000  # of the records that the writers draw from
AT_ONCE = 10  # writers that are killed over the same store, one after the other


@dataclass
class Toll:
    """What was found after kills.

    mid_write: how many came within a write. committed: records that the killed had committed.
    lost: of those, that could not be read. read: records that were read and compared, committed or not.
    """

    kills: int = 0
    mid_write: int = 0
    committed: int = 0
    lost: int = 0
    read: int = 0
    wrong: int = 0


def killed_writer(child: Path, folder: Path, seed: str) -> tuple[set[int], bool]:
    """Let a process write and die at a drawn moment: what it had committed, and whether in a write."""
    draw = random.Random(seed)
    in_write = draw.random() < 0.5
    die = draw.randint(1, 120) if in_write else 0
    process = subprocess.Popen(
        [sys.executable, str(child), "write", str(folder), str(draw.randrange(1 << 30)), str(die)],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    if not in_write:
        time.sleep(draw.random() * 0.1)
        process.kill()
    said = process.stdout.read()
    process.stdout.close()
    assert process.wait() == -9
    return {int(line) for line in said.splitlines(keepends=True) if line.endswith(b"\n")}, in_write


def take_stock(folder: Path, committed: set[int], key: Numbered, record: Numbered, toll: Toll) -> None:
    """Read everything in a new process's place: a shelf that is opened anew."""
    with Store(folder, spare=0).shelf(SHELF, {}) as shelf:
        gone = shelf.missing([key(n) for n in range(NUMBERS)])
        for number, missing in enumerate(gone.tolist()):
            view = shelf.get(key(number))
            assert (view is None) == missing
            toll.lost += view is None and number in committed
            toll.wrong += view is not None and bytes(view) != record(number)
            toll.read += view is not None
    report = Store(folder, spare=0).verify()
    assert [c.damaged for c in report] == [0] * len(report)


def fire(child: Path, folder: Path, kills: int, seed: int, key: Numbered, record: Numbered) -> Toll:
    """Kill so many writers, and take stock after each."""
    toll, committed = Toll(), set[int]()
    for i in range(kills):
        if i % AT_ONCE == 0:
            committed, where = set(), folder / str(i)
        said, in_write = killed_writer(child, where, f"{seed} {i}")
        committed |= said
        toll.committed += len(said)
        toll.kills += 1
        toll.mid_write += in_write
        take_stock(where, committed, key, record, toll)
    if os.environ.get("TUNESMITH_FIRE_RESULT"):
        Path(os.environ["TUNESMITH_FIRE_RESULT"]).write_text(json.dumps(asdict(toll)) + "\n")
    return toll


def test_killed_writers_lose_nothing_that_was_committed(
    seed: int, child: Path, tmp_path: Path, key: Numbered, record: Numbered
) -> None:
    toll = fire(child, tmp_path, 8, seed, key, record)
    assert (toll.lost, toll.wrong) == (0, 0)
    assert toll.committed > 50  # or the proof is blind


@pytest.mark.full
def test_200_killed_writers_lose_nothing_that_was_committed(
    seed: int, child: Path, tmp_path: Path, key: Numbered, record: Numbered
) -> None:
    toll = fire(child, tmp_path, 200, seed, key, record)
    assert (toll.kills, toll.lost, toll.wrong) == (200, 0, 0)
    assert toll.committed > 5000
    assert 60 < toll.mid_write < 140


def test_a_writer_that_dies_in_a_write_leaves_parts(child: Path, tmp_path: Path) -> None:
    """The control: were every file whole after a kill, nothing would have been proved."""
    torn = unreferenced = 0
    for i in range(8):
        subprocess.run(
            [sys.executable, str(child), "write", str(tmp_path), str(i), str(41 + i)],
            stdout=subprocess.DEVNULL,
        )
    for index in (tmp_path / SHELF).glob("*.idx"):
        rows, _ = unpack(index.read_bytes())
        end = int((rows["offset"] + rows["length"]).max(initial=0))
        torn += index.stat().st_size % FRAME.size > 0
        unreferenced += index.with_suffix(".bin").stat().st_size > (end + 63) // 64 * 64
    assert torn + unreferenced >= 4
