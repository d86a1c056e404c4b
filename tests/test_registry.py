"""Names lead to members, ours and other people's; a wrong one is guessed at."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from tunesmith import registry
from tunesmith.errors import BadOption, MissingPackage, TunesmithError, UnknownName
from tunesmith.registry import Registry, did_you_mean, plural, require
from tunesmith.sources import SOURCES
from tunesmith.strategies import STRATEGIES
from tunesmith.tasks import TASKS

FAMILY = Registry("strategy", {"root": "math:sqrt", "power": "math:pow"})


@pytest.mark.parametrize("family", [STRATEGIES, TASKS, SOURCES], ids=lambda f: f.family)
def test_every_member_of_a_family_can_be_loaded(family: Registry) -> None:
    assert family.names()
    assert all(callable(family.load(name)) for name in family.names())


def test_a_member_is_imported_when_it_is_first_asked_for() -> None:
    lazy = Registry("task", {"calendar": "this_module_is_not_there:anything"})
    assert lazy.names() == ["calendar"]
    with pytest.raises(ModuleNotFoundError):
        lazy.load("calendar")
    assert FAMILY.load("root")(9) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rooot", "no strategy named 'rooot'; did you mean 'root'? `tunesmith strategies` lists them."),
        ("zebra", "no strategy named 'zebra'; `tunesmith strategies` lists them."),
        ("", "no strategy named ''; `tunesmith strategies` lists them."),
    ],
)
def test_an_unknown_name_is_an_error_with_a_guess(name: str, message: str) -> None:
    with pytest.raises(UnknownName) as caught:
        FAMILY.load(name)
    assert str(caught.value) == message
    assert isinstance(caught.value, LookupError)
    assert isinstance(caught.value, TunesmithError)


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*, group: str) -> list[EntryPoint]:
        points = [
            EntryPoint("theirs", "math:floor", "tunesmith.strategies"),
            EntryPoint("root", "math:ceil", "tunesmith.strategies"),
        ]
        return [point for point in points if point.group == group]

    monkeypatch.setattr(registry, "entry_points", found)


@pytest.mark.usefixtures("third_party")
def test_other_peoples_members_come_after_ours() -> None:
    assert FAMILY.names() == ["root", "power", "theirs"]
    assert FAMILY.load("theirs")(2.5) == 2


@pytest.mark.usefixtures("third_party")
def test_other_people_cannot_take_our_names() -> None:
    assert FAMILY.load("root")(9) == 3


@pytest.mark.usefixtures("third_party")
def test_other_peoples_names_are_guessed_too() -> None:
    with pytest.raises(UnknownName, match="did you mean 'theirs'"):
        FAMILY.load("thiers")


@pytest.mark.usefixtures("third_party")
def test_a_member_of_this_process_stands_before_an_installed_one() -> None:
    family = Registry("strategy", {"root": "math:sqrt"})
    family.register("theirs", abs)
    family.register("mine", max)
    assert family.names() == ["root", "theirs", "mine"]
    assert family.load("theirs") is abs
    family.register("mine", min)
    assert family.load("mine") is min


def test_a_member_of_this_process_cannot_take_our_names() -> None:
    with pytest.raises(BadOption, match=r"strategy 'root' is tunesmith's own; give yours another name\."):
        FAMILY.register("root", abs)
    assert FAMILY.load("root")(9) == 3


def test_a_guess_is_made_only_where_something_is_near() -> None:
    assert did_you_mean("full", ["gradual", "full"]) == "; did you mean 'full'?"
    assert did_you_mean("x", ["gradual", "full"]) == ""
    assert did_you_mean("full", []) == ""


def test_plurals_are_those_of_the_command_line() -> None:
    assert [plural(f.family) for f in (STRATEGIES, TASKS, SOURCES)] == ["strategies", "tasks", "sources"]


def test_a_missing_package_is_an_error_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingPackage) as caught:
        require("timm", "timm", "a model of timm")
    assert str(caught.value) == (
        'a model of timm needs the package timm, which is not installed here: pip install "tunesmith[timm]"'
    )
    assert isinstance(caught.value, ImportError)


def test_a_package_that_is_there_is_given_back() -> None:
    assert require("math", "any", "a root").sqrt(16) == 4
