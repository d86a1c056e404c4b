"""Tasks: what is learned from what, how it is scored, and how it is shown."""

from __future__ import annotations

from typing import Final

from tunesmith.registry import Registry

TASKS: Final = Registry(
    "task",
    {
        "image-classification": "tunesmith.tasks.image_classification:ImageClassification",
        "text-classification": "tunesmith.tasks.text_classification:TextClassification",
        "text-pair-classification": "tunesmith.tasks.text_pair_classification:TextPairClassification",
        "image-regression": "tunesmith.tasks.image_regression:ImageRegression",
        "text-regression": "tunesmith.tasks.text_regression:TextRegression",
        "text-pair-regression": "tunesmith.tasks.text_pair_regression:TextPairRegression",
        "token-classification": "tunesmith.tasks.token_classification:TokenClassification",
        "question-answering": "tunesmith.tasks.question_answering:QuestionAnswering",
    },
)
