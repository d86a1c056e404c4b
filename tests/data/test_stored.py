from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tunesmith.data.read import read, read_items
from tunesmith.errors import DiskFailed

PAIRS = [(f"word {i}", "ab"[i % 2]) for i in range(10)]
CURE = "TUNESMITH_CACHE names the folder of the cache"


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC])
def test_a_cache_that_cannot_be_written_is_one_sentence(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was a traceback: only fit knew of disks."""

    def refuse(**_: object) -> tuple[int, str]:
        raise OSError(code, os.strerror(code))

    assert len(read(PAIRS).train) == 6
    monkeypatch.setattr("tunesmith.data.stored.tempfile.mkstemp", refuse)
    for call in (lambda: read(PAIRS), lambda: read_items(["a"], takes="text")):
        with pytest.raises(DiskFailed, match=rf"cannot be used: {os.strerror(code)}; .*{CURE}"):
            call()


@pytest.mark.parametrize("rows", [10, 5_000])
def test_a_disk_that_refuses_when_arrow_writes_is_one_sentence(rows: int, cache: Path) -> None:
    """A limit on the size of files is met by Arrow itself, as a full disk would be."""
    resource = pytest.importorskip("resource")
    pairs = [(f"word {i}", "ab"[i % 2]) for i in range(rows)]
    assert len(read_items(["a"], takes="text")) == 1  # everything is imported before files may not grow
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(DiskFailed, match=rf"{os.strerror(errno.EFBIG)}; files may not grow .*{CURE}"):
            read(pairs)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((cache / "data").iterdir())
