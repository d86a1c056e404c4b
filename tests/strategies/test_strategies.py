"""What every strategy promises; and what each promises beside that."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.errors import BadPlan
from tunesmith.strategies import STRATEGIES
from tunesmith.strategies.gradual import group_of
from tunesmith.strategies.gradual import plan as gradual
from tunesmith.strategies.rates import decayed
from tunesmith.testing import StrategyContract


class TestLinearProbe(StrategyContract):
    name = "linear_probe"
    tunes = False


class TestFull(StrategyContract):
    name = "full"


class TestGradual(StrategyContract):
    name = "gradual"


class TestLpFt(StrategyContract):
    name = "lp_ft"


class TestContrastive(StrategyContract):
    name = "contrastive"


class TestTop(StrategyContract):
    name = "top"

    def options(self, stages: int) -> dict[str, Any]:
        return {"unfreeze": (stages + 1) // 2}


class TestSurgical(StrategyContract):
    name = "surgical"

    def options(self, stages: int) -> dict[str, Any]:
        return {"unfreeze": [0, stages // 2]}


class TestAuto(StrategyContract):
    name = "auto"
    rungs = True


def test_every_strategy_keeps_the_contract() -> None:
    members = [m for m in globals().values() if isinstance(m, type) and issubclass(m, StrategyContract)]
    assert {member.name for member in members if member is not StrategyContract} == set(STRATEGIES.names())


@given(st.integers(1, 60), st.integers(2, 40))
def test_gradual_gives_every_phase_at_least_one_epoch(stages: int, epochs: int) -> None:
    plan = gradual(stages, epochs, 1e-3)
    assert min(phase.epochs for phase in plan.phases) >= 1
    assert plan.epochs == epochs


@given(st.integers(1, 60), st.floats(2, 40))
def test_gradual_gives_every_phase_an_epoch_of_fractions_too(stages: int, epochs: float) -> None:
    plan = gradual(stages, epochs, 1e-3)
    assert min(phase.epochs for phase in plan.phases) >= 1
    assert plan.epochs == pytest.approx(epochs)


@given(st.integers(1, 60), st.integers(2, 40))
def test_gradual_unfreezes_something_in_every_phase_and_all_in_the_last(stages: int, epochs: int) -> None:
    prefixes = [phase.frozen_prefix for phase in gradual(stages, epochs, 1e-3).phases]
    assert prefixes[0] == stages
    assert prefixes[-1] == 0
    assert all(later < earlier for earlier, later in pairwise(prefixes))


@given(st.integers(1, 60), st.integers(2, 40))
def test_gradual_leaves_the_first_stage_a_hundredth_of_the_last_ones_rate(stages: int, epochs: int) -> None:
    lrs = gradual(stages, epochs, 1e-3).phases[-1].lrs[:-1]
    assert lrs[-1] / lrs[0] <= 100 * (1 + 1e-9)


def test_gradual_with_four_groups_is_that_of_the_paper() -> None:
    """Howard & Ruder: one group an epoch, each at 1/2.6 of the rate above it, the head's among them."""
    found = gradual(stages=3, epochs=4, lr=0.01).phases
    assert [phase.epochs for phase in found] == [1, 1, 1, 1]
    assert found[-1].lrs == pytest.approx((0.01 / 2.6**3, 0.01 / 2.6**2, 0.01 / 2.6, 0.01))


def test_gradual_gives_the_epochs_left_over_to_the_later_phases() -> None:
    assert [phase.epochs for phase in gradual(3, 11, 1e-3).phases] == [2, 3, 3, 3]
    assert [phase.epochs for phase in gradual(60, 7, 1e-3).phases] == [1] * 7


@given(st.integers(1, 60), st.integers(1, 60))
def test_groups_are_nearly_equal_and_none_is_empty(stages: int, groups: int) -> None:
    groups = min(groups, stages)
    sizes = [sum(group_of(i, stages, groups) == g for i in range(stages)) for g in range(groups)]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


def test_gradual_needs_two_epochs() -> None:
    with pytest.raises(
        BadPlan, match=r"at least 2 epochs, one for the head and one for the stages; found 1\."
    ):
        gradual(3, 1, 1e-3)


def test_gradual_refuses_a_factor_that_would_raise_rates() -> None:
    with pytest.raises(
        BadPlan, match=r"factor divides the rate from group to group, so it is at least 1; found 0\.5"
    ):
        gradual(3, 4, 1e-3, factor=0.5)


def test_top_trains_the_last_stages() -> None:
    plan = STRATEGIES.load("top")(5, 3, 1e-4, head_lr=1e-3, unfreeze=2)
    assert plan.phases[0].lrs == (0.0, 0.0, 0.0, 1e-4, 1e-4, 1e-3)
    assert plan.phases[0].frozen_prefix == 3


@pytest.mark.parametrize("unfreeze", [0, 6, -1])
def test_top_refuses_stages_that_are_not_there(unfreeze: int) -> None:
    with pytest.raises(
        BadPlan, match=rf"unfreeze={unfreeze} asks for more or fewer stages than there are: 1 to 5"
    ):
        STRATEGIES.load("top")(5, 3, 1e-4, unfreeze=unfreeze)


def test_surgical_trains_the_named_stages_alone() -> None:
    plan = STRATEGIES.load("surgical")(5, 3, 1e-4, head_lr=1e-3, unfreeze=[3, 1, 3])
    assert plan.phases[0].lrs == (0.0, 1e-4, 0.0, 1e-4, 0.0, 1e-3)
    assert plan.phases[0].name == "stage 1, 3"


@pytest.mark.parametrize("unfreeze", [[5], [-1], [0, 9]])
def test_surgical_refuses_stages_that_are_not_there(unfreeze: list[int]) -> None:
    with pytest.raises(BadPlan, match="names a stage that is not there: they go from 0 to 4"):
        STRATEGIES.load("surgical")(5, 3, 1e-4, unfreeze=unfreeze)


def test_surgical_wants_to_know_which_stages() -> None:
    with pytest.raises(BadPlan, match=r"needs the stages to train: unfreeze=\[0\], or --unfreeze NAME"):
        STRATEGIES.load("surgical")(5, 3, 1e-4)


def test_auto_goes_from_the_head_over_the_last_stage_and_a_quarter_to_everything() -> None:
    plan = STRATEGIES.load("auto")(8, 3, 2e-4, head_lr=1e-3, full_lr=1e-4)
    assert [phase.frozen_prefix for phase in plan.phases] == [8, 7, 6, 0]
    assert [phase.must_gain for phase in plan.phases] == [False, True, True, True]
    assert [max(phase.lrs) for phase in plan.phases] == [1e-3, 2e-4, 2e-4, 1e-4]


@pytest.mark.parametrize(("stages", "expected"), [(1, [1, 0]), (2, [2, 1, 0]), (4, [4, 3, 0])])
def test_auto_has_no_rung_twice(stages: int, expected: list[int]) -> None:
    assert [phase.frozen_prefix for phase in STRATEGIES.load("auto")(stages, 6, 1e-4).phases] == expected


@pytest.mark.parametrize("unfreeze", [[0, 2], [2, 9]])
def test_auto_refuses_rungs_that_are_not_there(unfreeze: list[int]) -> None:
    with pytest.raises(BadPlan, match="asks for more or fewer stages than there are: 1 to 5"):
        STRATEGIES.load("auto")(5, 3, 1e-4, unfreeze=unfreeze)


def test_lp_ft_trains_the_head_first_and_then_everything_at_the_stages_rate() -> None:
    head, full = STRATEGIES.load("lp_ft")(2, 10, 1e-4, head_lr=1e-2).phases
    assert (head.epochs, head.lrs) == (4, (0.0, 0.0, 1e-2))
    assert (full.epochs, full.lrs) == (6, (1e-4, 1e-4, 1e-4))


@pytest.mark.parametrize(
    ("epochs", "expected"), [(1, [0.4, 0.6]), (2, [1, 1]), (3, [1, 2]), (2.5, [1.0, 1.5])]
)
def test_lp_ft_leaves_both_phases_something(epochs: float, expected: list[float]) -> None:
    assert [p.epochs for p in STRATEGIES.load("lp_ft")(2, epochs, 1e-4).phases] == pytest.approx(expected)


@pytest.mark.parametrize("probe", [0, 1, -0.5, math.nan])
def test_lp_ft_refuses_a_share_that_leaves_a_phase_empty(probe: float) -> None:
    with pytest.raises(BadPlan, match="probe is the head's share of the epochs, between 0 and 1"):
        STRATEGIES.load("lp_ft")(2, 5, 1e-4, probe=probe)


def test_decayed_rates_by_hand() -> None:
    assert decayed(0.8, 4, 0.5) == (0.1, 0.2, 0.4, 0.8)
    assert decayed(0.8, 0, 0.5) == ()
