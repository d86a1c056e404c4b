"""What is at this path? `read` answers with three splits of labelled examples."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tunesmith.data.data import SPLITS, Data
from tunesmith.data.items import numbers_or_fault
from tunesmith.data.numbers import numbers_in
from tunesmith.data.rows import SPLIT_WORDS, Asked, Row, split_of
from tunesmith.data.sides import check_sides
from tunesmith.data.sources import recognise
from tunesmith.data.stored import Stored, store
from tunesmith.errors import BadData, BadOption

if TYPE_CHECKING:
    import datasets

    from tunesmith.data.data import Finding
    from tunesmith.data.rows import Found


def read(
    source: object,
    *,
    takes: str | None = None,
    answers: str | None = None,
    pairs: bool | None = None,
    item: str | None = None,
    target: str | None = None,
    split: str | None = None,
    group: str | None = None,
    weight: str | None = None,
    columns: str | Sequence[str] | None = None,
    task: str | None = None,
    valid_size: float = 0.15,
    test_size: float = 0.15,
    seed: int = 0,
    skip_bad: bool = False,
) -> Data:
    """Labelled examples in three splits, from whatever lies at a path or in memory.

    Understood are: class folders of images or .txt files, below split folders or not; CSV, TSV,
    JSONL and Parquet tables, one or one per split; .txt files of text, tab, label; zips of these;
    npz arrays; Hugging Face datasets saved on disk or named hf://owner/name[:config]; and in memory
    pandas and polars frames, lists of (item, label), dicts of lists, torch datasets, Hugging Face
    datasets, and dicts from split name to any of these.

    takes: "image" or "text"; None finds out.
    answers: "classes", "numbers" or "parts"; None finds out: labels are numbers where nine of ten are and
        one of them a fraction, where several columns are named, and where whole numbers are too many and too
        far apart to be classes.
    pairs: whether an item is two texts; None finds out: two columns are called as those of pairs are
        ("premise", "hypothesis"), beside a label.
    item, target, split, group, weight: names of columns. Items, labels and a column called
        "split" are found when not named; groups and weights are used when named only. item names the two
        columns of pairs with a comma between, target may name several columns of numbers likewise.
    columns: names for the columns of a table without header, as a list or "label,text".
    task: whose answers are parts, "question-answering"; None is the one that the source is plainly for.
    valid_size, test_size: shares of the whole, for splits that are missing and made here:
        stratified by label, seeded, and with no group in two splits.
    skip_bad: leave out items that cannot be had (an image that a table names and that is not there,
        a text file that is no UTF-8) and list them in `left_out`, instead of stopping at the first.
        Images that are there are not opened here.

    Raises NoData if nothing is there, BadData if it cannot be understood (with file and row), and
    BadOption for a wrong option.
    """
    import numpy as np

    from tunesmith.data import split as splitting
    from tunesmith.data.understood import described

    splitting.check_sizes(valid_size, test_size)
    asked = _asked(takes, item, target, columns, answers, pairs)
    asked = replace(asked, split=split, group=group, weight=weight, task=task)
    found = _as_asked(recognise(source, asked), answers)
    _check_takes(found, takes, pairs)
    _check_task(found, task)
    grouped = group is not None or bool(found.apart)
    stored = store(found, group=grouped, weight=weight is not None, labelled=True, skip_bad=skip_bad)
    if found.pairs:
        check_sides(stored.dataset["item"], found.read_from)
    labels, given, groups = _codes(stored)
    kinds = _kinds(found, labels, stored.labels.names)
    splits = splitting.complete(
        given,
        kinds,
        groups,
        same=np.array(stored.same, dtype=np.int64),
        sizes=(valid_size, test_size),
        seed=_checked_seed(seed),
    )
    if found.answers == "numbers":
        splitting.check_numbers(splits)
    elif found.answers == "classes":
        splitting.check_classes(splits, labels, stored.labels.names)
    splitting.check_filled(splits)
    if group is not None and groups is not None and stored.groups is not None:
        splitting.check_groups(splits, groups, stored.groups.names)
    manner = found.apart or "no group in two"
    if groups is None:
        manner = "repeats kept together" if len(set(stored.same)) < len(labels) else ""
    how = _how(given, seed, ("stratified" if len(set(kinds.tolist())) > 1 else "", manner))
    return Data(
        name=found.name,
        takes=found.takes,
        splits={name: _selected(stored.dataset, splits == i) for i, name in enumerate(SPLITS)},
        understood=described(found, labels, stored.labels.names, splits, how, stored.dataset),
        fingerprint=hashlib.sha256(stored.content.encode() + splits.astype("uint8").tobytes()).hexdigest(),
        left_out=stored.left_out,
        answers=found.answers,
        targets=found.targets,
        task=found.task,
        pairs=found.pairs,
    )


def _kinds(found: Found, labels: Any, names: Sequence[str]) -> Any:
    """What splits that are made here take their shares of, int64 [N]; of parts their strata."""
    from tunesmith.data import split as splitting

    return splitting.strata(numbers_in(names)[labels]) if found.answers == "numbers" else labels


def read_items(
    source: object,
    *,
    takes: str,
    answers: str = "classes",
    pairs: bool = False,
    item: str | None = None,
    target: str | None = None,
    columns: str | Sequence[str] | None = None,
    task: str | None = None,
    split: str | None = None,
    others: bool = False,
    left_out: list[Finding] | None = None,
) -> datasets.Dataset:
    """Every item of a source, to predict or to score: the columns `id`, `item` and `label`.

    The source is one that `read` understands, or a folder of loose files, one file, or a list of
    paths or texts. A string in a list of texts is a text itself, unless a file of that name is
    there: then a table is read, and any other file is one text. Labels are None where there are
    none.

    takes: "image" or "text".
    answers: what labels are read as, "classes", "numbers" or "parts"; what is none counts as no label.
    split: one split of a source that has splits, by any of its names ("val", "dev"); None is all.
    others: keep the columns of a table beside the item, as texts, under their names with "other "
        before them.
    pairs: whether an item is two texts; in a list of them, a tuple.
    left_out: where a finding goes for every item that cannot be had; None stops at the first.

    Raises as `read` does.
    """
    wanted = None if split is None else split_of(split)
    if split is not None and wanted is None:
        raise BadOption(f"no split is called {split!r}; the words are {', '.join(SPLIT_WORDS)}.")
    asked = _asked(takes, item, target, columns, answers, pairs)
    asked = replace(asked, labelled=False, others=others, task=task)
    found = _as_asked(recognise(source, asked), answers, labelled=False)
    _check_takes(found, takes, pairs)
    if found.task:  # what is only asked may lie in any form
        _check_task(found, task)
    skip = left_out is not None
    stored = store(found, group=False, weight=False, labelled=False, skip_bad=skip, keep=False)
    if left_out is not None:
        left_out.extend(stored.left_out)
    if wanted is None:
        return stored.dataset
    _, given, _ = _codes(stored)
    here = [name for name in SPLITS if (given == SPLITS.index(name)).any()]
    if wanted not in here:
        raise BadData(
            f"{found.name} has no {wanted} split; it has {' and '.join(here) or 'no splits at all'}."
        )
    return _selected(stored.dataset, given == SPLITS.index(wanted))


def _asked(
    takes: str | None,
    item: str | None,
    target: str | None,
    columns: str | Sequence[str] | None,
    answers: str | None,
    pairs: bool | None,
) -> Asked:
    if takes not in (None, "image", "text"):
        raise BadOption(f"takes is 'image' or 'text'; found {takes!r}.")
    if answers not in (None, "classes", "numbers", "parts"):
        raise BadOption(f"answers is 'classes', 'numbers' or 'parts'; found {answers!r}.")
    if isinstance(columns, str):
        columns = [name.strip() for name in re.split("[,;]", columns)]
    names = None if columns is None else tuple(columns)
    return Asked(takes=takes, answers=answers, pairs=pairs, item=item, target=target, columns=names)


def _as_asked(found: Found, answers: str | None, *, labelled: bool = True) -> Found:
    """The source with numbers as labels, where they were asked for and it has names (as class folders do)."""
    if answers != "numbers" or found.answers == "numbers":
        return found

    def rows() -> Iterator[Row]:
        for row in found.rows():
            if row.label is None or row.fault:
                yield row
                continue
            label, fault = numbers_or_fault([row.label], [""], row.where)
            yield row._replace(label=label, fault=fault if labelled else None, lacks="number")

    return replace(found, rows=rows, answers="numbers", targets=("number",))


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise BadOption(f"seed is a whole number from 0 to 2**32 - 1; found {seed!r}.")
    return seed


def _check_takes(found: Found, takes: str | None, pairs: bool | None) -> None:
    if takes is not None and found.takes != takes:
        raise BadData(f"{takes}s were asked for, but {found.name} holds {found.takes}s.")
    if pairs and not found.pairs and found.answers != "parts":
        raise BadData(
            f"pairs of texts were asked for, but {found.name} holds single {found.takes}s; bring a table "
            "with two columns of texts, or in Python tuples of two."
        )


def _check_task(found: Found, task: str | None) -> None:
    if task is not None and found.task != task:
        raise BadData(
            f"{task} was asked for, but {found.name} ({found.read_from}) holds no data of this kind."
        )


def _codes(stored: Stored) -> tuple[Any, Any, Any]:
    """Labels, given splits (-1 where there is none) and groups (or None), each int64 [N]."""
    import numpy as np

    order = np.array([SPLITS.index(name) for name in stored.splits.names] + [-1])
    given = order[np.array(stored.splits.codes, dtype=np.int64)]
    labels = np.array(stored.labels.codes, dtype=np.int64)
    if stored.groups is None:
        return labels, given, None
    return labels, given, np.array(stored.groups.codes, dtype=np.int64)


def _selected(dataset: datasets.Dataset, mask: Any) -> datasets.Dataset:
    import numpy as np

    return dataset.select(np.flatnonzero(mask))


def _how(given: Any, seed: int, manners: Sequence[str]) -> str:
    there = {SPLITS[i] for i in range(3) if (given == i).any()}
    ways = ", ".join(part for part in (*manners, f"seed {seed}") if part)
    made = [name for name in SPLITS if name not in there]
    if not made:
        return "as given"
    if there <= {"train"}:
        return f"made here ({ways})"
    return f"{made[0]} made here from train ({ways}), the others as given"
