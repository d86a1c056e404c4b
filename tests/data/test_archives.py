from __future__ import annotations

import errno
import os
import stat
import zipfile
from pathlib import Path

import pytest

from tunesmith.data.archives import extracted
from tunesmith.data.read import read
from tunesmith.errors import BadData, DiskFailed


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def test_a_zip_reads_as_its_folder_does(photos: Path, tmp_path: Path) -> None:
    files = {f"photos/{p.relative_to(photos)}": p.read_bytes() for p in photos.rglob("*.*")}
    data = read(archive(tmp_path / "a.zip", files | {"__MACOSX/._x.jpg": b"x"}))
    assert (data.name, len(data.train)) == ("a", 12)
    assert data.fingerprint == read(photos).fingerprint


def test_a_zip_is_unpacked_once(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.csv": b"text,label\n"})
    first = extracted(path)
    (first / "mark").write_text("still here")
    assert (extracted(path) / "mark").exists()


@pytest.mark.parametrize("name", ["../x.txt", "/x.txt", "a/../../x.txt", "..\\x.txt", "C:/x.txt"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, name: str, cache: Path) -> None:
    path = archive(tmp_path / "a.zip", {name: b"x"})
    with pytest.raises(BadData, match="would lie outside the folder"):
        extracted(path)
    assert not list(cache.rglob("x.txt"))


def test_a_top_folder_named_after_a_time_is_no_drive(photos: Path, tmp_path: Path) -> None:
    files = {f"walk 10:30/{p.relative_to(photos)}": p.read_bytes() for p in photos.rglob("*.*")}
    assert len(read(archive(tmp_path / "a.zip", files)).train) == 12


def test_what_a_killed_process_had_unpacked_is_cleared_after_a_day(tmp_path: Path, cache: Path) -> None:
    old, new = cache / "extracted" / "writing-old", cache / "extracted" / "writing-new"
    for folder in (old, new):
        (folder / "photos").mkdir(parents=True)
        (folder / "photos" / "half.jpg").write_bytes(b"half")
    os.utime(old, (0, 0))
    extracted(archive(tmp_path / "a.zip", {"a.txt": b"x"}))
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("at", ["mkdtemp", "the first file"])
def test_a_full_disk_of_the_cache_is_said_and_leaves_nothing(
    code: int, at: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    path = archive(tmp_path / "a.zip", {"a.csv": b"text,label\n"})
    place = "tempfile.mkdtemp" if at == "mkdtemp" else "_copied"
    monkeypatch.setattr(f"tunesmith.data.archives.{place}", refuse)
    said = rf"extracted cannot be used: {os.strerror(code)}; .*TUNESMITH_CACHE names the folder of the cache"
    with pytest.raises(DiskFailed, match=said):
        extracted(path)
    assert not list((cache / "extracted").iterdir())


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(BadData, match=r"holds 'link\.jpg', which is a link"):
        extracted(tmp_path / "a.zip")


def test_a_bomb_is_refused_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.txt": b"0" * 30 * 2**20})
    with pytest.raises(BadData, match="unpacks to more than 10 MiB"):
        extracted(path)
    assert not list((cache / "extracted").iterdir())


def test_a_size_that_lies_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.data.archives.RATIO_FROM", 1000)
    path = archive(tmp_path / "a.zip", {"a.txt": b"0" * 100_000})
    raw = path.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(raw)
    with pytest.raises(BadData):
        extracted(path)


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.txt", "one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.txt", "two")
    with pytest.raises(BadData, match=r"holds 'a\.txt' twice"):
        extracted(tmp_path / "a.zip")


def test_a_damaged_zip_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(BadData, match=r"a\.zip cannot be unpacked"):
        read(tmp_path / "a.zip")
