"""What a fit understands of its data, and what it cannot use of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tunesmith.data.data import Data, Finding
from tunesmith.data.rows import counted
from tunesmith.errors import BadData, BadOption
from tunesmith.networks.network import Network
from tunesmith.store import Store
from tunesmith.store.keys import shelf_key
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Task
from tunesmith.training.examples import Examples, content_keys, decoder
from tunesmith.verbs.reporting import Reporter

SHOWN = 5  # bad items that a message lists


def read_data(
    asked: Mapping[str, Any], store: Store, known: dict[str, bytes], say: Reporter
) -> tuple[Data, Task]:
    """The data and the task that fits them; says what was understood, and stops at what cannot be read.

    store: where it is kept which files were read before. known: their content addresses, by path; grows.
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
        task = TASKS.load(f"{data.takes}-classification")()
    for line in data.understood:
        say.say(line)
    if data.left_out:
        for finding in data.left_out:
            say.warn(f"left out: {finding.message.rstrip('.')}")
        kept = sum(len(s) for s in data.splits.values())
        count = f"{counted(len(data.left_out), task.unit)} left out that could not be had, {kept:,} kept"
        say.warn(count)
        data = replace(data, understood=(*data.understood, f"{count}: {_first(data.left_out)}"))
    with say.work("looking for items that cannot be read", sum(len(s) for s in data.splits.values())):
        findings = unusable(task, data, store, known)
    if findings:
        data = without_bad(data, findings, task, say, skip=asked["skip_bad"])
    return data, task


def unusable(task: Task, data: Data, store: Store, known: dict[str, bytes]) -> list[Finding]:
    """What the task's check finds; images of the same bytes as one that could be read are not read again."""
    if data.takes != "image":
        return task.check(data)
    about = {"what": "images that can be read", "decoder": decoder()}
    with store.shelf(shelf_key(about), about) as shelf:
        fresh, keys = {}, {}
        for name, dataset in data.splits.items():
            try:
                keys[name] = content_keys(dataset, known)
            except BadData:  # a file that is not there, or cannot be opened: the check says which and why
                return task.check(data)
            fresh[name] = np.flatnonzero(shelf.missing(keys[name]))
        looked = replace(data, splits={name: data.splits[name].select(rows) for name, rows in fresh.items()})
        findings = task.check(looked)
        bad = {finding.where for finding in findings}
        for name, rows in fresh.items():
            good = [
                keys[name][row]
                for row, where in zip(rows, looked.splits[name]["id"][:], strict=True)
                if where not in bad
            ]
            shelf.put(good, [b"1"] * len(good))
    return findings


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
    gone = set(data.train["label"]) - set(kept.train["label"])
    if gone or len(set(kept.train["label"])) < 2:
        raise BadData(
            f"without the items that cannot be read, nothing is left to learn of {', '.join(sorted(gone))}."
        )
    say.warn(count)
    return kept


def _said(finding: Finding) -> str:
    where = finding.where
    return (finding.message if where in finding.message else f"{where}: {finding.message}").rstrip(".")


def _first(findings: Sequence[Finding]) -> str:
    """The first few findings, and how many more there are."""
    more = f" and {len(findings) - SHOWN:,} more" if len(findings) > SHOWN else ""
    return "; ".join(map(_said, findings[:SHOWN])) + more


def say_truncation(network: Network, examples: Mapping[str, Examples], say: Reporter) -> None:
    """Say how many texts of each split are longer than the network's window."""
    window = getattr(network.preprocess, "max_length", None)
    cut = []
    for split, own in examples.items():
        lengths = own.whole_lengths
        long = int((lengths > window).sum()) if lengths is not None else 0
        if long:
            cut.append(f"{long:,} of {len(own):,} {split}")
    if cut:
        say.warn(f"{', '.join(cut)} texts are longer than {window} tokens, and are cut there")
