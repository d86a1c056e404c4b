"""Questions on contexts: from a table's rows to examples, each answer proven to stand where it is said to.

An example's item is the question and its context, `together`; its label is JSON: {"answers": [{"text": "308",
"start": 34}]}, the list empty where the context has no answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tunesmith.data.answers import Answers, answers_in
from tunesmith.data.columns import first_named
from tunesmith.data.labels import missing, short, weight_of
from tunesmith.data.pairs import apart, together
from tunesmith.data.rows import Asked, Found, Row, counted, split_of
from tunesmith.data.tables import Table, Unread
from tunesmith.errors import BadData

if TYPE_CHECKING:
    import datasets

TASK: Final = "question-answering"
QUESTION: Final = ("question", "query")
CONTEXT: Final = ("context", "passage", "paragraph")
ANSWERS: Final = ("answers", "answer", "answer_text")
START: Final = ("answer_start", "answer_starts", "start")
ARTICLES: Final = 10  # titles from which splits are made of whole articles; below, of whole contexts
CONTEXTS: Final = 3  # contexts from which splits are made of whole contexts; below, of questions
LOOKED_AT: Final = 100  # rows in which a table shows whether its answers are words of its contexts
SEARCHED: Final = 3  # answers that are looked for in all other contexts, for a message
NO_ANSWER: Final = "no answer"
LONGEST: Final = 16_000_000  # characters of a context


def holds_questions(table: Table, asked: Asked) -> bool:
    """Whether a table's rows are questions on contexts, and nothing else was asked for."""
    if asked.task == TASK:
        return True
    if asked.answers not in (None, "parts") or asked.task or asked.item or asked.target:
        return False
    question, context, answers = (first_named(table.columns, names) for names in (QUESTION, CONTEXT, ANSWERS))
    if question is None or context is None:
        return False
    if answers is None:
        return not asked.labelled
    return _answered_from(table, table.columns.index(context), table.columns.index(answers))


def _answered_from(table: Table, context: int, answers: int) -> bool:
    """Whether answers are lists, or mostly words of their context: "true" of a passage is a class."""
    head = [values for values in table.head()[:LOOKED_AT] if not missing(values[answers])]
    held = [
        isinstance(values[answers], Sequence | Mapping)
        and (
            not isinstance(values[answers], str)
            or _listed(values[answers])
            or values[answers] in str(values[context])
        )
        for values in head
    ]
    return 2 * sum(held) >= len(held)


def _listed(cell: str) -> bool:
    return cell.lstrip()[:1] in ("[", "{")


def found_in_questions(table: Table, asked: Asked, *, name: str, split: str | None = None) -> Found:
    """The questions of a table.

    split: the split that the whole table is, when the source says so.

    Raises BadData if a column is missing.
    """
    for column in (asked.item, asked.target):
        if column is not None:
            raise BadData(
                "questions are read from the columns question, context and answers, "
                f"so {column!r} cannot be named."
            )
    columns = _columns(table, asked)
    grouped_by = _grouping(table, columns)
    notes: list[str] = []
    used = [own for own in columns.values() if own is not None]
    read_from = table.name if columns["is_impossible"] else f"{table.name} (columns {', '.join(used)})"
    extra = [c for c in table.columns if asked.others and c not in columns.values()]

    def rows() -> Iterator[Row]:
        yield from _Reader(table, asked, columns, grouped_by, extra, notes).rows(split)

    return Found(
        name,
        "text",
        read_from,
        rows,
        notes,
        tuple(extra),
        "parts",
        task=TASK,
        told=told,
        apart={"title": "no article in two", "context": "no context in two"}.get(grouped_by, ""),
    )


def told(dataset: datasets.Dataset, name: str, read_from: str) -> list[str]:
    """What was understood of questions, in two lines."""
    contexts, lengths, several, none = set(), [], 0, 0
    for block in dataset.select_columns(["item", "label"]).iter(batch_size=1000):
        contexts |= {_digest(apart(item)[1]) for item in block["item"]}
        for label in block["label"]:
            found = answers_of(label)
            several += len(found) > 1
            none += not found
            lengths += [len(found[0][0])] if found else []
    lengths.sort()
    answers = "none of them has an answer"
    if lengths:
        answers = (
            f"answers: {counted(lengths[len(lengths) // 2], 'character')} in the middle, "
            f"{lengths[-1]:,} at most"
        )
    more = [f"{several:,} questions have several answers"] if several else []
    more += [f"{none:,} have none in their context"] if none else []
    return [
        f"{name}: {counted(len(dataset), 'question')} on {counted(len(contexts), 'context')}, "
        f"read from {read_from}",
        "; ".join([answers, *more]),
    ]


def answers_of(label: str) -> list[tuple[str, int]]:
    """The answers of a label, each its text and the character at which it begins.

    >>> answers_of('{"answers": [{"text": "308", "start": 34}]}')
    [('308', 34)]
    """
    return [(own["text"], own["start"]) for own in json.loads(label)["answers"]]


def label_of(answers: Sequence[tuple[str, int]]) -> str:
    """The label that holds these answers."""
    return json.dumps({"answers": [{"text": t, "start": s} for t, s in answers]}, ensure_ascii=False)


def _columns(table: Table, asked: Asked) -> dict[str, str | None]:
    wanted = {"question": QUESTION, "context": CONTEXT, "answers": ANSWERS, "start": START}
    columns = {key: first_named(table.columns, names) for key, names in wanted.items()}
    columns |= {own: first_named(table.columns, (own,)) for own in ("title", "id", "is_impossible")}
    for key in ("question", "context", *(("answers",) if asked.labelled else ())):
        if columns[key] is None:
            raise BadData(
                f"{table.name} has no column called {' or '.join(wanted[key])}; its columns are "
                f"{', '.join(table.columns[:20])}. Questions need question, context and answers."
            )
    for own in ("split", "group", "weight"):
        columns[own] = getattr(asked, own)
        if columns[own] is not None and columns[own] not in table.columns:
            raise BadData(
                f"{table.name} has no column {columns[own]!r}; its columns are {', '.join(table.columns)}."
            )
    columns["split"] = columns["split"] or first_named(table.columns, ("split",))
    return columns


def _grouping(table: Table, columns: dict[str, str | None]) -> str:
    """What splits made here keep together: "group" as asked, an article, a context, or "" nothing."""
    if columns["group"] is not None:
        return "group"
    places = {key: table.columns.index(own) for key, own in columns.items() if own is not None}
    titles: set[str] = set()
    contexts: set[bytes] = set()
    for _, values in table.whole():
        if "title" in places:
            titles.add(str(values[places["title"]]))
        if len(contexts) < CONTEXTS:
            contexts.add(_digest(str(values[places["context"]])))
        if len(titles) >= ARTICLES:
            return "title"
        if "title" not in places and len(contexts) >= CONTEXTS:
            break
    return "context" if len(contexts) >= CONTEXTS else ""


def told_apart(rows: Iterable[Row]) -> Iterator[Row]:
    """The questions of several files, with a fault in one whose id an earlier file has."""
    ids: dict[bytes, str] = {}
    for row in rows:
        fault = row.fault or (_repeated(ids, row.id, row.where) if row.id != row.where else None)
        yield row if fault is None else row._replace(id=row.where, fault=fault)


def _repeated(ids: dict[bytes, str], name: str, where: str) -> str | None:
    first = ids.setdefault(_digest(name), where)
    if first is where:
        return None
    return f"{where} has the id {short(name)}, which {first} has too; answers are told apart by it."


class _Reader:
    """One walk over a table of questions."""

    def __init__(
        self,
        table: Table,
        asked: Asked,
        columns: dict[str, str | None],
        grouped_by: str,
        extra: Sequence[str],
        notes: list[str],
    ) -> None:
        self._table, self._asked, self._columns, self._grouped_by = table, asked, columns, grouped_by
        self._extra, self._notes, self._ids = extra, notes, dict[bytes, str]()
        self._searched = self._unplaced = self._guessed = 0

    def rows(self, split: str | None) -> Iterator[Row]:
        """The questions in their order."""
        place = {name: i for i, name in enumerate(self._table.columns)}
        for where, values in self._table.rows():
            if isinstance(values, Unread):
                yield values.row(where, split)
                continue
            cells = {key: None if own is None else values[place[own]] for key, own in self._columns.items()}
            others = tuple(None if missing(v := values[place[own]]) else str(v) for own in self._extra)
            yield self._row(where, cells, others, split)
        said = [
            (self._guessed, "answers come without their place, and were taken where they stand first"),
            (
                self._unplaced,
                "answers are nowhere in their context, as the data say (-1): they count in scoring only",
            ),
        ]
        self._notes[:] = [f"{count:,} {what}" for count, what in said if count]

    def _row(
        self, where: str, cells: dict[str, Any], others: tuple[str | None, ...], split: str | None
    ) -> Row:
        question, context = cells["question"], cells["context"]
        named = cells["id"]
        known = isinstance(named, str | int) and not isinstance(named, bool) and str(named).strip()
        name = str(named).strip() if known else where
        fault = _repeated(self._ids, name, where) if known else None
        for what, text in (("question", question), ("context", context)):
            if not isinstance(text, str) or not text.strip():
                shown = (
                    "an empty"
                    if missing(text) or text == "" or isinstance(text, str)
                    else f"{short(text)} as"
                )
                fault = fault or f"{where} has {shown} {what}."
        if isinstance(context, str) and len(context) > LONGEST:
            fault = fault or f"{where} has a context of {len(context):,} characters, more than {LONGEST:,}."
        label = None
        if fault is None:
            label, fault = self._label(where, context, cells)
        in_split = None if cells["split"] is None else split_of(cells["split"])
        if cells["split"] is not None and in_split is None:
            raise BadData(f"{where}: {short(cells['split'])} names no split.")
        if fault is not None and not self._asked.labelled and label is None and isinstance(question, str):
            fault = fault if not (question.strip() and isinstance(context, str) and context.strip()) else None
        return Row(
            name if fault is None else where,
            where,
            together(question, context) if isinstance(question, str) and isinstance(context, str) else "",
            label,
            split if in_split is None else in_split,
            self._group(cells, context),
            None if cells["weight"] is None else weight_of(cells["weight"], where),
            fault,
            others=others,
            lacks="answer",
            stratum=NO_ANSWER if label is not None and not answers_of(label) else "",
        )

    def _label(self, where: str, context: str, cells: dict[str, Any]) -> tuple[str | None, str | None]:
        """The label, and what is wrong with the answers."""
        found = answers_in(
            cells["answers"],
            cells["start"],
            cells["is_impossible"],
            strict="is_impossible" in self._table.columns,
        )
        if isinstance(found, str):
            return None, f"{where} {found}"
        if found is None:
            return None, None
        placed, wrong = found.placed(context)
        if wrong is not None:
            return None, f"{where}: {wrong}{self._elsewhere(wrong, found, context)}."
        self._guessed += found.guessed
        self._unplaced += found.unplaced
        return label_of(placed), None

    def _elsewhere(self, wrong: str, found: Answers, context: str) -> str:
        """Where an answer stands that is nowhere in its context; looked for a few times only."""
        if "nowhere" not in wrong or self._searched >= SEARCHED:
            return ""
        self._searched += 1
        text = next(own for own, _ in found.given if own not in context)
        place = self._table.columns.index(str(self._columns["context"]))
        rows = ((where, values[place]) for where, values in self._table.whole())
        other = next(
            (where for where, own in rows if isinstance(own, str) and own != context and text in own), None
        )
        return f", but in that of {other}" if other else ""

    def _group(self, cells: dict[str, Any], context: Any) -> str | None:
        if self._grouped_by == "group":
            return str(cells["group"])
        if self._grouped_by == "title" and not missing(cells["title"]):
            return str(cells["title"])
        return _digest(str(context)).hex()[:16] if self._grouped_by else None


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()
