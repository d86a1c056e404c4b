"""Inputs that nobody meant to write: a sample that is right, mutated as often as one likes.

The same seed, reader and number give the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

LONGEST = 1 << 20
TOKENS = (
    b"\0", b"\0" * 64, b"\xff", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\r", b"\r\n", b"\n\n", b'"',
    b'""', b"'", b",", b",,,", b";", b"\t", b"\\", b"../", b"/etc/passwd", b"C:\\", b"\xed\xa0\x80",
    b"\xf0\x9f\x92\xa5", b"\xe2\x80\xae", b"\xc3\xa9", b"\xe9", b"\xb0\xa1", b"NaN", b"Infinity",
    b"-Infinity", b"1e400", b"-1", b"0", b"9" * 400, b"9223372036854775808", b"null", b"true", b"[" * 2000,
    b"{" * 2000, b'{"a":' * 500, b"{}", b"[]", b"!!python/object/apply:os.system [touch canary]",
    b"cos\nsystem\n(S'touch canary'\ntR.", b"PK\x03\x04", b"\x80\x04", b"\x93NUMPY", b"PAR1", b"ARROW1",
    b"%PDF-1.4", b"<html>", b"<script>", b"IHDR", b"IEND", b"Exif\0\0",
)  # fmt: skip
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)


@dataclass(frozen=True)
class Sample:
    """Files that a reader understands.

    files: content by name, below a folder that is made for them.
    given: the one of them that the reader is handed; "" is the folder.
    mutated: those that may be changed; all when empty.
    mend: what makes checksums right again after a change, so that the reader looks further.
    longest: bytes of a mutated file; fewer where every line of it is honest work.
    """

    files: Mapping[str, bytes]
    given: str = ""
    mutated: tuple[str, ...] = ()
    mend: Callable[[bytes], bytes] | None = None
    longest: int = LONGEST


@dataclass(frozen=True)
class Reader:
    """Something of tunesmith that reads what others wrote.

    read: called with the path that was given; it may raise TunesmithError and nothing else.
    make: a sample, drawn.
    """

    name: str
    read: Callable[[Path], object]
    make: Callable[[Random], Sample]


def drawn(reader: Reader, seed: int, number: int) -> Sample:
    """The sample of this number, with one to six mutations; every 50th is left as it was made."""
    random = Random(f"{seed}/{reader.name}/{number}")
    sample = reader.make(random)
    if number % 50 == 0:
        return sample
    names = sample.mutated or tuple(sample.files)
    files = dict(sample.files)
    for name in random.sample(names, k=min(len(names), random.choice((1, 1, 1, 2)))):
        content = mutated(files[name], random, tuple(files.values()))[: sample.longest]
        if sample.mend is not None and random.random() < 0.6:
            content = sample.mend(content)
        files[name] = content
    return replace(sample, files=files)


def mutated(content: bytes, random: Random, others: tuple[bytes, ...] = ()) -> bytes:
    """The content after one to six changes.

    others: what parts may be taken from.
    """
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        change = random.choice(CHANGES)
        content = change(content, random, others or (content,))[:LONGEST]
    return content


def _place(content: bytes, random: Random) -> int:
    """Headers are short and decide most: half of the changes are within the first 64 bytes."""
    last = len(content) if random.random() < 0.5 else min(len(content), 64)
    return random.randint(0, last)


def _flip(content: bytes, random: Random, _: tuple[bytes, ...]) -> bytes:
    changed = bytearray(content)
    for _bit in range(random.choice((1, 1, 2, 8)) if content else 0):
        changed[min(_place(content, random), len(content) - 1)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _number(content: bytes, random: Random, _: tuple[bytes, ...]) -> bytes:
    form = random.choice(("<B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(form)
    piece = struct.pack(form, random.choice(EXTREMES) & ((1 << 8 * size) - 1))
    place = _place(content, random)
    return content[:place] + piece + content[place + size :]


def _noise(content: bytes, random: Random, _: tuple[bytes, ...]) -> bytes:
    place, length = _place(content, random), random.choice((1, 4, 16, 256))
    return content[:place] + random.randbytes(length) + content[place + length :]


def _token(content: bytes, random: Random, _: tuple[bytes, ...]) -> bytes:
    place, token = _place(content, random), random.choice(TOKENS)
    return content[:place] + token + content[place + random.choice((0, len(token))) :]


def _cut(content: bytes, random: Random, _: tuple[bytes, ...]) -> bytes:
    return content[: len(content) * random.randrange(11) // 10]


def _without(content: bytes, random: Random, _: tuple[bytes, ...]) -> bytes:
    place = _place(content, random)
    return content[:place] + content[place + random.choice((1, 2, 7, 64, 1000)) :]


def _repeated(content: bytes, random: Random, _: tuple[bytes, ...]) -> bytes:
    place, length = _place(content, random), random.choice((1, 8, 60, 500))
    return (
        content[:place] + content[place : place + length] * random.choice((2, 3, 50, 3000)) + content[place:]
    )


def _spliced(content: bytes, random: Random, others: tuple[bytes, ...]) -> bytes:
    other = random.choice(others)
    return content[: _place(content, random)] + other[_place(other, random) :]


def _digits(content: bytes, random: Random, _: tuple[bytes, ...]) -> bytes:
    places = [i for i, byte in enumerate(content[:4096]) if 48 <= byte < 58]
    if not places:
        return _flip(content, random, ())
    place = random.choice(places)
    return (
        content[:place] + random.choice((b"9", b"-", b"0", b"99999999", b"1e9", b".")) + content[place + 1 :]
    )


CHANGES = (
    _flip,
    _flip,
    _number,
    _number,
    _noise,
    _token,
    _token,
    _cut,
    _without,
    _repeated,
    _spliced,
    _digits,
)
