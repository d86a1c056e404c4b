"""Long texts of tasks with one answer each: their windows, and the one answer that is made of theirs."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pytest
import torch

from tunesmith.data.pairs import apart, together
from tunesmith.errors import BadOption
from tunesmith.networks.preprocess import ImagePreprocess, TextPreprocess, restore
from tunesmith.tasks.image_classification import ImageClassification
from tunesmith.tasks.long_texts import likely_of, mean_of, text_windows
from tunesmith.tasks.text_classification import TextClassification
from tunesmith.tasks.text_regression import TextRegression
from tunesmith.testing.stand_ins import speller

ALPHABET = "abcdefghij"


def form(window: int, *, pairs: bool = False, long_texts: str = "windows") -> TextPreprocess:
    return TextPreprocess(speller([ALPHABET]), window, pairs, long_texts=long_texts)


def data(*items: str) -> Any:
    count = len(items)
    columns = {"id": [f"{i}" for i in range(count)], "item": list(items), "label": ["x"] * count}
    return datasets.Dataset.from_dict({**columns, "weight": [float(i) for i in range(count)]})


def test_a_text_that_is_longer_becomes_windows_that_fit_and_lose_nothing() -> None:
    text = "ab cd ef gh ij ab cd ef"
    found: Any = text_windows(data("ab", text), form(8))  # six letters beside two special tokens
    assert found["item"][:] == ["ab", "ab cd ef", "ef gh ij", "ij ab cd", "ab cd ef"]
    assert found["of"][:] == [0, 1, 1, 1, 1]
    assert (found["id"][:], found["label"][:]) == (["0"] + ["1"] * 4, ["x"] * 5)
    assert found["weight"][:] == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert max(form(8).lengths(found["item"][:])) <= 8


def test_of_a_pair_the_longer_text_is_cut_and_the_other_stands_beside_each_window() -> None:
    for turned in (False, True):
        both = ("ab", "cd ef gh ij")[:: -1 if turned else 1]
        found: Any = text_windows(
            data(together(*both)), form(9, pairs=True)
        )  # four letters beside the other two
        sides = [apart(item)[:: -1 if turned else 1] for item in found["item"][:]]
        assert [first for first, _ in sides] == ["ab"] * len(sides)
        assert [second for _, second in sides] == ["cd ef", "ef gh", "gh ij"]


def test_there_are_no_windows_where_every_text_fits_or_texts_are_cut() -> None:
    assert text_windows(data("ab cd", "ef"), form(8)) is None
    assert text_windows(data("ab cd ef gh"), form(8, long_texts="cut")) is None
    assert text_windows(data("ab cd ef gh"), form(8)) is not None
    assert ImageClassification().cut(data("ab"), ImagePreprocess(16, 16)) is None


def test_what_windows_say_of_a_class_is_the_softmax_of_their_mean_logits() -> None:
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    answers = list(torch.softmax(logits, dim=1).numpy())
    own = TextClassification().joined(answers)
    assert own == pytest.approx(torch.softmax(logits.mean(0), dim=0).numpy())
    assert own != pytest.approx(np.mean(answers, axis=0))  # or any mean would do
    assert likely_of(answers[:1]) is answers[0]
    assert likely_of([np.array([1.0, 0.0]), np.array([0.0, 1.0])]).tolist() == [0.5, 0.5]


def test_what_windows_say_of_numbers_is_their_mean() -> None:
    answers = [np.array([1.0, -4.0]), np.array([2.0, 0.0])]
    assert TextRegression().joined(answers).tolist() == [1.5, -2.0]
    assert mean_of(answers[:1]) is answers[0]


def test_how_long_texts_are_read_is_saved_with_the_network(tmp_path: Any) -> None:
    for how in ("cut", "windows"):
        saved = form(8, long_texts=how)
        saved.save(tmp_path)
        assert restore(saved.spec(), tmp_path).long_texts == how  # type: ignore[attr-defined]
    assert "long_texts" not in form(8, long_texts="cut").spec()  # as runs were written before


def test_a_tokenizer_that_knows_no_places_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(BadOption, match="Slow does not say where its tokens lie in the text"):
        TextPreprocess(Slow(), 8, long_texts="windows")
    TextPreprocess(Slow(), 8)
