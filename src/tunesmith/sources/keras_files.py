"""A `.keras` file, read without running anything of it.

It is a zip of three members: metadata.json, config.json (the graph) and model.weights.h5. Zip, JSON and
HDF5 are each looked through before Keras sees any of them.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tunesmith.errors import BadWeights, DiskFailed, TunesmithError
from tunesmith.sources.keras_configs import checked

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MEMBERS: Final = (METADATA, CONFIG, WEIGHTS)
JSON_LIMIT: Final = 64 * 2**20  # bytes; the largest network of keras.applications has 2 MB
EXPANSION: Final = 100  # times; keras stores its members as they are
HDF5: Final = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class KerasFile:
    """What a `.keras` file holds besides weights. config: checked. metadata: as it stands there."""

    path: Path
    config: dict[str, Any]
    metadata: dict[str, Any]


def read_keras_file(path: Path) -> KerasFile:
    """The configuration of a file, each of its names checked.

    Raises BadWeights, with the cure, for a file that is missing, cut short, hostile, of Keras 2, of a
    subclassed model, or that names code.
    """
    with _opened(path) as archive:
        metadata, config = (_json(archive, name, path) for name in (METADATA, CONFIG))
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    if not isinstance(version, str):
        raise BadWeights(f"{path} does not say which Keras saved it; copy or download it again.")
    if not version.startswith("3."):
        raise BadWeights(
            f"{path} was saved by Keras {version[:20]}; load it there and save it with Keras 3: "
            f"model.save('model.keras')."
        )
    return KerasFile(path, checked(config, str(path)), metadata)


@contextmanager
def weights_of(path: Path) -> Iterator[Path]:
    """The weights of a `.keras` file as a file of their own, while this lasts."""
    with TemporaryDirectory(prefix="tunesmith-") as folder:
        target = Path(folder) / WEIGHTS
        with _opened(path) as archive, archive.open(WEIGHTS) as member:
            try:
                with target.open("wb") as file:
                    shutil.copyfileobj(member, file)
            except OSError as error:
                raise DiskFailed(
                    f"the weights of {path} cannot be unpacked in {Path(folder).parent} "
                    f"({error.strerror or error}); free some space there, or let TMPDIR name another folder."
                ) from error
        yield target


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive; reading a member to its end checks its sum."""
    try:
        with path.open("rb") as file:
            magic = file.read(8)
    except OSError as error:
        raise BadWeights(f"{path} cannot be read: {error.strerror or error}.") from error
    if magic == HDF5:
        raise BadWeights(
            f"{path} is an HDF5 file, as Keras 2 saved models; load it there and save it with Keras 3: "
            f"model.save('model.keras')."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_strange(archive, path)
            yield archive
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError, RuntimeError) as error:
        if isinstance(error, TunesmithError):
            raise
        raise BadWeights(
            f"{path} is no whole .keras file ({str(error)[:120]}); it was cut short or damaged: copy or "
            f"download it again."
        ) from error


def _refuse_strange(archive: zipfile.ZipFile, path: Path) -> None:
    """Only the three members, once each, unencrypted, and none that swells."""
    members = archive.infolist()
    names = [member.filename for member in members]
    for name in names:
        if name not in MEMBERS:
            raise BadWeights(f"{path} holds {name[:120]!r}, which is no part of a Keras model's file.")
    if sorted(names) != sorted(MEMBERS):
        missing = [name for name in MEMBERS if name not in names]
        what = f"lacks {' and '.join(missing)}" if missing else "holds a member twice"
        raise BadWeights(f"{path} {what}; it was cut short or damaged: copy or download it again.")
    for member in members:
        if member.flag_bits & 1 or member.file_size > EXPANSION * max(member.compress_size, 2**10):
            raise BadWeights(f"{path}: {member.filename} is encrypted or swells when read; it is not loaded.")


def _json(archive: zipfile.ZipFile, name: str, path: Path) -> Any:
    size = archive.getinfo(name).file_size
    if size > JSON_LIMIT:
        raise BadWeights(f"{path}: {name} has {size:,} bytes; more than {JSON_LIMIT:,} is refused.")
    try:
        return json.loads(archive.read(name).decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadWeights(f"{path}: {name} is damaged: {str(error)[:120]}") from error
