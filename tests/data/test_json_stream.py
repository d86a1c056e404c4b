"""JSON piece by piece: the same values as at once, and a line for every fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data import json_stream as streaming
from tunesmith.data.json_stream import json_stream
from tunesmith.errors import BadData

WRITTEN = {"a": [1, 2.5, -3e-2, 'é\n"', None, True], "b": {"c": []}, "数": "值" * 50}


def taken_apart(path: Path) -> dict[str, Any]:
    """The file, its first level by hand."""
    with json_stream(path, path.name) as stream:
        found = {key: stream.value() for key in stream.object()}
        stream.finish()
    return found


@pytest.mark.parametrize("block", [1, 2, 7, 65_536])
def test_values_do_not_depend_on_where_blocks_end(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "BLOCK", block)
    (tmp_path / "a.json").write_text(json.dumps(WRITTEN, indent=1, ensure_ascii=False), encoding="utf-8")
    assert taken_apart(tmp_path / "a.json") == WRITTEN


@pytest.mark.parametrize("block", [3, 65_536])
def test_wherever_a_file_is_cut_it_is_said_to_be(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "BLOCK", block)
    whole = json.dumps({"a": [1, "two"], "b": {"c": "\u00e9"}}, indent=1)
    for length in range(1, len(whole)):
        (tmp_path / "a.json").write_text(whole[:length])
        with pytest.raises(BadData, match=r"^a.json:\d+: the JSON ends in the middle: the file was cut"):
            taken_apart(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,\n "b": nope}', "a.json:2: no JSON (Expecting value)"),
        ('{"a": 1\n "b": 2}', "a.json:2: no JSON: , or } is expected where '\"' stands"),
        ('{"a": 1,\n\n b: 2}', "a.json:3: no JSON: a name in quotes is expected where 'b' stands"),
        ('{"a": 1}\n}', "a.json:2: '}' follows where the JSON should be over"),
        ('{"a": ' + "[" * 100_000 + "}", "a.json:1: lists within lists"),
        ('{"a": "x\0"}', "a.json:1: a NUL byte"),
    ],
)
def test_a_fault_is_named_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadData) as caught:
        taken_apart(tmp_path / "a.json")
    assert str(caught.value).startswith(said)
