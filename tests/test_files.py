"""A file is the old one or the new one, a folder whole or not there, wherever the power goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.files import clear_leftovers, sync_folder, whole_folder, write_whole

NEW = b"the new content " * 1000


def killed_after(steps: int, work: Callable[[], None]) -> bool:
    """Do the work in a child that dies, nothing flushed, after so many steps on files; did it die?"""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    left = [steps]

    def deadly(function: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **options: object) -> object:
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1
            return function(*arguments, **options)

        return step

    try:
        os.fsync = deadly(os.fsync)  # type: ignore[assignment]
        Path.open = deadly(Path.open)  # type: ignore[assignment,method-assign]
        Path.mkdir = deadly(Path.mkdir)  # type: ignore[assignment,method-assign]
        Path.rename = deadly(Path.rename)  # type: ignore[assignment,method-assign]
        Path.replace = deadly(Path.replace)  # type: ignore[assignment,method-assign]
        work()
    finally:
        os._exit(0)
    raise AssertionError


def test_a_crash_at_any_step_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    seen, steps, died = [], 0, True
    while died:
        path.write_bytes(b"old")
        died = killed_after(steps, lambda: write_whole(path, NEW))
        seen.append(path.read_bytes())
        steps += 1
    assert set(seen) == {b"old", NEW}
    assert seen[0] == b"old"
    assert seen[-1] == NEW
    assert steps > 4  # or it never died anywhere interesting


def test_a_plain_write_is_caught_by_this_test(tmp_path: Path) -> None:
    """The control: a file that is opened and then written is neither old nor new in between."""

    def plainly() -> None:
        with path.open("wb") as file:
            file.write(b"new")
            os.fsync(file.fileno())

    path = tmp_path / "state.json"
    path.write_bytes(b"old")
    assert killed_after(1, plainly)
    assert path.read_bytes() not in (b"old", b"new")


def fill(folder: Path) -> None:
    with whole_folder(folder) as temporary:
        (temporary / "a.txt").write_bytes(NEW)
        (temporary / "deep").mkdir()
        (temporary / "deep" / "b.txt").write_bytes(NEW)


def test_a_crash_at_any_step_leaves_a_whole_folder_or_none(tmp_path: Path) -> None:
    seen, steps, died = [], 0, True
    while died:
        folder = tmp_path / str(steps)
        died = killed_after(steps, lambda folder=folder: fill(folder))  # type: ignore[misc]
        files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
        seen.append(files)
        assert not files or all((folder / name).read_bytes() == NEW for name in files)
        steps += 1
    assert set(map(frozenset, seen)) == {frozenset(), frozenset({"a.txt", "deep/b.txt"})}
    assert seen[0] == set()


def test_an_error_while_filling_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with whole_folder(tmp_path / "model") as temporary:
            (temporary / "a.txt").write_text("half")
            raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "scores.json"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["scores.json"]
    assert path.read_text() == "old"


def test_missing_folders_above_a_file_are_made(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b" / "c.txt", "grüße\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "grüße\n".encode()


def test_a_folder_is_never_written_over(tmp_path: Path) -> None:
    fill(tmp_path / "run")
    with pytest.raises(OSError):  # noqa: PT011
        fill(tmp_path / "run")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_leftovers_are_cleared_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".state.json.0123abcd.tmp").write_text("half")
    (tmp_path / ".model.0123abcd.tmp").mkdir()
    (tmp_path / ".model.0123abcd.tmp" / "weights").write_text("half")
    for name in ("state.json", ".hidden", "notes.tmp"):
        (tmp_path / name).write_text("mine")
    clear_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".hidden", "notes.tmp", "state.json"]


def test_a_folder_that_is_not_there_has_no_leftovers(tmp_path: Path) -> None:
    clear_leftovers(tmp_path / "nowhere")
    sync_folder(tmp_path / "nowhere")
