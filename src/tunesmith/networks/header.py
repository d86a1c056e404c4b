"""What a safetensors file says of itself, checked before its library reads it.

The library trusts a header's names, counts and duplicate keys; a file from a stranger deserves less.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tunesmith.errors import BadWeights

HEADER_LIMIT: Final = 10_000_000  # bytes; the largest header of a public network is about 1 MB
TENSOR_LIMIT: Final = 20_000
RANK_LIMIT: Final = 8
PARTS_LIMIT: Final = 400_000  # brackets and commas: each becomes an object of some 50 bytes
BITS: Final = {  # of a number, by the name of its type: all that the format knows
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8,
    "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
UNSUPPORTED: Final = ("F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "C64")  # no weights of a network by themselves
NAME: Final = re.compile(r"[\w.\-/]{1,256}")


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of itself: free words, and each tensor's shape."""

    metadata: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]


def read_header(path: Path) -> Header:
    """The header of a safetensors file: every tensor's bytes lie in the file, one after the other.

    Raises BadWeights for a header that is damaged, larger than HEADER_LIMIT, or that names more than
    TENSOR_LIMIT tensors, one of a rank above RANK_LIMIT or of an unsupported type, or one twice.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(HEADER_LIMIT, size - 8):
            raise BadWeights(
                f"{path} is not a safetensors file, or was cut short: its header claims {length:,} bytes "
                f"and the file has {size:,}. Pickled checkpoints do not become safe by renaming."
            )
        raw = file.read(length)
    if sum(raw.count(sign) for sign in (b"[", b"{", b",")) > PARTS_LIMIT:
        raise BadWeights(f"{path}: the header is damaged: no {TENSOR_LIMIT:,} tensors need so many words.")
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise BadWeights(f"{path}: the header is damaged: {str(error)[:200]}") from error
    if not isinstance(header, dict):
        raise BadWeights(f"{path}: the header is damaged: it is no JSON object.")
    metadata = header.pop("__metadata__", {})
    if len(header) > TENSOR_LIMIT:
        raise BadWeights(f"{path} claims {len(header):,} tensors; more than {TENSOR_LIMIT:,} is refused.")
    shapes = {name: _shape(path, name, entry) for name, entry in header.items()}
    claimed = 0
    for begin, end in sorted(tuple(entry["data_offsets"]) for entry in header.values()):
        if begin != claimed:
            raise BadWeights(f"{path}: the header is damaged: its tensors overlap, or leave bytes between.")
        claimed = end
    if claimed != size - 8 - length:
        raise BadWeights(
            f"{path} was cut short or damaged: its tensors need {claimed:,} bytes, "
            f"{size - 8 - length:,} are there. Copy or download it again."
        )
    if not isinstance(metadata, dict):
        metadata = {}
    return Header({str(k): str(v) for k, v in metadata.items()}, shapes)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def _shape(path: Path, name: str, entry: Any) -> tuple[int, ...]:
    damaged = BadWeights(f"{path}: the header's entry for {name[:80]!r} is damaged.")
    if not NAME.fullmatch(name) or ".." in name or not isinstance(entry, dict):
        raise damaged
    shape, offsets, dtype = entry.get("shape"), entry.get("data_offsets"), entry.get("dtype")
    whole = isinstance(shape, list) and all(type(n) is int and 0 <= n < 2**40 for n in shape)
    if not whole or not isinstance(shape, list) or len(shape) > RANK_LIMIT:
        raise damaged
    if not isinstance(dtype, str) or dtype not in BITS:
        raise damaged
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(n) is int for n in offsets)):
        raise damaged
    if 8 * (offsets[1] - offsets[0]) != math.prod(shape) * BITS[dtype]:
        raise damaged
    if dtype in UNSUPPORTED:
        raise BadWeights(
            f"{path}: {name} has the dtype {dtype}, which is not supported; save it as F32 or F16."
        )
    return tuple(shape)
