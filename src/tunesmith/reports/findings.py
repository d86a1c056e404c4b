"""What a check found, in the words of a page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tunesmith.health.finding import Finding, Health, Level
from tunesmith.health.words import say, title
from tunesmith.reports.words import Words
from tunesmith.reports.words_en import ENGLISH

ORDER: Final[Mapping[Level, int]] = {"error": 0, "warning": 1, "note": 2}
NOTES: Final = tuple(key for key in ENGLISH if key.startswith("note."))


@dataclass(frozen=True)
class Told:
    """A finding in words: how grave, what it is called, what was found, what to do."""

    finding: Finding
    level: str
    title: str
    sentence: str
    advice: str


def told(health: Health, words: Words) -> list[Told]:
    """The findings of some data, the gravest first."""
    return [
        Told(
            finding,
            words(f"health.level.{finding.level}"),
            title(finding.kind, words.lang, answers=health.answers),
            *say(finding, words.lang, takes=health.takes, answers=health.answers),
        )
        for finding in sorted(health.findings, key=lambda finding: ORDER[finding.level])
    ]


def noted(note: str, words: Words) -> tuple[str, str]:
    """What is to be seen in an example, and the language that it is in.

    A check notes it in English; the forms that `words_en` has are said in the page's own language.

    >>> noted("looks like glass (0.93)", Words("zh")), noted("has 9 scans", Words("zh"))
    (('看起来像 glass（0.93）', 'zh-Hans'), ('has 9 scans', 'en'))
    """
    if words.lang != "en":
        for key in NOTES:
            found = re.fullmatch(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.*)", re.escape(ENGLISH[key])), note)
            if found:
                return words(key, **found.groupdict()), "zh-Hans"
    return note, "en"
