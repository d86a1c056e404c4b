"""Sentences with tagged words: from files of columns, and from tables of texts with spans or of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tunesmith.data.columns import split_column
from tunesmith.data.data import SPLITS
from tunesmith.data.labels import group_of, short, weight_of
from tunesmith.data.rows import SPLIT_WORDS, Asked, Found, Row, counted, some, split_in_name, split_of
from tunesmith.data.spans import Form, answer_in, spans_table
from tunesmith.data.tables import Table, Unread
from tunesmith.data.tags import OUTSIDE, Answer, Scheme, follows, scheme_of
from tunesmith.data.word_columns import AMBIGUOUS, ENDINGS, Columns, are_columns, columns_of, join
from tunesmith.errors import BadData, shown

TASK: Final = "token-classification"
GROUP: Final = "document"  # the column that a file of columns has where it says -DOCSTART-
SHOWN: Final = 10  # types that are counted in a line


@dataclass
class _Told:
    """What is counted while the sentences are read, for the lines that a person reads."""

    form: str
    sentences: int = 0
    words: int = 0
    tagged: int = 0
    types: Counter[str] = field(default_factory=Counter)
    strays: list[str] = field(default_factory=list)
    odd: Counter[str] = field(default_factory=Counter)

    def count(self, answer: Answer, strays: Sequence[str]) -> None:
        """Add a sentence. strays: where an I- has no B- before it."""
        self.sentences += 1
        self.words += len(answer.tags)
        self.tagged += sum(tag != OUTSIDE for tag in answer.tags)
        self.types.update(span.type for span in answer.spans())
        self.strays += strays

    def lines(self) -> list[str]:
        """In at most three lines."""
        most = [f"{shown(name)} {count:,}" for name, count in self.types.most_common(SHOWN)]
        more = f" and {len(self.types) - SHOWN} more" if len(self.types) > SHOWN else ""
        share = f"{self.tagged / max(self.words, 1):.1%} of {self.words:,} words"
        lines = [
            f"spans: {sum(self.types.values()):,} of {counted(len(self.types), 'type')}, {share}: "
            f"{', '.join(most) or 'none'}{more}",
            f"understood as {self.form}",
        ]
        odd = [f"{counted(count, 'row')} {what}" for what, count in self.odd.items() if count]
        if self.strays:
            said = "begins" if len(self.strays) == 1 else "begin"
            odd.insert(0, f"{len(self.strays):,} I- without a B- {said} a span ({some(self.strays, 3)})")
        return [*lines, "; ".join(odd)] if odd else lines


def column_files(folder: Path, asked: Asked) -> dict[str | None, list[Path]]:
    """The files of words and tags that lie in a folder, by their split; empty where there are none.

    A split is told by a name (train.txt, weibo.train); where only some files tell theirs, the others are none
    of the data.
    """
    found: dict[str | None, list[Path]] = {}
    if asked.answers not in (None, "parts") or asked.takes == "image":
        return {}
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != "."):
        if is_columns(path):
            split = split_of(path.suffix[1:]) or split_in_name(path.stem)
            found.setdefault(split, []).append(path)
    if len(found) > 1:
        found.pop(None, None)
    return {split: found[split] for split in (*SPLITS, None) if split in found}


def is_columns(path: Path) -> bool:
    """Whether a file is one of words and tags: by its ending, or where that leaves it open by its lines."""
    ending = path.suffix.lower()
    if ending in ENDINGS:
        return True
    return (ending in AMBIGUOUS or split_of(ending[1:]) is not None) and are_columns(path)


def found_in_columns(files: Mapping[str | None, Sequence[Path]], asked: Asked, *, name: str) -> Found:
    """The sentences of files of columns.

    files: by split; None: the source does not say.
    Raises BadData if a file has no words and tags, or lacks a column that was named.
    """
    for option, column in (("split", asked.split), ("weight", asked.weight)):
        if column is not None:
            raise BadData(
                f"{name} has no column for --{option}: its columns are those of words; leave it out."
            )
    opened = [(split, columns_of(path, asked)) for split, own in files.items() for path in own]
    pairs = follows(tags for _, columns in opened for tags in columns.tags())
    scheme = scheme_of(pairs)
    if scheme.bare and all(tag != OUTSIDE for _, tag in pairs) and asked.labelled:
        first = next(iter(pairs), ("", ""))[1]
        raise BadData(
            f"column {opened[0][1].tag + 1} of {opened[0][1].name} holds no tags ({short(first)}); a file of "
            f"tags has O, B-TYPE and I-TYPE there, or name the column with --target."
        )
    if asked.group not in (None, GROUP):
        raise BadData(
            f"{name} has no column {asked.group!r}: --group {GROUP} keeps together what follows one "
            f"-DOCSTART-."
        )
    letter = opened[0][1]
    joint = "characters, one a line" if letter.single else "words, one a line"
    form = f"{joint}, tags in column {letter.tag + 1} of {letter.width} as {_said(scheme)}"
    notes: list[str] = []

    def rows() -> Iterator[Row]:
        told = _Told(form)
        for split, columns in opened:
            columns.skipped.clear()
            yield from _sentences(columns, scheme, split, asked, told)
            told.odd.update(columns.skipped)
        notes[:] = told.lines()

    names = some([columns.name for _, columns in opened])
    return Found(name, "text", names, rows, notes, (), "parts", (), TASK)


def _said(scheme: Scheme) -> str:
    if scheme.bare:
        return "names of types, O outside"
    return {"IO": "IO (no B-)", "IOB1": "IOB1 (B- between neighbours only)"}.get(scheme.name, scheme.name)


def _sentences(
    columns: Columns, scheme: Scheme, split: str | None, asked: Asked, told: _Told
) -> Iterator[Row]:
    for block in columns.blocks():
        where = f"{columns.name}:{block.line}"
        if asked.group is not None and not block.document:
            raise BadData(f"{where} follows no -DOCSTART-, so it has no document; leave out --group.")
        group = f"{columns.name} {GROUP} {block.document}" if asked.group else None
        found = columns.sentence(block, scheme)
        if isinstance(found, str):
            text = _text_alone(columns, block.rows)
            fault = f"{found}." if asked.labelled else None
            yield Row(where, where, text, None, split, group, None, fault, lacks="tags")
            continue
        text, answer, strays = found
        if not answer.words:
            continue  # rows without a word, which are counted
        told.count(answer, [f"{columns.name}:{line}" for line in strays])
        yield Row(where, where, text, answer.written(), split, group)


def _text_alone(columns: Columns, rows: Sequence[tuple[int, list[str]]]) -> str:
    """The text of a sentence whose tags cannot be used."""
    words = [fields[columns.word] for _, fields in rows if len(fields) > columns.word]
    return join([word for word in words if word], columns.between, single=columns.single)[0]


def found_in_spans(tables: Sequence[tuple[str | None, Table]], asked: Asked, *, name: str) -> Found | None:
    """The sentences of tables of texts with spans, or of lists of words and of tags; None if they are none.

    tables: each with the split that it is, where the source says so; the first one says what they are.
    """
    if asked.answers not in (None, "parts") or asked.takes == "image":
        return None
    forms = [spans_table(table, asked) for _, table in tables]
    form = forms[0]
    if form is None:
        return None
    opened = [(split, own or form, table) for (split, table), own in zip(tables, forms, strict=True)]
    scheme = scheme_of(follows(tags for _, own, table in opened for tags in own.tags(table)))
    notes: list[str] = []

    def rows() -> Iterator[Row]:
        told = _Told(form.said)
        for split, own, table in opened:
            yield from _rows(own, table, scheme, split, asked, told)
        notes[:] = told.lines()

    read_from = f"{some([table.name for _, table in tables])} (columns {form.columns})"
    return Found(name, "text", read_from, rows, notes, (), "parts", (), TASK)


def _rows(
    form: Form, table: Table, scheme: Scheme, split: str | None, asked: Asked, told: _Told
) -> Iterator[Row]:
    named = {"split": asked.split or split_column(table), "group": asked.group, "weight": asked.weight}
    places = {what: None if column is None else _column(table, column) for what, column in named.items()}
    for where, values in table.rows():
        if isinstance(values, Unread):
            yield values.row(where, split)
            continue
        found = answer_in(form, table, values, where, scheme)
        own = _with(places, values, where)
        given = own.pop("split") or split
        if isinstance(found, str):
            text = form.text(table, values)
            fault = f"{found}." if asked.labelled else None
            yield Row(where, where, text, None, given, fault=fault, lacks="tags", **own)
            continue
        text, answer, strays, inside = found
        if answer is not None:
            told.count(answer, [where] * strays)
            told.odd["with a span that begins or ends inside a word"] += inside > 0
        yield Row(where, where, text, None if answer is None else answer.written(), given, **own)


def _column(table: Table, name: str) -> int:
    if name not in table.columns:
        raise BadData(
            f"{table.name} has no column {name!r}; its columns are {some(list(table.columns), 20)}."
        )
    return table.columns.index(name)


def _with(places: Mapping[str, int | None], values: Sequence[Any], where: str) -> dict[str, Any]:
    """The split, the group and the weight of a row, where there are such columns."""
    reads: dict[str, Callable[[Any, str], Any]] = {
        "split": _split,
        "group": group_of,
        "weight": weight_of,
    }
    return {
        what: None if place is None else reads[what](values[place], where) for what, place in places.items()
    }


def _split(value: Any, where: str) -> str:
    found = split_of(value)
    if found is None:
        raise BadData(f"{where}: {value!r} names no split; the words are {', '.join(SPLIT_WORDS)}.")
    return found
