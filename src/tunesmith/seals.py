"""Which bytes the files of a folder were written with: a list beside them, compared whenever one is read.

The list is what `sha256sum` writes, so that `sha256sum --check files.sha256` asks the same by hand.
A file that is written again has two lines for a moment, so that a kill in between harms nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from tunesmith.errors import BadRun
from tunesmith.files import file_digest, write_whole

SEALS: Final = "files.sha256"
LINE: Final = re.compile(r"([0-9a-f]{64})  (\S(?:.*\S)?)")
Seals = Mapping[str, Sequence[str]]  # the digests that a file may have, by its path below the folder


def seal(folder: Path) -> None:
    """List every file in a folder that nobody else writes to, as it is now."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    write_whole(folder / SEALS, _text({n: [file_digest(folder / n)] for n in names if n != SEALS}))


def write_sealed(folder: Path, name: str, content: str | bytes) -> None:
    """Write a file of the folder whole, and what it holds into the list before."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    known = dict(seals(folder))
    before = [d for d in known.get(name, ()) if (folder / name).is_file() and d == file_digest(folder / name)]
    fresh = hashlib.sha256(data).hexdigest()
    if before != [fresh]:
        write_whole(folder / SEALS, _text(known | {name: [*before, fresh]}))
        write_whole(folder / name, data)


def settle(folder: Path, *also: str) -> None:
    """End with one line for each file; `also` are files that grew until now, to be listed from here on.

    Raises BadRun for a file that is not as it was written.
    """
    known = seals(folder)
    there = {name: [check(folder, name, known)] for name in known if (folder / name).is_file()}
    grown = {name: [file_digest(folder / name)] for name in also if (folder / name).is_file()}
    write_whole(folder / SEALS, _text(there | grown))


def seals(folder: Path) -> Seals:
    """The list of a folder. Raises BadRun if it is missing or damaged."""
    path = folder / SEALS
    try:
        lines = path.read_bytes().decode("utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        why = "is not UTF-8" if isinstance(error, ValueError) else error.strerror
        raise BadRun(
            f"{path}, which says what {folder.name} was written with, cannot be read ({why}); "
            f"copy the folder again from where it is whole."
        ) from error
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        match = LINE.fullmatch(line.removesuffix("\n"))
        if match is None or not line.endswith("\n") or not _is_below(match[2]):
            raise BadRun(f"{path}:{number} is damaged; copy the folder again from where it is whole.")
        found.setdefault(match[2], []).append(match[1])
    return found


def read_sealed(folder: Path, name: str) -> bytes:
    """A file's bytes, which are those that were written. Raises BadRun if they are not."""
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise BadRun(f"{folder / name} is missing or cannot be read ({error.strerror}).") from error
    _compare(folder, name, hashlib.sha256(content).hexdigest(), seals(folder))
    return content


def check(folder: Path, name: str, known: Seals | None = None) -> str:
    """The digest of a file of any size, which is as it was written. Raises BadRun if it is not."""
    try:
        if (folder / name).exists() and not (folder / name).is_file():  # a device may never end
            raise BadRun(f"{folder / name} is no file; copy the folder again from where it is whole.")
        found = file_digest(folder / name)
    except OSError as error:
        raise BadRun(f"{folder / name} is missing or cannot be read ({error.strerror}).") from error
    _compare(folder, name, found, seals(folder) if known is None else known)
    return found


def check_all(folder: Path, *, needed: Sequence[str] = ()) -> None:
    """Raise BadRun unless every file of the list, and each needed one, is as it was written."""
    known = seals(folder)
    for name in dict.fromkeys((*known, *needed)):
        check(folder, name, known)


def _compare(folder: Path, name: str, found: str, known: Seals) -> None:
    if found not in known.get(name, ()):
        what = "was cut short or changed since it was written" if name in known else f"is not in {SEALS}"
        raise BadRun(f"{folder / name} {what}; it is not used. Copy it again from where it is whole.")


def _is_below(name: str) -> bool:
    """Whether a path stays in the folder."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _text(known: Seals) -> str:
    return "".join(f"{one}  {name}\n" for name, digests in sorted(known.items()) for one in digests)
