"""Files of one word a line, its tag in the last column, and a blank line between sentences (CoNLL)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from tunesmith.data.labels import short
from tunesmith.data.rows import Asked, counted
from tunesmith.data.scripts import joins, unspaced
from tunesmith.data.tables import lines_in
from tunesmith.data.tags import OUTSIDE, Answer, Scheme, parted
from tunesmith.errors import BadData

ENDINGS: Final = (".conll", ".conllu", ".bio", ".iob", ".iob2", ".bioes", ".ner")
AMBIGUOUS: Final = (".txt", ".tsv")  # tables end so too
DOCUMENT: Final = "-DOCSTART-"
LOOKED_AT: Final = 1_000  # lines from which it is guessed what a file is
TAGGED: Final = 0.98  # of their last fields, if they are tags
_PLACED: Final = re.compile(r"(\D+|\d)\d{1,2}")  # a character with its place in a word, as Weibo NER has it


class Block(NamedTuple):
    """The lines between two blank ones: a sentence as it is written.

    line: of its first word, counted from 1. document: which -DOCSTART- it follows, from 1; 0: none.
    """

    line: int
    rows: list[tuple[int, list[str]]]
    document: int


@dataclass(frozen=True)
class Columns:
    """A file of columns, read as often as needed.

    tabs: whether tabs are between fields, or any white space. width: fields in a row. word, tag: their
    places. placed: whether digits after each character tell its place in a word, and are no part of it.
    between: what stands between words in the text: a space, or nothing where the script needs none. single:
    whether words are characters.
    """

    path: Path
    name: str
    tabs: bool
    width: int
    word: int
    tag: int
    names: tuple[str, ...] = ()
    placed: bool = False
    between: str = " "
    single: bool = False
    skipped: Counter[str] = field(default_factory=Counter, compare=False)

    def blocks(self) -> Iterator[Block]:
        """The sentences as they are written, comments left out."""
        rows: list[tuple[int, list[str]]] = []
        document = 0
        with closing(lines_in(self.path, self.name)) as lines:
            for number, line in enumerate(lines, start=1):
                fields = _fields(line, self.tabs)
                if fields and fields[0] == DOCUMENT:
                    document += 1
                elif fields and not self._comments(line, fields):
                    rows.append((number, fields))
                    continue
                if rows and not (fields and fields[0] != DOCUMENT):
                    yield Block(rows[0][0], rows, document)
                    rows = []
        if rows:
            yield Block(rows[0][0], rows, document)

    def tags(self) -> Iterator[list[str]]:
        """The tags of every sentence whose rows are whole."""
        for block in self.blocks():
            if all(len(fields) == self.width for _, fields in block.rows):
                yield [fields[self.tag] for _, fields in block.rows]

    def sentence(self, block: Block, scheme: Scheme) -> tuple[str, Answer, list[int]] | str:
        """A sentence's text and answer, and the lines of its stray I-; or why it cannot be used."""
        lines: list[int] = []
        words: list[str] = []
        tags: list[str] = []
        for line, fields in block.rows:
            where = f"{self.name}:{line}"
            if len(fields) != self.width:
                return (
                    f"{where} has {counted(len(fields), 'column')} where the file has {self.width}: a row is "
                    f"a word, its tag last, and a blank line ends a sentence"
                )
            word, tag = self._word(fields[self.word]), fields[self.tag]
            fault = scheme.fault(tag)
            if fault is not None:
                return f"{where}: the tag is {fault}"
            if not word and tag != OUTSIDE:
                return f"{where} has the tag {short(tag)} and no word"
            if not word:
                self.skipped["without a word"] += 1
                continue
            lines.append(line)
            words.append(word)
            tags.append(tag)
        bio, strays = scheme.to_bio(tags)
        text, places = join(words, self.between, single=self.single)
        return text, Answer(tuple(places), tuple(bio), tuple(strays)), [lines[place] for place in strays]

    def _word(self, field: str) -> str:
        found = _PLACED.fullmatch(field) if self.placed else None
        return (found[1] if found else field).strip()

    def _comments(self, line: str, fields: Sequence[str]) -> bool:
        """Whether a line is a remark: it begins with "# " and has no tag where tags are."""
        if not line.startswith(("# ", "#begin", "#end")):
            return False
        return len(fields) != self.width or not (fields[self.tag] == OUTSIDE or parted(fields[self.tag]))


def columns_of(path: Path, asked: Asked, *, name: str = "") -> Columns:
    """How a file of columns is written, by its first lines and by what was asked.

    Words are in the first column and tags in the last, unless item and target name others, by the names that
    `columns` (or a CoNLL-U file's own global.columns) gives them, or by their number from 1.

    Raises BadData for a file without words and tags, and for a column that is not there.
    """
    name = name or path.name
    with closing(lines_in(path, name)) as stream:
        first = [line for line in islice(stream, LOOKED_AT) if line.strip()]
    told = next((line for line in first if line.startswith("# global.columns")), "")
    rows = [line for line in first if not line.startswith("# ")] or first
    if not rows:
        raise BadData(f"{name} is empty; a file of tags has a word and its tag in each line.")
    tabs = sum("\t" in line for line in rows) > len(rows) / 2
    fields = [own for own in (_fields(line, tabs) for line in rows) if own and own[0] != DOCUMENT]
    width = Counter(map(len, fields)).most_common(1)[0][0] if fields else 0
    if width < 2:
        raise BadData(
            f"{name} has one column; a file of tags has a word in each line, and its tag in the last column."
        )
    names = asked.columns or tuple(told.partition("=")[2].split())
    if names and len(names) != width:
        raise BadData(f"{name} has {width} columns, and {len(names)} names were given for them.")
    tag = _place(asked.target, names, width, name, width - 1)
    word = _place(asked.item, names, width, name, _form(names))
    own = [row[word] for row in fields if len(row) == width]
    placed = sum(bool(_PLACED.fullmatch(w)) for w in own) > TAGGED * len(own)
    bare = [_PLACED.sub(r"\1", w) for w in own] if placed else own
    letters = unspaced(bare)
    single = sum(len(w) == 1 for w in bare) > 0.9 * len(bare)
    return Columns(path, name, tabs, width, word, tag, names, placed, "" if letters > 0.3 else " ", single)


def are_columns(path: Path) -> bool:
    """Whether a file that may as well be a table is one of words and tags, by its first lines."""
    try:
        with closing(lines_in(path, path.name)) as stream:
            lines = list(islice(stream, LOOKED_AT))
    except BadData:
        return False
    filled = [line for line in lines if line.strip() and not line.startswith(("# ", DOCUMENT))]
    last = [_fields(line, "\t" in line) for line in filled]
    if len(filled) < 3 or len(filled) == len(lines) or min(map(len, last)) < 1:
        return False
    tags = [fields[-1] for fields in last if len(fields) > 1]
    tagged = sum(tag == OUTSIDE or parted(tag) is not None for tag in tags)
    return tagged > TAGGED * len(filled) and tags.count(OUTSIDE) > 0


def join(words: Sequence[str], between: str, *, single: bool = False) -> tuple[str, list[tuple[int, int]]]:
    """The text that words make, and the characters of each in it.

    between: what stands between two words; where it is nothing, words of letters that spaces tell apart still
    get one, unless every word is a single character.

    >>> join(["我", "用", "Python", "写"], "")
    ('我用Python写', [(0, 1), (1, 2), (2, 8), (8, 9)])
    """
    text, places = "", []
    for word in words:
        if text:
            text += between if between or single or joins(text[-1], word[0]) else " "
        places.append((len(text), len(text) + len(word)))
        text += word
    return text, places


def _fields(line: str, tabs: bool) -> list[str]:
    if not line.strip():
        return []
    return [part.strip() for part in line.strip("\r\n").split("\t")] if tabs else line.split()


def _form(names: Sequence[str]) -> int:
    """The column of words among names: CoNLL-U calls it FORM."""
    lower = [name.lower() for name in names]
    return next((lower.index(name) for name in ("form", "word", "token", "text") if name in lower), 0)


def _place(asked: str | None, names: Sequence[str], width: int, file: str, usual: int) -> int:
    if asked is None:
        return usual
    if asked in names:
        return names.index(asked)
    if asked.isdecimal() and 1 <= int(asked) <= width:
        return int(asked) - 1
    known = f"their names are {', '.join(names)}" if names else f"they are counted from 1 to {width}"
    raise BadData(f"{file} has no column {asked!r}: {known}.")
