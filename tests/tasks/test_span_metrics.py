"""Exact match and F1: by hand, and as torchmetrics has them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torchmetrics.functional.text import squad

from tunesmith.tasks.span_metrics import by_characters, exact_match, f1, segments

HAND = [  # the answer, the true ones, exact match, F1
    ("Denver Broncos", ["Denver Broncos"], 1, 1),
    ("the Denver Broncos", ["Denver Broncos"], 1, 1),  # an article
    ("A an THE", ["the"], 1, 1),  # nothing but articles
    ("theatre", ["atre"], 0, 0),  # an article is a word, not a beginning
    ("U.S.", ["US"], 1, 1),  # punctuation
    ("state-of-the-art", ["stateoftheart"], 1, 1),  # it goes before articles are looked for
    ("  two\n words ", ["two words"], 1, 1),
    ("DENVER", ["denver"], 1, 1),
    ("Denver", ["Denver Broncos"], 0, 2 / 3),  # precision 1, recall 1/2
    ("red red car", ["red car car"], 0, 2 / 3),  # counted as often as both have them
    ("Broncos", ["Panthers", "the Broncos", "Denver Broncos"], 1, 1),  # the best of several
    ("the big Broncos", ["Denver Broncos", "big blue Broncos team"], 0, 2 / 3),
    ("", ["Denver"], 0, 0),
    ("Denver", [], 0, 0),
    ("", [], 1, 1),
    ("the", [], 1, 1),  # an answer of which nothing is left is none
    ("6½ sacks", ["6½"], 0, 2 / 3),
]


@pytest.mark.parametrize(("answer", "truths", "exact", "overlap"), HAND)
def test_metrics_are_what_one_can_count_by_hand(
    answer: str, truths: list[str], exact: float, overlap: float
) -> None:
    assert exact_match(answer, truths) == exact
    assert f1(answer, truths) == pytest.approx(overlap, abs=1e-12)


WORDS = ["the", "a", "An", "red", "Red", "car,", "U.S.", "—", "42", "café", "…", "it's"]


@pytest.fixture
def double() -> Iterator[None]:
    """Numbers of torch in float64: else torchmetrics rounds to the seventh digit."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def test_metrics_are_those_of_torchmetrics(double: None) -> None:
    """Another's code, on a thousand answers of words that are hard to compare."""
    random.seed(0)

    def text() -> str:
        return " ".join(random.choices(WORDS, k=random.randint(1, 4)))

    cases = [(text(), [text() for _ in range(random.randint(1, 3))]) for _ in range(1000)]
    cases += [(answer, truths) for answer, truths, _, _ in HAND if truths and all(truths)]
    ours = []
    for number, (answer, truths) in enumerate(cases):
        truth: Any = {"answers": {"answer_start": [0] * len(truths), "text": truths}, "id": str(number)}
        found = squad([{"prediction_text": answer, "id": str(number)}], [truth])
        ours.append((exact_match(answer, truths), f1(answer, truths)))
        theirs = float(found["exact_match"]) / 100, float(found["f1"]) / 100
        assert ours[-1] == pytest.approx(theirs, abs=1e-9)
    assert 0.02 < sum(own for own, _ in ours) / 1000 < 0.9  # or the test is blind
    assert len({round(own, 6) for _, own in ours}) > 10


CHINESE = [
    ("光荣和ω-force", ["光荣和ω-force"], 1, 1),
    ("光荣和ω-force。", ["光荣和 ω-force"], 1, 1),  # punctuation and white space
    ("《战国无双3》", ["战国无双3"], 1, 1),
    ("战国", ["战国无双"], 0, 2 / 3),  # precision 1, recall 2/4
    ("国无双战", ["战国无双"], 0, 3 / 4),  # the longest run, 国无双, of 4
    ("2010年3月", ["2010年"], 0, 2 / 3),  # 2010, 年, 3, 月: 2 of 4, 2 of 2
    ("大连实德", ["中国足球"], 0, 0),
    ("", ["中"], 0, 0),
    ("", [], 1, 1),
]


@pytest.mark.parametrize(("answer", "truths", "exact", "overlap"), CHINESE)
def test_chinese_is_compared_by_characters(
    answer: str, truths: list[str], exact: float, overlap: float
) -> None:
    assert exact_match(answer, truths, characters=True) == exact
    assert f1(answer, truths, characters=True) == pytest.approx(overlap, abs=1e-12)


def test_the_texts_say_themselves_how_they_are_compared() -> None:
    for answer, truths, exact, overlap in CHINESE:
        assert (exact_match(answer, truths), f1(answer, truths)) == pytest.approx((exact, overlap))
    assert f1("战国", ["战国无双"], characters=False) == 0.0  # words see no overlap in Chinese


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("黑豹队的防守丢了 308分", True),
        ("谁是卡罗来纳黑豹队的 Kawann Short?", True),
        ("What does 中 mean in Mandarin?", False),
        ("日本の首都", True),
        ("Wie heißt die Hauptstadt?", False),
        ("", False),
    ],
)
def test_the_language_is_seen_from_the_text(text: str, characters: bool) -> None:
    assert by_characters(text) == characters


def test_segments_of_english_are_its_words() -> None:
    assert segments("Kawann Short, 11 sacks!") == ["kawann", "short", "11", "sacks"]
