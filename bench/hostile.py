"""Mutated inputs over everything that reads files: 0 tracebacks, hangs, growth, code run, noise.

`python bench/hostile.py` reads 20,000 of them and writes bench/results/hostile.json; `--count`, `--readers`
and `--seed` ask for others, `--keep FOLDER` keeps every input that was found, `--show READER NUMBER` lays one
out in that folder to look at. A hang is 2 seconds of the processor, or 60 of waiting, twice.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import select
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

from inputs import drawn
from readers import CONTROLS, READERS
from watching import GROWTH, HANG, lay

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "hostile.json"
FINE = ("read", "refused")
FAULTS = ("traceback", "hang", "memory", "code", "noise", "crash")
PATIENCE = 60  # seconds without a word from the process, counted one by one so that a pause is one


class Nursery:
    """A process that forks those that read; see bench/watching.py."""

    def __init__(self) -> None:
        quiet = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("watching.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **quiet},
        )

    def rows(self, **asked: Any) -> Iterator[dict[str, Any]]:
        """What a child says of its inputs, and at last its exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        self.process.stdin.flush()
        stream, child, waited, rest = self.process.stdout.fileno(), 0, 0, b""
        while True:
            if not select.select([stream], [], [], 1.0)[0]:
                waited += 1
                if waited == PATIENCE and child:
                    os.kill(child, signal.SIGKILL)
                continue
            waited, piece = 0, os.read(stream, 1 << 16)
            if not piece:
                raise SystemExit("bench/watching.py ended; run it alone to see why")
            *whole, rest = (rest + piece).split(b"\n")
            for row in map(json.loads, whole):
                child = row.get("child", child)
                yield row
                if "exit" in row:
                    return

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def fuzzed(nursery: Nursery, name: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """A row for every input: number, outcome, words, seconds of the processor, growth in bytes."""
    done, code, again = 0, 0, -1
    with tempfile.TemporaryDirectory(prefix="hostile-") as scratch:
        while done < count:
            for row in nursery.rows(reader=name, start=done, stop=count, seed=seed, folder=scratch):
                code = row.get("exit", code)
                if "number" in row:
                    done = row["number"] + 1
                    yield row
            if done < count:
                if done != again:  # on a machine that swaps, the first try may have waited for memory
                    again = done
                    continue
                kind = "hang" if -code in (signal.SIGPROF, signal.SIGKILL) else "crash"
                said = Path(scratch) / "said.txt"
                words = f"exit code {code}; " + (
                    said.read_text(errors="replace")[-1500:] if said.exists() else ""
                )
                yield {"number": done, "outcome": kind, "words": words, "seconds": HANG, "grown": 0}
                done += 1


def total(nursery: Nursery, name: str, count: int, seed: int, keep: Path | None) -> dict[str, Any]:
    """The counts of one reader, and what was found."""
    outcomes: Counter[str] = Counter()
    found, slowest, most = [], 0.0, 0
    for row in fuzzed(nursery, name, count, seed):
        outcomes[row["outcome"]] += 1
        slowest, most = max(slowest, row["seconds"]), max(most, row["grown"])
        if row["outcome"] in FAULTS:
            found.append({key: row[key] for key in ("number", "outcome", "words")})
            if keep is not None:
                lay(
                    drawn({**READERS, **CONTROLS}[name], seed, row["number"]),
                    keep / f"{name}-{row['number']}",
                )
    return {
        "inputs": sum(outcomes.values()),
        **{kind: outcomes[kind] for kind in (*FINE, *FAULTS)},
        "slowest_seconds": round(slowest, 3),
        "most_growth_mib": round(most / 2**20, 1),
        "found": found,
    }


def main() -> None:
    """Read the arguments, fuzz, write the results; exit code 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="inputs over all readers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", nargs="*", default=list(READERS), choices=[*READERS, *CONTROLS])
    parser.add_argument("--jobs", type=int, default=1, help="readers that are tried at a time")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--show", nargs=2, metavar=("READER", "NUMBER"))
    asked = parser.parse_args()
    if asked.show:
        reader, number = asked.show
        print(lay(drawn(READERS[reader], asked.seed, int(number)), (asked.keep or Path("shown")).resolve()))
        return
    warnings.simplefilter("ignore")  # of what makes samples that are meant to be wrong
    began = time.time()
    each, more = divmod(asked.count, len(asked.readers))
    shares = [each + (place < more) for place in range(len(asked.readers))]
    free: Queue[Nursery] = Queue()

    def one(name: str, count: int) -> dict[str, Any]:
        nursery = free.get()
        try:
            return total(nursery, name, count, asked.seed, asked.keep)
        finally:
            free.put(nursery)

    for _ in range(asked.jobs):
        free.put(Nursery())
    with ThreadPoolExecutor(asked.jobs) as pool:
        rows = {}
        for name, row in zip(asked.readers, pool.map(one, asked.readers, shares), strict=True):
            rows[name] = row
            print(f"{name:<22} {json.dumps({k: v for k, v in row.items() if k != 'found'})}", flush=True)
            for fault in row["found"][:5]:
                print(f"   {fault['number']} {fault['outcome']}: {fault['words'][-700:]}", flush=True)
    for _ in range(asked.jobs):
        free.get().close()
    sums = {kind: sum(row[kind] for row in rows.values()) for kind in ("inputs", *FINE, *FAULTS)}
    content = {
        "command": "python bench/hostile.py" + ("" if asked.count == 20_000 else f" --count {asked.count}"),
        "limits": {"hang_seconds": HANG, "growth_mib": GROWTH // 2**20},
        "machine": {"python": platform.python_version(), "system": platform.system(), "cpus": os.cpu_count()},
        "seed": asked.seed,
        "minutes": round((time.time() - began) / 60, 1),
        "all": sums,
        "readers": rows,
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(sums))
    sys.exit(any(sums[kind] for kind in FAULTS))


if __name__ == "__main__":
    main()
