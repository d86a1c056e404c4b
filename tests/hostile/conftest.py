from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

Refusal = Callable[..., str]

PROBE = """
import sys
from pathlib import Path

def held(what):
    return int(Path("/proc/self/status").read_text().split(what + ":")[1].split()[0]) / 1024

def grown(call):
    "MiB that the process grows by, at the most, while this is called."
    Path("/proc/self/clear_refs").write_text("5")
    before = held("VmRSS")
    call()
    return held("VmHWM") - before

"""


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TUNESMITH_CACHE", str(folder))
    return folder


@pytest.fixture
def refusal() -> Refusal:
    """The message with which something is refused: one line, and nothing but BadData or BadOption."""

    def message(call: Callable[..., object], *arguments: object, **options: object) -> str:
        from tunesmith.errors import TunesmithError

        with pytest.raises(TunesmithError) as caught:
            call(*arguments, **options)
        said = str(caught.value)
        assert caught.value.exit_code == 2
        assert said
        assert "\n" not in said
        assert len(said) <= 4000
        return said

    return message


@pytest.fixture
def probe(cache: Path) -> Callable[..., list[str]]:
    """Run code in a process of its own that may ask `grown(call)` for MiB; its lines of output."""

    def run(code: str, *arguments: object) -> list[str]:
        if sys.platform != "linux":
            pytest.skip("memory is read from Linux's /proc")
        words = [sys.executable, "-c", PROBE + textwrap.dedent(code), *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout.splitlines()

    return run


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Write a table: 10 rows of text and label, and the bytes that come after them."""

    def write(more: bytes = b"", name: str = "a.csv", start: bytes = b"") -> Path:
        rows = "text,label\n" + "".join(f"word {i},{'ab'[i % 2]}\n" for i in range(10))
        path = tmp_path / name
        path.write_bytes(start + rows.encode() + more)
        return path

    return write


@pytest.fixture
def write_image() -> Callable[[Path], None]:
    """Write a small black image; folders are made."""

    def write(path: Path) -> None:
        from PIL import Image

        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)

    return write
