"""Reviews, tickets, messages: numbers for each."""

from __future__ import annotations

from functools import partial

from tunesmith.tasks.regression import Regression
from tunesmith.tasks.text_classification import empty_texts

TextRegression = partial(
    Regression,
    name="text-regression",
    takes="text",
    kind="text-classification",
    model="hf/sentence-transformers/all-MiniLM-L6-v2",
    inspect=empty_texts,
    unit="text",
)
