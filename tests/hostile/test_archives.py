"""Archives: nothing outside, nothing but files, no more than their size explains."""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.data.read import read

Refusal = Callable[..., str]
OUTSIDE = "would lie outside the folder it is unpacked to"


def archive(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        warnings.simplefilter("ignore")
        file.writestr("p/a.csv", "text,label\n" + "".join(f"w{i},{'ab'[i % 2]}\n" for i in range(10)))
        for name, content in members:
            file.writestr(name, content)
    return path


def special(name: str, kind: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.external_attr = (kind | 0o666) << 16
    return member


MEMBERS: dict[str, tuple[list[tuple[str | zipfile.ZipInfo, bytes]], str]] = {
    "above": ([("../x.jpg", b"x")], OUTSIDE),
    "above from within": ([("a/../../x.jpg", b"x")], OUTSIDE),
    "absolute": ([("/tmp/x.jpg", b"x")], OUTSIDE),
    "a drive": ([("C:\\x.jpg", b"x")], OUTSIDE),
    "a drive without a slash": ([("C:x.jpg", b"x")], OUTSIDE),
    "backslashes": ([("..\\..\\x.jpg", b"x")], OUTSIDE),
    "another machine": ([("\\\\host\\x.jpg", b"x")], OUTSIDE),
    "a link": ([(special("link", stat.S_IFLNK), b"/etc/passwd")], "which is a link or a device"),
    "a pipe": ([(special("pipe", stat.S_IFIFO), b"")], "which is a link or a device"),
    "a device": ([(special("disk", stat.S_IFBLK), b"")], "which is a link or a device"),
    "a folder of links": ([(special("l", stat.S_IFLNK), b".."), ("l/x.jpg", b"x")], "which is a link"),
    "twice": ([("p/x.jpg", b"x"), ("p/x.jpg", b"y")], "'p/x.jpg' twice"),
    "twice by a dot": ([("p/x.jpg", b"x"), ("p/./x.jpg", b"y")], "twice"),
    "a file that is a folder": ([("p/x", b"x"), ("p/x/y.jpg", b"y")], "twice"),
    "a folder that is a file": ([("p/x/y.jpg", b"x"), ("p/x", b"y")], "twice"),
    "a name that is too long": ([("x" * 300 + ".jpg", b"x")], "cannot be unpacked"),
    "a bomb": ([("p/x.csv", b"0" * 30_000_000)], "unpacks to more than 10 MiB"),
}  # fmt: skip


@pytest.mark.parametrize("case", MEMBERS)
def test_what_no_archive_should_hold_is_refused_and_leaves_nothing(
    case: str, tmp_path: Path, cache: Path, refusal: Refusal
) -> None:
    members, expected = MEMBERS[case]
    path = archive(tmp_path / "a.zip", *members)
    before = sorted(tmp_path.rglob("*"))
    said = refusal(read, path)
    assert said.startswith("a.zip ")
    assert expected in said
    assert sorted(tmp_path.rglob("*")) == before
    assert not [p for p in cache.rglob("*") if p.is_file()]


def test_an_archive_without_any_of_that_is_read(tmp_path: Path) -> None:
    """The control."""
    assert len(read(archive(tmp_path / "a.zip", ("p/note.md", b"x"))).train) == 6


def test_an_archive_that_holds_itself_ends(
    tmp_path: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every unpacked folder leads to the same archive again, as that of a quine does."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("b.zip", b"x")
    within = tmp_path / "within"
    within.mkdir()
    (within / "a.zip").write_bytes(path.read_bytes())
    monkeypatch.setattr("tunesmith.data.sources.extracted", lambda _: within)
    assert "lies in an archive in an archive" in refusal(read, path)


def test_an_archive_in_an_archive_is_read(tmp_path: Path) -> None:
    inner = archive(tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("b.zip", inner)
    assert len(read(tmp_path / "a.zip").train) == 6


def test_a_42_zip_is_not_entered(tmp_path: Path, refusal: Refusal) -> None:
    """Archives in archives, sixteen a level: none of them is the one that was meant."""
    inner = archive(tmp_path / "b.zip", ("x", b"0" * 1000)).read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for i in range(16):
            file.writestr(f"lib {i}.zip", inner)
    assert "nothing in" in refusal(read, tmp_path / "a.zip")


def overlapping(count: int) -> bytes:
    """One packed body, and so many entries in the list of contents that all point to it."""
    body = b"\0" * 1_000_000
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = packed.compress(body) + packed.flush()
    sizes = struct.pack("<III", zlib.crc32(body), len(content), len(body))
    head = b"PK\3\4" + struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes + struct.pack("<HH", 5, 0) + b"0.csv"
    entries = b"".join(
        b"PK\1\2" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 33) + sizes
        + struct.pack("<HHHHHII", 5, 0, 0, 0, 0, 0, 0) + f"{i}.csv".encode()
        for i in range(count)
    )  # fmt: skip
    start = len(head) + len(content)
    return (
        head
        + content
        + entries
        + b"PK\5\6"
        + struct.pack("<HHHHIIH", 0, 0, count, count, len(entries), start, 0)
    )


def test_entries_that_overlap_are_refused(tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / "a.zip").write_bytes(overlapping(5))
    assert "files that overlap" in refusal(read, tmp_path / "a.zip")


def test_a_locked_archive_is_said_to_be_encrypted(tmp_path: Path, refusal: Refusal) -> None:
    path = archive(tmp_path / "a.zip")
    raw = bytearray(path.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(raw)
    assert "is encrypted" in refusal(read, path)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.7z", "a.rar"])
def test_archives_of_other_kinds_are_not_guessed_at(name: str, tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / name).write_bytes(b"x" * 600)
    assert "is no file that holds labelled examples" in refusal(read, tmp_path / name)


@pytest.mark.parametrize("tenth", range(10))
def test_an_archive_cut_at_any_tenth_is_refused(tenth: int, tmp_path: Path, refusal: Refusal) -> None:
    path = archive(tmp_path / "a.zip")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * tenth // 10])
    assert refusal(read, path).startswith("a.zip cannot be unpacked")


# -- arrays -------------------------------------------------------------------------------------------------


def npz(path: Path, descriptions: dict[str, str], body: bytes = b"\0" * 100) -> Path:
    """An archive of arrays with headers written by hand."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in descriptions.items():
            head = text.encode().ljust(117) + b"\n"
            file.writestr(f"{name}.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + body)
    return path


def described(shape: str, kind: str = "|u1", order: bool = False) -> str:
    return f"{{'descr': {kind!r}, 'fortran_order': {order}, 'shape': {shape}, }}"


LABELS = described("(4,)", "<i8")
ARRAYS: dict[str, dict[str, str]] = {
    "larger than any item": {"images": described("(4, 90000, 90000)"), "labels": LABELS},
    "a negative side": {"images": described("(4, -5, 5)"), "labels": LABELS},
    "no bytes": {"images": described("(4, 5, 0)"), "labels": LABELS},
    "more than there is": {"images": described("(4, 500, 500)"), "labels": LABELS},
    "a trillion": {"images": described("(10**12, 5, 5)"), "labels": described("(10**12,)")},
    "turned round": {"images": described("(4, 50000, 5000)", order=True), "labels": LABELS},
    "objects": {"images": described("(4, 5, 5)", "|O"), "labels": LABELS},
    "records": {"images": described("(4,)", "|V8"), "labels": LABELS},
    "times": {"images": described("(4, 2, 2)"), "labels": described("(4,)", "<M8[s]")},
    "two labels": {"images": described("(4, 2, 2)"), "labels": described("(4, 2)", "<i8")},
    "other lengths": {"images": described("(4, 2, 2)"), "labels": described("(5,)", "<i8")},
    "numbers": {"images": described("(4,)"), "labels": LABELS},
    "tables of texts": {"texts": described("(4, 2)", "<U3"), "labels": LABELS},
    "no shape": {"images": described("()"), "labels": LABELS},
    "no header": {"images": "{", "labels": LABELS},
    "code": {"images": "__import__('os').system('touch canary')", "labels": LABELS},
    "nested": {"images": "[" * 110, "labels": LABELS},
    "infinities": {"images": described("(4, 2, 2)"), "labels": described("(4,)", "<c16")},
    "nothing known": {"foo": LABELS},
}


@pytest.mark.parametrize("case", ARRAYS)
def test_an_array_that_is_not_what_it_says_is_refused(
    case: str, tmp_path: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "a.npz" in refusal(read, npz(tmp_path / "a.npz", ARRAYS[case]))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_arrays_with_headers_by_hand_are_read(tmp_path: Path) -> None:
    """The control: the same archive with true headers; column-major order too."""
    body = bytes([0, 1] * 10 + list(range(60, 120)))
    for order in (False, True):
        heads = {"images": described("(20, 2, 2)", order=order), "labels": described("(20,)", "|u1")}
        data = read(npz(tmp_path / f"{order}.npz", heads, body))
        assert sum(map(len, data.splits.values())) == 20


def test_a_bomb_of_zeros_in_an_array_is_refused(tmp_path: Path, probe: Callable[..., list[str]]) -> None:
    heads = {"images": described("(1, 14000, 10000)"), "labels": described("(1,)", "|u1")}
    npz(tmp_path / "a.npz", heads, io.BytesIO(b"\0" * 140_000_000).getvalue())
    npz(tmp_path / "b.npz", {"images": described("(4, 2, 2)"), "labels": described("(4,)", "|u1")})
    (said,) = probe(
        """
        from tunesmith.data.read import read
        from tunesmith.errors import BadData

        def look(path):
            try:
                read(path)
            except BadData:
                pass

        look(sys.argv[2])
        print(grown(lambda: look(sys.argv[1])))
        """,
        tmp_path / "a.npz",
        tmp_path / "b.npz",
    )
    assert float(said) < 700
