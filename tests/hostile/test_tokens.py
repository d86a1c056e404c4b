"""Texts that a tokenizer never saw the like of: tokens within seconds, or a refusal before it is asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.data.read import read_items

TEXTS = {
    "ten megabytes without a space": "x" * 10_000_000,
    "a million words": "word " * 1_000_000,
    "spaces": " " * 1_000_000,
    "digits": "1" * 1_000_000,
    "quotes": "'s" * 500_000,
    "NUL": "a\0b" * 1000,
    "bidi": "\u202e\u2067abc\u2069\u202c" * 1000,
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467" * 10_000,
    "accents on accents": "e" + "\u0301" * 100_000,
}


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def preprocess(request: pytest.FixtureRequest, tiny_text: Callable[[str], Path]) -> object:
    transformers = pytest.importorskip("transformers")
    from tunesmith.networks.preprocess import TextPreprocess

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_text(request.param))
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return TextPreprocess(tokenizer, max_length=64)


@pytest.mark.parametrize("case", TEXTS)
def test_any_text_becomes_tokens_in_seconds(case: str, preprocess: object) -> None:
    began = time.process_time()
    tokens = preprocess.raw([TEXTS[case], "a word"])  # type: ignore[attr-defined]
    assert time.process_time() - began < 10
    assert tokens["input_ids"].shape[0] == 2
    assert tokens["input_ids"].shape[1] <= 64


def test_half_a_sign_is_refused_before_it_is_tokenized(refusal: Callable[..., str]) -> None:
    assert "holds signs that are no Unicode" in refusal(read_items, ["a \ud83d b"], takes="text")
