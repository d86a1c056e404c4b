"""Folders of any shape: links, locks, names, numbers of files."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tunesmith.data.class_folders import walk
from tunesmith.data.read import read, read_items

Refusal = Callable[..., str]
posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX file system")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Class folders: 4 cats and 4 dogs."""
    for i in range(8):
        path = tmp_path / "pets" / ("cat", "dog")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (i * 30, 0, 0)).save(path)
    return tmp_path / "pets"


def ids(folder: Path, *, skip_bad: bool = False) -> list[str]:
    data = read(folder, skip_bad=skip_bad)
    return sorted(name for split in data.splits.values() for name in split["id"])


@posix
def test_links_that_lead_back_end(pets: Path) -> None:
    plain = ids(pets)
    (pets / "cat" / "up").symlink_to(pets)
    (pets / "cat" / "self").symlink_to("self")
    assert ids(pets) == plain
    (pets / "cat" / "dogs").symlink_to(pets / "dog")  # the control: this one leads to more
    assert len(ids(pets)) == len(plain) + 4


@posix
def test_an_image_that_is_a_link_to_itself_is_named_or_left_out(pets: Path, refusal: Refusal) -> None:
    plain = ids(pets)
    (pets / "cat" / "x.jpg").symlink_to("x.jpg")
    (pets / "cat" / "y.jpg").symlink_to("nowhere")
    assert refusal(read, pets).startswith("cat/x.jpg ")
    assert ids(pets, skip_bad=True) == plain
    found = read(pets, skip_bad=True).left_out
    assert [finding.where for finding in found] == ["cat/x.jpg", "cat/y.jpg"]


@posix
def test_links_that_multiply_are_refused(tmp_path: Path, refusal: Refusal) -> None:
    """Two links a folder, thirty deep, are a billion ways."""
    for level in range(30):
        (tmp_path / "f" / str(level)).mkdir(parents=True)
        for name in "ab":
            (tmp_path / "f" / str(level) / name).symlink_to(tmp_path / "f" / str(level + 1))
    assert "more than 100 ways of links lead to" in refusal(lambda: list(walk(tmp_path / "f" / "0")))


NAMES = [
    "new\nline.png", "\U0001f4a5.png", "-rf.png", "--help.png",
    " .png", "%s.png", "$(touch x).png", "a'\"b.png",
    "\u202egnp.exe.png", "'; DROP TABLE.png", "x" * 200 + ".png", "caf\u00e9.png",
    "cafe\u0301.png",
]  # fmt: skip


@posix
def test_any_name_is_a_name(pets: Path) -> None:
    for name in NAMES:
        Image.new("RGB", (4, 4)).save(pets / "dog" / name)
    assert set(ids(pets)) >= {f"dog/{name}" for name in NAMES}


@posix
def test_a_name_that_is_no_text_is_said_readably(pets: Path, refusal: Refusal) -> None:
    try:
        (pets / "dog" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes text alone")
    assert "holds signs that are no Unicode; rename" in refusal(read, pets)


def test_messages_show_a_name_on_one_line(pets: Path) -> None:
    from tunesmith.data.images import unreadable

    (pets / "dog" / "a\nerror: all is lost.png").write_bytes(b"")
    (finding,) = unreadable(read_items(pets, takes="image"))
    assert finding.message == "dog/a\\nerror: all is lost.png is empty (0 bytes)."


LOCKED = """
import os
from tunesmith.data.read import read
from tunesmith.errors import BadData

top = Path(sys.argv[1])
os.environ["TUNESMITH_CACHE"] = str(top / "mine")
read(top / "open")  # everything is imported while root may still read it
os.environ["TUNESMITH_CACHE"] = str(top / "theirs")
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for name in ("open", "folder", "files"):
    try:
        print("read", len(read(top / name).train))
    except BadData as error:
        print(error)
"""


@posix
def test_what_is_locked_is_named(pets: Path, probe: Callable[..., list[str]]) -> None:
    """In a process without the rights of root, who may read everything."""
    top = Path(tempfile.mkdtemp())  # pytest's own folder is closed to others
    try:
        top.chmod(0o755)
        (top / "theirs").mkdir()
        (top / "theirs").chmod(0o777)
        for name in ("open", "folder", "files"):
            shutil.copytree(pets, top / name)
        (top / "folder" / "cat" / "locked").mkdir()
        (top / "folder" / "cat" / "locked").chmod(0)
        (top / "files" / "dog").chmod(0o444)  # its names can be listed, its files cannot be opened
        plain, folder, files = probe(LOCKED, top)
    finally:
        for path in (top / "folder" / "cat" / "locked", top / "files" / "dog"):
            path.chmod(0o755)
        shutil.rmtree(top)
    assert plain.startswith("read ")
    assert folder.startswith(
        f"the folder {top / 'folder' / 'cat' / 'locked'} cannot be read (Permission denied)"
    )
    assert files.startswith("dog/1.png cannot be read (Permission denied), and 3 other rows likewise")


def test_an_image_that_vanishes_meanwhile_is_named(pets: Path, refusal: Refusal) -> None:
    from tunesmith.data.images import unreadable

    rows = read_items(pets, takes="image")
    (pets / "cat" / "0.png").unlink()
    assert [finding.where for finding in unreadable(rows)] == ["cat/0.png"]


def test_an_image_that_is_cut_meanwhile_is_refused(pets: Path) -> None:
    from tunesmith.data.images import unreadable

    rows = read_items(pets, takes="image")
    path = pets / "cat" / "0.png"
    path.write_bytes(path.read_bytes()[:40])
    assert [finding.where for finding in unreadable(rows)] == ["cat/0.png"]


# -- many files -----------------------------------------------------------------------------------------

MANY = """
import os, time
from tunesmith.data.read import read

def made(count):
    folder = Path(sys.argv[1]) / str(count)
    for k in range(10):
        (folder / f"class {k}").mkdir(parents=True)
        for i in range(count // 10):
            os.mknod(folder / f"class {k}" / f"{i}.jpg")
    return folder

read(made(100))
for count in map(int, sys.argv[2:]):
    folder = made(count)
    began = time.process_time()
    print(grown(lambda: read(folder)), time.process_time() - began)
"""


def costs(probe: Callable[..., list[str]], folder: Path, *counts: int) -> list[tuple[float, float]]:
    """MiB and seconds of the processor to read folders of so many files."""
    try:
        return [(float(line.split()[0]), float(line.split()[1])) for line in probe(MANY, folder, *counts)]
    finally:
        shutil.rmtree(folder)  # pytest keeps what it made, and a million files are many to keep


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")
def test_ten_times_the_files_take_ten_times_the_time(tmp_path: Path, probe: Callable[..., list[str]]) -> None:
    (few, some), (many, more) = costs(probe, tmp_path, 1_000, 10_000)
    assert more < 20 * max(some, 0.02)
    assert many - few < 16


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")
def test_a_million_files_are_read_in_minutes_and_flat_memory(
    tmp_path: Path, probe: Callable[..., list[str]]
) -> None:
    (_, some), (many, more) = costs(probe, tmp_path, 100_000, 1_000_000)
    assert more < 20 * some
    assert many < 256
