"""npz archives of arrays: images or texts, and labels, in one to three splits."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any, Final

from tunesmith.data.archives import DAMAGED
from tunesmith.data.items import numbers_or_fault
from tunesmith.data.labels import label_of
from tunesmith.data.numbers import hold_numbers
from tunesmith.data.rows import Asked, Found, Row, counted, refuse_columns, split_of
from tunesmith.errors import BadData

if TYPE_CHECKING:
    from numpy.typing import NDArray

ITEM_NAMES: Final = ("images", "image", "x", "texts", "text", "data", "inputs")
LABEL_NAMES: Final = ("labels", "label", "y", "targets", "target")
FIRST: Final = 1000  # labels that are looked at to see what they are
LARGEST_ITEM: Final = 150_000_000  # bytes: 50 million pixels in colour
LARGEST_WHOLE: Final = 256 * 2**20  # bytes of an array in column-major order, which is read at once
BROKEN: Final = (*DAMAGED, TypeError, KeyError, AttributeError, MemoryError, SyntaxError, SystemError)


def found_in_npz(path: Path, asked: Asked, *, name: str = "") -> Found:
    """The examples of an npz archive, read piece by piece; pickled arrays are refused.

    Its arrays are called train_images, train_labels, val_images ... as MedMNIST's, or x_train,
    y_train ..., or images and labels, or x and y.

    Raises BadData if no such names are there, or if an array and its labels differ in length.
    """
    refuse_columns(asked, path.name)
    heads = _heads(path)
    pairs = _pairs(list(heads))
    if not pairs:
        names = ", ".join(heads) or "nothing"
        raise BadData(
            f"{path.name} holds the arrays {names}; what is understood are train_images and "
            "train_labels (also val_, test_), x_train and y_train, images and labels, or x and y."
        )
    for _, items, labels in pairs:
        if labels is None and asked.labelled:
            raise BadData(f"{path.name} holds the array {items} but no labels for it.")
        _check_heads(path, heads, items, labels)
    texts = heads[pairs[0][1]][1].kind in "US"
    answers = asked.answers or _answers(path, heads, pairs[0][2])
    used = [array for _, items, labels in pairs for array in (items, labels) if array]
    return Found(
        name or path.stem,
        "text" if texts else "image",
        f"{path.name} (arrays {', '.join(used)})",
        lambda: _rows(path, pairs, texts, answers == "numbers", asked.labelled),
        answers=answers,
        targets=(pairs[0][2] or "number",) if answers == "numbers" else (),
    )


def _answers(path: Path, heads: dict[str, Any], labels: str | None) -> str:
    """What an array of labels holds; whole numbers are always classes here."""
    if labels is None or heads[labels][1].kind != "f":
        return "classes"
    return "numbers" if hold_numbers([list(islice(_pieces(path, labels), FIRST))]) else "classes"


def _rows(
    path: Path, pairs: list[tuple[str | None, str, str | None]], texts: bool, numbers: bool, labelled: bool
) -> Iterator[Row]:
    from tunesmith.data.pictures import png_of_array

    for split, items, labels in pairs:
        given = repeat(None) if labels is None else _pieces(path, labels)
        for number, (value, answer) in enumerate(zip(_pieces(path, items), given, strict=False)):
            where = f"{path.name}:{items}[{number}]"
            if texts:
                content = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
                item: str | bytes = str(content)
            else:
                item = png_of_array(value, where)
            if numbers and labels:
                label, fault = numbers_or_fault([answer], [labels], where)
                yield Row(where, where, item, label, split, fault=fault if labelled else None, lacks="number")
            else:
                yield Row(where, where, item, label_of(answer, where), split)


def _pairs(names: list[str]) -> list[tuple[str | None, str, str | None]]:
    """(split, array of items, array of labels or None), training first.

    >>> _pairs(["x_train", "y_train", "x_test", "y_test"])
    [('train', 'x_train', 'y_train'), ('test', 'x_test', 'y_test')]
    """
    items: dict[str | None, str] = {}
    labels: dict[str | None, str] = {}
    for name in names:
        words = name.lower().split("_")
        split = split_of(words[0]) or split_of(words[-1])
        rest = "_".join(word for word in words if split_of(word) is None)
        if rest in ITEM_NAMES:
            items.setdefault(split, name)
        elif rest in LABEL_NAMES:
            labels.setdefault(split, name)
    order = [split for split in ("train", "valid", "test", None) if split in items]
    if len(order) > 1 and None in order:
        order.remove(None)
    return [(split, items[split], labels.get(split)) for split in order]


def _check_heads(path: Path, heads: dict[str, Any], items: str, labels: str | None) -> None:
    """Raises BadData where an array's own description already says that it cannot be read."""
    many = heads[items][0][0] if heads[items][0] else 0
    for name in filter(None, (items, labels)):
        shape, dtype = heads[name]
        one = dtype.itemsize * math.prod(shape[1:])
        if any(side < 0 for side in shape) or not 0 < one <= LARGEST_ITEM:
            raise BadData(
                f"{path.name}: {name} says that its shape is {list(shape)} of {dtype}, "
                f"{one:,} bytes an item; an item has from 1 to {LARGEST_ITEM:,}."
            )
    shape, dtype = heads[items]
    if dtype.kind not in "US" and len(shape) not in (3, 4):
        raise BadData(
            f"{path.name}: {items} has shape {list(shape)}, which are no images; "
            "an image is [H, W], [H, W, C] or [C, H, W]."
        )
    if dtype.kind in "US" and len(shape) != 1:
        raise BadData(f"{path.name}: {items} has shape {list(shape)}; texts are a list of one dimension.")
    if labels is None:
        return
    shape = heads[labels][0]
    if not shape or shape[0] != many:
        found = counted(shape[0] if shape else 0, "label")
        raise BadData(f"{path.name} holds {counted(many, 'item')} in {items} but {found} in {labels}.")
    if shape[1:] not in ((), (1,)):
        raise BadData(
            f"{path.name}: {labels} has shape {list(shape)}; one label an item is expected "
            "(several labels an item are not available yet)."
        )


def _heads(path: Path) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Shape and dtype of every array, without reading it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            heads = {}
            for name in names:
                with archive.open(name) as file:
                    shape, _, dtype = _header(file)
                if dtype.hasobject:
                    raise BadData(
                        f"{path.name}: the array {name[:-4]} is pickled, which could run code; "
                        "save it as numbers, or texts as a str array."
                    )
                heads[name[:-4]] = (shape, dtype)
            return heads
    except BadData:
        raise
    except (*BROKEN, TokenError) as error:
        raise BadData(f"{path.name} is no npz archive that can be read ({error}).") from error


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, Any]:
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return shape, fortran, dtype


def _pieces(path: Path, name: str) -> Iterator[Any]:
    """The array's items one after the other, without holding the whole array."""
    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            shape, fortran, dtype = _header(file)
            if fortran and len(shape) > 1:
                yield from _whole(file, shape, dtype, f"{path.name}: {name}")
                return
            one = dtype.itemsize * math.prod(shape[1:])
            for _ in range(shape[0]):
                piece = np.frombuffer(_exactly(file, one, path.name), dtype).reshape(shape[1:])
                yield piece if piece.ndim else piece.item()
    except BadData:
        raise
    except BROKEN as error:
        raise BadData(f"{path.name}: the array {name} cannot be read ({error}).") from error


def _exactly(file: IO[bytes], count: int, where: str) -> bytes:
    piece = file.read(count)
    if len(piece) < count:
        raise BadData(f"{where} is damaged: an array ends too early.")
    return piece


def _whole(file: IO[bytes], shape: tuple[int, ...], dtype: Any, where: str) -> NDArray[Any]:
    """An array whose items do not lie one after the other."""
    import numpy as np

    size = dtype.itemsize * math.prod(shape)
    if size > LARGEST_WHOLE:
        raise BadData(
            f"{where} lies in column-major order and has {size:,} bytes, too many to turn round; "
            "save it with np.ascontiguousarray."
        )
    return np.frombuffer(_exactly(file, size, where), dtype).reshape(shape, order="F")
