"""`tunesmith lr` and `fit --lr auto`: what is measured, said, drawn and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from tunesmith.verbs.reporting import Silent

TINY = ("--model", "timm/test_resnet@none", "--image-size", 32, "--batch", 8, "--device", "cpu")
FIT: dict[str, Any] = {"model": "timm/test_resnet@none", "image_size": 32, "batch": 8, "device": "cpu"}


class Listening(Silent):
    """Remembers what is said; stops a run after its first epoch if `brief`."""

    def __init__(self, *, brief: bool = False) -> None:
        self.lines, self.brief = list[str](), brief

    def say(self, line: str) -> None:
        self.lines.append(line)

    def event(self, event: Any) -> None:
        if self.brief and type(event).__name__ == "EpochEnd":
            raise KeyboardInterrupt


def test_a_range_test_is_drawn_and_its_rates_are_named(tunesmith: Any, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "rates.svg"
    answer = tunesmith("lr", photos, *TINY, "--strategy", "linear_probe", "--plot", plot)
    assert answer.code == 0, answer.err
    assert "phase head: " in answer.out
    assert "•" in answer.out
    assert "valley" in answer.out
    assert plot.read_text().startswith("<?xml")
    assert not (photos.parent / "runs").exists()


def test_the_curve_comes_as_json_and_is_the_same_each_time(tunesmith: Any, photos: Path) -> None:
    asked = ("lr", photos, *TINY, "--phase", 2, "--steps", 40, "--json")
    found = [json.loads(tunesmith(*asked).out) for _ in range(2)]
    assert found[0] == found[1]
    assert found[0]["phase"] == "full"
    assert found[0]["head_first"]
    assert found[0]["option"] == "lr"
    assert len(found[0]["lrs"]) == len(found[0]["losses"]) == len(found[0]["smoothed"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--plot", "rates.gif"), "plot is a file that ends in .svg, .png, .pdf; found 'rates.gif'."),
        (("--plot", "nowhere/rates.svg"), "lies in a folder that is not there"),
        (("--phase", 3), "phase 3 is asked for, and the plan has 2: 1 head, 2 full."),
        (("--low", 1, "--high", 0.1), "a range test goes from a low rate to a high one"),
    ],
)
def test_what_cannot_be_tested_is_one_sentence(
    words: tuple[Any, ...], said: str, tunesmith: Any, photos: Path
) -> None:
    answer = tunesmith("lr", photos, *TINY, *words)
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_a_measured_rate_is_kept_in_the_plan_and_resumed_without_measuring(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {**FIT, "lr": "auto", "strategy": "top", "epochs": 2}
    with pytest.raises(KeyboardInterrupt):
        ts.fit(photos, **asked, out=tmp_path / "run", reporter=Listening(brief=True))
    begun = ts.Run.open(tmp_path / "run")
    assert begun.asked["lr"] == "auto"
    assert any("the valley of a range test of phase top 2" in note for note in begun.plan.notes)
    lr = max(begun.plan.phases[0].lrs[:-1])

    said = Listening()
    again = ts.fit(photos, **asked, out=tmp_path / "again", reporter=said)
    assert again is not None
    assert again.plan == begun.plan
    assert any(f"learning rate: {lr:.1e}, the valley" in line for line in said.lines)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a resumed run measured its rate again")

    monkeypatch.setattr("tunesmith.choosing.range_test.range_test", never)
    resumed = ts.resume(tmp_path / "run", reporter=Silent())
    assert resumed.plan == begun.plan
    weights = "model/weights.safetensors"
    assert (resumed.folder / weights).read_bytes() == (again.folder / weights).read_bytes()


def test_a_rate_that_is_no_number_is_refused_with_what_is_possible(tunesmith: Any, photos: Path) -> None:
    answer = tunesmith("fit", photos, *TINY, "--lr", "fast")
    assert answer.code == 2
    assert "lr must lie above 0 and at most 10; found 'fast'." in answer.err
    assert "lr='auto' measures one" in answer.err
