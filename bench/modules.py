"""Run tunesmith and leave a list of what it imported: `python bench/modules.py LIST ARGUMENTS...`.

Only names that can be imported again stand in the list, in the order in which they were met.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path


def main(target: str) -> None:
    """The command line, then the list."""
    from tunesmith.cli import main as command

    try:
        command()
    finally:
        Path(target).write_text("\n".join(filter(_again, list(sys.modules))) + "\n", encoding="utf-8")


def _again(name: str) -> bool:
    if name in ("__main__", "__mp_main__"):
        return False
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False


if __name__ == "__main__":
    target = sys.argv.pop(1)
    main(target)
