"""Two texts as one item: a question and its context, a premise and a hypothesis.

They stand in one string, so that all that is made of texts (content addresses, repeats, near-duplicates,
words) is made of pairs too.
"""

from __future__ import annotations

from typing import Final

SEPARATOR: Final = "\x1f"  # ASCII's unit separator, which no text means to hold


def together(first: str, second: str) -> str:
    """One item of two texts; a separator inside either becomes a space.

    >>> apart(together("who?", "she did"))
    ('who?', 'she did')
    """
    return SEPARATOR.join(text.replace(SEPARATOR, " ") for text in (first, second))


def apart(item: str) -> tuple[str, str]:
    """The two texts of an item; of a text alone the second is empty."""
    first, _, second = item.partition(SEPARATOR)
    return first, second
