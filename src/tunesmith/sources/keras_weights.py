"""Keras weights (HDF5) into a Keras model: looked through first, and all of them or none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch

from tunesmith.errors import BadWeights
from tunesmith.sources.keras_layers import SEED

SUFFIX: Final = ".weights.h5"
OPTIMIZER: Final = "optimizer"  # the group of what only training needs
SWELLS: Final = 64  # times its size may a file claim; keras packs nothing


def load_h5(model: Any, path: Path, *, where: str, network: str) -> int:
    """Load a `.weights.h5` file into a model of Keras; how many tensors matched.

    where: the file, for messages. network: the model's name, for messages.
    Raises BadWeights for a file of another network, one that is damaged or that reaches into other files,
    and for numbers that are not finite.
    """
    shapes = dict(_tensors(path, where))
    wanted = [variable for variable in model.variables if variable.name != SEED]
    if len(shapes) != len(wanted):
        raise BadWeights(
            f"{where} does not fit {network}: it holds {len(shapes)} tensors, and the network has "
            f"{len(wanted)}. Name the model that these weights were trained for."
        )
    try:
        model.load_weights(path)
    except Exception as error:  # whatever Keras and h5py make of a file
        line = " ".join(str(error).split())[:200]
        raise BadWeights(f"{where} does not fit {network}: {line}") from error
    for variable in wanted:
        if not bool(torch.isfinite(variable.value).all()):
            raise BadWeights(f"{where}: {variable.path} holds NaN or infinite numbers; the file is damaged.")
    return len(wanted)


def tensors_in(path: Path) -> int:
    """How many tensors a weights file holds."""
    return sum(1 for _ in _tensors(path, str(path)))


def _tensors(path: Path, where: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all tensors in the file, none of which lies in another file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            left = SWELLS * path.stat().st_size
            for name, dataset in _datasets(file, "", where):
                left -= dataset.nbytes
                if left < 0 or dataset.dtype.kind not in "fiub":
                    raise BadWeights(f"{where}: {name} is no tensor, or claims more bytes than the file has.")
                if not name.endswith(f"/{SEED}") and dataset.dtype.kind != "u":
                    yield name, dataset.shape
    except BadWeights:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise BadWeights(
            f"{where} is no whole file of Keras weights ({' '.join(str(error).split())[:120]}); copy or "
            f"download it again."
        ) from error


def _datasets(group: Any, prefix: str, where: str) -> Iterator[tuple[str, Any]]:
    import h5py

    for name in group:
        path = f"{prefix}/{name}"
        if path == f"/{OPTIMIZER}":
            continue
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise BadWeights(f"{where}: {path} is a link out of the file; it is not followed.")
        part = group[name]
        if isinstance(part, h5py.Group):
            yield from _datasets(part, path, where)
        elif part.external or part.is_virtual:
            raise BadWeights(f"{where}: {path} lies in another file; it is not loaded.")
        else:
            yield path, part
