"""A plan is data: it goes through JSON unharmed, a hand's mistakes are named, its table is read by eye."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.errors import BadPlan
from tunesmith.plan import CHOICES, PARTS, Phase, Plan, Settings, fits, strip, table, with_lrs

PLAN = Plan(
    "lp_ft",
    (Phase("head", 2, (0.0, 0.0, 1e-3)), Phase("full", 3.5, (1e-5, 1e-4, 1e-4), "norm", 2)),
    Settings(optimizer="sgd", batch=8, clip=None, metric="macro_f1"),
    ("classes differ",),
)


def changed(**top: Any) -> str:
    """The plan's JSON with some keys of the top level changed."""
    return json.dumps({**json.loads(PLAN.to_json()), **top})


def in_phase(**row: Any) -> str:
    """The plan's JSON with some keys of its second phase changed."""
    raw = json.loads(PLAN.to_json())
    raw["phases"][1].update(row)
    return json.dumps(raw)


def in_settings(**row: Any) -> str:
    raw = json.loads(PLAN.to_json())
    raw["settings"].update(row)
    return json.dumps(raw)


def test_a_plan_goes_through_json_unharmed() -> None:
    assert Plan.from_json(PLAN.to_json()) == PLAN


rates = st.just(0.0) | st.floats(1e-12, 10.0)
widths = st.shared(st.integers(2, 12), key="width")
phases = st.builds(
    Phase,
    st.text(min_size=1, max_size=8),
    st.floats(1e-6, 1e5) | st.integers(1, 100),
    widths.flatmap(lambda n: st.lists(rates, min_size=n, max_size=n).filter(any).map(tuple)),
    st.sampled_from(PARTS),
    st.none() | st.integers(1, 50),
)
settings = st.builds(
    Settings,
    momentum=st.floats(0, 0.9999),
    batch=st.integers(1, 1_000_000),
    clip=st.none() | st.floats(1e-9, 1e9),
    seed=st.integers(0, 2**32 - 1),
    **{name: st.sampled_from(words) for name, words in CHOICES.items()},
)


@given(st.builds(Plan, st.text(), st.lists(phases, min_size=1, max_size=4).map(tuple), settings))
def test_any_plan_goes_through_json_unharmed_and_can_be_printed(plan: Plan) -> None:
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert str(again) == str(plan)
    assert len(strip(plan.phases[0].lrs)) == plan.stages + 1


def test_a_plan_edited_by_hand_is_taken_as_it_is() -> None:
    """With the keys that may be left out left out, and whole numbers where a person writes them."""
    found = Plan.from_json(
        '{"strategy": "mine", "phases": [{"name": "all", "epochs": 3, "lrs": [0, 1e-4, 1]}],'
        ' "settings": {"batch": 4}}'
    )
    assert found == Plan("mine", (Phase("all", 3, (0.0, 1e-4, 1.0)),), Settings(batch=4))
    assert found.phases[0].frozen_prefix == 1


def test_to_json_can_be_edited_and_given_back() -> None:
    edited = PLAN.to_json().replace('"epochs": 3.5', '"epochs": 7').replace("1e-05", "3e-05")
    found = Plan.from_json(edited)
    assert found.phases[1] == replace(PLAN.phases[1], epochs=7, lrs=(3e-5, 1e-4, 1e-4))
    assert found.phases[0] == PLAN.phases[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed(phasis=[]), r"plan\.json: unknown key 'phasis'; did you mean 'phases'\?"),
        (in_phase(epoch=3), r"plan\.json, phase 2: unknown key 'epoch'; did you mean 'epochs'\?"),
        (
            in_settings(optimiser="sgd"),
            r"plan\.json, settings: unknown key 'optimiser'; did you mean 'optimizer'\?",
        ),
        (in_settings(zebra=1), r"settings: unknown key 'zebra'$"),
    ],
)
def test_an_unknown_key_is_refused_with_a_guess(text: str, message: str) -> None:
    with pytest.raises(BadPlan, match=message):
        Plan.from_json(text, where="plan.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "must hold one JSON object, with 'strategy' and 'phases'"),
        ("{}", r"needs 'strategy' \(a word\) and 'phases' \(a list\)"),
        (changed(phases={}), r"needs 'strategy' \(a word\) and 'phases' \(a list\)"),
        (changed(phases=[]), "plan 'lp_ft' has no phase"),
        (changed(phases=[3]), "phase 1 needs 'name', 'epochs' and 'lrs'"),
        (changed(phases=[{"name": "a", "epochs": 1}]), "phase 1 needs 'name', 'epochs' and 'lrs'"),
        (changed(settings=[]), "'settings' must be an object"),
        (changed(notes="x"), "'notes' must be a list of sentences"),
        (in_phase(lrs=1e-3), "phase 2: 'lrs' must be a list of numbers, one per stage"),
        (in_phase(name=7), "phase 7: a phase's name is a word"),
    ],
)  # fmt: skip
def test_what_is_no_plan_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadPlan, match=message):
        Plan.from_json(text)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_words_of_javascript_are_no_learning_rates(word: str) -> None:
    with pytest.raises(BadPlan, match=f"{word} is not a number that a plan can hold"):
        Plan.from_json(PLAN.to_json().replace("1e-05", word))


@pytest.mark.parametrize(
    "lr", ["1e400", "-1e-4", "1e9", "1" + "0" * 400, "true", '"1e-3"', "null", "[1]", "10.001"]
)
def test_a_learning_rate_outside_its_range_is_refused(lr: str) -> None:
    with pytest.raises(
        BadPlan, match=r"phase 'full': a learning rate must lie between 0 \(frozen\) and 10, found"
    ):
        Plan.from_json(PLAN.to_json().replace("1e-05", lr))


@pytest.mark.parametrize("lr", [math.nan, math.inf, -1e-9, 1e9, True, "1e-3", None])
def test_python_may_not_hold_such_a_rate_either(lr: Any) -> None:
    with pytest.raises(BadPlan, match="a learning rate must lie between"):
        Plan("x", (Phase("full", 1, (lr, 1e-3)),))


@pytest.mark.parametrize("lr", [0, 10, 1e-300, 5e-324])
def test_rates_at_the_edges_are_allowed(lr: float) -> None:
    assert Plan("x", (Phase("full", 1, (lr, 1e-3)),)).phases[0].lrs[0] == lr


def test_phases_of_different_widths_are_refused() -> None:
    with pytest.raises(BadPlan, match=r"phase 'full' has 2 learning rates; .* \(the first phase has 3\)"):
        Plan.from_json(in_phase(lrs=[1e-4, 1e-3]))
    with pytest.raises(BadPlan, match="phase 'x' has 1 learning rates"):
        Plan("x", (Phase("x", 1, (1e-3,)),))


def test_a_plan_for_another_network_is_refused_with_the_cure() -> None:
    fits(PLAN, 2, "timm/resnet18")
    with pytest.raises(
        BadPlan, match=r"made for 2 stages, but timm/resnet18 has 9; make it again with stages=9"
    ):
        fits(PLAN, 9, "timm/resnet18")


def test_a_phase_that_trains_nothing_is_refused() -> None:
    with pytest.raises(BadPlan, match="phase 'full' freezes every stage and the head: nothing would train"):
        Plan.from_json(in_phase(lrs=[0, 0, 0.0]))


@pytest.mark.parametrize("epochs", [0, -1, 1e6, True, "3", None, math.nan, math.inf])
def test_epochs_are_above_zero(epochs: Any) -> None:
    with pytest.raises(BadPlan, match="phase 'p': epochs must be above 0"):
        Plan("x", (Phase("p", epochs, (1e-3, 1e-3)),))


@pytest.mark.parametrize("patience", [0, -1, 1.5, True, "2"])
def test_patience_counts_from_one(patience: Any) -> None:
    with pytest.raises(BadPlan, match="patience counts validations, from 1"):
        Plan("x", (Phase("p", 1, (1e-3, 1e-3), patience=patience),))


def test_parts_are_of_a_known_kind() -> None:
    with pytest.raises(BadPlan, match="parts must be one of all, norm, bias, found 'norms'"):
        Plan.from_json(in_phase(parts="norms"))


@pytest.mark.parametrize("name", CHOICES)
def test_a_misspelt_choice_is_refused_with_a_guess(name: str) -> None:
    word = CHOICES[name][-1]
    with pytest.raises(BadPlan, match=rf"{name} must be one of .*; found '{word}x'; did you mean '{word}'"):
        Plan.from_json(in_settings(**{name: word + "x"}))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("momentum", 1.0, "SGD's momentum must lie between 0 and 0.9999; found 1.0"),
        ("weight_decay", -0.1, "weight decay must lie between 0 and 10; found -0.1"),
        ("warmup", 1.1, "must lie between 0 and 1; found 1.1"),
        ("label_smoothing", 1.0, "label smoothing must lie between 0 and 0.99"),
        ("batch", 0, "the batch size must lie between 1 and 1e[+]06; found 0"),
        ("batch", 2.5, "the batch size is a whole number; found 2.5"),
        ("batch", True, "the batch size must lie between"),
        ("clip", -1, "clip is the largest gradient norm, or 0 for none; found -1"),
        ("seed", -1, r"seed is a whole number from 0 to 2\*\*32 - 1; found -1"),
        ("seed", 2**32, r"seed is a whole number from 0 to 2\*\*32 - 1"),
        ("seed", True, "seed is a whole number"),
        ("metric", 3, "metric is a name, or nothing; found 3"),
    ],
)
def test_a_setting_outside_its_range_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(BadPlan, match=message):
        Plan.from_json(in_settings(**{name: value}))


def test_a_strip_has_a_mark_per_stage_taller_for_a_higher_rate() -> None:
    assert strip((0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)) == "·▁▂▃▄▅▆▇█"
    assert strip((0.0, 1e-4, 1e-4)) == "·██"
    assert strip((0.0, 0.0)) == "··"


def test_the_table_of_few_stages_shows_every_rate() -> None:
    assert str(PLAN).splitlines() == [
        "head        2      .      .  1e-03",
        "full      3.5  1e-05  1e-04  1e-04  (norm only)",
    ]


def test_names_make_a_heading_over_their_columns() -> None:
    assert table(PLAN, ("conv1", "layer1", "head")).splitlines() == [
        "phase  epochs   conv1  layer1    head",
        "head        2       .       .   1e-03",
        "full      3.5   1e-05   1e-04   1e-04  (norm only)",
    ]


def test_the_table_of_many_stages_is_a_strip_with_its_ends_said() -> None:
    lrs = (0.0,) * 5 + tuple(1e-5 * 10 ** (i / 3) for i in range(4)) + (1e-3,)
    plan = Plan("top", (Phase("top 4", 3, lrs),))
    names = [f"layer{i}" for i in range(9)] + ["head"]
    assert table(plan, names).splitlines() == [
        "phase  epochs  layer0 … layer8, head",
        "top 4       3  ·····▁▂▃▄█  stages 1e-05 … 1e-04, head 1e-03",
    ]
    assert str(Plan("probe", (Phase("head", 3, (0.0,) * 9 + (1e-3,)),))) == (
        "head        3  ·········█  stages frozen, head 1e-03"
    )


@pytest.mark.parametrize(
    ("lr", "shown"), [(1e-3, "1e-03"), (2.5e-4, "2.5e-04"), (1.234e-5, "1.23e-05"), (0.5, "5e-01")]
)
def test_a_rate_is_shown_in_as_few_signs_as_it_needs(lr: float, shown: str) -> None:
    assert str(Plan("x", (Phase("p", 1, (lr, 1e-3)),))).split()[2] == shown


def test_other_rates_for_some_stages_leave_the_rest_alone() -> None:
    assert with_lrs(PLAN.phases[1], {0: 0.5}).lrs == (0.5, 1e-4, 1e-4)
    assert asdict(with_lrs(PLAN.phases[1], {})) == asdict(PLAN.phases[1])


def test_epochs_are_summed_over_phases() -> None:
    assert (PLAN.epochs, PLAN.stages) == (5.5, 2)


def test_a_plan_says_which_phases_must_gain_and_reads_it_again() -> None:
    plan = Plan("auto", (Phase("head", 1, (0.0, 1e-3)), Phase("full", 1, (1e-4, 1e-4), must_gain=True)))
    assert str(plan).splitlines()[1].endswith("(if it gains)")
    assert Plan.from_json(plan.to_json()) == plan


def test_the_first_phase_has_nothing_to_gain_on() -> None:
    with pytest.raises(BadPlan, match="phase 'full' comes first, so there is nothing that it could gain on"):
        Plan("x", (Phase("full", 1, (1e-4, 1e-4), must_gain=True),))
    with pytest.raises(BadPlan, match="must_gain is true or false; found 'yes'"):
        Plan("x", (Phase("full", 1, (1e-4, 1e-4), must_gain="yes"),))  # type: ignore[arg-type]
