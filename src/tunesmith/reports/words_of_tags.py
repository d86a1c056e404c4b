"""What pages say of spans of words, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OF_TAGS: Final[Mapping[str, Mapping[str, str]]] = {
    "run.types": {
        "en": "Types",
        "zh": "类型",
    },
    "run.worst": {
        "en": "Texts that were marked worst",
        "zh": "标注最差的文本",
    },
    "run.best": {
        "en": "Texts that were marked right",
        "zh": "标注正确的文本",
    },
    "types.lead": {
        "en": "A span is right where its first word, its last word and its type are. The weakest first.",
        "zh": "首词、末词和类型都正确的片段才算正确。最弱的类型排在最前。",
    },
    "types.type": {
        "en": "Type",
        "zh": "类型",
    },
    "types.spans": {
        "en": "Spans",
        "zh": "片段数",
    },
    "tags.truth": {
        "en": "There is",
        "zh": "实际",
    },
    "tags.guess": {
        "en": "Found was",
        "zh": "预测",
    },
    "worst.lead": {
        "en": "Those of the test split in which most spans are missed or wrong.",
        "zh": "测试集中漏标或错标片段最多的文本。",
    },
    "worst.none": {
        "en": "Nothing to show: no text of the test split has a wrong span, or the texts are gone.",
        "zh": "没有可显示的内容：测试集中没有标错的文本，或文本已无法读取。",
    },
    "best.lead": {
        "en": "Those of the test split with most spans, all of them right.",
        "zh": "测试集中片段最多且全部正确的文本。",
    },
    "best.none": {
        "en": "Nothing to show: no text of the test split has all spans right, or the texts are gone.",
        "zh": "没有可显示的内容：测试集中没有全部标对的文本，或文本已无法读取。",
    },
    "baseline.no spans": {
        "en": "no spans",
        "zh": "不标任何片段",
    },
    "baseline.most frequent tag per word": {
        "en": "most frequent tag per word",
        "zh": "每个词最常见的标签",
    },
}
