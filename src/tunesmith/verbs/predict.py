"""A run's answers for new items."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tunesmith.data.items import text_in
from tunesmith.data.questions import TASK as QUESTIONS
from tunesmith.errors import BadOption
from tunesmith.verbs.environment import prepare
from tunesmith.verbs.reporting import Lines, say_left_out

if TYPE_CHECKING:
    from tunesmith.data.data import Finding
    from tunesmith.runs import Run
    from tunesmith.verbs.reporting import Reporter


LONGEST_PATH: Final = 1000  # characters; a longer context is a text


def predict(
    run: str | Path | Run,
    items: Any = None,
    *,
    question: str | None = None,
    context: str | None = None,
    item: str | None = None,
    columns: str | None = None,
    split: str | None = None,
    probabilities: bool = False,
    skip_bad: bool = False,
    batch: int = 32,
    engine: str = "auto",
    device: str = "auto",
    reporter: Reporter | None = None,
) -> list[dict[str, Any]]:
    """A run's answers for new items: label and probability, beside a table's other columns.

    run: the folder of the run; runs/latest is the newest one.
    items: files, folders, texts or a table; in Python also lists and frames.
    question: a question, for a run that answers such, in the place of items.
    context: the text that answers it, or a .txt file of it.
    item: the column of a table with texts or with paths of images; of pairs of texts both.
    columns: names for the columns of a table without header.
    split: only this split, of data that have splits.
    probabilities: a column for every class.
    skip_bad: leave out items that cannot be read, listed and counted, instead of stopping.
    batch: items at a time, where the network itself runs.
    engine: what runs the network: auto, openvino, onnxruntime, compile or eager; auto: the first that agrees
        with it, where there are enough items for that to pay.
    device: auto, cpu, cuda, cuda:N or mps.
    reporter: where to tell what was left out, and which engine answered; None: lines on standard error.
    """
    prepare()
    from tunesmith.runs import Run as Opened

    opened = run if isinstance(run, Opened) else Opened.open(run)
    if question is not None or context is not None:
        if opened.described["task"] != QUESTIONS:
            raise BadOption(
                f"question and context are for a run of {QUESTIONS}, and {opened.folder} is one of "
                f"{opened.described['task']}; name items instead."
            )
        items = [_asked(question, context, items)]
    left_out: list[Finding] | None = [] if skip_bad else None
    say = reporter or Lines()
    answers = opened.predict(
        items,
        item=item,
        columns=columns,
        split=split,
        probabilities=probabilities,
        batch=batch,
        engine=engine,
        device=device,
        left_out=left_out,
        told=say.say,
    )
    say_left_out(left_out, f"{len(answers):,} answered", say)
    return answers


def _asked(question: str | None, context: str | None, items: Any) -> dict[str, str]:
    """One question, as a row of a table. Raises BadOption where a part is missing, or too much is there."""
    if items:
        raise BadOption(
            "question and context are one item by themselves; leave the others out, or ask twice."
        )
    if not question or not question.strip() or not context or not context.strip():
        raise BadOption(
            "a question needs its context and a context its question: --question Q --context TEXT."
        )
    if len(context) < LONGEST_PATH and context.lower().endswith(".txt"):
        context = text_in(Path(context).expanduser(), context)
    return {"question": question, "context": context}
