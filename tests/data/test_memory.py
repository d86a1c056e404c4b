from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROBE = """
import sys, threading, time
from tunesmith.data.read import read

def held():
    status = open("/proc/self/status").read()
    return int(status.split("RssAnon:")[1].split()[0])

peak, done = 0, False

def watch():
    global peak
    while not done:
        peak = max(peak, held())
        time.sleep(0.005)

watcher = threading.Thread(target=watch)
watcher.start()
data = read(sys.argv[1])
done = True
watcher.join()
assert sum(map(len, data.splits.values())) == int(sys.argv[2])
print(peak)
"""


def peak(folder: Path, rows: int) -> int:
    """KiB of memory that is not a mapped file, at the most, while that many rows are read."""
    path = folder / f"{rows}.csv"
    with path.open("w") as file:
        file.write("text,label\n")
        file.writelines(f"{n} {'word ' * 80},{n % 5}\n" for n in range(rows))
    command = [sys.executable, "-c", PROBE, str(path), str(rows)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="RssAnon is read from Linux's /proc")
def test_memory_stays_flat_as_rows_grow(tmp_path: Path) -> None:
    few, many = peak(tmp_path, 20_000), peak(tmp_path, 200_000)
    assert many - few < 40_000  # the rows alone are 80,000 KiB
