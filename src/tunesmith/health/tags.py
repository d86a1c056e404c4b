"""Tagged words: what does not follow the scheme, what cannot be learned, and sentences that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tunesmith.data.data import SPLITS
from tunesmith.data.tags import Answer
from tunesmith.health.roll import Roll

if TYPE_CHECKING:
    from tunesmith.health.finding import Finding

LONGEST: Final = 1_000  # words, above which a blank line is probably missing
NAMED: Final = 10  # types that a sentence names


def about_tags(roll: Roll) -> list[Finding]:
    """I- tags without a B- before them, types that training lacks, and sentences of over 1,000 words."""
    strays: dict[int, str] = {}
    long: dict[int, str] = {}
    places: dict[str, list[int]] = {}
    seen: set[str] = set()
    count = 0
    for place in roll.usable.tolist():
        answer = Answer.of(roll.names[int(roll.codes[place])])
        if answer.strays:
            strays[place] = f"word {', '.join(str(word + 1) for word in answer.strays[:NAMED])}"
            count += len(answer.strays)
        if len(answer.words) > LONGEST:
            long[place] = f"{len(answer.words):,} words"
        types = {tag[2:] for tag in answer.tags if tag != "O"}
        if SPLITS[int(roll.splits[place])] == "train":
            seen |= types
        else:
            for kind in types:
                places.setdefault(kind, []).append(place)
    unseen = sorted(set(places) - seen)
    found = []
    if strays:
        groups = [[place] for place in strays]
        found.append(roll.finding("stray_inside", "warning", groups, strays, count=count))
    if unseen:
        named = ", ".join(unseen[:NAMED])
        own = [[place] for kind in unseen for place in places[kind]]
        found.append(roll.finding("unseen_types", "warning", own, count=len(unseen), named=named))
    if long:
        groups = [[place] for place in long]
        found.append(roll.finding("long_sentences", "warning", groups, long, count=len(long)))
    return found
