"""What a run came to, in sentences that need no knowledge of the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.reports.content import Content
from tunesmith.reports.figures import learning_metric, score_of
from tunesmith.reports.rendering import named, number, share_of, signed
from tunesmith.reports.words import Words
from tunesmith.tasks import TASKS
from tunesmith.verdicts.keeping import PROBE, SHALLOWER, TRAINED


def short_model(model: str) -> str:
    """A model's name without the digest of its weights and the options it was built with.

    >>> short_model("timm/mobilenetv2_100?pad_type=same@16a0756bffcb")
    'timm/mobilenetv2_100'
    >>> short_model("MyNet")
    'MyNet'
    """
    return (model.rpartition("@")[0] or model).partition("?")[0]


def noun(content: Content) -> str:
    """What a run's examples are called in `Words.many`."""
    if content.takes == "image":
        return "images"
    return {"pair": "pairs", "question": "questions", "sentence": "sentences"}.get(
        TASKS.load(content.task)().unit, "texts"
    )


def made_of(content: Content, words: Words, key: str, **values: str) -> str:
    """What was made of what: the sentence of a kind of answers, with the network and the examples it had.

    values: what else fills the sentence.
    """
    told = {"model": short_model(content.model), "train": words.many(content.sizes["train"], noun(content))}
    return words(key, **told, **values)


def scored(content: Content, words: Words) -> str:
    """The score on the test split, with its interval."""
    count, metric = f"{int(content.scores['test']['count']):,}", str(content.scores["metric"])
    written = {name: number(value, metric) for name, value in vars(content.test).items()}
    return words("short.score", count=count, metric=words.named("metric", metric), **written)


def sentences(content: Content, words: Words) -> list[str]:
    """Whether fine-tuning helped, what went wrong, what leaked; behind what the kind of answers says."""
    said = [helped(content, words), *between(content, words), *alarmed(content, words)]
    leak = without_twins(content, words)
    return [*said, leak] if leak else said


def helped(content: Content, words: Words) -> str:
    """Whether fine-tuning beat the strongest baseline on the same examples."""
    gap = content.gap
    outcome = "better" if gap.low > 0 else "worse" if gap.high < 0 else "same"
    if content.baseline != PROBE:
        outcome = f"{'probe' if content.baseline == TRAINED else 'simple'}.{outcome}"
    metric = str(content.scores["metric"])
    return words(
        f"short.{outcome}",
        baseline=words.named("baseline", content.baseline),
        theirs=number(content.baseline_test.value, metric),
        gap=signed(gap.value, metric),
        low=signed(gap.low, metric),
        high=signed(gap.high, metric),
    )


def between(content: Content, words: Words) -> list[str]:
    """That what is kept lies between the pretrained network and the trained one, where it does."""
    kept = content.scores.get("kept", {})
    if kept.get("what") == SHALLOWER:
        return [words("short.shallower")]
    share = kept.get("coefficient")
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
                gap=signed(float(told.get("gap", 0.0)), str(content.scores["metric"])),
                classes=words.listed(harmed, most=5),
            )
        )
    return said


def doubling(content: Content, words: Words) -> str:
    """What the last doubling of the labels brought, and what the next one may bring."""
    own, metric = content.scores["learning"]["doubling"], learning_metric(content)
    return words(
        "learning.doubling",
        count=f"{int(own['labels']):,}",
        half=f"{int(own['labels']) // 2:,}",
        metric=words.named("metric", metric),
        gain=signed(float(own["value"]), metric),
        low=signed(float(own["low"]), metric),
        high=signed(float(own["high"]), metric),
        forecast=signed(float(own["forecast"]), metric),
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
        value=number(score_of(again).value, metric),
        before=number(content.test.value, metric),
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
