"""What pages are made of, small and by hand."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tunesmith.evaluation import Score
from tunesmith.health.finding import Finding, Health, Item
from tunesmith.plan import Phase, Plan
from tunesmith.reports.content import (
    Advice,
    Calibration,
    Compared,
    Comparison,
    Content,
    Moved,
    OfClasses,
    Shown,
)
from tunesmith.reports.kinds.numbers_figures import OF_COLUMN, Column, OfNumbers

KNOWN = {"train": 200, "valid": 40}
PARTS = ("stem", "block.0", "block.1", "head")


def noise(seed: int, side: int = 160) -> bytes:
    """A JPEG as large as one of its size can be."""
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=80)
    return file.getvalue()


def told(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.03, "high": value + 0.03}


def made(
    labels: tuple[str, ...] = ("glass", "metal", "paper"), *, takes: str = "image", side: int = 8
) -> Content:
    """A run's content: 24 examples and 12 mistakes."""
    K = len(labels)
    phases = (Phase("head", 2, (0, 0, 0, 3e-3)), Phase("full", 4, (3e-5, 6e-5, 1e-4, 3e-3)))
    history = [
        {"phase": phase, "epoch": epoch, "train_loss": 1 / (epoch + 1), "valid_loss": 0.6, "accuracy": 0.8}
        for phase, epoch in (("head", 1), ("head", 2), ("full", 1), ("full", 2))
    ]
    metrics = {"accuracy": told(0.86789), "macro_f1": told(0.84), "log_loss": told(0.41)}
    for label in labels:
        metrics |= {f"{name}/{label}": told(0.8) for name in ("precision", "recall", "f1")}
    confusion = [[9 if i == j else int(j == i + 1) for j in range(K)] for i in range(K)]
    baselines = {name: {"metrics": {"accuracy": told(0.5)}} for name in ("majority class", "linear probe")}
    bins = ((0.55, 0.4, 10), (0.95, 0.9, 20))
    shown: dict[str, Any] = {
        "truth": labels[0],
        "text": None if takes == "image" else "a text that says little",
    }

    def picture(seed: int) -> bytes | None:
        return noise(seed, side) if takes == "image" else None

    tokens = (
        None if takes == "image" else (("a ", 0.05), ("text ", 1.0), ("that ", -0.7), ("says little", 0.2))
    )
    return Content(
        name="rubbish",
        created="2026-11-22 10:14",
        task=f"{takes}-classification",
        kind="classes",
        takes=takes,
        model="timm/some_net?pad=same@16a0756bffcb",
        seconds=75.0,
        labels=labels,
        sizes={"train": 20 * K, "valid": 4 * K, "test": 10 * K},
        examples=tuple(Shown(f"{i}.jpg", picture=picture(i), **shown) for i in range(24)),
        plan=Plan("lp_ft", phases),
        parts=PARTS,
        replay={"engine": "openvino", "precision": "fp32", "agreement": 4e-5, "share": 0.45, "computed": 90},
        history=tuple(history),
        scores={
            "metric": "accuracy",
            "kept": {"phase": "full", "epoch": 1},
            "test": {"metrics": metrics, "count": 10 * K, "confusion": confusion},
            "baselines": baselines,
        },
        test=Score(0.86789, 0.834, 0.902),
        baseline="linear probe",
        baseline_test=Score(0.815, 0.776, 0.852),
        gap=Score(0.053, 0.021, 0.084),
        own=OfClasses(
            counts={label: {"train": 20, "valid": 4, "test": 10} for label in labels},
            calibration=Calibration(bins, 0.07, 1.6, bins, 0.02),
            mistakes=tuple(
                Shown(
                    f"m{i}.jpg",
                    picture=picture(50 + i),
                    heat=picture(70 + i),
                    guess=labels[-1],
                    probability=0.99,
                    tokens=tokens,
                    **shown,
                )
                for i in range(12)
            ),
        ),
        moved=tuple(Moved(part, 0.02 * i, i > 0) for i, part in enumerate(PARTS[:-1])),
        health=health(),
        advice=(Advice("best_was_last", {"epochs": 6.0, "command": "tunesmith fit rubbish --epochs 12"}),),
        command="tunesmith fit rubbish --strategy lp_ft",
        versions={"tunesmith": "0.1.0", "torch": "2.15.0"},
        missing={},
    )


def of_numbers(*, takes: str = "image", columns: int = 1, half: float | None = 9_000.0) -> Content:
    """A run's content whose answers are numbers: 60 test examples, two of them far off."""
    names = ("price", "weight <kg>", "size")[:columns]
    random = np.random.default_rng(0)
    own = []
    for k, name in enumerate(names):
        unit = 10.0 ** (-3 * k)
        truth, off = random.uniform(20_000, 150_000, 60), random.normal(0, 4_000, 60)
        off[:2] = 30_000, -25_000
        known = {split: tuple(unit * random.uniform(20_000, 150_000, n)) for split, n in KNOWN.items()}
        answers = tuple(unit * (truth + off))
        own.append(Column(name, known, tuple(unit * truth), answers, None if half is None else half * unit))
    metric = "rmse" if columns == 1 else "standardised_rmse"
    scale = 1.0 if columns > 1 else 10_000.0
    values = {"rmse": 0.71, "mae": 0.52, "r2": 0.91, "spearman": 0.95, "squared_loss": 0.11}
    scores: dict[str, Any] = {}
    for name, value in values.items():
        unit = scale if name in ("rmse", "mae") else 1.0
        scores[name] = {"value": unit * value, "low": unit * (value - 0.05), "high": unit * (value + 0.05)}
    if columns > 1:
        scores = {"standardised_rmse": scores["rmse"]} | {k: scores[k] for k in ("r2", "spearman")} | {
            f"{metric_}/{name}": scores[metric_] for metric_ in OF_COLUMN for name in names
        }  # fmt: skip
    baselines = {
        name: {"metrics": {metric: {side: 3 * value for side, value in scores[metric].items()}}}
        for name in ("training mean", "linear probe")
    }
    base = made(takes=takes)
    shown = tuple(
        replace(one, guess="104,000", truth="74,000", probability=None, between=("95,000", "113,000"))
        for one in base.own.mistakes[:8]
    )
    history = [{**row, metric: scores[metric]["value"]} for row in base.history]
    test = Score(*scores[metric].values())
    return replace(
        base,
        task=f"{takes}-regression",
        kind="numbers",
        labels=names,
        sizes={**KNOWN, "test": 60},
        examples=tuple(replace(one, truth="74,000") for one in base.examples),
        history=tuple(history),
        scores={
            "metric": metric,
            "kept": {"phase": "full", "epoch": 1},
            "test": {"metrics": scores, "count": 60, "confusion": None},
            "baselines": baselines,
        },
        test=test,
        baseline_test=Score(*(3 * value for value in vars(test).values())),
        gap=Score(*(2 * value for value in vars(test).values())),
        own=OfNumbers(tuple(own), shown, shown[:3]),
    )


def health() -> Health:
    said = ("looks like metal (0.93)", "8 × 512 pixels", "has 9,000 scans")
    pairs = tuple(
        (Item(f"{i}.jpg", "train", i, "glass", said[i % 3]), Item(f"{i}.jpg", "test", i, "metal"))
        for i in range(20)
    )
    return Health(
        name="rubbish",
        takes="image",
        understood=(),
        counts={"glass": {"train": 20, "valid": 4, "test": 10}},
        findings=(
            Finding(
                "imbalance",
                "note",
                {"largest": "glass", "smallest": "metal", "ratio": 4.0, "most": 80, "fewest": 20},
            ),
            Finding("byte_equal_two_labels", "error", {"groups": 20}, pairs, 20),
        ),
        facts={"width": {"least": 8, "middle": 160, "most": 512}, "modes": {"RGB": 30}, "sizes": 3},
        skipped={"suspected_labels": "needs_model"},
    )


def comparison() -> Comparison:
    def run(name: str, value: float, gaps: dict[str, Score]) -> Compared:
        scores = {
            key: Score(value, value - 0.03, value + 0.03) for key in ("accuracy", "log_loss", "f1/glass")
        }
        plan = Plan("full", (Phase("full", 4, (3e-5, 6e-5, 1e-4, 3e-3)),))
        return Compared(
            name, f"runs/{name}", "2026-11-22 10:14", "timm/some_net@16a0756bffcb", "full", 4.0, 75.0, scores,
            gaps, 3, 9, plan, PARTS, f"tunesmith fit rubbish --out runs/{name}",
        )  # fmt: skip

    runs = (
        run("first", 0.8, {}),
        run("better", 0.9, {"accuracy": Score(0.1, 0.05, 0.15)}),
        run("alike", 0.81, {"accuracy": Score(0.01, -0.05, 0.06)}),
    )
    differ = {"strategy": ("full", "full", "top")}
    return Comparison("image-classification", "classes", "accuracy", 300, {"glass": 300}, runs, differ)


@pytest.fixture(scope="session")
def make_content() -> Callable[..., Content]:
    """Make a run's content: labels, what it takes, the side of its pictures, and fields to replace.

    own: fields to replace of what is told of classes alone.
    """

    def make(
        *args: Any, takes: str = "image", side: int = 8, own: dict[str, Any] | None = None, **fields: Any
    ) -> Content:
        content = made(*args, takes=takes, side=side)
        return replace(content, own=replace(content.own, **(own or {})), **fields)

    return make


@pytest.fixture(scope="session")
def make_numbers() -> Callable[..., Content]:
    """Make the content of a run of numbers: what it takes, how many columns, half of the interval."""
    return of_numbers


@pytest.fixture(scope="session")
def pages(make_content: Callable[..., Content]) -> dict[str, str]:
    """Every page in both languages: "run en", "texts zh", "health en" ..."""
    from tunesmith.reports.compare_page import compare_page
    from tunesmith.reports.health_page import health_page
    from tunesmith.reports.page import run_page

    made_ = {}
    for lang in ("en", "zh"):
        made_[f"run {lang}"] = run_page(make_content(), lang=lang)
        made_[f"texts {lang}"] = run_page(make_content(takes="text"), lang=lang)
        made_[f"numbers {lang}"] = run_page(of_numbers(), lang=lang)
        made_[f"columns {lang}"] = run_page(of_numbers(takes="text", columns=2), lang=lang)
        made_[f"health {lang}"] = health_page(health(), lambda _: noise(1, 8), lambda _: None, lang=lang)
        made_[f"compare {lang}"] = compare_page(comparison(), lang=lang)
    return made_


@pytest.fixture(scope="session")
def some_health() -> Health:
    """The health of some pictures: 20 pairs under two labels, and an imbalance."""
    return health()


@pytest.fixture(scope="session")
def some_comparison() -> Comparison:
    """Three runs on 300 test examples of one class."""
    return comparison()
