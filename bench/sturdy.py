"""The full counts of what a run survives, for docs/numbers.md; what a ledger holds is not run again.

    python bench/sturdy.py [kills | disks | flips ...]

kills: runs killed at drawn moments and resumed. disks: a disk that refuses a write, at every write of a small
run. flips: bytes changed in a run's files. Ledgers lie in bench/results, a line for each case.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
PROOFS = {  # the test, the variable that names its ledger, and the ledger
    "kills": ("tests/test_kill_and_resume.py", "TUNESMITH_KILLS", "kills.jsonl"),
    "disks": ("tests/sturdy/test_full_disks.py", "TUNESMITH_DISKS", "disks.jsonl"),
    "flips": ("tests/sturdy/test_flipped_bytes.py", "TUNESMITH_FLIPS", "flips.json"),
}


def main(names: list[str]) -> int:
    """Run what was asked for, everything by default; the worst exit status of pytest."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    worst = 0
    for name in names or PROOFS:
        if name not in PROOFS:
            print(f"no proof named {name!r}; there are {', '.join(PROOFS)}.", file=sys.stderr)
            return 2
        test, variable, ledger = PROOFS[name]
        command = [sys.executable, "-m", "pytest", test, "-q", "-m", "full", "-p", "no:cacheprovider"]
        env = {**os.environ, variable: str(RESULTS / ledger)}
        worst = max(worst, subprocess.run(command, cwd=ROOT, env=env, check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
