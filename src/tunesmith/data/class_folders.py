"""Folders named after classes, below folders named after splits or not."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final

from tunesmith.data.items import text_or_fault
from tunesmith.data.rows import (
    IMAGE_ENDINGS,
    Asked,
    Found,
    Row,
    counted,
    refuse_columns,
    some,
    split_of,
)
from tunesmith.data.synsets import are_synsets, synset_names
from tunesmith.errors import BadData

ENDINGS: Final = {"image": IMAGE_ENDINGS, "text": (".txt",)}
MOST_WAYS: Final = 100  # that lead to one folder; two links a folder, 30 deep, would be a billion
UNLABELLED: Final = ("unsup", "unlabeled", "unlabelled")
SYSTEMS: Final = (
    "__MACOSX", "Thumbs.db", "desktop.ini", "lost+found", "@eaDir", "$RECYCLE.BIN",
    "System Volume Information",
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Where the classes lie.

    parts: (split or None, folder of class folders).
    deep: the class is the whole path below that folder ("Latin/character01"), because no top
        folder holds a file itself; else it is the top folder, whatever lies below it.
    """

    root: Path
    parts: tuple[tuple[str | None, Path], ...]
    deep: bool
    names: dict[str, str]


@dataclass
class LeftOut:
    """What a walk passed over: files of other kinds, loose files, folders without labels."""

    other: Counter[str] = field(default_factory=Counter)
    loose: int = 0
    folders: Counter[str] = field(default_factory=Counter)

    def notes(self, kind: str) -> list[str]:
        """The same in words; nothing if nothing was passed over."""
        words = [f"{name} ({counted(n, kind)} without label)" for name, n in self.folders.items()]
        if self.loose:
            words.append(f"{counted(self.loose, kind)} outside class folders")
        if self.other:
            words.append(f"files of other kinds ({endings(self.other)})")
        return [f"left out: {'; '.join(words)}"] if words else []


def found_in_class_folders(root: Path, kind: str, asked: Asked, name: str) -> Found:
    """The images or texts of class folders; when predicting, loose ones too, without label.

    A folder of ImageNet's synsets gets readable names. Hidden files are passed over.

    Raises BadData if labels are needed and there are no class folders.
    """
    refuse_columns(asked, name)
    parts, beside = _parts(root)
    if asked.labelled:
        flat = [folder for _, folder in parts if not subfolders(folder)]
        if len(flat) == len(parts):
            raise BadData(
                f"{name} holds {kind}s but no class folders; put every {kind} into a folder named "
                "after its class, or bring a table with a column of paths and one of labels."
            )
    classes = sorted({path.name for _, folder in parts for path in subfolders(folder)})
    names, named_by = synset_names(root) if are_synsets(classes) else ({}, "")
    layout = Layout(root, parts, _deep(parts, kind), names)
    notes: list[str] = []

    def rows() -> Iterator[Row]:
        left_out = LeftOut(folders=Counter(dict.fromkeys(beside, 0)))
        yield from _rows(layout, kind, asked.labelled, left_out)
        for folder in beside:
            left_out.folders[folder] = sum(1 for _ in files_below(root / folder, kind))
        notes[:] = left_out.notes(kind)
        if named_by:
            notes.append(f"class names of ImageNet's synsets from {named_by}")

    read_from = "class folders" if classes else "a folder"
    if parts[0][0] and classes:
        read_from = f"class folders below {some([folder.name for _, folder in parts])}"
    return Found(name, kind, read_from, rows, notes)


def several_classes(root: Path, kind: str) -> bool:
    """Whether files of a kind lie in the folders of two classes at least."""
    parts, _ = _parts(root)
    layout = Layout(root, parts, _deep(parts, kind), {})
    classes: set[str | None] = set()
    for _, part in parts:
        for place, files in walk(part):
            parents = list(PurePath(os.path.relpath(place, part)).parts)
            if not parents or parents[0].lower() in UNLABELLED:
                continue
            if any(file.lower().endswith(ENDINGS[kind]) for file in files):
                classes.add(_label(parents, layout))
            if len(classes) > 1:
                return True
    return False


def files_below(folder: Path, kind: str) -> Iterator[str]:
    """Every file of a kind below a folder, in the order of the names."""
    for place, files in walk(folder):
        for file in files:
            if file.lower().endswith(ENDINGS[kind]):
                yield os.path.join(place, file)  # noqa: PTH118


def walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """(folder, its files) from the top down, both in the order of the names, hidden ones left out.

    Links to folders are followed, except into a folder that holds them.

    Raises BadData for a folder that cannot be opened, or that links lead to over and over.
    """
    above: list[tuple[str, frozenset[str]]] = [(str(folder), frozenset())]
    ways: Counter[str] = Counter()
    while above:
        place, seen = above.pop()
        real = os.path.realpath(place)
        if real in seen:
            continue
        ways[real] += 1
        if ways[real] > MOST_WAYS:
            raise BadData(
                f"more than {MOST_WAYS} ways of links lead to the folder {real}; remove some links."
            )
        folders, files = entries_of(place)
        yield place, files
        above.extend((os.path.join(place, name), seen | {real}) for name in reversed(folders))  # noqa: PTH118


def entries_of(folder: str | Path) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files in a folder, each in order, hidden ones left out.

    Links count as what they lead to, and as files where they lead nowhere, so that whoever reads them
    says so. Pipes and devices are passed over.

    Raises BadData if the folder cannot be opened.
    """
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not hidden(entry.name):
                    kind = _kind_of(entry)
                    (folders if kind == "folder" else files if kind == "file" else []).append(entry.name)
    except OSError as error:
        raise BadData(
            f"the folder {folder} cannot be read ({error.strerror}); give yourself the right to, or move it."
        ) from error
    folders.sort()
    files.sort()
    return folders, files


def _kind_of(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir():
            return "folder"
        there = entry.is_file()
    except OSError:  # a link to itself, or into a folder that is locked
        there = False
    return "file" if there or (entry.is_symlink() and not os.path.exists(entry.path)) else ""  # noqa: PTH110


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, in the order of the names, hidden ones left out."""
    return [folder / name for name in entries_of(folder)[0]]


def hidden(name: str) -> bool:
    """Whether a file or folder is a system's, not the person's: .DS_Store, Thumbs.db, lost+found."""
    return name.startswith(".") or name in SYSTEMS


def endings(count: Counter[str]) -> str:
    """How many files of which ending.

    >>> endings(Counter({".pdf": 12, ".docx": 3}))
    '12 .pdf, 3 .docx'
    """
    return some([f"{n:,} {ending}" for ending, n in count.most_common()])


def ending_of(file: str) -> str:
    """The ending of a file's name, or a word for none.

    >>> ending_of("a/b.TXT"), ending_of("README")
    ('.txt', 'without ending')
    """
    return os.path.splitext(file)[1].lower() or "without ending"  # noqa: PTH122


def _parts(root: Path) -> tuple[tuple[tuple[str | None, Path], ...], list[str]]:
    """The split folders and the names of the folders beside them; else the root itself."""
    inner = subfolders(root)
    parts = [(split_of(path.name), path) for path in inner if split_of(path.name)]
    if "train" not in {split for split, _ in parts}:  # a class may be called "test"
        return ((None, root),), []
    order = ("train", "valid", "test")
    parts.sort(key=lambda part: order.index(str(part[0])))
    return tuple(parts), [path.name for path in inner if not split_of(path.name)]


def _deep(parts: tuple[tuple[str | None, Path], ...], kind: str) -> bool:
    for _, part in parts:
        for folder in subfolders(part):
            if any(name.lower().endswith(ENDINGS[kind]) for name in entries_of(folder)[1]):
                return False
    return True


def _rows(layout: Layout, kind: str, labelled: bool, left_out: LeftOut) -> Iterator[Row]:
    root = str(layout.root)
    for split, part in layout.parts:
        for place, files in walk(part):
            below = os.path.relpath(place, part)
            parents = list(PurePath(below).parts)  # of ".": none
            mine = [file for file in files if file.lower().endswith(ENDINGS[kind])]
            if parents and parents[0].lower() in UNLABELLED:
                if labelled:
                    left_out.folders[os.path.join(part.name, parents[0])] += len(mine)  # noqa: PTH118
                    continue
                parents = []
            if not parents and labelled:
                left_out.loose += len(mine)
                continue
            if parents and len(mine) < len(files):
                others = set(files) - set(mine)
                left_out.other.update(ending_of(file) for file in sorted(others))
            label = _label(parents, layout)
            for file in mine:
                path = os.path.join(place, file)  # noqa: PTH118
                name = os.path.relpath(path, root).replace(os.sep, "/")
                content, fault = (path, None) if kind == "image" else text_or_fault(Path(path), name)
                yield Row(name, name, content, label, split, fault=fault)


def _label(parents: list[str], layout: Layout) -> str | None:
    if not parents:
        return None
    if layout.deep:
        return "/".join(parents)
    return layout.names.get(parents[0], parents[0])
