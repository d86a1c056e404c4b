"""Answers without a network: the sentence of a context that shares most with the question."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Final

from tunesmith.tasks.span_metrics import segments

_END: Final = re.compile(r"[.!?]+[\"')\]]*(?=\s)|[。！？；]+[”’」』）]*|\n+")


def sentences(text: str) -> list[tuple[int, int]]:
    """The characters from start to end of each sentence, white space at its ends left out.

    >>> text = "It rained. Who cared? 下雨了。没人在乎。"
    >>> [text[a:b] for a, b in sentences(text)]
    ['It rained.', 'Who cared?', '下雨了。', '没人在乎。']
    """
    ends = [found.end() for found in _END.finditer(text)] + [len(text)]
    places = []
    for start, end in zip([0, *ends], ends, strict=False):
        own = text[start:end]
        if own.strip():
            places.append((start + len(own) - len(own.lstrip()), start + len(own.rstrip())))
    return places or [(0, len(text))]


def first_sentence(context: str) -> tuple[int, int]:
    """Where the first sentence lies."""
    return sentences(context)[0]


def sliding_window(question: str, context: str) -> tuple[int, int]:
    """Where the sentence lies that shares most with the question, its rare words counting most.

    A word that a context has C times counts log(1 + 1 / C) (Richardson et al. 2013, "MCTest"), whose windows
    are as long as the question; here they are sentences. Of equal ones the first.

    >>> context = "Ann has a dog. Bob has a cat."
    >>> slice(*sliding_window("Who has a cat?", context))
    slice(15, 29, None)
    """
    asked, often = set(segments(question)), Counter(segments(context))

    def shared(place: tuple[int, int]) -> float:
        words = asked & set(segments(context[slice(*place)]))
        return sum(math.log1p(1 / often[word]) for word in sorted(words))

    return max(sentences(context), key=shared)
