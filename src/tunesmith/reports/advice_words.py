"""Advice, and why a part of a report is missing, in English and Chinese.

Sentences are filled by `str.format` from Advice.values. `{metric}` is a metric's name as scores.json has
it; the page writes it in its own language. A command, where there is one, stands below its sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Words = Mapping[str, str]  # by language

ADVICE: Final[Mapping[str, Words]] = {
    "leaked": {
        "en": "Test examples that lie in the training data too: {count}. They make the score too "
        "good; take them out of one of the two.",
        "zh": "有 {count} 个测试样本也出现在训练数据中，因此分数偏高；请从其中一方删除它们。",
    },
    "two_labels": {
        "en": "Identical examples have two labels (groups of them: {count}), and no network can get both "
        "right; mend the labels.",
        "zh": "有 {count} 组完全相同的样本带有两种标签，任何网络都无法同时答对；请修正标签。",
    },
    "suspected_labels": {
        "en": "Labels that look wrong: {count}. Look at them before training longer.",
        "zh": "有 {count} 个标签看起来是错的；在继续训练之前请先检查它们。",
    },
    "test_below_valid": {
        "en": "{metric} is {valid:.3f} on validation and only {test:.3f} on the test split, more than chance "
        "explains: the splits differ, or validation was chosen by too often. Check how they were made.",
        "zh": "{metric}在验证集上为 {valid:.3f}，在测试集上只有 {test:.3f}，超出偶然波动："
        "两个子集不同，或验证集被用来挑选了太多次。请检查划分方式。",
    },
    "few_tested": {
        "en": "With {count} test examples, {metric} is known only to lie between {low:.3f} and {high:.3f}; "
        "label more of them, or set more aside, before comparing anything.",
        "zh": "测试样本只有 {count} 个，只能确定{metric}在 {low:.3f} 到 {high:.3f} 之间；"
        "比较之前请标注更多样本，或留出更多测试数据。",
    },
    "worse_than_probe": {
        "en": "Training the stages made it worse than a linear probe on the pretrained features "
        "({gap:+.3f} [{low:+.3f}, {high:+.3f}]); try a fifth of the learning rate.",
        "zh": "训练各阶段后的结果比预训练特征上的线性探针更差"
        "（{gap:+.3f} [{low:+.3f}, {high:+.3f}]）；请试用五分之一的学习率。",
    },
    "no_better_than_probe": {
        "en": "Training the stages is not proven better than a linear probe on the pretrained features "
        "({gap:+.3f} [{low:+.3f}, {high:+.3f}]); the probe alone takes seconds, and another network may "
        "bring more.",
        "zh": "没有证据表明训练各阶段优于预训练特征上的线性探针"
        "（{gap:+.3f} [{low:+.3f}, {high:+.3f}]）；单用探针只需几秒，换一个网络或许收获更大。",
    },
    "out_of_time": {
        "en": "The time limit ended training after {epochs} epochs; give it longer.",
        "zh": "训练在 {epochs} 轮之后因时间限制而结束；请给它更多时间。",
    },
    "learned_by_heart": {
        "en": "The loss on training examples ({train:.2f}) is far below that on validation ({valid:.2f}): "
        "the network learns examples by heart. Vary them, or train fewer stages.",
        "zh": "训练样本上的损失（{train:.2f}）远低于验证集（{valid:.2f}）：网络在死记样本。"
        "请对样本做增强，或少训练几个阶段。",
    },
    "best_was_last": {
        "en": "The last of {epochs:g} epochs was the best; it may go on getting better.",
        "zh": "共 {epochs:g} 轮，最后一轮最好；继续训练可能还会提高。",
    },
    "rare_weak": {
        "en": "Classes with few training examples are weakest: {labels} (at most {count} each). Let rare "
        "classes count more, or collect more of them.",
        "zh": "训练样本少的类别最弱：{labels}（每类至多 {count} 个）。请提高稀少类别的权重，或收集更多样本。",
    },
    "confused_pair": {
        "en": "{count} of {total} mistakes take {truth} for {guess}; look whether people can tell the two "
        "apart, and give more examples of both.",
        "zh": "{total} 个错误中有 {count} 个是把 {truth} 当成 {guess}；"
        "请看人能否区分这两类，并补充两类的样本。",
    },
    "too_sure": {
        "en": "Stated probabilities are too high (calibration error {ece:.3f}). Dividing the logits by "
        "{temperature:.2f} brings it to {after:.3f}; label smoothing helps in training.",
        "zh": "给出的概率偏高（校准误差 {ece:.3f}）。将 logits 除以 {temperature:.2f} 可降到 {after:.3f}；"
        "训练时可用标签平滑。",
    },
    "not_sure_enough": {
        "en": "Stated probabilities are too low (calibration error {ece:.3f}). Dividing the logits by "
        "{temperature:.2f} brings it to {after:.3f}.",
        "zh": "给出的概率偏低（校准误差 {ece:.3f}）。将 logits 除以 {temperature:.2f} 可降到 {after:.3f}。",
    },
}

MISSING: Final[Mapping[str, Words]] = {
    "data_in_memory": {
        "en": "The data were given in memory; pass them again: run.report(data=...).",
        "zh": "数据是在内存中给出的；请再次传入：run.report(data=...)。",
    },
    "data_gone": {
        "en": "The data are no longer where the run read them.",
        "zh": "数据已不在当初读取的位置。",
    },
    "data_changed": {
        "en": "The data were changed since the run.",
        "zh": "数据在这次运行之后被改动过。",
    },
    "unreadable": {
        "en": "Some examples cannot be read any more.",
        "zh": "有些样本已无法读取。",
    },
    "own_module": {
        "en": "The network is your own, whose code a folder cannot hold; pass it: "
        "Run.open(folder, module=...).report().",
        "zh": "网络是您自己的，运行文件夹无法保存其代码；请传入：Run.open(folder, module=...).report()。",
    },
    "no_model": {
        "en": "The saved network cannot be loaded here.",
        "zh": "保存的网络无法在此加载。",
    },
    "own_preprocess": {
        "en": "The network prepares its inputs in a way of its own, whose places cannot be found again.",
        "zh": "该网络以自己的方式预处理输入，无法还原到图片或文本中的位置。",
    },
    "no_places": {
        "en": "This network has no stage at which places of a picture or pieces of a text can be told apart.",
        "zh": "该网络没有能区分图片位置或文本片段的阶段。",
    },
    "windows": {
        "en": "Long texts are read in windows, and an answer that is joined of several has no one ground.",
        "zh": "长文本按窗口读取，由多个窗口合并而成的答案没有单一的依据位置。",
    },
    "not_kept": {
        "en": "The run did not keep it.",
        "zh": "这次运行没有保存它。",
    },
}
