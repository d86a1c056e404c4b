"""The tool that looks for faults finds those that are put before it, and none in what reads files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TOOL = Path(__file__).resolve().parents[2] / "bench" / "hostile.py"
FAULTS = ("traceback", "hang", "memory", "code", "noise", "crash")


def fuzzed(folder: Path, count: int, *words: object) -> dict[str, Any]:
    command = [
        sys.executable,
        str(TOOL),
        "--count",
        str(count),
        "--out",
        str(folder / "out.json"),
        *map(str, words),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (folder / "out.json").is_file(), done.stderr
    found: dict[str, Any] = json.loads((folder / "out.json").read_text())
    return found


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")


def test_every_kind_of_fault_is_found(tmp_path: Path) -> None:
    """The control: readers that raise, hang, grow, run code, write, warn, speak and die."""
    names = [
        "traceback",
        "hang",
        "memory",
        "code-exec",
        "code-write",
        "noise-warning",
        "noise-stderr",
        "crash",
    ]
    found = fuzzed(tmp_path, 8, "--readers", *(f"control-{name}" for name in names))
    for name in names:
        assert found["readers"][f"control-{name}"][name.partition("-")[0]] == 1, name


def test_a_few_hundred_mutated_inputs_do_no_harm(tmp_path: Path, seed: int) -> None:
    found = fuzzed(tmp_path, 360, "--seed", seed + 1)
    assert {kind: found["all"][kind] for kind in FAULTS} == dict.fromkeys(FAULTS, 0), found["readers"]
    assert found["all"]["inputs"] == 360
    assert min(found["all"]["read"], found["all"]["refused"]) > 36


@pytest.mark.full
def test_twenty_thousand_mutated_inputs_do_no_harm(tmp_path: Path, seed: int) -> None:
    found = fuzzed(tmp_path, 20_000, "--seed", seed)
    assert {kind: found["all"][kind] for kind in FAULTS} == dict.fromkeys(FAULTS, 0), found["readers"]
