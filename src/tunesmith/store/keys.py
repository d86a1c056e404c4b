"""Names made of content: of a record, of a shelf, of a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.errors import BadData, BadOption, NoData

KEY_BYTES = 16


def record_key(*parts: bytes | str) -> bytes:
    """The 16 bytes that name a record by the parts it is made of; text counts as UTF-8.

    Each part is preceded by its length, so where one ends and the next begins matters.

    >>> record_key("ab", "c") == record_key("a", "bc")
    False
    """
    total = hashlib.blake2b(digest_size=KEY_BYTES)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.digest()


def shelf_key(about: Mapping[str, Any]) -> str:
    """The 32 hexadecimal digits that name a shelf by what its records have in common.

    about: JSON values; the order of the names does not matter.

    Raises BadOption for what JSON cannot hold.

    >>> shelf_key({"model": "m", "cut": 3}) == shelf_key({"cut": 3, "model": "m"})
    True
    """
    return hashlib.blake2b(canonical(about).encode(), digest_size=KEY_BYTES).hexdigest()


def file_key(path: Path) -> bytes:
    """The 16 bytes that name a file by its bytes, wherever it lies.

    Raises NoData if it is not there, BadData if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()[:KEY_BYTES]
    except FileNotFoundError:
        raise NoData(f"{path} is not there.") from None
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror}.") from error


def item_key(item: Any, known: dict[str, bytes] | None = None) -> bytes:
    """The 16 bytes that name an item of the data by its content: a text, an image in memory, a file.

    known: addresses of files that were read already, by path; grows.
    Raises NoData or BadData for a file that cannot be read.
    """
    if not isinstance(item, Mapping):
        return record_key(str(item))
    if item.get("bytes") is not None:
        return record_key(item["bytes"])
    files = {} if known is None else known
    path = item["path"]
    if path not in files:
        files[path] = file_key(Path(path))
    return files[path]


def canonical(about: Mapping[str, Any]) -> str:
    """The same JSON text for the same values; raises BadOption for what JSON cannot hold."""
    try:
        return json.dumps(
            dict(about), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        )
    except (TypeError, ValueError) as error:
        raise BadOption(f"a shelf is described by JSON values: {error}.") from error
