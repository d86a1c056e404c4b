"""The answers of one question, however they are written, and whether they stand where they should."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tunesmith.data.labels import missing, short
from tunesmith.data.rows import counted

UNPLACED: Final = -1  # what some data say of an answer that is nowhere in its context
AROUND: Final = 10  # characters that a message shows


@dataclass(frozen=True)
class Answers:
    """The answers as they were given: their texts, and where they begin if that is said.

    given: empty where the context has no answer.
    """

    given: tuple[tuple[str, int | None], ...]

    @property
    def guessed(self) -> int:
        """How many come without a place."""
        return sum(start is None for _, start in self.given)

    @property
    def unplaced(self) -> int:
        """How many are said to be nowhere in the context."""
        return sum(start == UNPLACED for _, start in self.given)

    def placed(self, context: str) -> tuple[list[tuple[str, int]], str | None]:
        """The answers with where they begin, and what is wrong with the first that is not there.

        Those that the data themselves say are nowhere come last, at -1, if another one is in place.
        """
        sure: list[tuple[str, int]] = []
        unsure: list[tuple[str, int]] = []
        for text, start in self.given:
            if start is None:
                first = context.find(text)
                if first < 0:
                    return [], _nowhere(text, context)
                sure.append((text, first))
            elif start == UNPLACED:
                unsure.append((text, UNPLACED))
            elif start < 0 or context[start : start + len(text)] != text:
                return [], _misplaced(text, start, context)
            else:
                sure.append((text, start))
        if unsure and not sure:
            return [], _nowhere(unsure[0][0], context)
        return [*sure, *unsure], None


def answers_in(value: Any, start: Any, impossible: Any, *, strict: bool) -> Answers | str | None:
    """The answers that a row holds; None where it says nothing of any; or what is wrong, to follow its name.

    value: text, a list of texts, a list of {"text", "answer_start" or "start"}, or {"text": [...],
        "answer_start": [...]}; JSON of these in a text table.
    start: a number or a list of them, beside texts. impossible: whether the context has no answer.
    strict: the table marks questions without an answer (SQuAD 2.0), so an empty list alone says nothing.
    """
    none = _truth(impossible)
    if none is None:
        return f"has {short(impossible)} as is_impossible, which is true or false."
    found = _given(value, start)
    if isinstance(found, str):
        return found
    if none and found:
        return f"is marked is_impossible, and has the answer {short(found[0][0])}; one of the two is wrong."
    if none:
        return Answers(())
    if found == () and strict and impossible is None:
        return "has no answers and no is_impossible, so nobody knows whether its context answers it."
    if found == () and strict:
        return "has no answers, and is_impossible is false; one of the two is wrong."
    return None if found is None else Answers(found)


def _given(value: Any, start: Any) -> tuple[tuple[str, int | None], ...] | str | None:
    """Texts and places; None where there is nothing."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return f"has the answers {short(value)}, which are no JSON."
    if missing(value):
        return None
    if isinstance(value, Mapping):
        if not isinstance(value.get("text"), list | tuple):
            return f"has the answers {short(value)}; they are a list of {{text, answer_start}}."
        value, start = value["text"], value.get("answer_start", value.get("start"))
    if isinstance(value, str):
        value, start = [value], [start]
    if not isinstance(value, Sequence):
        return f"has the answers {short(value)}, a {type(value).__name__} where a text or a list is expected."
    starts = start if isinstance(start, list | tuple) else [start] * len(value) if len(value) == 1 else None
    if starts is not None and len(starts) != len(value):
        there = f"{counted(len(value), 'answer')} and {counted(len(starts), 'place')} of answers"
        return f"has {there}; there is one place for each."
    found = []
    for number, own in enumerate(value):
        text, at = own, None if starts is None else starts[number]
        if isinstance(own, Mapping):
            text, at = own.get("text"), own.get("answer_start", own.get("start"))
        if not isinstance(text, str) or not text.strip():
            return (
                f"has {short(text)} as answer {number + 1}; an answer is a text (no answer: an empty list)."
            )
        whole = _whole(at)
        if isinstance(whole, str):
            return f"has an answer that begins at {whole}, which is no number of characters."
        found.append((text, whole))
    return tuple(found)


def _whole(value: Any) -> int | str | None:
    if missing(value) or value == "":
        return None
    try:
        number = float(value)
        return int(number) if number.is_integer() and not isinstance(value, bool) else short(value)
    except (TypeError, ValueError, OverflowError):
        return short(value)


def _truth(value: Any) -> bool | None:
    """What a cell says is true; of an empty one False; None where it says neither."""
    if missing(value) or value == "":
        return False
    words = {"true": True, "1": True, "false": False, "0": False, "1.0": True, "0.0": False}
    return words.get(str(value).strip().lower())


def _misplaced(text: str, start: int, context: str) -> str:
    there = context[start : start + len(text)] if 0 <= start < len(context) else ""
    stands = f"where {short(there)} stands" if there else f"and the context has {len(context):,} characters"
    nearest = _nearest(text, start, context)
    if nearest is None:
        return f"{_nowhere(text, context)} (character {start} was named, {stands})"
    off = nearest - start
    by = f"{abs(off):,} character{'s' if abs(off) > 1 else ''} {'later' if off > 0 else 'earlier'}"
    return f"the answer {short(text)} is not at character {start}, {stands}; it is found at {nearest}, {by}"


def _nearest(text: str, start: int, context: str) -> int | None:
    """Of all places of a text in a context the one nearest to a place."""
    before = context.rfind(text, 0, max(start, 0) + len(text))
    after = context.find(text, max(start, 0))
    places = [place for place in (before, after) if place >= 0]
    return min(places, key=lambda place: abs(place - start)) if places else None


def _nowhere(text: str, context: str) -> str:
    plain = " ".join(text.split()).casefold()
    alike = plain and plain in " ".join(context.split()).casefold()
    why = " as it is written (by case or white space it differs)" if alike else ""
    return f"the answer {short(text)} is nowhere in its context{why}"
