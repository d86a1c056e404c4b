"""What was handed over: a path, a name on the hub, or something in memory?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from tunesmith.data import hugging_face
from tunesmith.data.archives import extracted
from tunesmith.data.arrays import found_in_npz
from tunesmith.data.class_folders import entries_of, hidden
from tunesmith.data.folders import found_in_folder, holds_tabs, joined
from tunesmith.data.items import found_in, image_item, text_or_fault
from tunesmith.data.objects import table_of
from tunesmith.data.pairs import together
from tunesmith.data.questions import TASK as QUESTIONS
from tunesmith.data.rows import IMAGE_ENDINGS, Asked, Found, Row, split_of
from tunesmith.data.tables import ENDINGS as TABLE_ENDINGS
from tunesmith.data.tables import JSON, open_table
from tunesmith.data.tagged import found_in_columns, is_columns
from tunesmith.errors import BadData, NoData
from tunesmith.registry import did_you_mean

MOST_WITHIN = 2  # archives within an archive


def recognise(source: object, asked: Asked, *, name: str = "data", where: str = "row") -> Found:
    """The examples of a source of any kind that `read` understands.

    name: what a source in memory is called.
    where: what goes before the number of a row of such a source.

    Raises NoData if nothing is at the path, BadData if the source is of no known kind.
    """
    if isinstance(source, str) and source.startswith(hugging_face.HUB):
        short = source.removeprefix(hugging_face.HUB).partition(":")[0].rpartition("/")[2]
        return recognise(hugging_face.from_hub(source), asked, name=short)
    if isinstance(source, str | PurePath):
        return found_at(_at_home(source), asked)
    if hugging_face.is_dataset(source):
        return found_in(hugging_face.table_of_dataset(source, where), asked, name=name)
    if isinstance(source, Mapping) and _are_splits(source):
        return _by_split(source, asked, name)
    if isinstance(source, list | tuple) and not asked.labelled and _are_items(source):
        return _listed(source, asked, name)
    table = table_of(source, where, pairs=asked.pairs)
    if table is None:
        raise BadData(
            f"an object of type {type(source).__name__} cannot be read as data; give a path, "
            "a frame, a list of (item, label), a dict of lists, or a dataset."
        )
    return found_in(table, asked, name=name)


def found_at(path: Path, asked: Asked, *, name: str = "", within: int = 0) -> Found:
    """The examples of a file or a folder.

    within: how many archives it was unpacked from; there are archives that hold themselves.

    Raises NoData if nothing is there, BadData if it is of no known kind.
    """
    ending = path.suffix.lower()
    if not os.path.exists(path):  # noqa: PTH110 (Path.exists raises for names that are too long)
        raise _nothing_at(path, asked)
    if path.is_dir() and hugging_face.is_saved(path):
        return recognise(hugging_face.saved(path), asked, name=name or path.resolve().name)
    if path.is_dir() and (archive := _only_archive(path)):
        return found_at(archive, asked, name=name, within=within)
    if path.is_dir():
        return found_in_folder(path, asked, name=name)
    if not path.is_file():
        raise BadData(f"{path.name} is a pipe or a device, which cannot be read twice; save it as a file.")
    if ending == ".zip":
        if within > MOST_WITHIN:
            raise BadData(f"{path.name} lies in an archive in an archive, over and over; unpack it by hand.")
        return found_at(extracted(path), asked, name=name or path.stem, within=within + 1)
    if ending == ".npz":
        return found_in_npz(path, asked, name=name)
    if asked.answers in (None, "parts") and asked.takes != "image" and is_columns(path):
        return found_in_columns({None: [path]}, asked, name=name or path.stem)
    if ending in (*TABLE_ENDINGS, JSON) or (ending == ".txt" and (asked.labelled or holds_tabs(path))):
        stem = path.resolve().parent.name if split_of(path.stem) else path.stem
        return found_in(open_table(path, columns=asked.columns), asked, name=name or stem)
    if not asked.labelled and (ending in IMAGE_ENDINGS or asked.takes == "text"):
        return _listed([path], asked, name or path.stem)
    raise BadData(
        f"{path.name} is no file that holds labelled examples; what is understood are folders, "
        f"{', '.join(TABLE_ENDINGS)}, {JSON}, .txt, .zip and .npz."
    )


def _at_home(path: str | PurePath) -> Path:
    """The path with `~` replaced; a text that begins with ~ stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path.expanduser raises for such a text)


def _only_archive(folder: Path) -> Path | None:
    """The one .zip or .npz of a folder that holds no other data."""
    folders, files = entries_of(folder)
    archives = [name for name in files if name.lower().endswith((".zip", ".npz"))]
    others = folders or any(name.lower().endswith((*TABLE_ENDINGS, *IMAGE_ENDINGS)) for name in files)
    return folder / archives[0] if len(archives) == 1 and not others else None


def _are_splits(source: Mapping[Any, Any]) -> bool:
    """Whether a dict is from split names to data, not from column names to lists."""
    known = [key for key in source if split_of(key)]
    return bool(known) and (
        len(known) == len(source) or "train" in map(split_of, known) or hugging_face.is_dataset_dict(source)
    )


def _by_split(source: Mapping[str, Any], asked: Asked, name: str) -> Found:
    parts, others = [], []
    for key, part in source.items():
        split = split_of(key)
        if split is None:
            others.append(str(key))
            continue
        found = recognise(part, asked, name=name, where=f"{key} row")
        asked = replace(asked, answers=found.answers, pairs=found.pairs)  # all splits are read alike
        parts.append(_within(found, split, f"{key}/" if isinstance(part, str | PurePath) else ""))
    notes = [f"left out: {', '.join(others)}, no split of that name is known"] if others else []
    return joined(parts, name, notes)


def _within(found: Found, split: str, prefix: str) -> Found:
    """The same examples as one split of a larger source."""

    def rows() -> Iterator[Row]:
        for row in found.rows():
            yield row._replace(id=prefix + row.id, where=prefix + row.where, split=split)

    return replace(found, rows=rows)


def _are_items(source: list[Any] | tuple[Any, ...]) -> bool:
    """Whether a list holds bare items, not pairs or records."""
    return not source or not isinstance(source[0], list | tuple | Mapping)


def _listed(source: list[Any] | tuple[Any, ...], asked: Asked, name: str) -> Found:
    """Bare items, one after the other; paths are entered."""
    takes = asked.takes or "image"

    def rows() -> Iterator[Row]:
        for number, item in enumerate(source):
            where = f"row {number}"
            if not isinstance(item, str | PurePath):
                content = image_item(item, where) if takes == "image" else None
                if content is None:
                    raise BadData(f"{where} holds a {type(item).__name__}, which is no {takes}.")
                yield Row(where, where, content, None)
                continue
            yield from _opened(item, asked, where, takes)

    pairs, task = bool(asked.pairs), asked.task or ""
    return Found(name, takes, f"{len(source):,} items", rows, pairs=pairs, task=task)


def _opened(item: str | PurePath, asked: Asked, where: str, takes: str) -> Iterator[Row]:
    path = _at_home(item)
    ending = path.suffix.lower()
    there = os.path.exists(path)  # noqa: PTH110
    known = (*TABLE_ENDINGS, JSON, ".txt", ".zip", ".npz")
    mistyped = not there and ending in known and not any(c.isspace() for c in str(item))
    if mistyped:  # "bnk.csv" is nobody's review
        raise _nothing_at(path, asked)
    table = there and (path.is_dir() or (ending in known and ending != ".txt"))
    if asked.pairs and not table:
        if not isinstance(item, str) or item.count("\t") != 1:
            raise BadData(
                f"{where} is one text, and a pair is of two; give a table, in Python tuples of two, or both "
                "with a tab between."
            )
        item = together(*item.split("\t"))
    if asked.task == QUESTIONS and not table:
        raise BadData(
            f"{where} is one text, and a question needs its context: give a table with both, or one of each "
            "with --question Q --context TEXT."
        )
    if takes == "text" and isinstance(item, str) and not (there and ending in known):
        yield Row(where, where, item, None)
    elif table:
        for row in found_at(path, asked).rows():
            yield row._replace(id=f"{item}/{row.id}" if path.is_dir() else row.id, others=())
    elif not there:
        raise _nothing_at(path, asked)
    elif takes == "text":
        text, fault = text_or_fault(path, str(item))
        yield Row(str(item), where, text, None, fault=fault)
    else:
        yield Row(str(item), where, str(path.absolute()), None)


def _nothing_at(path: Path, asked: Asked) -> NoData:
    parent = path.parent
    while not parent.is_dir() and parent != parent.parent:
        parent = parent.parent
    try:
        beside = [entry.name for entry in parent.iterdir() if not hidden(entry.name)]
        missing = path.absolute().relative_to(parent.absolute()).parts[0]
    except (OSError, ValueError, IndexError):
        beside, missing = [], path.name
    guess = did_you_mean(missing, beside)
    cure = "; a text itself goes into a list." if asked.takes == "text" and not asked.labelled else ""
    return NoData(f"nothing is at {path}{guess or cure or '; check the path.'}")
