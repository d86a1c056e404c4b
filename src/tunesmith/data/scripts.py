"""Scripts: which of them write no spaces between words, and where a text falls into words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

SPANS: Final = ((0x0E00, 0x0EFF), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0x20000, 0x3FFFF))
_LINKS: Final = "'’_-."  # inside a word, if letters are on both sides
_WORD: Final = re.compile(rf"\w+(?:(?!['’](?:s|S)\b)[{re.escape(_LINKS)}]\w+)*|['’][sS]\b|\S")


def without_spaces(sign: str) -> bool:
    """Whether a letter belongs to a script that writes no spaces between words (Chinese, Japanese, Thai).

    >>> without_spaces("机"), without_spaces("a")
    (True, False)
    """
    return any(low <= ord(sign) <= high for low, high in SPANS)


def unspaced(texts: Sequence[str], *, most: int = 1000) -> float:
    """The share of letters of such scripts in the first texts.

    >>> unspaced(["plain words"]), unspaced(["机器学习"])
    (0.0, 1.0)
    """
    letters = [sign for text in texts[:most] for sign in text[:1000] if sign.isalpha()]
    return sum(map(without_spaces, letters)) / max(len(letters), 1)


def joins(last: str, first: str) -> bool:
    """Whether two words that end and begin so stand side by side where the script needs no space.

    >>> joins("我", "A"), joins("A", "b")
    (True, False)
    """
    return not (_spaced(last) and _spaced(first))


def words_of(text: str) -> list[tuple[int, int]]:
    """Where the words of a text lie that nobody has cut into words: characters from start to end.

    White space ends a word, punctuation is a word of its own, and so are a letter of a script without spaces
    and an English 's; apostrophes, hyphens and points inside a word stay.

    >>> text = "Dr. O'Neil's 3.5 m, 北京"
    >>> [text[start:end] for start, end in words_of(text)]
    ['Dr', '.', "O'Neil", "'s", '3.5', 'm', ',', '北', '京']
    """
    found = []
    for match in _WORD.finditer(text):
        start = begun = match.start()
        for place in range(start, match.end()):
            if without_spaces(text[place]) and unicodedata.category(text[place])[0] == "L":
                if begun < place:
                    found.append((begun, place))
                found.append((place, place + 1))
                begun = place + 1
        if begun < match.end():
            found.append((begun, match.end()))
    return found


def _spaced(sign: str) -> bool:
    return sign.isalnum() and not without_spaces(sign)
