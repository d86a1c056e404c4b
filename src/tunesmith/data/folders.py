"""Folders: which layout does this one have?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tunesmith.data.class_folders import (
    ENDINGS,
    ending_of,
    endings,
    entries_of,
    files_below,
    found_in_class_folders,
    several_classes,
    subfolders,
    walk,
)
from tunesmith.data.columns import Columns, choose
from tunesmith.data.image_names import by_name
from tunesmith.data.items import found_in
from tunesmith.data.json_tables import holds_questions
from tunesmith.data.questions import TASK as QUESTIONS
from tunesmith.data.questions import holds_questions as questions_in
from tunesmith.data.questions import told_apart
from tunesmith.data.rows import Asked, Found, Row, some, split_in_name, split_of
from tunesmith.data.tables import ENDINGS as TABLE_ENDINGS
from tunesmith.data.tables import JSON, Table, open_table
from tunesmith.data.tagged import column_files, found_in_columns, found_in_spans
from tunesmith.errors import BadData


def found_in_folder(folder: Path, asked: Asked, *, name: str = "") -> Found:
    """The examples of a folder, whichever layout it has.

    In this order: files of words and tags; tables named after splits; one table, with images beside it
    or not; split folders of class folders; class folders; when predicting, also loose files. A single
    folder within a folder is entered.

    Raises BadData if the layout is none of these, saying what lies there; and what is wrong with the
    table, unless there are folders of two classes beside it.
    """
    name = name or folder.resolve().name
    folder = _entered(folder)
    if tagged := column_files(folder, asked):
        return found_in_columns(tagged, asked, name=name)
    by_split = _tables_by_split(folder)
    if by_split:
        return _joined_tables(by_split, asked, name)
    tables = _tables(folder)
    fault: BadData | None = None
    if len(tables) == 1:
        try:
            return found_in(open_table(tables[0], columns=asked.columns), asked, name=name)
        except BadData as error:
            named = (asked.item, asked.target, asked.split, asked.group, asked.weight, asked.columns)
            if any(named) or not subfolders(folder):
                raise
            fault = error
    elif len(tables) > 1:
        names = [path.name for path in tables]
        fault = BadData(f"{name} holds {len(tables)} tables ({some(names)}); give one of them.")
    kind = _kind(folder, asked)
    # A table that is no list of examples may lie beside class folders, if there are such folders.
    if fault is not None and (kind is None or (asked.labelled and not several_classes(folder, kind))):
        raise fault
    if kind is None:
        raise _unrecognised(folder, name)
    return found_in_class_folders(folder, kind, asked, name)


def joined(parts: list[Found], name: str, said: Sequence[str] = ()) -> Found:
    """Several sources as one, in their order.

    said: notes that come before those of the parts.

    Raises BadData if they are images in one and texts in another.
    """
    kinds = sorted({part.takes for part in parts})
    if len(kinds) > 1:
        raise BadData(f"{name} holds images in one split and texts in another; give them apart.")
    notes: list[str] = []

    def rows() -> Iterator[Row]:
        all_rows = (row for part in parts for row in part.rows())
        yield from told_apart(all_rows) if parts[0].task == QUESTIONS else all_rows
        notes[:] = dict.fromkeys([*said, *(note for part in parts for note in part.notes)])

    read_from = " and ".join(dict.fromkeys(part.read_from for part in parts))
    others = parts[0].others if all(part.others == parts[0].others for part in parts) else ()
    answers, targets = next(((p.answers, p.targets) for p in parts if p.targets), (parts[0].answers, ()))
    first = parts[0]
    return Found(
        name,
        kinds[0],
        read_from,
        rows,
        notes,
        others,
        answers,
        targets,
        task=first.task,
        apart=first.apart,
        told=first.told,
        pairs=all(part.pairs for part in parts),
    )


def holds_tabs(path: Path) -> bool:
    """Whether a .txt file is a table of text, tab, label, by its first line."""
    try:
        with path.open("rb") as file:
            return b"\t" in file.readline(1_000_000)
    except OSError as error:
        raise BadData(f"{path.name} cannot be read ({error.strerror}).") from error


def _entered(folder: Path) -> Path:
    """The folder itself, or the only folder in it if that one is just wrapped."""
    while True:
        inner = subfolders(folder)
        if len(inner) != 1 or split_of(inner[0].name) or _tables(folder) or _tables_by_split(folder):
            return folder
        if not (subfolders(inner[0]) or _tables(inner[0])):
            return folder  # one class folder
        folder = inner[0]


def _files(folder: Path, ends: tuple[str, ...]) -> list[Path]:
    return [folder / name for name in entries_of(folder)[1] if name.lower().endswith(ends)]


def _tables(folder: Path) -> list[Path]:
    return _files(folder, TABLE_ENDINGS) or [
        path for path in _files(folder, (JSON,)) if holds_questions(path)
    ]


def _tables_by_split(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in _files(folder, (*TABLE_ENDINGS, JSON, ".txt")):
        split, ending = split_in_name(path.stem), path.suffix.lower()
        shows = {".txt": holds_tabs, JSON: holds_questions}.get(ending)
        if split and (shows is None or shows(path)):
            found.setdefault(split, []).append(path)
    return found


def _joined_tables(by_split: dict[str, list[Path]], asked: Asked, name: str) -> Found:
    """One table per split; the first one says which columns are used."""
    tables = [(s, open_table(p, columns=asked.columns)) for s, own in by_split.items() for p in own]
    if tagged := found_in_spans(tables, asked, name=name):
        return tagged
    parts, files, left_out = [], [], []
    columns: Columns | None = None
    for split in ("train", "valid", "test"):
        for path in by_split.get(split, []):
            table = open_table(path, columns=asked.columns)
            if questions_in(table, asked):
                parts.append(found_in(table, asked, name=name, split=split))
                files.append(path.name)
                continue
            if columns is None:
                columns = choose(*by_name(table, asked))
            elif not set(columns.targets) <= set(table.columns) and asked.labelled:
                left_out.append(f"{path.name} (it has no column {_lacking(columns, table)!r})")
                continue
            pairs = columns.second is not None
            same = replace(asked, item=",".join(columns.items), answers=columns.answers, pairs=pairs)
            if set(columns.targets) <= set(table.columns):
                same = replace(same, target=columns.target)
            parts.append(found_in(table, same, name=name, split=split))
            files.append(path.name)
    said = [f"left out: {', '.join(left_out)}"] if left_out else []
    used = parts[0].read_from.partition(" (columns")[2]
    return replace(joined(parts, name, said), read_from=f"{some(files)} (columns{used}")


def _lacking(columns: Columns, table: Table) -> str:
    return next(name for name in columns.targets if name not in table.columns)


def _kind(folder: Path, asked: Asked) -> str | None:
    """What lies below: "image" if any do, else "text", unless asked; None if neither does."""
    for kind in ("image", "text") if asked.takes is None else (asked.takes,):
        for path in files_below(folder, kind):
            if kind == "image" or not asked.labelled or Path(path).parent != folder:
                return kind
    return None


def _unrecognised(folder: Path, name: str) -> BadData:
    count = Counter(ending_of(file) for _, files in walk(folder) for file in files)
    if not count:
        return BadData(f"{name} is an empty folder; put class folders or a table into it.")
    return BadData(
        f"nothing in {name} was recognised: it holds {endings(count)}; what is understood are "
        f"class folders of images ({', '.join(ENDINGS['image'][:5])} ...) or .txt files, and "
        f"tables ({', '.join(TABLE_ENDINGS)})."
    )
