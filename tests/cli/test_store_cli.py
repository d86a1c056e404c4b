"""`tunesmith store` lists, checks and clears what was kept."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.errors import BadOption, NoData, UnknownName
from tunesmith.store import Store
from tunesmith.store.keys import record_key
from tunesmith.verbs.storing import store

Tunesmith = Callable[..., Any]
KEYS = [record_key(str(n)) for n in range(3)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store in a cache of its own, with two shelves."""
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path))
    kept = Store(tmp_path / "store", spare=0)
    about = {"what": "features", "model": "timm/test_resnet", "cut": "layer3", "engine": "eager"}
    with kept.shelf("aa11" * 8, about) as shelf:
        shelf.put(KEYS, [bytes([n]) * 5000 for n in range(3)])
    with kept.shelf("bb22" * 8, {"what": "pixels"}) as shelf:
        shelf.put(KEYS[:1], [b"x"])
    return tmp_path / "store"


def harm(folder: Path, shelf: str) -> None:
    """Flip a bit of the first record."""
    (data,) = (folder / shelf).glob("*.bin")
    raw = bytearray(data.read_bytes())
    raw[0] ^= 1
    data.write_bytes(raw)


def test_the_list_says_what_is_kept(tunesmith: Tunesmith, folder: Path) -> None:
    answer = tunesmith("store", "ls")
    assert answer.code == 0
    head, first, second, _, total = answer.out.splitlines()
    assert head.split() == ["key", "what", "model", "cut", "engine", "records", "size", "last", "used"]
    assert first.split()[:8] == [
        *("aa11aa11aa11", "features", "timm/test_resnet", "layer3", "eager", "3"),
        *(first.split()[6], "kB"),
    ]
    assert 15.0 < float(first.split()[6]) < 16.0
    assert second.split()[:3] == ["bb22bb22bb22", "pixels", "1"]
    assert total.endswith("kB in all")
    assert tunesmith("store").out == answer.out


def test_the_list_is_json_for_machines(tunesmith: Tunesmith, folder: Path) -> None:
    rows = json.loads(tunesmith("store", "ls", "aa", "--json").out)
    assert [(row["key"], row["records"], row["model"]) for row in rows] == [
        ("aa11" * 8, 3, "timm/test_resnet")
    ]
    assert rows == store(keys=["aa"])


def test_an_empty_store_is_said_to_be_empty(tunesmith: Tunesmith, tmp_path: Path) -> None:
    for action in ("ls", "verify", "clear"):
        answer = tunesmith("store", action, "--folder", tmp_path)
        assert (answer.code, answer.out, answer.err) == (0, "", "the store is empty\n")


def test_a_sound_store_verifies(tunesmith: Tunesmith, folder: Path) -> None:
    answer = tunesmith("store", "verify")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[1].split()[-3:] == ["3", "0", "0"]


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_damaged_record_ends_verify_with_code_1(
    form: tuple[str, ...], tunesmith: Tunesmith, folder: Path
) -> None:
    harm(folder, "aa11" * 8)
    answer = tunesmith("store", "verify", *form)
    assert answer.code == 1
    if form:
        assert [row["damaged"] for row in json.loads(answer.out)] == [1, 0]
    else:
        assert answer.out.splitlines()[1].split()[-3:] == ["3", "1", "0"]
        assert "computed again" in answer.err
    assert tunesmith("store", "verify", "bb").code == 0


def test_a_shelf_that_cannot_be_understood_is_listed_with_the_reason(
    tunesmith: Tunesmith, folder: Path
) -> None:
    (folder / ("aa11" * 8) / "meta.json").write_text("{")
    (folder / ("bb22" * 8) / "meta.json").write_text('{"layout": 99}')
    for action in ("ls", "verify"):
        lines = tunesmith("store", action).out.splitlines()
        assert lines[1].endswith("its meta.json is damaged")
        assert lines[2].endswith("a later version of tunesmith made it")


def test_clear_asks_for_yes_where_nobody_can_be_asked(tunesmith: Tunesmith, folder: Path) -> None:
    answer = tunesmith("store", "clear")
    assert answer.code == 2
    assert "remove 2 shelves" in answer.err
    assert "--yes" in answer.err
    assert len(list(folder.iterdir())) == 2


def test_clear_removes_what_is_named(tunesmith: Tunesmith, folder: Path) -> None:
    assert tunesmith("store", "clear", "bb", "--yes").code == 0
    assert [path.name for path in folder.iterdir()] == ["aa11" * 8]
    answer = tunesmith("store", "clear", "--yes")
    assert answer.out.splitlines()[-1].endswith("removed")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("answer", "left", "code"), [(b"n\n", 2, 1), (b"y\n", 0, 0)])
def test_clear_asks_on_a_terminal(answer: bytes, left: int, code: int, folder: Path) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    words = [sys.executable, "-m", "tunesmith", "store", "clear"]
    done = subprocess.run(words, stdin=theirs, capture_output=True, text=True)
    os.close(ours)
    os.close(theirs)
    assert "Remove 2 shelves with 15." in done.stderr
    assert done.returncode == code
    assert len(list(folder.iterdir())) == left


def test_clear_leaves_what_is_in_use_and_says_so(tunesmith: Tunesmith, folder: Path) -> None:
    with Store(folder).shelf("aa11" * 8, {}):
        answer = tunesmith("store", "clear", "--yes")
    assert "no, a process uses it" in answer.out
    assert [path.name for path in folder.iterdir()] == ["aa11" * 8]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lss",), "no action 'lss'; did you mean 'ls'?"),
        (("ls", "cc"), "begins with 'cc'"),
        (("ls", "--folder", "/nowhere/at/all"), "there is no folder"),
    ],
)
def test_what_is_not_there_is_refused(
    words: tuple[str, ...], said: str, tunesmith: Tunesmith, folder: Path
) -> None:
    answer = tunesmith("store", *words)
    assert answer.code == 2
    assert said in answer.err


def test_python_refuses_the_same(folder: Path) -> None:
    with pytest.raises(UnknownName):
        store("burn")
    with pytest.raises(BadOption, match="yes=True"):
        store("clear")
    with pytest.raises(NoData):
        store(folder="/nowhere/at/all")
