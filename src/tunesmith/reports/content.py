"""What a report says, gathered once as plain values; a page in any language is a reading of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.evaluation import Score
from tunesmith.health.finding import Health
from tunesmith.plan import Plan


@dataclass(frozen=True)
class Shown:
    """One example as a page shows it.

    picture: JPEG bytes, at most 160 pixels a side; None for a text.
    text: the text, whole; None for an image.
    guess: what the network answered; probability: how sure it was of a class; between: the ends of the
        interval around a number, as they are written. None where nothing was asked, or there is none.
    heat: JPEG bytes, the picture with what the answer rests on laid over it (Grad-CAM); None without.
    tokens: pieces of the text in order, each with how much it speaks for the guess (above 0) or against
        it, scaled to -1..1; None without.
    """

    id: str
    truth: str | None
    picture: bytes | None = None
    text: str | None = None
    guess: str | None = None
    probability: float | None = None
    heat: bytes | None = None
    tokens: tuple[tuple[str, float], ...] | None = None
    between: tuple[str, str] | None = None


@dataclass(frozen=True)
class Calibration:
    """How far stated probabilities can be believed, on the test split.

    bins: mean stated probability of the guess, share that was right, and count, by tenths; empty ones
        are left out.
    ece: expected calibration error, 0 to 1 (Naeini et al. 2015).
    after_bins, after_ece: with the logits divided by `temperature`, which is chosen on the validation
        split (Guo et al. 2017, arXiv:1706.04599).
    """

    bins: tuple[tuple[float, float, int], ...]
    ece: float
    temperature: float
    after_bins: tuple[tuple[float, float, int], ...]
    after_ece: float


@dataclass(frozen=True)
class OfClasses:
    """What the page of a run tells of classes alone.

    counts: examples by label and split. calibration: None where validation was not kept.
    mistakes: the most confident wrong answers on the test split, most confident first.
    """

    counts: Mapping[str, Mapping[str, int]]
    calibration: Calibration | None
    mistakes: tuple[Shown, ...]


@dataclass(frozen=True)
class Moved:
    """How far a stage went from its pretrained weights: |now - then| / |then|, over all its weights."""

    stage: str
    distance: float
    trained: bool


@dataclass(frozen=True)
class Advice:
    """One thing to try next: the key of a sentence, and what it is filled with."""

    kind: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Content:
    """Everything that the page of one run says, in reading order.

    kind: of its answers, by its name in `kinds.KINDS`.
    scores: scores.json as it is: metrics with intervals, baselines, difference, confusion, what was kept.
    replay: replay.json as it is; history: a row per epoch, as in history.jsonl.
    labels: names of the classes, the columns of numbers, the types of parts. sizes: examples by split.
    parts: names of stages and head, input first.
    own: what the kind of answers alone tells, as it gathered it: OfClasses of classes.
    advice: most promising first. missing: parts that could not be shown, each with the reason.
    ladder: the rungs of strategy auto, as in ladder.json; none for others.
    """

    name: str
    created: str
    task: str
    kind: str
    takes: str
    model: str
    seconds: float | None
    labels: tuple[str, ...]
    sizes: Mapping[str, int]
    examples: tuple[Shown, ...]
    plan: Plan
    parts: tuple[str, ...]
    replay: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    scores: Mapping[str, Any]
    test: Score
    baseline: str
    baseline_test: Score
    gap: Score
    own: Any
    moved: tuple[Moved, ...]
    health: Health | None
    advice: tuple[Advice, ...]
    command: str
    versions: Mapping[str, str]
    missing: Mapping[str, str]
    ladder: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Compared:
    """One run beside others that were scored on the same test examples.

    scores: by metric, classes among them ("f1/glass"), each with its interval.
    gaps: by metric without classes: how much better than the first run on the same examples, with the
        paired interval; above 0 is better, also for losses. Empty for the first run.
    only_first, only_this: test units that the first run answers better than this one, and this one better
        than the first: right where the other is wrong, or nearer to the truth.
    plan, parts: what trained when, and the names of stages and head, input first.
    command: what made the run.
    """

    name: str
    folder: str
    created: str
    model: str
    strategy: str
    epochs: float
    seconds: float | None
    scores: Mapping[str, Score]
    gaps: Mapping[str, Score]
    only_first: int
    only_this: int
    plan: Plan
    parts: tuple[str, ...]
    command: str


@dataclass(frozen=True)
class Comparison:
    """Runs side by side, the one that the others are compared with first.

    answers: "classes", "numbers" or "parts". metric: what the first run was decided by; every run has it.
    count: test units, the same for all. counts: test examples of each class; empty without classes.
    differ: the options in which the runs differ, each with a value per run in words.
    """

    task: str
    answers: str
    metric: str
    count: int
    counts: Mapping[str, int]
    runs: tuple[Compared, ...]
    differ: Mapping[str, tuple[str, ...]]
