"""Hugging Face datasets: in memory, saved on disk, or on the hub."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tunesmith.data.tables import Table, Values, named
from tunesmith.errors import BadData, NoData

HUB: Final = "hf://"
_SAVED: Final = ("dataset_dict.json", "state.json")


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote this folder."""
    return any((folder / name).is_file() for name in _SAVED)


def saved(folder: Path) -> Any:
    """The Dataset or DatasetDict in a folder, memory-mapped.

    Raises BadData if it is damaged.
    """
    import datasets

    try:
        with _quiet():
            found = datasets.load_from_disk(str(folder))
            for dataset in found.values() if is_dataset_dict(found) else [found]:
                # Arrow believes what a file says of where its texts begin: of others' files that is tried
                # first, or a wrong number would end the process.
                dataset.data.table.validate(full=True)
            return found
    # The package has no error of its own: what comes up is whatever the bytes made it stumble on.
    except Exception as error:
        raise BadData(f"{folder} was written by save_to_disk but cannot be read ({_line(error)}).") from error


def from_hub(address: str) -> Any:
    """The DatasetDict called hf://owner/name or hf://owner/name:config.

    Raises NoData if there is no such dataset, or if the hub cannot be reached.
    """
    import datasets

    name, _, config = address.removeprefix(HUB).partition(":")
    if not name.strip("/"):
        raise NoData(f"{address!r} names no dataset; write hf://owner/name or hf://owner/name:config.")
    if not reachable():
        raise NoData(
            f"{address} needs the Hugging Face hub, which cannot be reached; give data that are on "
            "this machine, or set HF_HUB_OFFLINE=1 to use what was downloaded earlier."
        )
    try:
        with _quiet():
            return datasets.load_dataset(name, config or None)
    # The hub's client raises errors of four packages here, not all under one class.
    except Exception as error:
        raise NoData(
            f"{address} cannot be had from the Hugging Face hub ({_line(error)}); check the name "
            "and the network, or give data that are on this machine."
        ) from error


def reachable() -> bool:
    """Whether the hub answers within five seconds; true where that is not ours to ask.

    Without this its client tries again for half a minute. Behind a proxy, or when it was told to
    stay offline and use its cache, the client is left to find out itself.
    """
    from huggingface_hub import constants

    own = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY")
    if any(os.environ.get(name) for name in own):
        return True
    address = urlsplit(constants.ENDPOINT)
    try:
        port = address.port or (80 if address.scheme == "http" else 443)
        with socket.create_connection((address.hostname or "", port), timeout=5):
            return True
    except OSError:
        return False


def is_dataset(source: object) -> bool:
    """Whether this is a `datasets.Dataset`, told without importing the package."""
    return _is(source, "Dataset")


def is_dataset_dict(source: object) -> bool:
    """Whether this is a `datasets.DatasetDict`, told without importing the package."""
    return _is(source, "DatasetDict")


def table_of_dataset(dataset: Any, where: str = "row") -> Table:
    """The table of a dataset: class numbers become names, images stay encoded."""
    import datasets

    for column, feature in dataset.features.items():
        if isinstance(feature, datasets.Image):
            dataset = dataset.cast_column(column, datasets.Image(decode=False))
    plain = dataset.with_format(None)
    names = {
        column: feature.names
        for column, feature in dataset.features.items()
        if isinstance(feature, datasets.ClassLabel)
    }
    columns = tuple(dataset.column_names)

    def rows() -> Iterator[tuple[str, Values]]:
        number = 0
        for batch in _batches(plain, where):
            cells = [named(batch[column], names.get(column), where) for column in columns]
            for values in zip(*cells, strict=True):
                yield f"{where} {number}", values
                number += 1

    return Table("the dataset", columns, rows, guess_from=200)


def _batches(plain: Any, where: str) -> Iterator[dict[str, list[Any]]]:
    for start in range(0, len(plain), 100):
        try:
            batch = plain[start : start + 100]
        # A column may be of any type, and decoding it may need a package or fail in its own way.
        except Exception as error:
            raise BadData(f"{where}s {start} and after cannot be read ({_line(error)}).") from error
        yield batch


def _is(source: object, name: str) -> bool:
    return any(
        cls.__name__ == name and cls.__module__.partition(".")[0] == "datasets"
        for cls in type(source).__mro__
    )


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, and as it was before afterwards."""
    import datasets

    hidden = datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not hidden:
            datasets.enable_progress_bars()
