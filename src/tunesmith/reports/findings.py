"""What a check found, in the words of a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tunesmith.health.finding import Finding, Health, Level
from tunesmith.health.words import say, title
from tunesmith.reports.words import Words

ORDER: Final[Mapping[Level, int]] = {"error": 0, "warning": 1, "note": 2}


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
            title(finding.kind, words.lang),
            *say(finding, words.lang, takes=health.takes),
        )
        for finding in sorted(health.findings, key=lambda finding: ORDER[finding.level])
    ]
