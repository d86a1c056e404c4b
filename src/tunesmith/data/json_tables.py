"""JSON files as tables: lists of records, and questions in SQuAD's form."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Final

from tunesmith.data.json_stream import JsonStream, json_stream
from tunesmith.data.labels import short
from tunesmith.errors import BadData

SQUAD: Final = ("id", "title", "context", "question", "answers", "is_impossible")
LOOKED_AT: Final = 1_000_000  # characters in which a file of questions shows that it is one

Record = tuple[str, dict[str, Any]]


def holds_questions(path: Path) -> bool:
    """Whether a .json file holds questions on contexts, by its beginning; others lie beside data too."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            head = file.read(LOOKED_AT)
    except OSError:
        return False
    return '"paragraphs"' in head or ('"context"' in head and '"question"' in head)


def columns_of(path: Path, name: str) -> tuple[str, ...]:
    """The names that the records of a file have: SQuAD's, or those of its first thousand records."""
    with closing(records(path, name)) as stream:
        columns = tuple(dict.fromkeys(key for _, row in islice(stream, 1000) for key in row))
    if not columns:
        raise BadData(f"{name} holds no records.")
    return columns


def records(path: Path, name: str) -> Generator[Record, None, None]:
    """Where each record stands, as a path in the JSON, and the record.

    Understood are [{...}, {...}], the same under "data", and SQuAD's {"data": [{"title", "paragraphs":
    [{"context", "qas": [...]}]}]}: there a record is a question with its context and its article's title.

    Raises BadData, with the line, for what is none of these or was cut.
    """
    titles = _titles(path, name)
    with json_stream(path, name) as stream:
        sign = stream.peek()
        if sign == "[":
            yield from _list(stream, name, "", titles)
        elif sign == "{":
            seen = False
            for key in stream.object():
                if key == "data":
                    yield from _list(stream, name, "data", titles)
                    seen = True
                else:
                    stream.value()
            if not seen:
                raise _no_form(name, 'it has no list called "data"')
        else:
            raise _no_form(name, f"it begins with {sign!r}" if sign else "it is empty")
        stream.finish()


def _list(stream: JsonStream, name: str, path: str, titles: Sequence[str | None]) -> Iterator[Record]:
    if stream.peek() != "[":
        raise stream.fault(f'"{path}" is no list; it holds the articles, or the records.')
    for number in stream.array():
        where = stream.place = f"{path}[{number}]"
        if stream.peek() != "{":
            raise stream.fault(f"{where} is {short(stream.value())}, and should be an object {{...}}.")
        flat: dict[str, Any] = {}
        held = False
        for key in stream.object():
            if key != "paragraphs":
                flat[key] = stream.value()
                continue
            if stream.peek() != "[":
                raise stream.fault(f'"paragraphs" of {where} is no list.')
            held = True
            title = titles[number] if number < len(titles) else None
            for place in stream.array():
                inner = stream.place = f"{where}.paragraphs[{place}]"
                yield from _questions(stream, stream.value(), name, inner, title)
        if not held:
            yield f"{name}: {where}", flat


def _questions(
    stream: JsonStream, paragraph: Any, name: str, path: str, title: str | None
) -> Iterator[Record]:
    if not isinstance(paragraph, dict) or not isinstance(paragraph.get("qas"), list):
        raise stream.fault(f'{path} is no paragraph: it needs a "context" and a list called "qas".')
    for number, question in enumerate(paragraph["qas"]):
        where = f"{path}.qas[{number}]"
        if not isinstance(question, dict):
            raise stream.fault(f"{where} is {short(question)}, and should be an object {{...}}.")
        own = {**dict.fromkeys(SQUAD), **{k: v for k, v in question.items() if k in SQUAD}}
        yield f"{name}: {where}", {**own, "title": title, "context": paragraph.get("context")}


def _titles(path: Path, name: str) -> list[str | None]:
    """The title of each article: it may stand behind the paragraphs, which are not to be held meanwhile."""
    titles: list[str | None] = []
    with json_stream(path, name) as stream:
        if stream.peek() != "{":
            return []
        for key in stream.object():
            if key != "data" or stream.peek() != "[":
                stream.value()
                continue
            for number in stream.array():
                stream.place = f"data[{number}]"
                titles.append(None)
                if stream.peek() != "{":
                    stream.value()
                    continue
                for inner in stream.object():
                    if inner == "paragraphs" and stream.peek() == "[":
                        for place in stream.array():
                            stream.place = f"data[{number}].paragraphs[{place}]"
                            stream.value()
                        continue
                    value = stream.value()
                    if inner == "title" and isinstance(value, str) and value.strip():
                        titles[-1] = value.strip()
        return titles


def _no_form(name: str, found: str) -> BadData:
    return BadData(
        f"{name} is no JSON of a form that is understood: {found}. It should be a list of records "
        '[{"text": ..., "label": ...}, ...] or questions as SQuAD has them, '
        '{"data": [{"title": ..., "paragraphs": [...]}]}.'
    )
