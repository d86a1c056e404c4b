"""Large JSON files piece by piece: memory holds one value, and a fault is named with its line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from tunesmith.errors import BadData

BLOCK: Final = 65_536  # characters that are read at once, at least
LONGEST: Final = 64_000_000  # characters of one value
SPACE: Final = " \t\r\n"
ESCAPE: Final = 12  # characters of the longest escape: two halves of a surrogate pair


class JsonStream:
    """A JSON text that is walked through: `object` and `array` enter, `value` takes all of what comes next.

    name: of the file, for messages. place: what the caller is at, in words, for messages about its end.
    """

    def __init__(self, file: IO[str], name: str) -> None:
        self.place = ""
        self._file, self._name = file, name
        self._text, self._at, self._line, self._ended = "", 0, 1, False
        self._decoder = json.JSONDecoder()

    @property
    def line(self) -> int:
        """The line that was come to, counted from 1."""
        return self._line + self._text.count("\n", 0, self._at)

    def fault(self, what: str) -> BadData:
        """An error at this line."""
        return BadData(f"{self._name}:{self.line}: {what}")

    def peek(self) -> str:
        """The next sign that is no white space; empty at the end of the file."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def array(self) -> Iterator[int]:
        """The places of an array, from 0; whoever asks for the next has taken the value at the one before."""
        self._take("[")
        number = 0
        while self.peek() != "]":
            if number:
                self._take(",", "]")
            yield number
            number += 1
        self._take("]")

    def object(self) -> Iterator[str]:
        """The keys of an object; whoever asks for the next has taken the value of the one before."""
        self._take("{")
        first = True
        while self.peek() != "}":
            if not first:
                self._take(",", "}")
            if self.peek() != '"':
                raise self._unexpected("a name in quotes")
            key = str(self.value())
            self._take(":")
            yield key
            first = False
        self._take("}")

    def value(self) -> Any:
        """The whole of the next value."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if _may_go_on(error, self._text):
                    if self._fill():
                        continue
                    raise self._cut() from None
                self._at = error.pos
                raise self.fault(f"no JSON ({error.msg}); mend it, or write the file again.") from None
            except RecursionError:
                raise self.fault("lists within lists, too deep to be data.") from None
            if end == len(self._text) and self._fill():
                continue  # a number may go on
            self._at = end
            return value

    def finish(self) -> None:
        """Raises BadData if anything but white space follows."""
        if self.peek():
            raise self.fault(f"{self._text[self._at]!r} follows where the JSON should be over; remove it.")

    def _take(self, *signs: str) -> None:
        if self.peek() != signs[0]:
            raise self._unexpected(" or ".join(signs))
        self._at += 1

    def _unexpected(self, expected: str) -> BadData:
        found = self.peek()
        if not found:
            return self._cut()
        return self.fault(f"no JSON: {expected} is expected where {found!r} stands; mend it.")

    def _cut(self) -> BadData:
        after = f", in {self.place}" if self.place else ""
        self._at = len(self._text)
        return self.fault(f"the JSON ends in the middle{after}: the file was cut; copy it again.")

    def _fill(self) -> bool:
        """Read on; False at the end of the file."""
        if self._ended:
            return False
        self._line, self._text, self._at = self.line, self._text[self._at :], 0
        if len(self._text) > LONGEST:
            raise self.fault(f"one value has more than {LONGEST:,} characters; divide it.")
        more = self._file.read(max(BLOCK, len(self._text)))  # as much again: reading stays linear
        if "\0" in more:
            raise self.fault("a NUL byte from here on, so it is no text; save it as UTF-8.")
        self._ended = not more
        self._text += more
        return bool(more)


def _may_go_on(error: json.JSONDecodeError, text: str) -> bool:
    """Whether what is no JSON may be the beginning of some."""
    rest = text[error.pos :].strip()
    begun = any(word.startswith(rest) for word in ("true", "false", "null", "-"))
    return begun or error.msg.startswith("Unterminated") or ("escape" in error.msg and len(rest) < ESCAPE)


@contextmanager
def json_stream(path: Path, name: str) -> Iterator[JsonStream]:
    """The JSON of a file. Raises BadData for a file that cannot be read or is not UTF-8."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield JsonStream(file, name)
    except UnicodeDecodeError as error:
        raise BadData(f"{name} is not UTF-8 text ({error.reason}); save it as UTF-8.") from error
    except OSError as error:
        raise BadData(f"{name} cannot be read ({error.strerror}).") from error
