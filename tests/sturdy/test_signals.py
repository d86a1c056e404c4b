"""Ctrl-C and SIGTERM: once ends with a checkpoint and the way on, twice at once, and nothing is broken."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.store import Store
from tunesmith.verbs.stopping import stoppable

Ask = Callable[..., dict[str, Any]]
Line = Callable[..., tuple[int, str]]


@pytest.fixture
def line(ask: Ask, tmp_path: Path) -> Line:
    """The command line in a child that gets signals; its exit code, and what it said."""

    def run(*words: object, signals: list[tuple[int, str, int]] | None = None) -> tuple[int, str]:
        beside = {
            "argv": [str(word) for word in words],
            "err": str(tmp_path / "said"),
            "cache": str(tmp_path / "cache"),
            "signals": signals or [],
        }
        answer = ask("", beside=beside)
        assert not answer["killed"]
        return answer["code"], (tmp_path / "said").read_text()

    return run


@pytest.fixture
def fit(line: Line, photos: Path, tmp_path: Path) -> Line:
    """A fit of six epochs into tmp_path/run."""

    def run(**signals: Any) -> tuple[int, str]:
        words = ("fit", photos, "--model", "timm/test_resnet@none", "--image-size", 32, "--batch", 8)
        more = ("--strategy", "full", "--epochs", 6, "--device", "cpu", "--out", tmp_path / "run")
        return line(*words, *more, **signals)

    return run


def whole(folder: Path) -> bool:
    """No temporary file, no lock, and a store in which every record is right."""
    left = [p for p in (folder / "run").rglob("*") if p.name.endswith(".tmp") or p.name == "lock"]
    checked = Store(folder / "cache" / "store").verify()
    return not left and all(row.damaged == 0 for row in checked)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_ends_training_with_a_checkpoint_and_names_the_way_on(
    number: int, code: int, fit: Line, line: Line, tmp_path: Path
) -> None:
    found, said = fit(signals=[(number, "step", 7)])
    assert found == code
    assert "Traceback" not in said
    assert said.splitlines()[-1] == f"stopped; go on with: tunesmith resume {tmp_path / 'run'}"
    (newest,) = list((tmp_path / "run" / "checkpoint").iterdir())[-1:]
    assert int(newest.name.split("-")[1]) == 7  # of the step at which the signal came, not of an epoch's end
    assert whole(tmp_path)
    assert line("resume", tmp_path / "run")[0] == 0


@pytest.mark.parametrize(("second", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_at_once(second: int, code: int, fit: Line, line: Line, tmp_path: Path) -> None:
    found, said = fit(signals=[(signal.SIGINT, "step", 9), (second, "fsync", 1)])
    assert found == code
    assert "Traceback" not in said
    assert whole(tmp_path)
    assert line("resume", tmp_path / "run")[0] == 0


@pytest.mark.parametrize("moment", ["predict", "rename"])
def test_a_termination_outside_of_training_is_clean(moment: str, fit: Line, tmp_path: Path) -> None:
    found, said = fit(signals=[(signal.SIGTERM, moment, 1)])
    assert found == 143
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("stopped")
    assert whole(tmp_path)


def test_a_handler_from_outside_python_is_left_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python names such a handler None, and refuses None when it is given back."""
    given: list[object] = []

    def foreign(number: int, handler: object) -> None:
        if handler is None:
            raise TypeError("signal handler must be callable")
        given.append(handler)

    monkeypatch.setattr(signal, "signal", foreign)
    with stoppable():
        pass
    assert len(given) == 1
