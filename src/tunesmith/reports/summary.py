"""What a run came to, in sentences that need no knowledge of the field."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import Any

from tunesmith.evaluation import Score
from tunesmith.reports.content import Content
from tunesmith.reports.figures import SPLITS, score_of
from tunesmith.reports.rendering import named, number, share_of, signed
from tunesmith.reports.words import Words
from tunesmith.verdicts.keeping import TRAINED


def short_model(model: str) -> str:
    """A model's name without the digest of its weights and the options it was built with.

    >>> short_model("timm/mobilenetv2_100?pad_type=same@16a0756bffcb")
    'timm/mobilenetv2_100'
    >>> short_model("MyNet")
    'MyNet'
    """
    return (model.rpartition("@")[0] or model).partition("?")[0]


def sentences(content: Content, words: Words) -> list[str]:
    """What was made of what, how good it is, whether it helped, what went wrong, what leaked."""
    counts = content.counts
    sizes = {split: sum(own.get(split, 0) for own in counts.values()) for split in SPLITS}
    said = [
        words(
            f"short.{content.takes}",
            model=short_model(content.model),
            train=f"{sizes['train']:,}",
            classes=words.many(len(content.labels), "classes"),
            labels=words.listed([named(label, 30) for label in content.labels], most=8),
        ),
        how_good(content, words),
        helped(content, words),
        *between(content, words),
        *alarmed(content, words),
    ]
    leak = without_twins(content, words)
    return [*said, leak] if leak else said


def how_good(content: Content, words: Words) -> str:
    """The score, as so many of 100 where it is a share of right answers."""
    metric, test = str(content.scores["metric"]), content.test
    count = f"{int(content.scores['test']['count']):,}"
    if metric == "accuracy":
        told = {"value": _of_hundred(test.value), "low": _of_hundred(test.low)}
        high = _of_hundred(test.high)
        return words(f"short.hundred.{content.takes}", count=count, high=high, **told)
    return words("short.score", count=count, metric=words.named("metric", metric), **_written(test))


def helped(content: Content, words: Words) -> str:
    """Whether fine-tuning beat the strongest baseline on the same examples."""
    gap = content.gap
    outcome = "better" if gap.low > 0 else "worse" if gap.high < 0 else "same"
    if content.baseline == TRAINED:
        outcome = f"probe.{outcome}"
    return words(
        f"short.{outcome}",
        baseline=words.named("baseline", content.baseline),
        theirs=number(content.baseline_test.value),
        gap=signed(gap.value),
        low=signed(gap.low),
        high=signed(gap.high),
    )


def between(content: Content, words: Words) -> list[str]:
    """That what is kept lies between the pretrained network and the trained one, where it does."""
    share = content.scores.get("kept", {}).get("coefficient")
    return [] if share is None else [words("short.between", share=share_of(float(share)))]


def alarmed(content: Content, words: Words) -> list[str]:
    """A sentence for each alarm, the surest first."""
    said = []
    for alarm in content.scores.get("alarms", ()):
        told = alarm["told"]
        harmed = [
            words(
                "alarm.harmed.class",
                label=named(label, 30),
                found=own["found"],
                count=own["count"],
                before=own["found_by_probe"],
            )
            for label, own in told.get("classes", {}).items()
        ]
        said.append(
            words(
                f"alarm.{alarm['kind']}",
                against=named(str(told["against"])),
                gap=signed(float(told.get("gap", 0.0))),
                classes=words.listed(harmed, most=5),
            )
        )
    return said


def doubling(content: Content, words: Words) -> str:
    """What the last doubling of the labels brought, and what the next one may bring."""
    own = content.scores["learning"]["doubling"]
    return words(
        "learning.doubling",
        count=f"{int(own['labels']):,}",
        half=f"{int(own['labels']) // 2:,}",
        metric=words.named("metric", str(content.scores["metric"])),
        gain=signed(float(own["value"])),
        low=signed(float(own["low"])),
        high=signed(float(own["high"])),
        forecast=signed(float(own["forecast"])),
    )


def without_twins(content: Content, words: Words) -> str | None:
    """The score without test examples that were seen in training or validation, if there are any."""
    without: Mapping[str, Any] = content.scores.get("without_duplicates") or {}
    metric = str(content.scores["metric"])
    again = without.get("metrics", without).get(metric)
    if not without.get("count_left_out") or not isinstance(again, Mapping):
        return None
    return words(
        "short.leak",
        count=f"{int(without['count_left_out']):,}",
        metric=words.named("metric", metric),
        value=number(score_of(again).value),
        before=number(content.test.value),
    )


def facts(content: Content, words: Words) -> str:
    """Strategy, length and date on one line."""
    told = {
        "strategy": content.plan.strategy,
        "epochs": words.many(content.plan.epochs, "epochs"),
        "created": content.created[:16].replace("T", " "),
    }
    if content.seconds is None:
        return words("short.untimed", **told)
    return words("short.facts", seconds=words.duration(content.seconds), **told)


def _of_hundred(value: float) -> int:
    return floor(100 * value + 0.5)


def _written(score: Score) -> dict[str, str]:
    return {"value": number(score.value), "low": number(score.low), "high": number(score.high)}
