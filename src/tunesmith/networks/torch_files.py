"""Weights in torch's own format, which is a pickle: read as tensors and nothing else, or refused."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tunesmith.data.rows import some
from tunesmith.errors import BadWeights
from tunesmith.networks.header import HEADER_LIMIT, RANK_LIMIT, TENSOR_LIMIT

if TYPE_CHECKING:
    from torch import Tensor

PLACES: Final = (  # where training scripts put a state dict, beside epochs and optimizers
    "model_state_dict", "state_dict", "model", "net", "module", "model_ema", "state_dict_ema",
)  # fmt: skip
NUMBERED = 64  # members of an archive beside its tensors: version, byte order ...


def is_torch_file(path: Path) -> bool:
    """Whether a file is a zip archive or a pickle, whatever it is called.

    A safetensors file begins with the length of its header, whose first bytes may be those of a pickle (128)
    or of an archive (19,280); its last five are zeros then, and theirs are not.
    """
    with path.open("rb") as file:
        magic = file.read(8)
    if magic[3:] == b"\0" * 5:
        return False
    return magic[:2] == b"PK" or (len(magic) >= 2 and magic[0] == 0x80 and magic[1] <= 5)


def read_torch_file(path: Path) -> dict[str, Tensor]:
    """A state dict, read with `weights_only=True`; also from inside a checkpoint, under one of PLACES.

    Raises BadWeights for code, for a damaged file, for tensors that are not plain ones on the CPU, or that
    claim more than the file holds. There is no other way in: what is refused here is never unpickled.
    """
    import pickle

    import torch

    with path.open("rb") as file:
        if file.read(2) == b"PK":
            _check_archive(path)
    try:
        # Given a path, torch would judge by its ending; and of pickles that are none it warns at length.
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadWeights(
            f"{path} is a pickled checkpoint that holds more than tensors, which could run code; it was not "
            f"opened. Ask its author for safetensors, or save it yourself: "
            f"safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."
        ) from error
    except Exception as error:  # torch's reader fails on damaged files in any way it likes
        line = next(iter(str(error).splitlines()), "")[:200]
        raise BadWeights(f"{path} is damaged or was cut short: {line or type(error).__name__}.") from error
    for _ in range(2):  # {"model": {"state_dict": ...}} has been seen
        if isinstance(state, dict):
            state = next((state[key] for key in PLACES if isinstance(state.get(key), dict)), state)
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()
    ):
        raise BadWeights(
            f"{path} holds no state dict (names and tensors), neither by itself nor under "
            f"{', '.join(PLACES)}: {_contents(state)}. Save one: "
            f"torch.save(model.state_dict(), 'weights.pt')."
        )
    if len(state) > TENSOR_LIMIT:
        raise BadWeights(f"{path} claims {len(state):,} tensors; more than {TENSOR_LIMIT:,} is refused.")
    return {name: _plain(path, name, tensor) for name, tensor in state.items()}


def _contents(state: object) -> str:
    """What an object that is no state dict holds, in a few words."""
    if isinstance(state, dict):
        return f"its keys are {some([str(key)[:40] for key in state], most=6) or 'none'}"
    return f"it holds a {type(state).__name__}"


def _check_archive(path: Path) -> None:
    """Raise BadWeights for an archive that torch did not write, or whose checksums do not hold.

    torch compares no checksums: of 600 files with a byte changed, it read 244 with other numbers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            size = path.stat().st_size
            unlike = (
                len({m.filename for m in members}) < len(members)
                or len(members) > TENSOR_LIMIT + NUMBERED
                or any(m.compress_type != zipfile.ZIP_STORED or m.flag_bits & 1 for m in members)
                or sum(m.file_size for m in members) > size
                or any(m.file_size > HEADER_LIMIT for m in members if m.filename.endswith(".pkl"))
            )
            if unlike:
                raise BadWeights(
                    f"{path} is no archive that torch.save writes (compressed, doubled or too many members); "
                    f"it was not opened. Save it again with torch.save, or as safetensors."
                )
            harmed = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, RuntimeError, EOFError) as error:
        if isinstance(error, BadWeights):
            raise
        raise BadWeights(f"{path} is damaged or was cut short: {str(error)[:200]}.") from error
    if harmed is not None:
        raise BadWeights(
            f"{path} is damaged: the checksum of {harmed[:80]} does not hold. Copy or download it again."
        )


def _plain(path: Path, name: str, tensor: Any) -> Tensor:
    """The tensor, if it is one of numbers in memory, and of no more than the file holds."""
    import torch

    odd = (
        tensor.layout != torch.strided
        or tensor.device.type != "cpu"
        or tensor.is_quantized
        or tensor.is_complex()
        or tensor.dim() > RANK_LIMIT
        or len(name) > 256
    )
    if odd:
        raise BadWeights(
            f"{path}: {name[:80]} is no plain tensor of at most {RANK_LIMIT} dimensions; save the network's "
            f"state_dict() in full numbers, on the CPU."
        )
    # A few bytes can claim a tensor of any size by a stride of 0.
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise BadWeights(f"{path}: {name} claims more numbers than the file holds.")
    plain: Tensor = tensor.detach()
    return plain
