"""What pages say of questions on contexts, by key and then by language."""

from __future__ import annotations

from typing import Final

OF_QUESTIONS: Final = {
    "run.answers": {
        "en": "Answers in their contexts",
        "zh": "上下文中的答案",
    },
    "answers.lead": {
        "en": (
            "Questions of the test split. What was answered is marked in its context, with "
            "how sure the answer was among the likeliest twenty; F1 is the overlap with the "
            "true answer."
        ),
        "zh": (
            "测试集中的问题。所给答案在上下文中标出，并注明它在最可能的二十个答案中的把握；"
            "F1 表示与正确答案的重合程度。"
        ),
    },
    "answers.worst": {
        "en": "The surest wrong answers",
        "zh": "最有把握的错误答案",
    },
    "answers.best": {
        "en": "The surest right answers",
        "zh": "最有把握的正确答案",
    },
    "answers.nothing": {
        "en": "no answer",
        "zh": "无答案",
    },
    "metric.exact_match": {
        "en": "exact match",
        "zh": "精确匹配",
    },
    "metric.answer_loss": {
        "en": "loss of the answer",
        "zh": "答案损失",
    },
    "baseline.whole context": {
        "en": "the whole context",
        "zh": "整段上下文",
    },
    "baseline.first sentence": {
        "en": "the first sentence",
        "zh": "第一句话",
    },
    "baseline.sliding window": {
        "en": "the sentence most like the question",
        "zh": "与问题最相似的句子",
    },
    "baseline.no answer": {
        "en": "never an answer",
        "zh": "从不作答",
    },
}
