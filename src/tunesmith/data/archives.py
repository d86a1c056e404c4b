"""Zip archives, unpacked into the cache once: plain files only, within bounds."""

from __future__ import annotations

import errno
import hashlib
import lzma
import re
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO, Final

from tunesmith.data.cache import cache_failures, cache_folder, clear_leftovers
from tunesmith.data.class_folders import hidden
from tunesmith.errors import BadData

MOST_FILES: Final = 2_000_000
MOST_BYTES: Final = 200 * 2**30
MOST_RATIO: Final = 200  # unpacked to packed; photos reach 1, texts 10
RATIO_FROM: Final = 10 * 2**20  # bytes; below this any ratio is harmless
DRIVE: Final = re.compile("[A-Za-z]:")
DISK: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)
HEADER: Final = 30  # bytes before a file's name and content, at the least
DAMAGED: Final = (  # what zipfile stumbles on where bytes are not what they should be
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError, RuntimeError,
    OSError, ValueError, OverflowError, IndexError,
)  # fmt: skip


def extracted(path: Path) -> Path:
    """The folder in the cache that holds the archive's files; unpacked when first asked for.

    The folder is named by the archive's content, and appears only when it is complete. Hidden files
    are left out. Links, absolute paths, "..", repeated names and encrypted files are refused, and
    so is what unpacks to more than 200 times its size.

    Raises BadData if the archive is damaged or refused, DiskFailed if the cache's disk refuses.
    """
    shelf = cache_folder("extracted")
    clear_leftovers(shelf)
    try:
        folder = shelf / _content(path)
    except OSError as error:
        raise BadData(f"{path.name} cannot be unpacked ({error.strerror}).") from error
    if folder.is_dir():
        return folder
    with cache_failures(shelf):
        temporary = Path(tempfile.mkdtemp(dir=shelf, prefix="writing-"))
    try:
        with zipfile.ZipFile(path) as archive:
            _extract(archive, temporary, path)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
    except BadData:
        raise
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno in DISK:
            with cache_failures(shelf):
                raise
        raise BadData(f"{path.name} cannot be unpacked ({error}); make or download it again.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _extract(archive: zipfile.ZipFile, folder: Path, path: Path) -> None:
    members = [member for member in archive.infolist() if not member.filename.endswith("/")]
    packed = max(path.stat().st_size, 1)
    most = min(MOST_BYTES, max(RATIO_FROM, MOST_RATIO * packed))
    if len(members) > MOST_FILES:
        raise BadData(f"{path.name} holds {len(members):,} files, more than {MOST_FILES:,}.")
    if sum(member.file_size for member in members) > most:
        raise _too_large(path, most)
    ends = [
        (one.header_offset + HEADER + one.compress_size, two.header_offset) for one, two in _by_place(members)
    ]
    if any(end > start for end, start in ends):
        raise BadData(f"{path.name} holds files that overlap, as no program packs them; make it again.")
    left = most
    for member in members:
        parts = _safe_parts(member, path)
        if any(hidden(part) for part in parts):
            continue
        target = folder.joinpath(*parts)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("xb") as file:
                left -= _copied(source, file, left)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise BadData(f"{path.name} holds {member.filename!r} twice; make it again without.") from None
        if left < 0:
            raise _too_large(path, most)


def _by_place(members: list[zipfile.ZipInfo]) -> Iterator[tuple[zipfile.ZipInfo, zipfile.ZipInfo]]:
    """Neighbours, in the order in which they lie in the archive."""
    return pairwise(sorted(members, key=lambda member: member.header_offset))


def _copied(source: IO[bytes], target: IO[bytes], most: int) -> int:
    """Copy until `most` bytes are exceeded: sizes in an archive may be lies."""
    count = 0
    while count <= most and (piece := source.read(2**20)):
        count += len(piece)
        target.write(piece)
    return count


def _safe_parts(member: zipfile.ZipInfo, path: Path) -> tuple[str, ...]:
    name = member.filename.replace("\\", "/")
    parts = PurePosixPath(name).parts
    mode = member.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise BadData(f"{path.name} holds {name!r}, which is a link or a device; leave it out.")
    if not parts or name.startswith("/") or ".." in parts or DRIVE.match(name):
        raise BadData(
            f"{path.name} holds {name!r}, which would lie outside the folder it is unpacked to; "
            "make the archive again with paths below one folder."
        )
    if member.flag_bits & 0x1:
        raise BadData(f"{path.name} is encrypted ({name!r}); unpack it and give the folder.")
    return parts


def _too_large(path: Path, most: int) -> BadData:
    return BadData(
        f"{path.name} unpacks to more than {most / 2**20:,.0f} MiB, which its size does not "
        "explain; if you trust it, unpack it and give the folder."
    )
