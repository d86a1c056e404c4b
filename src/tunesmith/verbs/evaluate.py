"""Score a run on labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.verbs.environment import prepare
from tunesmith.verbs.reporting import Lines, say_left_out

if TYPE_CHECKING:
    from tunesmith.data.data import Finding
    from tunesmith.evaluation import Scores
    from tunesmith.runs import Run
    from tunesmith.verbs.reporting import Reporter


def evaluate(
    run: str | Path | Run,
    data: Any,
    *,
    item: str | None = None,
    target: str | None = None,
    columns: str | None = None,
    split: str | None = None,
    skip_bad: bool = False,
    batch: int = 32,
    engine: str = "auto",
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Scores:
    """Score a run on labelled data, with intervals.

    run: the folder of the run; runs/latest is the newest one.
    data: labelled data in any form that fit takes; all of it is scored.
    item: the column with texts or with paths of images; of pairs of texts both, with a comma between.
    target: the column with labels, or columns of numbers with commas between.
    columns: names for the columns of a table without header.
    split: only this split, of data that have splits.
    skip_bad: leave out items that cannot be read or have no label, listed and counted, instead of stopping.
    batch: items at a time, where the network itself runs.
    engine: what runs the network: auto, openvino, onnxruntime, compile or eager; auto: the first that agrees
        with it, where there are enough examples for that to pay.
    device: auto, cpu, cuda, cuda:N or mps.
    reporter: where to tell what was left out, and which engine answered; None: lines on standard error.

    Raises BadData for a label that the run has not learned.
    """
    prepare()
    from tunesmith.runs import Run as Opened

    opened = run if isinstance(run, Opened) else Opened.open(run)
    left_out: list[Finding] | None = [] if skip_bad else None
    say = reporter or Lines()
    scores = opened.evaluate(
        data,
        item=item,
        target=target,
        columns=columns,
        split=split,
        batch=batch,
        engine=engine,
        device=device,
        left_out=left_out,
        told=say.say,
    )
    say_left_out(left_out, f"{scores.count:,} scored", say)
    return scores
