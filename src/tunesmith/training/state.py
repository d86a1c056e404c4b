"""Everything that a training needs to go on as if it had not been interrupted, and its place on disk."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from tunesmith.errors import BadRun
from tunesmith.files import clear_leftovers, whole_folder
from tunesmith.seals import check_all, seal
from tunesmith.training.progress import Progress

KEPT: Final = 2  # checkpoints on disk: the newest, and the one before it
KINDS: Final = ("weights", "best", "optimizer", "random")
TAKEN: Final = "taken"  # what a rung is measured against; there only while one is being climbed


@dataclass(frozen=True)
class Snapshot:
    """A training at one moment.

    tensors: by kind: "weights" that have moved, the "best" ones, "optimizer" by parameter name, "random", and
        on a rung "taken", the best ones below it.
    randoms: states of Python's and numpy's generators, in JSON values.
    """

    progress: Progress
    tensors: Mapping[str, Mapping[str, Tensor]]
    randoms: Mapping[str, Any]


def random_tensors() -> dict[str, Tensor]:
    """The states of torch's generators, on the CPU and on every GPU."""
    found = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        found |= {f"cuda{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return found


def random_values() -> dict[str, Any]:
    """The states of Python's and numpy's global generators."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, internal, gauss_next = random.getstate()
    return {
        "numpy": [kind, np.asarray(keys).tolist(), position, has_gauss, gauss],
        "python": [version, list(internal), gauss_next],
    }


def restore_random(tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Put every generator back to where a snapshot found it."""
    torch.set_rng_state(tensors["cpu"].cpu())
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            if f"cuda{i}" in tensors:
                torch.cuda.set_rng_state(tensors[f"cuda{i}"].cpu(), i)
    kind, keys, position, has_gauss, gauss = values["numpy"]
    np.random.set_state((kind, np.asarray(keys, dtype=np.uint32), position, has_gauss, gauss))
    version, internal, gauss_next = values["python"]
    random.setstate((version, tuple(internal), gauss_next))


def write_checkpoint(folder: Path, snapshot: Snapshot) -> Path:
    """Write a snapshot below `folder`, whole or not at all; older ones go, after it stands.

    Each file's SHA-256 lies beside it: what lies in a file is not thereby what was written.
    """
    from safetensors.torch import save_file

    progress = snapshot.progress
    place = folder / f"step-{progress.steps:08d}-{progress.phase:04d}-{progress.epoch:06d}"
    if place.exists():
        shutil.rmtree(place)
    with whole_folder(place) as temporary:
        for kind, tensors in snapshot.tensors.items():
            path = temporary / f"{kind}.safetensors"
            save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, path)
        state = {"progress": asdict(progress), "random": snapshot.randoms}
        (temporary / "state.json").write_text(json.dumps(state), encoding="utf-8")
        seal(temporary)
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def read_checkpoint(folder: Path) -> tuple[Snapshot | None, list[str]]:
    """The newest whole checkpoint below `folder`, or None; and what is wrong with newer ones.

    A damaged one is passed over for the one before it, never used in part.
    """
    clear_leftovers(folder)
    complaints: list[str] = []
    for place in reversed(checkpoints(folder)):
        try:
            return _read(place), complaints
        except BadRun as error:
            complaints.append(str(error))
    return None, complaints


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints below `folder`, oldest first."""
    return sorted(folder.glob("step-*")) if folder.is_dir() else []


def _read(place: Path) -> Snapshot:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        check_all(place, needed=("state.json", *(f"{kind}.safetensors" for kind in KINDS)))
        state = json.loads((place / "state.json").read_text(encoding="utf-8"))
        known = {f.name for f in fields(Progress)}
        progress = Progress(**{k: v for k, v in state["progress"].items() if k in known})
        kinds = [*KINDS, *([TAKEN] if (place / f"{TAKEN}.safetensors").is_file() else [])]
        tensors = {kind: load_file(place / f"{kind}.safetensors") for kind in kinds}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        why = str(error).partition(";")[0]  # what to do about it is to use another one
        raise BadRun(f"the checkpoint {place} is incomplete or damaged: {why}.") from error
    return Snapshot(progress, tensors, state["random"])
