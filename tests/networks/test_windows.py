"""A long text is covered by windows that fit, overlap, and break between words."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tunesmith.networks.windows import windows


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A fast tokenizer of words; one of six letters or more has two pieces."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = {"[UNK]": 0, "[PAD]": 1}
    for word in [*letters, *(f"##{c}" for c in letters), "word", "longer", "##word"]:
        vocabulary[word] = len(vocabulary)
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]")


def count(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


def test_a_text_that_fits_is_one_window(tokenizer: Any) -> None:
    assert windows("word word word ", tokenizer, 3, 1) == [(0, 15)]


def test_windows_fit_cover_and_overlap(tokenizer: Any) -> None:
    text = " ".join(["word"] * 25)
    found = windows(text, tokenizer, 10, 4)
    assert all(count(tokenizer, text[a:b]) <= 10 for a, b in found)
    assert found[0][0] == 0
    assert found[-1][1] == len(text)
    for (_, end), (begin, _) in pairwise(found):
        assert count(tokenizer, text[begin:end]) >= 4
    assert count(tokenizer, text[slice(*found[-1])]) == 10  # moved back, so that it is full


def test_no_word_is_cut(tokenizer: Any) -> None:
    text = " ".join(["longerword", "word"] * 12)
    assert count(tokenizer, "longerword") == 2
    for begin, end in windows(text, tokenizer, 7, 2):
        assert begin == 0 or text[begin - 1] == " "
        assert end == len(text) or text[end] == " "


def test_a_word_longer_than_a_window_is_cut_all_the_same(tokenizer: Any) -> None:
    text = "z" * 30
    assert count(tokenizer, text) == 30
    found = windows(text, tokenizer, 8, 3)
    assert [b - a for a, b in found] == [8] * len(found)
    assert {i for a, b in found for i in range(a, b)} == set(range(30))


def test_an_overlap_as_wide_as_the_window_is_refused(tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        windows("word word", tokenizer, 1, 1)
