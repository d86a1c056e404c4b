"""Windows: the parts of a long text that each fit a network, overlapping so that no word lacks context."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

LEAST: Final = 0.25  # of a network's window, that a text has beside even the longest other one
HELD: Final = 64  # texts of which the windows are remembered: questions on one stand together


class Windows:
    """What the windows of texts are for one network, where a text stands alone or beside another.

    longest: tokens that the network takes, special ones included. overlap: tokens that two windows share, at
    most half of one. pair: whether another text stands beside each window; it leaves a quarter of `longest`
    at least.
    """

    def __init__(self, tokenizer: Any, longest: int, overlap: int, *, pair: bool) -> None:
        self._tokenizer, self._longest, self._overlap = tokenizer, longest, overlap
        self._special = int(tokenizer.num_special_tokens_to_add(pair=pair))
        self.length = lru_cache(HELD)(self._length)
        self._ranges = lru_cache(HELD)(self._found)

    def of(self, text: str, beside: str | None = None) -> list[tuple[int, int]]:
        """Character ranges that cover a text, each of which fits; one range where the text does.

        beside: what stands beside each of them whole.
        """
        room = self._longest - self._special
        if beside is not None:
            room = max(room - self.length(beside), int(self._longest * LEAST))
        return self._ranges(text, max(room, 1))

    def _length(self, text: str) -> int:
        """Tokens of a text alone, without special ones."""
        found = self._tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)
        return len(found["input_ids"])

    def _found(self, text: str, room: int) -> list[tuple[int, int]]:
        if self.length(text) <= room:
            return [(0, len(text))]
        return windows(text, self._tokenizer, room, min(self._overlap, room // 2))


def windows(text: str, tokenizer: Any, room: int, overlap: int) -> list[tuple[int, int]]:
    """Character ranges that cover a text, each of at most `room` tokens; one range where the text fits.

    tokenizer: a fast one, for it says where tokens lie. room: tokens, without special ones.
    overlap: tokens that a window shares with the one before it; the last window is moved back so that it
    is as full as the others. No window begins or ends inside a word that white space bounds, unless
    the word alone is longer than a window.

    Devlin et al. 2019 (arXiv:1810.04805) read SQuAD's long paragraphs so.
    """
    if room < 1 or not 0 <= overlap < room:
        raise ValueError(f"an overlap of {overlap} tokens does not fit windows of {room}")
    found = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)
    places = found.encodings[0].offsets
    if len(places) <= room:
        return [(0, len(text))]
    starts = [
        i == 0 or text[places[i][0] - 1].isspace() or text[places[i][0]].isspace() for i in range(len(places))
    ]
    ranges: list[tuple[int, int]] = []
    begin = 0
    while True:
        end = min(begin + room, len(places))
        if end < len(places):
            end = _last(starts, begin + 1, end)
        ranges.append((places[begin][0], places[end - 1][1]))
        if end == len(places):
            break
        following = max(end - overlap, begin + 1)
        if len(places) - following < room:
            following = max(len(places) - room, begin + 1)
        begin = _next(starts, following, end)
    first, last = ranges[0], ranges[-1]
    ranges[0], ranges[-1] = (0, first[1]), (last[0], len(text))
    return ranges


def _last(starts: list[bool], low: int, high: int) -> int:
    """The last place from `low` to `high` at which a word begins; `high` where there is none."""
    return next((i for i in range(high, low - 1, -1) if starts[i]), high)


def _next(starts: list[bool], low: int, high: int) -> int:
    """The first place from `low` to `high` at which a word begins; `low` where there is none."""
    return next((i for i in range(low, high + 1) if starts[i]), low)
