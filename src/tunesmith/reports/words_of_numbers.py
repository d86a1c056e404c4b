"""What pages say of numbers alone, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OF_NUMBERS: Final[Mapping[str, Mapping[str, str]]] = {
    "metric.rmse": {"en": "RMSE", "zh": "均方根误差"},
    "metric.mae": {"en": "mean absolute error", "zh": "平均绝对误差"},
    "metric.r2": {"en": "R²", "zh": "决定系数 R²"},
    "metric.pearson": {"en": "Pearson correlation", "zh": "皮尔逊相关系数"},
    "metric.spearman": {"en": "Spearman correlation", "zh": "斯皮尔曼相关系数"},
    "metric.standardised_rmse": {"en": "standardised RMSE", "zh": "标准化均方根误差"},
    "metric.squared_loss": {"en": "squared loss", "zh": "平方损失"},
    "metric.absolute_loss": {"en": "absolute loss", "zh": "绝对损失"},
    "metric.huber_loss": {"en": "Huber loss", "zh": "Huber 损失"},
    "baseline.training mean": {"en": "training mean", "zh": "训练集均值"},
    # Section headings
    "run.truth": {"en": "Answers beside the truth", "zh": "回答与真值"},
    "run.residuals": {"en": "How far off it is", "zh": "偏差有多大"},
    "run.coverage": {"en": "Can its intervals be believed?", "zh": "它给出的区间可信吗？"},
    "run.columns": {"en": "Column by column", "zh": "逐列结果"},
    "run.extremes": {"en": "Where it is farthest off, and nearest", "zh": "偏差最大与最小的样本"},
    # In short
    "short.image.numbers": {
        "en": "{model}, a network pretrained on other pictures, was fine-tuned on {train} whose numbers "
        "are known, to tell those of others: {labels}.",
        "zh": "{model} 是一个在其他图片上预训练过的网络；这里用数值已知的 {train}对它微调，"
        "以预测其他图片的数值：{labels}。",
    },
    "short.text.numbers": {
        "en": "{model}, a network pretrained on other texts, was fine-tuned on {train} whose numbers are "
        "known, to tell those of others: {labels}.",
        "zh": "{model} 是一个在其他文本上预训练过的网络；这里用数值已知的 {train}对它微调，"
        "以预测其他文本的数值：{labels}。",
    },
    "short.off": {
        "en": "Of {count} test examples that it had never seen, it misses {name} by {mae} on average.",
        "zh": "在它从未见过的 {count} 个测试样本上，{name} 平均相差 {mae}。",
    },
    "short.explained": {
        "en": "It explains {share} of how they differ from each other (R²).",
        "zh": "样本之间的差异中，它能解释 {share}（R²）。",
    },
    "short.covered": {
        "en": "Each answer comes with an interval that is to hold the true number in {level} of all "
        "cases; of the "
        "test numbers it held {held} of {all}.",
        "zh": "每个回答都附有一个区间，应在 {level} 的情况下包含真值；测试集的 {all} 个数值中，它包含了 "
        "{held} 个。",
    },
    # Data
    "numbers.alt": {
        "en": "How the true numbers of each split lie over their range. {rows}.",
        "zh": "各子集的真值在其范围内的分布。{rows}。",
    },
    "numbers.column": {"en": "Column", "zh": "列"},
    "numbers.split": {"en": "Split", "zh": "子集"},
    "numbers.least": {"en": "Least", "zh": "最小"},
    "numbers.middle": {"en": "Middle", "zh": "中位数"},
    "numbers.most": {"en": "Largest", "zh": "最大"},
    # Answers beside the truth
    "truth.lead": {
        "en": "A dot per test example. On the dashed line an answer is right; the band is the interval "
        "that comes "
        "with it, and warm dots lie outside.",
        "zh": "每个点是一个测试样本。落在虚线上的回答完全正确；色带是随回答给出的区间，"
        "暖色的点落在区间之外。",
    },
    "truth.true": {"en": "true", "zh": "真值"},
    "truth.said": {"en": "answered", "zh": "回答"},
    "truth.alt": {
        "en": "Answers over true numbers, one dot per test example. {rows}.",
        "zh": "以真值为横轴的回答，每个点是一个测试样本。{rows}。",
    },
    "truth.alt.row": {"en": "{name}: correlation {r}", "zh": "{name}：相关系数 {r}"},
    "truth.some": {
        "en": "Drawn are {n} of {all} test examples, chosen at random.",
        "zh": "图中随机抽取了 {all} 个测试样本中的 {n} 个。",
    },
    "truth.columns": {
        "en": "Drawn are the first {n} of {all} columns.",
        "zh": "图中是 {all} 列中的前 {n} 列。",
    },
    # Residuals
    "residuals.lead": {
        "en": "How much too high each answer is, over the answer. A slope or a funnel says that large "
        "numbers are "
        "answered worse, or otherwise, than small ones.",
        "zh": "每个回答偏高多少，以回答为横轴。若呈斜线或漏斗形，说明大数值与小数值答得不一样好。",
    },
    "residuals.off": {"en": "too high by", "zh": "偏高"},
    "residuals.alt": {
        "en": "How much too high answers are, over the answer. {rows}.",
        "zh": "以回答为横轴的偏差。{rows}。",
    },
    "residuals.alt.row": {"en": "{name}: {mean} too high on average", "zh": "{name}：平均偏高 {mean}"},
    "spread.lead": {
        "en": "How often answers are how much too high; left of the dashed line they are too low.",
        "zh": "各种偏差出现的次数；虚线左侧为偏低。",
    },
    "spread.alt": {
        "en": "How often answers are how far off. {rows}.",
        "zh": "各种偏差出现的次数。{rows}。",
    },
    # Coverage
    "coverage.lead": {
        "en": "The interval around an answer is as wide as the answers to validation examples call for: "
        "nine of "
        "ten of those lie within it (split conformal prediction). On the test split as many should.",
        "zh": "回答周围区间的宽度由验证样本决定：其中十分之九的真值落在区间内（分割共形预测）。"
        "测试集上也应有同样多。",
    },
    "coverage.none": {
        "en": "There are none: validation has too few examples for an interval of 90 %.",
        "zh": "没有区间：验证样本太少，无法给出 90 % 的区间。",
    },
    "coverage.half": {"en": "Interval", "zh": "区间"},
    "coverage.inside": {"en": "Inside", "zh": "区间内"},
    "coverage.share": {"en": "Share", "zh": "比例"},
    "coverage.held": {"en": "{held} of {count}", "zh": "{count} 个中的 {held} 个"},
    # Worst and best
    "extremes.lead.image": {
        "en": "Test examples by the distance of the answer from the truth. A picture that puzzles you "
        "too may have "
        "a wrong number.",
        "zh": "按回答与真值的距离排列的测试样本。若某张图片也让您困惑，它的数值可能有误。",
    },
    "extremes.lead.text": {
        "en": "Test examples by the distance of the answer from the truth. A text that puzzles you too "
        "may have a "
        "wrong number.",
        "zh": "按回答与真值的距离排列的测试样本。若某条文本也让您困惑，它的数值可能有误。",
    },
    "extremes.tokens": {
        "en": "Words marked {for_} move the answer away from the mean of the training numbers, words marked "
        "{against} towards it.",
        "zh": "标为{for_}的词使回答远离训练数值的均值，标为{against}的词使它靠近均值。",
    },
    "extremes.alt": {
        "en": "{id}: answered {guess}, true is {truth}",
        "zh": "{id}：回答 {guess}，真值 {truth}",
    },
    "extremes.worst": {"en": "Farthest off", "zh": "偏差最大"},
    "extremes.best": {"en": "Nearest", "zh": "偏差最小"},
}
