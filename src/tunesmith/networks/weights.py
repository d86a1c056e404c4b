"""Weights from a file into a network: read safely, matched strictly, and what matched is said."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import BadWeights
from tunesmith.networks.header import read_header
from tunesmith.networks.torch_files import is_torch_file, read_torch_file

if TYPE_CHECKING:
    from torch import Tensor, nn

FOREIGN = {  # first bytes of what is often taken for weights, and what it is
    b"\x89HDF\r\n\x1a\n": "Keras weights",
    b"GGUF": "GGUF weights",
    b"\x93NUMPY": "a numpy array",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x1f\x8b\x08": "a gzip archive",
}


@dataclass(frozen=True)
class Match:
    """How a checkpoint's tensors met a network's."""

    matched: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from safetensors, or from torch's format with `weights_only=True`.

    What a file is, its first bytes say, not its name. Halves become float32.

    Raises BadWeights for a pickle with code in it, a damaged file, or numbers that are not finite. There
    is no fallback to unrestricted unpickling.
    """
    import torch

    if not path.is_file():
        raise BadWeights(f"no weights at {path}: the file does not exist.")
    try:
        tensors = _read(path)
    except OSError as error:
        raise BadWeights(f"{path} cannot be read: {error.strerror or error}.") from error
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


def _read(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        magic = file.read(8)
    kind = next((kind for start, kind in FOREIGN.items() if magic.startswith(start)), None)
    if kind is not None or path.suffix in (".h5", ".keras"):
        raise BadWeights(
            f"{path} holds {kind or 'Keras weights'}; this network takes safetensors or a torch state dict."
        )
    if is_torch_file(path):
        return read_torch_file(path)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    read_header(path)
    try:
        return load_file(path)
    except (SafetensorError, RuntimeError, ValueError, MemoryError) as error:
        raise BadWeights(f"{path} cannot be read: {error}") from error
