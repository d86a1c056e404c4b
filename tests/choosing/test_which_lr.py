"""Default rates: within what a plan may hold, and below what pretraining used."""

from __future__ import annotations

import pytest

from tunesmith.choosing.which_lr import DEFAULTS, SGD_RATIO, defaults, too_high
from tunesmith.plan import CHOICES, Phase, Plan, Settings

EVERY = pytest.mark.parametrize("family", DEFAULTS)
OPTIMIZERS = pytest.mark.parametrize("optimizer", CHOICES["optimizer"])


@EVERY
@OPTIMIZERS
def test_a_plan_can_hold_the_defaults(family: str, optimizer: str) -> None:
    found = defaults(family, optimizer)
    Plan(
        "any",
        (Phase("any", 1, (found.full_lr, found.top_lr, found.head_lr)),),
        Settings(weight_decay=found.weight_decay, warmup=found.warmup, schedule=found.schedule),
    )


@EVERY
@OPTIMIZERS
def test_the_defaults_of_stages_are_below_those_of_pretraining(family: str, optimizer: str) -> None:
    found = defaults(family, optimizer)
    assert too_high(found.full_lr, family, optimizer) is None
    assert too_high(found.top_lr, family, optimizer) is None


@EVERY
@OPTIMIZERS
def test_the_more_stages_train_the_lower_the_rate(family: str, optimizer: str) -> None:
    found = defaults(family, optimizer)
    assert found.full_lr <= found.top_lr <= found.head_lr


@EVERY
def test_sgd_takes_higher_rates_than_adam_and_nothing_else_differs(family: str) -> None:
    adam, sgd = defaults(family, "adamw"), defaults(family, "sgd")
    for name in ("head_lr", "top_lr", "full_lr"):
        assert getattr(sgd, name) == pytest.approx(SGD_RATIO[family] * getattr(adam, name))
    for name in ("decay", "weight_decay", "warmup", "schedule", "pretraining_lr"):
        assert getattr(sgd, name) == getattr(adam, name)
    assert defaults(family, "adam") == adam


@pytest.mark.parametrize(
    ("lr", "optimizer", "warns"),
    [(6e-4, "adamw", False), (7e-4, "adamw", True), (7e-4, "sgd", False), (0.2, "sgd", True)],
)
def test_a_rate_above_pretraining_is_warned_of(lr: float, optimizer: str, warns: bool) -> None:
    assert (too_high(lr, "text", optimizer) is not None) == warns


def test_the_warning_says_both_rates() -> None:
    assert too_high(0.01, "cnn", "adamw") == (
        "a learning rate of 0.01 for pretrained stages is above the 0.005 that networks of this family "
        "(cnn, adamw) are pretrained with: what they know may be lost."
    )
