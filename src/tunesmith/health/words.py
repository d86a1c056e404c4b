"""What a check says, in English and in Chinese: a title, a sentence and an advice for every kind of finding.

Sentences are filled from `Finding.values`; `{items}` is "images", "texts" or "pairs", by what the data
hold, and `{counted}` the same behind a number, `{grouped}` behind the number of groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from tunesmith.errors import UnknownName
from tunesmith.health.finding import Finding
from tunesmith.registry import did_you_mean


class Words(NamedTuple):
    """What is said of one kind; for a reason why nothing was looked for, the title alone counts."""

    title: str
    sentence: str
    advice: str


ITEMS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {"image": "images", "text": "texts", "pair": "pairs"},
    "zh": {"image": "图片", "text": "文本", "pair": "文本对"},
}
COUNTED: Final[Mapping[str, Mapping[str, str]]] = {
    "en": ITEMS["en"],
    "zh": {"image": "张图片", "text": "条文本", "pair": "个文本对"},  # behind a number
}
LANGUAGES: Final = tuple(ITEMS)

WORDS: Final[Mapping[str, Mapping[str, Words]]] = {
    "unreadable": {
        "en": Words(
            "unreadable images",
            "Of {total:,} images, {count:,} cannot be read.",
            "Mend or remove them; --skip-bad leaves them out.",
        ),
        "zh": Words(
            "无法读取的图片",
            "{total:,} 张图片中有 {count:,} 张无法读取。",
            "请修复或删除；使用 --skip-bad 可将其排除。",
        ),
    },
    "empty": {
        "en": Words(
            "empty texts",
            "Of {total:,} texts, {count:,} hold no words.",
            "Fill or remove them; --skip-bad leaves them out.",
        ),
        "zh": Words(
            "空文本",
            "{total:,} 条文本中有 {count:,} 条没有内容。",
            "请补全或删除；使用 --skip-bad 可将其排除。",
        ),
    },
    "half_empty": {
        "en": Words(
            "pairs without one of their texts",
            "Of {total:,} pairs, {count:,} lack the words of one text, or of both.",
            "Fill or remove them; --skip-bad leaves them out.",
        ),
        "zh": Words(
            "缺少一侧文本的文本对",
            "{total:,} 个文本对中有 {count:,} 个缺少一侧或两侧的内容。",
            "请补全或删除；使用 --skip-bad 可将其排除。",
        ),
    },
    "equal_sides": {
        "en": Words(
            "pairs of one text twice",
            "Of {total:,} pairs, {count:,} hold the same text twice.",
            "Look whether that is meant: nothing needs to be read to answer them.",
        ),
        "zh": Words(
            "两侧相同的文本对",
            "{total:,} 个文本对中有 {count:,} 个两侧文本相同。",
            "请确认是否有意为之：回答它们无需阅读任何内容。",
        ),
    },
    "turned_across": {
        "en": Words(
            "the other way round in another split",
            "The same two texts in another order in more than one split: {groups:,} {grouped}; "
            "test {items} that were seen so in training or validation: {leaked:,}.",
            "Where order means nothing the score flatters by them: keep one of each.",
        ),
        "zh": Words(
            "跨划分的对调文本对",
            "有 {groups:,} 组{items}以对调的顺序出现在多个划分中；"
            "测试集中有 {leaked:,} {counted}已这样出现在训练集或验证集中。",
            "若顺序没有意义，这会使分数虚高：每组请只保留一个。",
        ),
    },
    "side_across": {
        "en": Words(
            "one text of pairs shared across splits",
            "Of {total:,} test pairs, {count:,} ({share:.0%}) have text {side} of their two in a pair of "
            "train or validation too.",
            "If new texts will come with use, the score flatters: name that column with --group.",
        ),
        "zh": Words(
            "跨划分共用一侧文本",
            "{total:,} 个测试文本对中有 {count:,} 个（{share:.0%}）的第 {side} 个文本也在训练集或验证集中。",
            "如果实际使用时会遇到新文本，分数会虚高：请用 --group 指定该列。",
        ),
    },
    "one_side_tells": {
        "en": Words(
            "one text alone tells the answer",
            "The words of text {side} of the two alone reach {metric} {value:.2f} on test, where "
            "{trivial:.2f} needs no text at all.",
            "What is learned may never compare the two: look how the pairs were made.",
        ),
        "zh": Words(
            "仅凭一侧文本即可回答",
            "仅凭第 {side} 个文本的词语，测试集 {metric} 即达 {value:.2f}，而不看文本为 {trivial:.2f}。",
            "模型可能根本没有比较两侧：请检查这些文本对的构造方式。",
        ),
    },
    "absent": {
        "en": Words(
            "items that are not there",
            "Named in the data, but not to be had: {count:,} {items} (a missing file, or no UTF-8).",
            "Put them back or remove their rows; --skip-bad leaves them out.",
        ),
        "zh": Words(
            "缺失的条目",
            "数据中列出但无法获得：{count:,} {counted}（文件缺失，或文本不是 UTF-8）。",
            "请补回文件或删除相应的行；使用 --skip-bad 可将其排除。",
        ),
    },
    "broken_rows": {
        "en": Words(
            "broken rows",
            "Rows that cannot be read: {count:,} (wrong number of fields, no JSON, no Unicode).",
            "Each is named with what is wrong; mend them, or leave them out with --skip-bad.",
        ),
        "zh": Words(
            "损坏的行",
            "有 {count:,} 行无法读取（字段过多或过少、不是 JSON，或含有非 Unicode 字符）。",
            "每一行都说明了原因；请改正，或使用 --skip-bad 将其排除。",
        ),
    },
    "no_label": {
        "en": Words(
            "rows without a label",
            "No label, or none that names a class: {count:,} rows.",
            "Give each its label, or leave them out with --skip-bad.",
        ),
        "zh": Words(
            "缺少标签的行",
            "没有标签，或标签不是类别名称：{count:,} 行。",
            "请为每一行补上标签，或使用 --skip-bad 将其排除。",
        ),
    },
    "no_number": {
        "en": Words(
            "rows without a number",
            "No number where one is needed: {count:,} rows (text, a unit, NaN, an empty cell).",
            "Each is named with what to write instead; --skip-bad leaves them out.",
        ),
        "zh": Words(
            "缺少数值的行",
            "需要数值却没有：{count:,} 行（文字、单位、NaN 或空单元格）。",
            "每一行都说明了应如何改写；使用 --skip-bad 可将其排除。",
        ),
    },
    "bad_tags": {
        "en": Words(
            "sentences whose tags cannot be used",
            "Tags or spans that cannot be read: {count:,} sentences.",
            "Each is named with what is wrong in it; --skip-bad leaves them out.",
        ),
        "zh": Words(
            "标签无法使用的句子",
            "有 {count:,} 个句子的标签或片段无法读取。",
            "每一处都说明了原因；使用 --skip-bad 可将其排除。",
        ),
    },
    "stray_inside": {
        "en": Words(
            "I- without its B-",
            "In {groups:,} {grouped}, {count:,} I- tags have nothing of their type before them.",
            "Each was read as the beginning of a span; write B- if that is meant.",
        ),
        "zh": Words(
            "I- 前缺少 B-",
            "有 {groups:,} 条文本中共 {count:,} 个 I- 标签之前没有同类型的标签。",
            "它们都按片段的开头读取；如确实如此，请写成 B-。",
        ),
    },
    "unseen_types": {
        "en": Words(
            "types that training lacks",
            "In validation or test but not in training: {count:,} types of spans ({named}).",
            "They cannot be learned, and every one of their spans counts as missed.",
        ),
        "zh": Words(
            "训练集中没有的类型",
            "有 {count:,} 种片段类型只在验证集或测试集中出现（{named}）。",
            "这些类型无法学习，其每个片段都算作漏标。",
        ),
    },
    "long_sentences": {
        "en": Words(
            "very long sentences",
            "Sentences of over 1,000 words: {count:,}.",
            "See whether a blank line is missing between sentences; long ones are read in windows.",
        ),
        "zh": Words(
            "过长的句子",
            "超过一千个词的句子：{count:,} 个。",
            "请检查句子之间是否缺少空行；长句会分窗口读取。",
        ),
    },
    "misplaced": {
        "en": Words(
            "questions that cannot be used",
            "An answer that is not at its place, a question without one, an id used twice: "
            "{count:,} questions.",
            "Each is named with what stands there instead; --skip-bad leaves them out.",
        ),
        "zh": Words(
            "无法使用的问题",
            "答案不在所标位置、缺少答案或编号重复：{count:,} 个问题。",
            "每一个都说明了该处的实际内容；使用 --skip-bad 可将其排除。",
        ),
    },
    "contexts_across": {
        "en": Words(
            "contexts in more than one split",
            "Asked about in more than one split: {groups:,} contexts; test questions on one that training or "
            "validation has seen: {leaked:,}.",
            "The score flatters by them: keep all questions on a context, or an article, in one split.",
        ),
        "zh": Words(
            "跨划分的上下文",
            "有 {groups:,} 段上下文出现在多个划分中；"
            "测试集中有 {leaked:,} 个问题的上下文已在训练集或验证集中出现过。",
            "这会使分数虚高：请把同一段上下文（或同一篇文章）的问题放在同一划分。",
        ),
    },
    "outlying_numbers": {
        "en": Words(
            "numbers far from all others",
            "Of {total:,} examples, {count:,} have a number over 10 robust deviations from the median.",
            "Look whether a point or a unit slipped; a few such numbers can rule what is learned.",
        ),
        "zh": Words(
            "远离其他值的数值",
            "{total:,} 个样本中有 {count:,} 个的数值距中位数超过 10 个稳健标准差。",
            "请检查小数点或单位是否有误；少数这样的数值就可能左右学习结果。",
        ),
    },
    "byte_equal_two_labels": {
        "en": Words(
            "byte-equal under two labels",
            "Byte for byte the same under more than one label: {groups:,} {grouped}.",
            "At most one of the labels is right: decide, and remove the other copies.",
        ),
        "zh": Words(
            "内容完全相同但标签不同",
            "有 {groups:,} 组{items}逐字节相同，却带有不同的标签。",
            "其中至多一个标签是对的：请确定正确的标签并删除其余副本。",
        ),
    },
    "byte_equal_two_labels.numbers": {
        "en": Words(
            "byte-equal with different numbers",
            "Byte for byte the same, but with different numbers: {groups:,} {grouped}.",
            "At most one of the numbers is right: decide, and remove the other copies.",
        ),
        "zh": Words(
            "内容完全相同但数值不同",
            "有 {groups:,} 组{items}逐字节相同，却带有不同的数值。",
            "其中至多一个数值是对的：请确定正确的数值并删除其余副本。",
        ),
    },
    "short_texts.numbers": {
        "en": Words(
            "very short texts",
            "{count:,} of {total:,} {items} have fewer than {least} characters.",
            "Look whether they say enough to tell a number by.",
        ),
        "zh": Words(
            "过短的文本",
            "{total:,} {counted}中有 {count:,} 条少于 {least} 个字符。",
            "请查看它们是否足以判断数值。",
        ),
    },
    "byte_equal_across": {
        "en": Words(
            "byte-equal across splits",
            "Byte for byte the same in more than one split: {groups:,} {grouped}; "
            "test {items} that were seen in training or validation: {leaked:,}.",
            "The score flatters by them: remove the copies, or keep groups together with --group.",
        ),
        "zh": Words(
            "跨划分完全重复",
            "有 {groups:,} 组{items}同时出现在多个划分中，逐字节相同；"
            "测试集中有 {leaked:,} {counted}已在训练集或验证集中出现过。",
            "这会使分数虚高：请删除副本，或用 --group 把相关样本放在同一划分。",
        ),
    },
    "near_duplicates_across": {
        "en": Words(
            "near-duplicates across splits",
            "Groups of {items} that are nearly the same in more than one split: {groups:,}; "
            "test {items} with such a twin in training or validation: {leaked:,}.",
            "The score flatters by them: look at the groups, and keep what belongs together with --group.",
        ),
        "zh": Words(
            "跨划分近似重复",
            "有 {groups:,} 组跨划分的{items}几乎相同；"
            "测试集中有 {leaked:,} {counted}在训练集或验证集中有近似副本。",
            "这会使分数虚高：请查看这些组，并用 --group 把属于一起的样本放在同一划分。",
        ),
    },
    "near_features_across": {
        "en": Words(
            "close to each other across splits, by features",
            "Groups of {items} in more than one split that {model} can hardly tell apart: {groups:,}; "
            "test {items} among them: {leaked:,}.",
            "Look at them: the same thing shot twice, or a text reworded, makes a test easier than it seems.",
        ),
        "zh": Words(
            "按特征看跨划分高度相似",
            "在 {model} 看来，有 {groups:,} 组跨划分的{items}几乎相同，其中测试集 {leaked:,} {counted}。",
            "请查看：同一对象的连拍或改写的文本会使测试变得过于容易。",
        ),
    },
    "suspected_labels": {
        "en": Words(
            "suspected label errors",
            "{count:,} of {total:,} labels are doubted: a classifier that had not seen the example is "
            "confident of another class.",
            "Look at the first ones; correct what is wrong. A doubted label need not be wrong.",
        ),
        "zh": Words(
            "可疑的标签错误",
            "{total:,} 个标签中有 {count:,} 个可疑：未见过该样本的分类器确信它属于另一类别。",
            "请先查看最前面的几个并改正错误；可疑的标签不一定是错的。",
        ),
    },
    "labels_alike": {
        "en": Words(
            "labels that differ by case or spaces only",
            "Labels that differ by case or spaces only count as different classes: {names}.",
            "Write each class in one way, if they mean the same.",
        ),
        "zh": Words(
            "仅大小写或空格不同的标签",
            "仅大小写或空格不同的标签会被当作不同类别：{names}。",
            "如果含义相同，请统一写法。",
        ),
    },
    "prior_shift": {
        "en": Words(
            "class shares differ between splits",
            "'{label}' makes {share:.1%} of {split} but {train:.1%} of train, and the shares differ by more "
            "than chance (chi-squared {statistic:.1f}, p {p:.1g}, Cramér's V {effect:.2f}).",
            "Accuracy on one split says little of the other: look at figures per class, or draw new splits.",
        ),
        "zh": Words(
            "各划分的类别比例不同",
            "“{label}”在 {split} 中占 {share:.1%}，在 train 中占 {train:.1%}，差异超出偶然"
            "（卡方 {statistic:.1f}，p {p:.1g}，Cramér's V {effect:.2f}）。",
            "一个划分上的准确率难以代表另一个：请看每类指标，或重新划分。",
        ),
    },
    "imbalance": {
        "en": Words(
            "imbalance",
            "'{largest}' has {ratio:.1f} times as many training examples as '{smallest}' "
            "({most:,} and {fewest:,}).",
            "Look at macro F1 beside accuracy; --balance weights makes rare classes count more.",
        ),
        "zh": Words(
            "类别不平衡",
            "“{largest}”的训练样本数是“{smallest}”的 {ratio:.1f} 倍（{most:,} 对 {fewest:,}）。",
            "请同时看宏平均 F1；--balance weights 会加大稀有类别的权重。",
        ),
    },
    "byte_equal_inside": {
        "en": Words(
            "repeats inside a split",
            "Repeats of another one of their split, byte for byte: {repeats:,} of {total:,} {items}.",
            "They count twice in training and in scores; remove them unless that is meant.",
        ),
        "zh": Words(
            "划分内部重复",
            "{total:,} {counted}中有 {repeats:,} {counted}与同一划分内的另一个逐字节相同。",
            "它们在训练和评分中会被重复计算；若非有意，请删除。",
        ),
    },
    "truncated_texts": {
        "en": Words(
            "truncated texts",
            "{count:,} of {total:,} {items} are longer than the {window:,} tokens that {model} reads, "
            "and are cut there.",
            "If what matters stands at the end, raise --max-length, or --long-texts windows.",
        ),
        "zh": Words(
            "被截断的文本",
            "{total:,} {counted}中有 {count:,} 条超过 {model} 的 {window:,} 个词元，会被截断。",
            "如果关键内容在末尾，请增大 --max-length，或让 fit 读完全文：--long-texts windows。",
        ),
    },
    "short_texts": {
        "en": Words(
            "very short texts",
            "{count:,} of {total:,} {items} have fewer than {least} characters.",
            "Look whether they say enough to tell a class by.",
        ),
        "zh": Words(
            "过短的文本",
            "{total:,} {counted}中有 {count:,} 条少于 {least} 个字符。",
            "请查看它们是否足以判断类别。",
        ),
    },
    "small_images": {
        "en": Words(
            "very small images",
            "{count:,} of {total:,} images have a side under {least} pixels, where the middle one of all has "
            "{usual:,}.",
            "Look whether they are thumbnails or icons that came along.",
        ),
        "zh": Words(
            "过小的图片",
            "{total:,} 张图片中有 {count:,} 张的短边小于 {least} 像素，而中位数为 {usual:,}。",
            "请查看是否混入了缩略图或图标。",
        ),
    },
    "odd_shapes": {
        "en": Words(
            "odd aspect ratios",
            "{count:,} of {total:,} images are over {most:g} times as long as wide, or as wide as long.",
            "A network sees little of them once they are made square: cut them to what matters.",
        ),
        "zh": Words(
            "异常的长宽比",
            "{total:,} 张图片中有 {count:,} 张的长宽比超过 {most:g}。",
            "变成正方形后网络看不清内容：请先裁剪出重要部分。",
        ),
    },
    "modes_tell": {
        "en": Words(
            "the form of a file tells its label",
            "How images are stored differs by class: {mode} are {share:.0%} of '{label}' but {others:.0%} of "
            "the rest.",
            "A network may learn the form in the place of the content: store all in one way.",
        ),
        "zh": Words(
            "文件格式泄露标签",
            "各类别的存储方式不同：{mode} 在“{label}”中占 {share:.0%}，在其余类别中占 {others:.0%}。",
            "网络可能学到格式而非内容：请统一存储方式。",
        ),
    },
    # Reasons why a kind was not looked for.
    "needs_model": {
        "en": Words("needs the features of a network: --model M", "", ""),
        "zh": Words("需要网络的特征：--model M", "", ""),
    },
    "too_many": {
        "en": Words("too many examples, or too many that look alike, to compare each with each", "", ""),
        "zh": Words("样本太多，或相似的样本太多，无法逐对比较", "", ""),
    },
    "learned_from": {
        "en": Words("the model learned from these labels; name the one that its run began with", "", ""),
        "zh": Words("该模型学习过这些标签；请改用其运行开始时的模型", "", ""),
    },
    "numbers": {
        "en": Words("the answers are numbers, which are doubted by how far out they are", "", ""),
        "zh": Words("答案是数值；仅按偏离程度检查", "", ""),
    },
    "parts": {
        "en": Words("the answers have parts, which no probe in closed form gives", "", ""),
        "zh": Words("答案由多个部分组成，没有闭式解的探针可以给出", "", ""),
    },
    "too_few": {
        "en": Words("too few examples of each class to hold some back", "", ""),
        "zh": Words("每个类别的样本太少，无法留出验证", "", ""),
    },
}


def say(
    finding: Finding, lang: str = "en", *, takes: str = "image", answers: str = "classes"
) -> tuple[str, str]:
    """The sentence and the advice of a finding.

    takes: "image", "text" or "pair", what the data hold, where the finding's values do not say it.
    answers: what their labels are: some kinds have words of their own for numbers.
    Raises UnknownName for a kind or a language that has no words.
    """
    words = _words(finding.kind, lang, answers)
    takes = str(finding.values.get("takes", takes))
    one = lang == "en" and finding.values.get("groups") == 1
    values = {
        "items": ITEMS[lang][takes],
        "counted": COUNTED[lang][takes],
        "grouped": ITEMS[lang][takes].removesuffix("s" if one else ""),
        **finding.values,
    }
    return words.sentence.format_map(values), words.advice.format_map(values)


def title(kind: str, lang: str = "en", *, answers: str = "classes") -> str:
    """A few words for a kind of finding, or for the reason why one was not looked for."""
    return _words(kind, lang, answers).title


def _words(kind: str, lang: str, answers: str) -> Words:
    if kind not in WORDS:
        raise UnknownName(f"no kind of finding is called {kind!r}{did_you_mean(kind, WORDS) or '.'}")
    if lang not in LANGUAGES:
        raise UnknownName(f"findings are said in {' and '.join(LANGUAGES)}; found {lang!r}.")
    return WORDS.get(f"{kind}.{answers}", WORDS[kind])[lang]
