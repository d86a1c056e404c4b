"""Two texts, numbers for both: how alike they are, how well one answers the other."""

from __future__ import annotations

from functools import partial

from tunesmith.tasks.regression import Regression
from tunesmith.tasks.text_pair_classification import half_empty

TextPairRegression = partial(
    Regression,
    name="text-pair-regression",
    takes="text",
    kind="text-classification",
    model="hf/sentence-transformers/all-MiniLM-L6-v2",
    inspect=half_empty,
    unit="pair",
    pairs=True,
)
