"""A run's answers for new items."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.verbs.environment import prepare

if TYPE_CHECKING:
    from tunesmith.runs import Run


def predict(
    run: str | Path | Run,
    items: Any,
    *,
    item: str | None = None,
    columns: str | None = None,
    split: str | None = None,
    probabilities: bool = False,
    batch: int = 32,
    device: str = "auto",
) -> list[dict[str, Any]]:
    """A run's answers for new items: label and probability.

    run: the folder of the run; runs/latest is the newest one.
    items: files, folders, texts or a table; in Python also lists and frames.
    item: the column of a table with texts or with paths of images.
    columns: names for the columns of a table without header.
    split: only this split, of data that have splits.
    probabilities: a column for every class.
    batch: items at a time.
    device: auto, cpu, cuda, cuda:N or mps.
    """
    prepare()
    from tunesmith.runs import Run as Opened

    opened = run if isinstance(run, Opened) else Opened.open(run)
    return opened.predict(
        items,
        item=item,
        columns=columns,
        split=split,
        probabilities=probabilities,
        batch=batch,
        device=device,
    )
