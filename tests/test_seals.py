"""A folder's list of hashes fits its files at every moment, and nothing passes that it does not fit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tunesmith.errors import BadRun
from tunesmith.files import write_whole
from tunesmith.seals import SEALS, check_all, read_sealed, seal, settle, write_sealed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sealed folder with two files."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "a b.txt").write_text("first")
    (tmp_path / "deep" / "c.json").write_text("{}")
    seal(tmp_path)
    return tmp_path


def test_a_list_is_what_sha256sum_reads(folder: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("there is no sha256sum")
    ask = ["sha256sum", "--check", "--strict", "--quiet", SEALS]
    assert subprocess.run(ask, cwd=folder, capture_output=True).returncode == 0
    (folder / "a b.txt").write_text("firsT")
    assert subprocess.run(ask, cwd=folder, capture_output=True).returncode == 1


def test_a_kill_between_the_list_and_the_file_leaves_the_old_file_readable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def killed(path: Path, content: str | bytes) -> None:
        written.append(path.name)
        if path.name != SEALS:
            raise KeyboardInterrupt
        write_whole(path, content)

    monkeypatch.setattr("tunesmith.seals.write_whole", killed)
    with pytest.raises(KeyboardInterrupt):
        write_sealed(folder, "a b.txt", "second")
    assert written == [SEALS, "a b.txt"]
    assert read_sealed(folder, "a b.txt") == b"first"
    monkeypatch.undo()
    write_sealed(folder, "a b.txt", "second")
    assert read_sealed(folder, "a b.txt") == b"second"


def test_what_was_written_before_the_last_time_is_no_longer_believed(folder: Path) -> None:
    for text in ("second", "third"):
        write_sealed(folder, "a b.txt", text)
    (folder / "a b.txt").write_text("first")
    with pytest.raises(BadRun, match=r"a b\.txt was cut short or changed"):
        read_sealed(folder, "a b.txt")


def test_at_the_end_each_file_has_one_line(folder: Path) -> None:
    write_sealed(folder, "a b.txt", "second")
    assert (folder / SEALS).read_text().count("a b.txt") == 2
    (folder / "log.txt").write_text("words")
    settle(folder, "log.txt")
    assert [line.split("  ")[1] for line in (folder / SEALS).read_text().splitlines()] == [
        "a b.txt",
        "deep/c.json",
        "log.txt",
    ]
    check_all(folder, needed=("log.txt",))


def test_nothing_damaged_is_settled(folder: Path) -> None:
    (folder / "deep" / "c.json").write_text("[]")
    with pytest.raises(BadRun, match=r"c\.json was cut short or changed"):
        settle(folder)


def test_a_file_that_is_not_listed_or_not_there_is_refused(folder: Path) -> None:
    (folder / "new.txt").write_text("mine")
    with pytest.raises(BadRun, match=rf"new\.txt is not in {SEALS}"):
        read_sealed(folder, "new.txt")
    (folder / "a b.txt").unlink()
    with pytest.raises(BadRun, match=r"a b\.txt is missing"):
        check_all(folder)


@pytest.mark.parametrize("harm", ["gone", "cut in a line", "a digit too few", "no text"])
def test_a_damaged_list_is_refused(harm: str, folder: Path) -> None:
    path = folder / SEALS
    content = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        harmed = {"cut in a line": content[:-3], "a digit too few": content[1:], "no text": b"\xff" + content}
        path.write_bytes(harmed[harm])
    with pytest.raises(BadRun, match=SEALS):
        check_all(folder)
