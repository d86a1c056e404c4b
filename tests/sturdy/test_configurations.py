"""A file of options is names and values: what else YAML and JSON can say is refused, with its line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.errors import BadOption, BadPlan
from tunesmith.plan import Phase, Plan
from tunesmith.verbs.config import LARGEST, read_config
from tunesmith.verbs.fit import fit

LAUGHS = "a: &a [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)
WRONG: dict[str, tuple[str, str]] = {
    "billion laughs": (LAUGHS, r":1: anchors and aliases"),
    "an alias alone": ("epochs: *a\n", r":1: anchors and aliases"),
    "an object of Python": (
        "lr: 1e-3\nepochs: !!python/object/apply:os.system [touch canary]\n",
        r":2: the tag",
    ),
    "a module of Python": ("!!python/module:os {}\n", r":1: the tag"),
    "any tag": ("epochs: !!float 3\n", r":1: the tag 'tag:yaml.org,2002:float'"),
    "a target to be made": ("_target_: os.system\n", r":1: unknown option '_target_'"),
    "infinity": ("lr: 1e400\n", r":1: lr takes a number; found '1e400'"),
    "infinity in words": ("epochs: inf\n", r":1: epochs takes a number; found 'inf'"),
    "no number": ("lr: NaN\n", r":1: lr takes a number; found 'NaN'"),
    "no number, as YAML says it": ("lr: .nan\n", r":1: lr takes a number; found '.nan'"),
    "a word for a number": ("\n\nepochs: three\n", r":3: epochs takes a number; found 'three'"),
    "a fraction of a batch": ("batch: 8.5\n", r":1: batch takes a whole number; found '8.5'"),
    "a word for a choice": ("skip_bad: perhaps\n", r":1: skip_bad takes true or false; found 'perhaps'"),
    "nothing for a number": ("epochs:\n", r":1: epochs has no value; leave the line out"),
    "a list for a number": ("epochs: [1, 2]\n", r":1: epochs takes one value; found a list of 2"),
    "a mapping for a number": ("epochs: {a: 1}\n", r":1: an option is a name and a value, not a mapping"),
    "lists in lists": ("unfreeze: [[a]]\n", r":1: options are 'name: value' lines, and this lies deeper"),
    "a depth without end": ("[" * 100_000, r":1: options are 'name: value' lines, and this lies deeper"),
    "a list of options": ("- epochs\n", r"must hold options as 'name: value' lines"),
    "nothing": ("", r"must hold options as 'name: value' lines"),
    "two documents": ("epochs: 1\n---\nepochs: 2\n", r":\d is not plain YAML"),
    "an option twice": ("epochs: 1\nlr: 1e-3\nepochs: 2\n", r":3: epochs stands there a second time"),
    "an option twice, spelled in two ways": (
        "skip-bad: no\nskip_bad: yes\n",
        r":2: skip_bad stands there a sec",
    ),
    "a typo": ("lr: 1e-3\nepoch: 3\n", r":2: unknown option 'epoch'; did you mean 'epochs'\?"),
    "a name of 10,000 letters": ("x" * 10_000 + ": 1\n", r"is not plain YAML|unknown option 'x{80}'"),
    "half a file": ("epochs: [\n", r":2 is not plain YAML"),
    "a tab": ("epochs: 1\n\tlr: 2\n", r":2 is not plain YAML"),
    "a NUL": ("epochs: 1\0\n", r"is not plain YAML"),
    "too much": ("# " + "x" * LARGEST, r"is larger than 200,000 bytes"),
}


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "fit.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_plain_option_is_refused_with_its_line_at_once(
    case: str, written: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text, said = WRONG[case]
    path = written(text)
    began = time.process_time()
    with pytest.raises(BadOption, match=said) as caught:
        read_config(path, fit)
    assert time.process_time() - began < 2
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not (tmp_path / "canary").exists()


def test_bytes_that_are_no_text_are_refused_with_their_line(written: Callable[..., Path]) -> None:
    with pytest.raises(BadOption, match=r"fit\.yaml:2 is not UTF-8 text"):
        read_config(written(b"epochs: 1\nmodel: caf\xe9\n"), fit)


def test_a_folder_or_a_device_is_no_configuration(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(BadOption, match="is no file"):
            read_config(path, fit)


def test_the_option_says_what_a_value_is(written: Callable[..., Path]) -> None:
    """YAML alone would read a word as false, a number as a text, a duration as a count of seconds."""
    text = (
        "augment: no\nlr: 1e-4\nepochs: 5\nbatch: 16\nskip-bad: yes\nunfreeze: 2\ntime_limit: 1:30\n"
        "target: 2021-03-04\nmodel: ~\nitem: 'null'\nstore_limit: 0\n"
    )
    found = read_config(written(text), fit)
    assert found == {
        "augment": "no",
        "lr": 1e-4,
        "epochs": 5.0,
        "batch": 16,
        "skip_bad": True,
        "unfreeze": "2",
        "time_limit": "1:30",
        "target": "2021-03-04",
        "model": None,
        "item": "null",
        "store_limit": "0",
    }
    assert [type(found[n]) for n in ("lr", "epochs", "batch")] == [float, float, int]


def test_a_word_may_stand_for_a_rate_and_no_other_word_may(written: Callable[..., Path]) -> None:
    assert read_config(written("lr: auto\n"), fit) == {"lr": "auto"}
    with pytest.raises(BadOption, match=r":1: lr takes a number; found 'float'"):
        read_config(written("lr: float\n"), fit)


def test_what_a_run_writes_down_is_read_back(written: Callable[..., Path]) -> None:
    import yaml

    asked: dict[str, Any] = {
        "data": "photos",
        "lr": 1e-05,
        "clip": None,
        "seed": 2**32 - 1,
        "replay": False,
        "unfreeze": ["layer4", "null", "1e5"],
        "target": "no",
        "columns": "label,text",
    }
    assert read_config(written(yaml.safe_dump(asked)), fit) == asked


PLANS: dict[str, tuple[Any, str]] = {
    "a key twice": ('{"strategy": "full", "strategy": "top"}', "'strategy' stands twice"),
    "no number": ('{"strategy": "full", "phases": NaN}', "NaN is not a number that a plan can hold"),
    "a depth without end": ("[" * 100_000, "is not JSON"),
    "infinity": (
        '{"strategy": "a", "phases": [{"name": "a", "epochs": 1e400, "lrs": [0, 1]}]}',
        "epochs must",
    ),
    "a list for a mapping": ("[]", "must hold one JSON object"),
    "a word for a list": ('{"strategy": "a", "phases": "b"}', "needs 'strategy'"),
    "a mapping for a number": (
        '{"strategy": "a", "phases": [{"name": "a", "epochs": {}, "lrs": [0, 1]}]}',
        "epochs",
    ),
    "2**63 epochs": (
        '{"strategy": "a", "phases": [{"name": "a", "epochs": 9223372036854775808, "lrs": [0, 1]}]}',
        "epochs",
    ),
    "5,000 digits": ('{"strategy": ' + "9" * 5000 + "}", "is not JSON"),
    "a rate of true": (
        '{"strategy": "a", "phases": [{"name": "a", "epochs": 1, "lrs": [0, true]}]}',
        "learning rate",
    ),
}


@pytest.mark.parametrize("case", PLANS)
def test_what_is_no_plan_is_refused_with_its_place(case: str) -> None:
    text, said = PLANS[case]
    with pytest.raises(BadPlan, match=said) as caught:
        Plan.from_json(text, where="mine/plan.json")
    assert len(str(caught.value)) < 600


def test_a_plan_is_read_back_as_it_was_written() -> None:
    plan = Plan("top", (Phase("top 2", 3, (0.0, 1e-4, 1e-3)),))
    assert Plan.from_json(plan.to_json()) == plan
    assert json.loads(plan.to_json())["strategy"] == "top"
