"""How right an answer is: exact match and F1, as SQuAD defines them, and as CMRC does for Chinese.

Written from the description of the metrics (Rajpurkar et al. 2016, arXiv:1606.05250; Cui et al. 2019,
arXiv:1810.07366), not from their code.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")  # kana and ideographs


def by_characters(text: str) -> bool:
    """Whether a text is written without spaces between words: a fifth of its letters are ideographs or kana.

    >>> by_characters("黑豹队 (Panthers) 的防守丢了多少分？"), by_characters("What does 中 mean?")
    (True, False)
    """
    unspaced = len(_UNSPACED.findall(text))
    return unspaced * 5 >= max(sum(sign.isalpha() for sign in text), 1)


def normalised(text: str) -> str:
    """Lower case, without ASCII punctuation and English articles, white space as single spaces.

    >>> normalised("The  U.S.'s  flag")
    'uss flag'
    """
    lower = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", lower).split())


def segments(text: str) -> list[str]:
    """Each ideograph by itself, the rest in words; lower case, punctuation of any script left out.

    >>> segments("2010年，FC Barcelona")
    ['2010', '年', 'fc', 'barcelona']
    """
    plain = "".join(sign for sign in text.lower() if unicodedata.category(sign)[0] not in "PS")
    return _UNSPACED.sub(lambda sign: f" {sign[0]} ", plain).split()


def exact_match(answer: str, truths: Sequence[str], *, characters: bool | None = None) -> float:
    """1 if an answer equals one of the true ones once both are normalised, else 0; "" is no answer.

    characters: whether what is compared are characters and not words; None is seen from the texts.

    >>> exact_match("the Broncos!", ["Denver Broncos", "Broncos"]), exact_match("", [])
    (1.0, 1.0)
    """
    plain = segments if _by_characters(answer, truths, characters) else normalised
    return float(any(plain(answer) == plain(truth) for truth in truths or ("",)))


def f1(answer: str, truths: Sequence[str], *, characters: bool | None = None) -> float:
    """The harmonic mean of precision and recall over words, for the true answer that it suits best.

    Where either is empty it is 1 if both are, else 0. By characters, what is right is the longest run
    that both have in common, as CMRC has it.

    >>> f1("the big red car", ["a red car", "bus"])
    0.8
    """
    alike = _by_characters(answer, truths, characters)
    return max(_f1(answer, truth, alike) for truth in truths or ("",))


def _by_characters(answer: str, truths: Sequence[str], asked: bool | None) -> bool:
    return by_characters("".join((answer, *truths))) if asked is None else asked


def _f1(answer: str, truth: str, characters: bool) -> float:
    ours, theirs = (segments(t) if characters else normalised(t).split() for t in (answer, truth))
    if not ours or not theirs:
        return float(ours == theirs)
    right = _longest_run(ours, theirs) if characters else sum((Counter(ours) & Counter(theirs)).values())
    if not right:
        return 0.0
    precision, recall = right / len(ours), right / len(theirs)
    return 2 * precision * recall / (precision + recall)


def _longest_run(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """The length of the longest run of equal segments."""
    before, longest = [0] * (len(theirs) + 1), 0
    for own in ours:
        row = [0] * (len(theirs) + 1)
        for place, other in enumerate(theirs, start=1):
            if own == other:
                row[place] = before[place - 1] + 1
        longest, before = max(longest, *row), row
    return longest
