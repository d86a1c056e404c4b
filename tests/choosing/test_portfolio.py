"""Six points to start from per family: each a plan can hold, each with its source, none twice."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tunesmith.choosing.portfolio import PORTFOLIOS, starts
from tunesmith.choosing.which_lr import DEFAULTS, defaults
from tunesmith.plan import CHOICES, Plan, Settings
from tunesmith.strategies import STRATEGIES
from tunesmith.training.supervisor import Start, begun_with

EVERY = pytest.mark.parametrize("family", DEFAULTS)


@EVERY
def test_a_family_has_six_different_starts_and_the_plan_is_the_first(family: str) -> None:
    found = PORTFOLIOS[family]
    assert len(found) == 6
    assert len({dataclasses.replace(start, source="") for start in found}) == 6
    assert dataclasses.replace(found[0], source="") == Start()
    assert all("arXiv:" in start.source for start in found[1:])


@EVERY
@pytest.mark.parametrize("optimizer", CHOICES["optimizer"])
def test_a_plan_can_hold_every_start(family: str, optimizer: str) -> None:
    base = defaults(family, optimizer)
    for strategy in ("linear_probe", "top", "gradual", "lp_ft", "full"):
        made = STRATEGIES.load(strategy)(6, 5, base.full_lr, head_lr=base.head_lr, decay=base.decay)
        for start in starts(family):
            for phase in made.phases:
                begun, settings = begun_with(phase, Settings(optimizer=optimizer), start, 1 / 9)
                Plan("any", (begun,), settings)
                assert [lr > 0 for lr in begun.lrs] == [lr > 0 for lr in phase.lrs]


@EVERY
def test_rates_below_and_above_the_defaults_are_tried(family: str) -> None:
    rates = [start.rate for start in PORTFOLIOS[family]]
    assert min(rates) < 0.5
    assert max(rates) > 2


def test_what_a_person_named_is_left_alone() -> None:
    names = ("batch", "warmup", "weight_decay", "decay")
    assert all(dataclasses.replace(s, rate=1.0, source="") == Start() for s in starts("cnn", named=names))
    assert any(start.batch for start in starts("cnn"))


def test_the_first_start_leaves_phase_and_settings_as_they_are() -> None:
    made = STRATEGIES.load("lp_ft")(4, 5, 1e-4, head_lr=1e-3)
    assert begun_with(made.phases[1], made.settings, Start(), 1.0) == (made.phases[1], made.settings)


def test_the_page_has_every_start_as_it_stands_in_the_code() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "rates.md").read_text(encoding="utf-8")
    said = re.findall(r"^\|\s+\w*\s*\| \d \|.*$", page, re.MULTILINE)
    expected = []
    for family, found in PORTFOLIOS.items():
        for i, start in enumerate(found, start=1):
            given = (start.batch, start.warmup, start.weight_decay)
            cells = [family if i == 1 else "", str(i), f"{start.rate:.2g}"]
            cells += ["" if value is None else f"{value:g}" for value in given]
            cells += ["" if start.decay == 1 else f"{start.decay:g}", start.source]
            expected.append("| " + " | ".join(cells) + " |")
    assert said == expected
