"""What a fit understands of its data, and what it cannot use of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tunesmith.data.data import Data, Finding
from tunesmith.data.rows import counted
from tunesmith.errors import BadData, BadOption
from tunesmith.health import words
from tunesmith.health.examine import examine
from tunesmith.health.finding import Health
from tunesmith.health.seen import Seen, see
from tunesmith.store import Store
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Task
from tunesmith.training.examples import Examples, decoder, truncation
from tunesmith.verbs.reporting import Reporter

SHOWN = 5  # bad items that a message lists
LEARNS = {"classes": "classification", "numbers": "regression"}
BEFORE_A_FIT = (  # said before a fit; what the shares of classes are stands in what was understood already
    "byte_equal_two_labels",
    "outlying_numbers",
    "unseen_types",
    "long_sentences",
    "byte_equal_across",
    "contexts_across",
    "near_duplicates_across",
    "turned_across",
    "side_across",
    "labels_alike",
    "prior_shift",
)


def read_data(
    asked: Mapping[str, Any], store: Store, known: dict[str, bytes], say: Reporter
) -> tuple[Data, Task, Seen]:
    """The data and the task that fits them; says what was understood, and stops at what cannot be read.

    store: where it is kept which files were read before. known: their content addresses, by path; grows.
    The last is what was seen of all data, before anything was left out; close it.
    """
    seen, task = see_data(asked, store, known, say, left_out=True)
    data, roll = seen.data, seen.roll
    if roll.bad:
        kind = "unreadable" if data.takes == "image" else "empty"
        findings = [
            Finding(kind, roll.ids[place], f"{roll.ids[place]} {roll.bad[place]}") for place in roll.bad
        ]
        try:
            data = without_bad(data, findings, task, say, skip=asked["skip_bad"])
        except BaseException:
            seen.close()
            raise
    return data, task, seen


def see_data(
    asked: Mapping[str, Any], store: Store, known: dict[str, bytes], say: Reporter, *, left_out: bool
) -> tuple[Seen, Task]:
    """One pass over the data that were asked for, and the task that fits them.

    left_out: whether to say what the data name and could not be had, as one who goes on without it.
    Raises BadOption where the task cannot read long texts as asked.
    """
    options = {
        f: asked[f]
        for f in (
            "item",
            "target",
            "split",
            "group",
            "weight",
            "columns",
            "valid_size",
            "test_size",
            "seed",
            "skip_bad",
        )
    }
    from tunesmith.data.read import read

    if asked["data"] is None or (isinstance(asked["data"], str) and not asked["data"].strip()):
        raise BadOption("name the data to learn from: tunesmith fit DATA, or data: in the configuration.")
    if asked["task"] is not None:
        task: Task = TASKS.load(asked["task"])()
        data = task.read(asked["data"], **options)
    else:
        data = read(asked["data"], **options)
        kind = f"{data.takes}-pair" if data.pairs else data.takes
        task = TASKS.load(data.task or f"{kind}-{LEARNS[data.answers]}")()
    refuse_windows(asked, task)
    for line in data.understood:
        say.say(line)
    if left_out and data.left_out:
        for finding in data.left_out:
            say.warn(f"left out: {finding.message.rstrip('.')}")
        kept = sum(len(s) for s in data.splits.values())
        count = f"{counted(len(data.left_out), task.unit)} left out that could not be had, {kept:,} kept"
        say.warn(count)
        data = replace(data, understood=(*data.understood, f"{count}: {_first(data.left_out)}"))
    total = sum(len(split) for split in data.splits.values())
    with say.work("looking for items that cannot be read", total) as done:
        return see(data, store, known, check=task.check, decoder=decoder(), progress=done), task


def examined_first(seen: Seen, data: Data, say: Reporter, *, skip_bad: bool) -> tuple[Health, np.ndarray]:
    """What is cheap to know of the data before a fit, said in a few lines; and which test examples leak.

    seen: of all data. data: what is left of them to train on and to score.
    The last is bool [n], over the test split of `data`: those with a byte-equal or nearly equal example in
    train or valid.
    """
    found = examine(seen, brief=True, skip_bad=skip_bad)
    health = found.health
    said = [f for f in health.findings if f.kind in BEFORE_A_FIT]
    for finding in said:
        say.warn(words.say(finding, takes=health.takes, answers=health.answers)[0])
    if why := health.skipped.get("near_duplicates_across"):
        say.say(f"near-duplicates were not looked for: {words.title(why)}")
    if said:
        say.say("tunesmith check DATA shows the examples, and says what to do")
    bad = {seen.roll.ids[place] for place in seen.roll.bad}
    kept = np.asarray([name not in bad for name in seen.data.test["id"][:]], bool)
    return health, found.leaked[kept] if len(kept) != len(data.test) else found.leaked


def without_bad(data: Data, findings: list[Finding], task: Task, say: Reporter, *, skip: bool) -> Data:
    """The data without the items that cannot be read, each said; or, unless `skip`, an error."""
    said = [_said(finding) for finding in findings]
    shown = _first(findings)
    if not skip:
        raise BadData(
            f"{len(findings)} of {sum(len(s) for s in data.splits.values()):,} {task.unit}s cannot be used: "
            f"{shown}. "
            f"Mend or remove them, or pass --skip-bad (skip_bad=True) to leave them out."
        )
    for line in said:
        say.warn(f"left out: {line}")
    bad = {finding.where for finding in findings}
    splits = {}
    for name, dataset in data.splits.items():
        keep = [i for i, where in enumerate(dataset["id"]) if where not in bad]
        splits[name] = dataset.select(keep)
        if not keep:
            raise BadData(f"nothing is left in the {name} split without the items that cannot be read.")
    count = f"{len(findings):,} {task.unit}s left out, {sum(len(s) for s in splits.values()):,} kept"
    kept = replace(
        data,
        splits=splits,
        understood=(*data.understood, f"{count}: {shown}"),
        fingerprint=f"{data.fingerprint} without {len(findings)}",
    )
    gone = set(data.train["label"]) - set(kept.train["label"]) if task.answers == "classes" else set()
    if gone or (task.answers != "parts" and len(set(kept.train["label"])) < 2):
        of = ", ".join(sorted(gone)) or "the rest"
        raise BadData(f"without the items that cannot be read, nothing is left to learn of {of}.")
    say.warn(count)
    return kept


def _said(finding: Finding) -> str:
    where = finding.where
    return (finding.message if where in finding.message else f"{where}: {finding.message}").rstrip(".")


def _first(findings: Sequence[Finding]) -> str:
    """The first few findings, and how many more there are."""
    more = f" and {len(findings) - SHOWN:,} more" if len(findings) > SHOWN else ""
    return "; ".join(map(_said, findings[:SHOWN])) + more


def refuse_windows(asked: Mapping[str, Any], task: Task) -> None:
    """Raise BadOption where long texts are to be read in windows, and the task is not one that can choose."""
    if asked.get("long_texts", "cut") != "windows":
        return
    if task.takes != "text":
        raise BadOption(f"long_texts is for texts, and {task.name} takes {task.takes}s; leave it out.")
    if task.answers == "parts":
        raise BadOption(f"{task.name} always reads all of a long text, in windows; leave long_texts out.")


def say_truncation(examples: Mapping[str, Examples], task: Task, say: Reporter) -> None:
    """Say how many texts of each split are longer than the network's window, and what helps."""
    if said := truncation(examples):
        windows = any(own.of is not None for own in examples.values())
        helps = task.answers != "parts" and not windows
        say.warn(f"{said}; --long-texts windows reads all of them" if helps else said)
