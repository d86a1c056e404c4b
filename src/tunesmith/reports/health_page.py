"""The page of a check: what was found in the data, with the pictures or texts that it was found in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from tunesmith.health.finding import Finding, Health, Item
from tunesmith.health.words import title
from tunesmith.reports.figures import DRAWN, counts_figure
from tunesmith.reports.findings import ORDER, noted, told
from tunesmith.reports.rendering import named, render
from tunesmith.reports.summary import short_model
from tunesmith.reports.tables import counts_table
from tunesmith.reports.words import Words

GROUPS: Final = 12  # of a finding that are shown
MEMBERS: Final = 6  # of a group
ROOM: Final = 2_000_000  # bytes of pictures on a page; what comes later goes without

Card = dict[str, Any]


def health_page(
    health: Health,
    picture: Callable[[Item], bytes | None],
    text: Callable[[Item], str | None],
    *,
    lang: str = "en",
) -> str:
    """A check of data as one HTML file that loads nothing: the same health gives the same bytes.

    picture, text: fetch what an item looks like, as JPEG bytes of a few kilobytes, or says; None where that
        cannot be had.
    lang: "en" or "zh".
    Raises UnknownName for another language, MissingPackage where matplotlib or jinja2 is not installed.
    """
    words = Words(lang)
    cards = _Cards(health, picture, text, words)
    found = [(one, cards.of(one.finding), _shown(one.finding, words)) for one in told(health, words)]
    total = sum(n for own in health.counts.values() for n in own.values())
    noun, of_classes = f"{health.takes}s", health.answers == "classes"
    counts = words("health.counts" if of_classes else "health.splits")
    sections = [
        part
        for part, there in (
            ("findings", True),
            ("counts", health.counts),
            ("facts", health.facts),
            ("skipped", health.skipped),
        )
        if there
    ]
    return render(
        "health.html.jinja",
        words,
        title=f"{named(health.name)} – {words('health.page')}",
        kind=words("health.page"),
        heading=named(health.name),
        contents=[(part, counts if part == "counts" else words(f"health.{part}")) for part in sections],
        shown=sections,
        counts_heading=counts,
        health=health,
        found=found,
        short=_short(health, words, words.many(total, noun)),
        counts=counts_figure(health.counts, words) if health.counts and of_classes else None,
        counted=counts_table(health.counts, words, health.answers),
        undrawn=words("data.most", n=f"{len(health.counts) - DRAWN:,}") if len(health.counts) > DRAWN else "",
        facts=[(words.named("fact", name), _fact(value, words)) for name, value in health.facts.items()],
        skipped=[(title(kind, lang), title(why, lang)) for kind, why in health.skipped.items()],
    )


def _short(health: Health, words: Words, total: str) -> list[str]:
    """How much there is, and how much was found in it."""
    if health.answers == "classes":
        said = [words("health.short", total=total, classes=words.many(len(health.counts), "classes"))]
    elif health.answers == "numbers":
        said = [words("health.short.numbers", total=total, names=words.listed(map(named, health.counts)))]
    else:
        said = [words("health.short.parts", total=total)]
    levels = Counter(finding.level for finding in health.findings)
    if health.findings:
        counted = [words.many(levels[level], f"{level}s") for level in ORDER if levels[level]]
        said.append(words("health.found", levels=words.listed(counted)))
    else:
        said.append(words("health.none"))
    if health.model:
        said.append(words("health.with", model=short_model(health.model)))
    return said


def _shown(finding: Finding, words: Words) -> str:
    """How many of its groups a finding shows, where that is not all of them."""
    count = min(len(finding.groups), GROUPS)
    return (
        words("health.shown", n=f"{count:,}", all=f"{finding.count:,}") if 0 < count < finding.count else ""
    )


def _fact(value: Any, words: Words) -> str:
    """A measured quantity as it is written: a number, a spread, or counts by name."""
    if not isinstance(value, Mapping):
        return f"{value:,}" if isinstance(value, int | float) else str(value)
    if value.keys() == {"least", "middle", "most"}:
        if value["least"] == value["most"]:
            return f"{value['most']:,}"
        return words("health.spread", **{name: f"{n:,}" for name, n in value.items()})
    return words.listed([f"{name} {n:,}" for name, n in value.items()])


class _Cards:
    """What items look like, fetched once each, as long as there is room on the page."""

    def __init__(
        self,
        health: Health,
        picture: Callable[[Item], bytes | None],
        text: Callable[[Item], str | None],
        words: Words,
    ) -> None:
        self.image, self.words = health.takes == "image", words
        self.picture, self.text = picture, text
        self.room = ROOM

    def of(self, finding: Finding) -> list[list[Card]]:
        """The groups of a finding, each a list of its members."""
        return [[self._card(item) for item in group[:MEMBERS]] for group in finding.groups[:GROUPS]]

    def _card(self, item: Item) -> Card:
        jpeg = self.picture(item) if self.image and item.row is not None else None
        if jpeg is not None and len(jpeg) > self.room:
            jpeg = None
        self.room -= len(jpeg or b"")
        text = self.text(item) if not self.image and item.row is not None else None
        return {"item": item, "picture": jpeg, "text": text, "note": noted(item.note, self.words)}
