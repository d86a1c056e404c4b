"""Rows of texts with spans, and rows of words with tags: what they say, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

from tunesmith.data.columns import TEXT_NAMES, first_named
from tunesmith.data.labels import missing, short
from tunesmith.data.rows import Asked
from tunesmith.data.scripts import unspaced, words_of
from tunesmith.data.tables import Table, Values
from tunesmith.data.tags import OUTSIDE, Answer, Scheme
from tunesmith.data.word_columns import join

SPANS: Final = ("spans", "entities", "labels", "label", "ner", "annotations")
WORDS: Final = ("tokens", "words")
TAGS: Final = ("ner_tags", "tags", "labels", "ner")
TYPES: Final = ("label", "type", "tag", "entity", "category", "entity_type", "entity_group")
STARTS: Final = ("start", "start_offset", "begin", "start_char")
ENDS: Final = ("end", "end_offset", "stop", "end_char")
HEAD: Final = 200  # rows from which it is guessed what a table is


class Marked(NamedTuple):
    """A span as a person marked it, in characters."""

    start: int
    end: int
    type: str


@dataclass(frozen=True)
class Form:
    """Which columns hold what. listed: whether words and tags are lists, or a text has spans."""

    item: str
    target: str | None
    listed: bool

    @property
    def columns(self) -> str:
        """Their names."""
        return self.item if self.target is None else f"{self.item}, {self.target}"

    @property
    def said(self) -> str:
        """What they were taken for, in words."""
        return "lists of words and their tags" if self.listed else "texts with spans, in characters from 0"

    def text(self, table: Table, values: Values) -> str:
        """The text of a row, as far as it has one."""
        value = values[table.columns.index(self.item)]
        if self.listed:
            words = value if isinstance(value, list | tuple) else ()
            return _joined([str(word) for word in words])[0]
        return value if isinstance(value, str) else ""

    def tags(self, table: Table) -> Iterator[list[str]]:
        """The tags of every row of lists, to find out their scheme."""
        if self.listed and self.target is not None:
            place = table.columns.index(self.target)
            for _, values in table.whole():
                if isinstance(values[place], list | tuple):
                    yield [str(tag) for tag in values[place]]


def spans_table(table: Table, asked: Asked) -> Form | None:
    """The form of a table whose rows are texts with spans, or lists of words; None if it is neither."""
    names, head = table.columns, table.head()[:HEAD]
    words = asked.item or first_named(names, WORDS)
    if words in names and _all(head, names.index(words), _are_words):
        tags = asked.target or first_named([name for name in names if name != words], TAGS)
        if tags in names and _all(head, names.index(tags), _are_words):
            return Form(words, tags, listed=True)
    text = asked.item or first_named(names, TEXT_NAMES)
    spans = asked.target or first_named([name for name in names if name != text], SPANS)
    if text not in names or spans not in names:
        return None
    return Form(text, spans, listed=False) if _all(head, names.index(spans), _are_spans) else None


def _all(head: Sequence[Values], place: int, test: Any) -> bool:
    """Whether the cells are lists, most of them of the kind; rows that are not are faults of theirs."""
    cells = [values[place] for values in head if not missing(values[place])]
    filled = [cell for cell in cells if isinstance(cell, list | tuple)]
    good = sum(bool(test(cell)) for cell in filled)
    return bool(filled) and len(filled) >= 0.5 * len(cells) and good >= 0.5 * len(filled)


def _are_words(cell: Sequence[Any]) -> bool:
    return all(isinstance(word, str) for word in cell)


def _are_spans(cell: Sequence[Any]) -> bool:
    return all(isinstance(span, Mapping | list | tuple) for span in cell)


def answer_in(
    form: Form, table: Table, values: Values, where: str, scheme: Scheme
) -> tuple[str, Answer | None, int, int] | str:
    """A row's text and answer, how many I- are stray, and how many spans begin or end inside a word.

    The answer is None where the row has none. A sentence says why a row cannot be used.
    """
    item = values[table.columns.index(form.item)]
    target = None if form.target is None else values[table.columns.index(form.target)]
    if form.listed:
        return _of_lists(item, target, where, scheme)
    if missing(item):
        item = ""
    if not isinstance(item, str):
        return f"{where} holds a {type(item).__name__} where a text is expected"
    if missing(target):
        return item, None, 0, 0
    spans = marked(target, item, where)
    if isinstance(spans, str):
        return spans
    answer, inside = _cut(item, spans)
    return item, answer, 0, inside


def _of_lists(words: Any, tags: Any, where: str, scheme: Scheme) -> tuple[str, Answer, int, int] | str:
    if not isinstance(words, list | tuple) or not isinstance(tags, list | tuple):
        return f"{where} has no list of words, or no list of tags"
    if len(words) != len(tags):
        return f"{where} has {len(words):,} words and {len(tags):,} tags; each word has one tag"
    for place, (word, tag) in enumerate(zip(words, tags, strict=True), start=1):
        if not isinstance(word, str) or not word.strip():
            return f"{where}: word {place} is {short(word)}, which is no word"
        fault = scheme.fault(tag) if isinstance(tag, str) else f"{short(tag)}, a {type(tag).__name__}"
        if fault is not None:
            return f"{where}: the tag of word {place} is {fault}"
    bio, strays = scheme.to_bio(tags)
    text, places = _joined([word.strip() for word in words])
    return text, Answer(tuple(places), tuple(bio), tuple(strays)), len(strays), 0


def _joined(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    dense = unspaced(words) > 0.3
    single = dense and sum(len(word) == 1 for word in words) > 0.9 * len(words)
    return join(words, "" if dense else " ", single=single)


def marked(cell: Any, text: str, where: str) -> list[Marked] | str:
    """The spans of a cell, in their order in the text; or what is wrong with one.

    >>> marked([{"start": 0, "end": 3, "label": "PER"}], "Ann left", "a.jsonl:1")
    [Marked(start=0, end=3, type='PER')]
    >>> marked([[4, 9, "X"]], "Ann left", "a.jsonl:1")
    'a.jsonl:1: the span 4 to 9 leaves the text, which has 8 characters'
    """
    if not isinstance(cell, list | tuple):
        return f"{where} holds a {type(cell).__name__} where a list of spans is expected"
    found = []
    for own in cell:
        span = _one(own, text, where)
        if isinstance(span, str):
            return span
        found.append(span)
    found = sorted(dict.fromkeys(found))
    for one, other in pairwise(found):
        if other.start < one.end:
            return (
                f"{where}: the spans {one.start} to {one.end} ({one.type}) and {other.start} to {other.end} "
                f"({other.type}) overlap; a word has one tag, so leave one out"
            )
    return found


def _one(own: Any, text: str, where: str) -> Marked | str:
    said: Any = None
    if isinstance(own, Mapping):
        start, end, kind = (first_of(own, names) for names in (STARTS, ENDS, TYPES))
        said = own.get("text")
    elif isinstance(own, list | tuple) and len(own) == 3:
        start, end, kind = own
    else:
        return f'{where}: a span is {short(own)}; write {{"start": 0, "end": 3, "label": "PER"}}'
    for name, value in (("start", start), ("end", end)):
        if isinstance(value, bool) or not isinstance(value, int):
            return f"{where}: the {name} of a span is {short(value)}, which is no whole number of characters"
    if not isinstance(kind, str) or not kind.strip():
        return f"{where}: the label of the span {start} to {end} is {short(kind)}, which is no name"
    if not 0 <= start < end:
        return f"{where}: the span {start} to {end} holds nothing; end is the character after the last"
    if end > len(text):
        return f"{where}: the span {start} to {end} leaves the text, which has {len(text):,} characters"
    inside = text[start:end]
    if inside != inside.strip():
        return (
            f"{where}: the span {start} to {end} is {short(inside)}, with white space at an end: off by one?"
        )
    if isinstance(said, str) and said != inside:
        return f"{where}: the span {start} to {end} is {short(inside)}, and not {short(said)} as it says"
    return Marked(start, end, kind.strip())


def first_of(own: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value under the first of these names that there is."""
    return next((own[name] for name in names if name in own), None)


def _cut(text: str, spans: Sequence[Marked]) -> tuple[Answer, int]:
    """Words and tags; a word is cut where a span begins or ends inside it. The last: how often that is."""
    edges = sorted({edge for span in spans for edge in (span.start, span.end)})
    words: list[tuple[int, int]] = []
    inside = place = 0
    for start, end in words_of(text):
        while place < len(edges) and edges[place] <= start:
            place += 1
        begun = start
        while place < len(edges) and edges[place] < end:
            words.append((begun, edges[place]))
            begun = edges[place]
            inside += 1
            place += 1
        words.append((begun, end))
    tags, at = [], 0
    for start, end in words:
        while at < len(spans) and spans[at].end <= start:
            at += 1
        if at == len(spans) or start < spans[at].start or end > spans[at].end:
            tags.append(OUTSIDE)
        else:
            tags.append(f"{'B' if start == spans[at].start else 'I'}-{spans[at].type}")
    return Answer(tuple(words), tuple(tags)), inside
