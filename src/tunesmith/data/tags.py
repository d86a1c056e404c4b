"""Tags of words: which scheme they follow, what spans they mark, and the one form that they travel in.

A sentence's answer travels in its `label`, as JSON: {"words": [[0, 4], [5, 7]], "tags": ["B-PER", "O"]},
words as characters of the text, tags as BIO: B begins a span, I goes on, O is outside.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tunesmith.data.labels import short

OUTSIDE: Final = "O"
LETTERS: Final = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
ENDS: Final = frozenset("ES")  # letters that only the schemes with ends have


class Span(NamedTuple):
    """Words, or characters, from start to before end, of one type."""

    start: int
    end: int
    type: str


@dataclass(frozen=True)
class Answer:
    """A sentence's words and tags.

    words: characters from start to before end. tags: as BIO. strays: places of tags that were I- after
    nothing of their type.
    """

    words: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]
    strays: tuple[int, ...] = ()

    def written(self) -> str:
        """As a label."""
        strays = {"strays": self.strays} if self.strays else {}
        return json.dumps({"words": self.words, "tags": self.tags, **strays}, ensure_ascii=False)

    @staticmethod
    def of(label: str) -> Answer:
        """The answer that a label holds.

        >>> Answer.of(Answer(((0, 2),), ("O",)).written())
        Answer(words=((0, 2),), tags=('O',), strays=())
        """
        told = json.loads(label)
        words = tuple((start, end) for start, end in told["words"])
        return Answer(words, tuple(told["tags"]), tuple(told.get("strays", ())))

    def spans(self) -> list[Span]:
        """What the tags mark, in characters."""
        return [
            Span(self.words[span.start][0], self.words[span.end - 1][1], span.type)
            for span in spans_of(self.tags)
        ]


def parted(tag: str) -> tuple[str, str] | None:
    """A tag's letter and type, the letter as in BIOES; None for what is no tag of a scheme with letters.

    >>> parted("B-PER.NAM"), parted("U-LOC"), parted("O"), parted("PER")
    (('B', 'PER.NAM'), ('S', 'LOC'), ('O', ''), None)
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    letter, dash, kind = tag.partition("-")
    if not dash or not kind or letter not in LETTERS:
        return None
    return LETTERS[letter], kind


@dataclass(frozen=True)
class Scheme:
    """How a source writes its tags. name: "BIO", "IOB1", "BIOES" or "IO". bare: types without letters."""

    name: str
    bare: bool = False

    def fault(self, tag: str) -> str | None:
        """Why a tag is none of this scheme, as it follows "is" in a sentence; None where it is one."""
        if not tag:
            return "empty"
        if self.bare:
            return None
        own = parted(tag)
        if own is None:
            return f"{short(tag)}, which is no tag: {self.name} has O, {self._letters()}"
        if own[0] in ENDS and self.name != "BIOES":
            return f"{short(tag)}, but the others are {self.name}, which has O, {self._letters()}"
        return None

    def _letters(self) -> str:
        letters = {"BIOES": "B-TYPE, I-TYPE, E-TYPE and S-TYPE", "IO": "I-TYPE"}
        return letters.get(self.name, "B-TYPE and I-TYPE")

    def to_bio(self, tags: Sequence[str]) -> tuple[list[str], list[int]]:
        """The tags as BIO, and the places of I- (and E-) tags that nothing of their type comes before.

        Such a tag begins a span, as conlleval reads it (Tjong Kim Sang & Buchholz 2000). IO and IOB1 begin
        spans so, and have no such places.

        >>> Scheme("BIOES").to_bio(["S-LOC", "B-PER", "E-PER", "O", "I-PER"])
        (['B-LOC', 'B-PER', 'I-PER', 'O', 'B-PER'], [4])
        >>> Scheme("IO", bare=True).to_bio(["PER", "PER", "O"])
        (['B-PER', 'I-PER', 'O'], [])
        """
        found, strays = [], []
        before = (OUTSIDE, "")
        for place, tag in enumerate(tags):
            letter, kind = self._parted(tag)
            goes_on = letter in ("I", "E") and before[0] in ("B", "I") and before[1] == kind
            if letter == OUTSIDE:
                found.append(OUTSIDE)
            else:
                found.append(f"{'I' if goes_on else 'B'}-{kind}")
            if letter in ("I", "E") and not goes_on and self.name in ("BIO", "BIOES"):
                strays.append(place)
            before = (letter, kind)
        return found, strays

    def _parted(self, tag: str) -> tuple[str, str]:
        if self.bare:
            return (OUTSIDE, "") if tag == OUTSIDE else ("I", tag)
        own = parted(tag)
        if own is None:
            raise ValueError(f"{tag!r} is no tag of {self.name}")
        return own


def scheme_of(pairs: Mapping[tuple[str, str], int]) -> Scheme:
    """The scheme that tags follow, by how often each follows each.

    pairs: (the tag before, the tag) to how often; O stands before the first of a sentence.

    BIOES where letters for ends or single words occur; IO where no B- does; IOB1, which writes B- only
    between two neighbours of one type, where that explains more tags than BIO, which writes it always.

    >>> scheme_of({("O", "I-PER"): 9, ("I-PER", "B-PER"): 1}).name
    'IOB1'
    >>> scheme_of({("O", "B-PER"): 9, ("B-PER", "I-PER"): 1, ("O", "I-PER"): 1}).name
    'BIO'
    """
    known = {tag: parted(tag) for pair in pairs for tag in pair}
    if not any(own for tag, own in known.items() if tag != OUTSIDE):
        return Scheme("IO", bare=True)
    letters: Counter[str] = Counter()
    against_bio = against_iob1 = 0
    for (before, tag), count in pairs.items():
        own, last = known[tag], known[before] or (OUTSIDE, "")
        if own is None:
            continue
        letters[own[0]] += count
        inside = last[0] in ("B", "I") and last[1] == own[1]
        against_bio += count if own[0] == "I" and not inside else 0
        against_iob1 += count if own[0] == "B" and not inside else 0
    if sum(letters[letter] for letter in ENDS) > 0.1 * sum(letters[letter] for letter in "BI"):
        return Scheme("BIOES")
    if not letters["B"]:
        return Scheme("IO")
    return Scheme("IOB1" if against_iob1 < against_bio else "BIO")


def follows(sentences: Iterable[Sequence[str]]) -> Counter[tuple[str, str]]:
    """How often each tag follows each, for `scheme_of`."""
    found: Counter[tuple[str, str]] = Counter()
    for tags in sentences:
        found.update(zip([OUTSIDE, *tags[:-1]], tags, strict=True))
    return found


def marked(text: str, spans: Iterable[Mapping[str, Any]]) -> str:
    """A text with its spans marked in it, for a person.

    >>> marked("Ann left Rome", [{"start": 0, "end": 3, "label": "PER"}])
    '[Ann](PER) left Rome'
    """
    found, at = "", 0
    for span in spans:
        start, end = span["start"], span["end"]
        found += f"{text[at:start]}[{text[start:end]}]({span['label']})"
        at = end
    return found + text[at:]


def spans_of(tags: Sequence[str]) -> list[Span]:
    """What BIO tags mark, in words; an I- that goes nothing on begins a span.

    >>> spans_of(["B-PER", "I-PER", "O", "B-LOC"])
    [Span(start=0, end=2, type='PER'), Span(start=3, end=4, type='LOC')]
    """
    found: list[Span] = []
    for place, tag in enumerate(tags):
        letter, _, kind = tag.partition("-")
        last = found[-1] if found else None
        if letter == "I" and last is not None and last.end == place and last.type == kind:
            found[-1] = last._replace(end=place + 1)
        elif letter in ("B", "I") and kind:
            found.append(Span(place, place + 1, kind))
    return found
