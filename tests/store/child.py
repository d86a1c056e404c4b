"""Processes that use a store: one that writes until it is killed, one of many that share a shelf.

python child.py write FOLDER SEED [die WRITE]    prints the number of each key once it is committed
python child.py share FOLDER LOG COUNT           appends the number of each key that it computes to LOG
python child.py grab FOLDER LOG COUNT            the same without claims
"""

from __future__ import annotations

import io
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.store import Shelf, Store
from tunesmith.store.keys import record_key

SHELF = "5ca1ab1e"


def key(number: int) -> bytes:
    """The key of a record of the tests."""
    return record_key("record", str(number))


def record(number: int) -> bytes:
    """The record that belongs to it: 0 to 5000 bytes that nothing else looks like."""
    draw = np.random.default_rng(number)
    return draw.bytes(int(draw.integers(0, 5000)))


def die_at(count: int) -> None:
    """Write only a part at the count-th write, and die by SIGKILL."""
    left, write = [count], os.write

    def deadly(descriptor: int, data: Any) -> int:
        left[0] -= 1
        if left[0] == 0:
            write(descriptor, data[: len(data) * (count % 5) // 4])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(descriptor, data)

    os.write = deadly


def writing(folder: Path, seed: int, die: int) -> None:
    """Put what is missing, in batches of drawn sizes, and say what was committed."""
    draw = random.Random(seed)
    said = io.FileIO(1, "w", closefd=False)  # writes past os.write
    shelf = Store(folder, spare=0).shelf(SHELF, {"what": "records"})
    said.write(b"ready\n")
    if die:
        die_at(die)
    put: list[int] = []
    while True:
        some = [draw.randrange(5000) for _ in range(draw.randint(1, 20))]
        some = [n for n, gone in zip(some, shelf.missing([key(n) for n in some]), strict=True) if gone]
        put += some[: shelf.put([key(n) for n in some], [record(n) for n in some])]
        if draw.random() < 0.3 and shelf.commit():
            said.write("".join(f"{n}\n" for n in put).encode())
            put = []


def sharing(folder: Path, log: Path, count: int, *, claims: bool) -> None:
    """Have all records, each computed by whoever claims it, and compare them."""
    numbers = list(range(count))
    random.Random(os.getpid()).shuffle(numbers)
    shelf = Store(folder, spare=0).shelf(SHELF, {"what": "records"})
    (folder / f"ready {os.getpid()}").touch()
    while not (folder / "go").exists():
        time.sleep(0.001)
    for start in range(0, count, 7):
        have(shelf, numbers[start : start + 7], log, claims=claims)
    for number in numbers:
        found = shelf.get(key(number))
        assert found is not None, number
        assert bytes(found) == record(number), number
    shelf.close()


def have(shelf: Shelf, numbers: list[int], log: Path, *, claims: bool) -> None:
    """Compute what nobody else does, and wait for the others."""
    keys = [key(n) for n in numbers]
    while (gone := shelf.missing(keys)).any():
        with shelf.claim(keys) as claim:
            chosen = claim.mine if claims else gone
            mine = [n for n, is_mine in zip(numbers, chosen, strict=True) if is_mine]
            for number in mine:
                with log.open("ab", buffering=0) as file:
                    file.write(f"{number}\n".encode())
                time.sleep(0.001)  # computing takes a while
            shelf.put([key(n) for n in mine], [record(n) for n in mine])


if __name__ == "__main__":
    if sys.argv[1] == "write":
        writing(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        sharing(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), claims=sys.argv[1] == "share")
