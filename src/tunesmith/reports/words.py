"""What pages say, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tunesmith.errors import UnknownName
from tunesmith.registry import did_you_mean
from tunesmith.reports.words_en import ENGLISH
from tunesmith.reports.words_of_numbers import OF_NUMBERS
from tunesmith.reports.words_of_questions import OF_QUESTIONS
from tunesmith.reports.words_of_tags import OF_TAGS
from tunesmith.reports.words_zh import CHINESE

# What only pages of one kind of answers say lies by key first, then by language.
OF_KINDS: Final = (OF_NUMBERS, OF_TAGS, OF_QUESTIONS)
TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    lang: {**common, **{key: said[lang] for own in OF_KINDS for key, said in own.items()}}
    for lang, common in (("en", ENGLISH), ("zh", CHINESE))
}


class Words:
    """The sentences of one language, by key.

    >>> Words("en")("figure.test", count=2)
    'on the test split (2)'
    """

    def __init__(self, lang: str) -> None:
        if lang not in TABLES:
            guess = did_you_mean(lang, TABLES)
            raise UnknownName(f"pages speak {' and '.join(TABLES)}; found {lang!r}{guess}")
        self.lang = lang
        self.table = TABLES[lang]

    def __call__(self, key: str, **values: object) -> str:
        """The sentence, filled."""
        # A number and its percent sign stay on one line.
        return self.table[key].format(**values).replace(" %", "\u00a0%")

    def marked(self, key: str, **values: tuple[str, str]) -> Any:
        """The sentence as markup, each value a CSS class and the key of the words that are marked with it."""
        from markupsafe import Markup

        mark = Markup('<mark class="{}">{}</mark>')
        marks = {name: mark.format(style, self.table[words]) for name, (style, words) in values.items()}
        return Markup(self.table[key]).format(**marks)  # noqa: S704  # our own words

    def named(self, family: str, name: str) -> str:
        """What a name of tunesmith's own is called: of a metric, a baseline, a split.

        >>> Words("zh").named("metric", "accuracy"), Words("en").named("metric", "token_f1")
        ('准确率', 'token f1')
        """
        return self.table.get(f"{family}.{name}", name.replace("_", " "))

    def many(self, count: float, noun: str) -> str:
        """A number with its noun.

        >>> Words("en").many(1, "epochs"), Words("en").many(2.5, "epochs"), Words("zh").many(1200, "texts")
        ('1 epoch', '2.5 epochs', '1,200 条文本')
        """
        forms = self.table[f"many.{noun}"].split("|")
        said = f"{round(count, 2):,}".removesuffix(".0")
        return (forms[0] if count == 1 else forms[-1]).format(n=said)

    def listed(self, names: Iterable[str], most: int = 12) -> str:
        """Names one after the other; what is beyond `most` is counted.

        >>> Words("en").listed(["glass", "metal", "paper"], most=2)
        'glass, metal and 1 more'
        """
        names = list(names)
        said = self.table["comma"].join(names[:most])
        return said if len(names) <= most else self("more", names=said, n=f"{len(names) - most:,}")

    def duration(self, seconds: float) -> str:
        """A length of time in one or two units.

        >>> Words("en").duration(75), Words("en").duration(4.2), Words("zh").duration(7300)
        ('1 min 15 s', '4 s', '2 小时 1 分')
        """
        whole = round(seconds)
        hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
        form = "hours" if hours else "minutes" if minutes else "seconds"
        return self(f"time.{form}", h=hours, m=minutes, s=rest)
