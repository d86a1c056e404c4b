from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TUNESMITH_CACHE", str(folder))
    return folder


@pytest.fixture
def photo() -> Callable[..., Path]:
    """Write a small image of one colour; folders are made."""

    def write(path: Path, colour: tuple[int, int, int] = (200, 30, 30)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), colour).save(path)
        return path

    return write


@pytest.fixture
def photos(tmp_path: Path, photo: Callable[..., Path]) -> Path:
    """Class folders: 10 cats and 6 dogs."""
    for number in range(10):
        photo(tmp_path / "photos" / "cat" / f"{number}.jpg")
    for number in range(6):
        photo(tmp_path / "photos" / "dog" / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a text file below tmp_path; folders are made."""

    def file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return path

    return file


@pytest.fixture
def pixels() -> np.ndarray:
    """[H, W, C] = [4, 5, 3], uint8, every value different."""
    return np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
