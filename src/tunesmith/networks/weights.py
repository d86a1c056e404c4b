"""Weights from a file into a network: read safely, matched strictly, and what matched is said."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tunesmith.errors import BadWeights

if TYPE_CHECKING:
    from torch import Tensor, nn

HEADER_LIMIT: Final = 10_000_000  # bytes; the largest header of a public network is about 1 MB
TENSOR_LIMIT: Final = 20_000
RANK_LIMIT: Final = 8
SIZES: Final = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
NAME: Final = re.compile(r"[\w.\-/]{1,256}")


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of itself: free words, and each tensor's shape."""

    metadata: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Match:
    """How a checkpoint's tensors met a network's."""

    matched: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def read_header(path: Path) -> Header:
    """The header of a safetensors file, checked before anything is allocated.

    The library trusts a header's names, counts and duplicate keys; a file from a stranger deserves less.
    Raises BadWeights.
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
    claimed = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if claimed != size - 8 - length:
        raise BadWeights(
            f"{path} was cut short or damaged: its tensors need {claimed:,} bytes, "
            f"{size - 8 - length:,} are there. Copy or download it again."
        )
    if not isinstance(metadata, dict):
        metadata = {}
    return Header({str(k): str(v) for k, v in metadata.items()}, shapes)


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from safetensors, or from torch's format with `weights_only=True`.

    Halves become float32. Raises BadWeights for a pickle with code in it, a damaged file, or numbers
    that are not finite. There is no fallback to unrestricted unpickling.
    """
    import torch

    if not path.is_file():
        raise BadWeights(f"no weights at {path}: the file does not exist.")
    if _is_pickle(path):
        tensors = _read_torch(path)
    elif path.suffix in (".h5", ".keras"):
        raise BadWeights(f"{path} holds Keras weights; this network takes safetensors or a torch state dict.")
    else:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        read_header(path)
        try:
            tensors = load_file(path)
        except (SafetensorError, RuntimeError, ValueError) as error:
            raise BadWeights(f"{path} cannot be read: {error}") from error
    ready = {}
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensor = tensor.to(torch.float32)
            if not bool(torch.isfinite(tensor).all()):
                raise BadWeights(f"{path}: {name} holds NaN or infinite numbers; the file is damaged.")
        ready[name.removeprefix("module.")] = tensor
    return ready


def load_weights(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    where: str,
    network: str,
    allow_missing: bool = False,
    headless: tuple[str, ...] = (),
) -> Match:
    """Copy tensors into a network, all of them or none.

    where: the file, for messages. network: the model's name, for messages.
    headless: prefixes of weights that the checkpoint is known not to have (its header says so).
    allow_missing: what else is missing stays as it was initialised, instead of being an error.
    Raises BadWeights when a shape differs, when something is missing or when something is left over.
    """
    expected = module.state_dict()
    wrong = [n for n in tensors if n in expected and tensors[n].shape != expected[n].shape]
    unexpected = tuple(n for n in tensors if n not in expected)
    missing = tuple(
        n
        for n in expected
        if n not in tensors and not n.endswith("num_batches_tracked") and not n.startswith(headless or "\0")
    )
    matched = len(expected.keys() & tensors.keys()) - len(wrong)
    counts = f"{matched} tensors match, {len(missing)} are missing, {len(unexpected)} are unexpected"
    if wrong:
        name = wrong[0]
        raise BadWeights(
            f"{where} does not fit {network}: {name} has shape {tuple(tensors[name].shape)} in the file and "
            f"{tuple(expected[name].shape)} in the network ({len(wrong)} such tensors; {counts}). "
            f"Name the model that these weights were trained for."
        )
    if unexpected:
        raise BadWeights(
            f"{where} does not fit {network}: it holds {shortened(unexpected)}, which the network does not "
            f"have ({counts}). Name the model that these weights were trained for."
        )
    if missing and not (allow_missing and matched):
        raise BadWeights(
            f"{where} is incomplete for {network}: {shortened(missing)} missing ({counts}). "
            f"Pass --allow-missing (allow_missing=True) to start these from random numbers and train them."
        )
    fill(module, tensors)
    return Match(matched, missing, unexpected)


def fill(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into the weights of the same names.

    Plain files do not carry the format's version that some modules ask for (torchvision's MNASNet
    refuses to load without); it is taken to be today's.
    """
    state: OrderedDict[str, Tensor] = OrderedDict(tensors)
    state._metadata = getattr(module.state_dict(), "_metadata", {})  # type: ignore[attr-defined]
    module.load_state_dict(state, strict=False)


def shortened(names: tuple[str, ...], most: int = 4) -> str:
    """A few names and how many more there are.

    >>> shortened(("a", "b", "c", "d", "e", "f"))
    'a, b, c, d and 2 more'
    """
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_torch(path: Path) -> dict[str, Tensor]:
    import pickle

    import torch

    try:
        with path.open("rb") as file:  # given a path, torch would judge by its ending
            state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadWeights(
            f"{path} is a pickled checkpoint that holds more than tensors, which could run code; it was not "
            f"opened. Ask its author for safetensors, or save it yourself: "
            f"safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise BadWeights(f"{path} is damaged or was cut short: {str(error).splitlines()[0][:200]}") from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise BadWeights(f"{path} holds no state dict (names and tensors).")
    for name, tensor in state.items():
        # A few bytes can claim a tensor of any size by a stride of 0.
        if tensor.numel() * tensor.element_size() > max(tensor.untyped_storage().nbytes(), 0):
            raise BadWeights(f"{path}: {name} claims more numbers than the file holds.")
    return dict(state)


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        magic = file.read(4)
    return magic[:2] == b"PK" or (len(magic) >= 2 and magic[0] == 0x80 and magic[1] <= 5)


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
    if not whole or not isinstance(shape, list) or len(shape) > RANK_LIMIT or dtype not in SIZES:
        raise damaged
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(n) is int for n in offsets)):
        raise damaged
    if offsets[1] - offsets[0] != math.prod(shape) * SIZES[dtype]:
        raise damaged
    return tuple(shape)
