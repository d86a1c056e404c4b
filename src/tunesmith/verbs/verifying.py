"""Prove an export again, anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.verbs.environment import prepare

if TYPE_CHECKING:
    from tunesmith.exports.proof import Proof


def verify(folder: str | Path) -> Proof:
    """Prove that an export is whole and answers as the run that it came from.

    Every file is compared with its hash, then its golden examples are answered by the runtime that it was
    made for. It opens what lies in the folder: take exports from people whom you trust.

    folder: what `tunesmith export` made.

    Raises BadExport for a file that was changed, added or taken away, and for other answers.
    """
    prepare()
    from tunesmith.exports.proof import prove

    return prove(Path(folder).expanduser())
