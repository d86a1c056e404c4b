"""The contract of a strategy: what every table of learning rates keeps to."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from tunesmith.errors import BadPlan
from tunesmith.plan import Plan
from tunesmith.strategies import STRATEGIES

STAGES = (1, 2, 3, 7, 18, 60)


class StrategyContract:
    """A member gives `name`; and `options`, if its strategy needs any beside stages, epochs and rates.

    rungs: whether each phase has so many epochs as were asked for, and ends where it gains nothing.
    tunes: whether any stage is ever trained.
    """

    name: str
    rungs = False
    tunes = True

    @pytest.fixture
    def strategy(self) -> Callable[..., Plan]:
        """The function that makes the plan."""
        made: Callable[..., Plan] = STRATEGIES.load(self.name)
        return made

    def options(self, stages: int) -> dict[str, Any]:  # noqa: ARG002
        """What it needs beside stages, epochs and lr, for a network of so many stages."""
        return {}

    @pytest.fixture
    def made(self, strategy: Callable[..., Plan]) -> Callable[..., Plan]:
        """Makes the plan of seven stages and six epochs, or of others."""

        def make(stages: int = 7, epochs: float = 6, lr: float = 1e-4, **more: Any) -> Plan:
            return strategy(stages, epochs, lr, **self.options(stages), **more)

        return make

    def test_the_name_in_the_registry_is_the_name_in_the_plan(self, made: Callable[..., Plan]) -> None:
        assert made().strategy == self.name

    @pytest.mark.parametrize("stages", STAGES)
    def test_there_is_a_rate_for_every_stage_and_the_head(
        self, made: Callable[..., Plan], stages: int
    ) -> None:
        assert {len(phase.lrs) for phase in made(stages).phases} == {stages + 1}

    @pytest.mark.parametrize("epochs", [2, 3, 5, 17, 2.5, 3.99])
    def test_the_phases_epochs_sum_to_what_was_asked(self, made: Callable[..., Plan], epochs: float) -> None:
        plan = made(epochs=epochs)
        assert plan.epochs == pytest.approx(epochs * (len(plan.phases) if self.rungs else 1), abs=1e-9)
        if epochs == int(epochs):
            assert all(phase.epochs == int(phase.epochs) for phase in plan.phases)

    @pytest.mark.parametrize("stages", STAGES)
    def test_the_head_trains_in_every_phase(self, made: Callable[..., Plan], stages: int) -> None:
        assert all(phase.lrs[-1] > 0 for phase in made(stages).phases)

    @pytest.mark.parametrize("decay", [1.0, 0.8])
    @pytest.mark.parametrize("stages", STAGES)
    def test_rates_never_rise_towards_the_input(
        self, made: Callable[..., Plan], stages: int, decay: float
    ) -> None:
        for phase in made(stages, head_lr=1e-3, decay=decay).phases:
            unfrozen = [lr for lr in phase.lrs if lr > 0]
            assert unfrozen == sorted(unfrozen)

    def test_no_stage_is_frozen_again(self, made: Callable[..., Plan]) -> None:
        for earlier, later in pairwise(made().phases):
            moved = [after for before, after in zip(earlier.lrs, later.lrs, strict=True) if before > 0]
            assert min(moved) > 0

    def test_no_rate_is_above_what_was_asked(self, made: Callable[..., Plan]) -> None:
        for phase in made(lr=1e-4, head_lr=1e-3).phases:
            assert max(phase.lrs[:-1], default=0) <= 1e-4
            assert phase.lrs[-1] in (1e-3, 1e-4)

    def test_without_a_rate_of_its_own_the_head_takes_the_stages_rate(
        self, made: Callable[..., Plan]
    ) -> None:
        assert all(phase.lrs[-1] == 1e-4 for phase in made().phases)

    def test_decay_lowers_each_stage_against_the_one_above(self, made: Callable[..., Plan]) -> None:
        """Compared with the same plan without decay: stage i keeps decay ** (stages - 1 - i) of its rate."""
        plain, lowered = made(), made(decay=0.5)
        for before, after in zip(plain.phases, lowered.phases, strict=True):
            expected = [lr * 0.5 ** (6 - i) for i, lr in enumerate(before.lrs[:-1])]
            assert after.lrs[:-1] == pytest.approx(expected)
            assert after.lrs[-1] == before.lrs[-1]

    def test_patience_reaches_every_phase(self, made: Callable[..., Plan]) -> None:
        assert {phase.patience for phase in made(patience=3).phases} == {3}
        assert {phase.patience for phase in made().phases} == {None}

    def test_parts_reach_every_phase_in_which_a_stage_trains(
        self, made: Callable[..., Plan], strategy: Callable[..., Plan]
    ) -> None:
        assert self.tunes == ("parts" in inspect.signature(strategy).parameters)
        if self.tunes:
            assert {p.parts for p in made(parts="norm").phases if any(p.lrs[:-1])} == {"norm"}

    @pytest.mark.parametrize("epochs", [0, -1, math.nan, math.inf])
    def test_epochs_that_cannot_be_are_refused(self, made: Callable[..., Plan], epochs: float) -> None:
        with pytest.raises(BadPlan, match="epochs"):
            made(epochs=epochs)

    @pytest.mark.parametrize("decay", [0.0, -0.5, 1.5, math.nan])
    def test_a_decay_outside_its_range_is_refused(self, made: Callable[..., Plan], decay: float) -> None:
        if self.tunes:  # else it takes decay, as all do, and has no use for it
            with pytest.raises(BadPlan, match="decay is the share"):
                made(decay=decay)

    @pytest.mark.parametrize("lr", [-1e-3, math.nan, math.inf, 11.0])
    def test_a_rate_outside_its_range_is_refused(self, made: Callable[..., Plan], lr: float) -> None:
        with pytest.raises(BadPlan, match="a learning rate must lie between"):
            made(lr=lr)
