from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest

from tunesmith.data.data import SPLITS, Data
from tunesmith.data.data import Finding as Unusable
from tunesmith.data.pairs import together
from tunesmith.data.sides import empty_sides
from tunesmith.data.texts import empty_texts
from tunesmith.health.finding import Finding, Health
from tunesmith.health.seen import Seen, see
from tunesmith.store import Store

Pairs = Sequence[tuple[Any, str]]


def data_of(takes: str, splits: Mapping[str, Pairs]) -> Data:
    """Data of (item, label) pairs, by split; images are bytes, of pairs of texts the items are tuples."""
    made = {}
    for split in SPLITS:
        pairs = splits.get(split, [])
        form: dict[str, Callable[[Any], Any]] = {
            "image": lambda item: {"path": None, "bytes": item},
            "pair": lambda item: together(*item),
        }
        items = [form.get(takes, str)(p[0]) for p in pairs]
        names = [f"{split}/{i}" for i in range(len(pairs))]
        columns = {"id": names, "item": items, "label": [p[1] for p in pairs]}
        made[split] = datasets.Dataset.from_dict(columns)
    pairs_ = takes == "pair"
    return Data("made", "text" if pairs_ else takes, made, ("made for a test",), "0", pairs=pairs_)


def one(health: Health, kind: str) -> Finding:
    """The only finding of a kind."""
    (found,) = [finding for finding in health.findings if finding.kind == kind]
    return found


def kinds(health: Health) -> set[str]:
    """The kinds of all findings."""
    return {finding.kind for finding in health.findings}


def ids(finding: Finding) -> list[list[str]]:
    """The ids of the items of each group, sorted in the group."""
    return [sorted(item.id for item in group) for group in finding.groups]


@pytest.fixture(scope="session")
def kit() -> Any:
    """The functions of this file, for tests to call: `kit.noise(3)`."""
    functions = (data_of, one, kinds, ids, noise, encoded, photos, changes)
    return SimpleNamespace(**{function.__name__: function for function in functions})


@pytest.fixture
def seen(tmp_path: Path) -> Callable[..., Seen]:
    """One pass over made data: `seen("text", train=[("a text", "label"), ...], ...)`."""

    def empty(data: Data) -> list[Unusable]:
        without = empty_sides if data.pairs else empty_texts
        return [found for split in SPLITS for found in without(data.splits[split])]

    def look(takes: str, **splits: Pairs) -> Seen:
        return see(data_of(takes, splits), Store(tmp_path / "store"), {}, check=empty, decoder="test")

    return look


def noise(seed: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """A smooth picture, different for each seed: uint8 [H, W, 3]."""
    from PIL import Image

    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def encoded(pixels: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    """The bytes of an image file."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def photos(count: int, start: int = 0) -> list[tuple[bytes, str]]:
    return [(encoded(noise(start + i)), "ab"[i % 2]) for i in range(count)]


def changes() -> dict[str, bytes]:
    """The picture of seed 0, changed in ways that leave it the same to a person."""
    from PIL import Image

    pixels = noise(0)
    half = np.asarray(Image.fromarray(pixels).resize((32, 24), Image.Resampling.LANCZOS))
    brighter = np.clip(pixels.astype(int) + 20, 0, 255).astype(np.uint8)
    return {
        "JPEG of quality 40": encoded(pixels, "JPEG", quality=40),
        "half the size": encoded(half),
        "brighter": encoded(brighter),
        "grey": encoded(np.asarray(Image.fromarray(pixels).convert("L"))),
    }
