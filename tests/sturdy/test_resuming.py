"""One process at a time goes on with a run, on the data that it was begun with, from a whole checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from tunesmith.errors import BadRun
from tunesmith.files import whole_folder
from tunesmith.seals import seal
from tunesmith.training.state import checkpoints
from tunesmith.verbs.locking import LOCK, alone
from tunesmith.verbs.reporting import Silent

TINY: dict[str, Any] = {
    "model": "timm/test_resnet@none",
    "image_size": 32,
    "batch": 8,
    "epochs": 4,
    "keep": "trained",
    "device": "cpu",
}


class Listening(Silent):
    """Keeps what is said; stops a run after so many epochs."""

    def __init__(self, epochs: int = 99) -> None:
        self.left, self.warned = epochs, list[str]()

    def warn(self, line: str) -> None:
        self.warned.append(line)

    def event(self, event: Any) -> None:
        self.left -= type(event).__name__ == "EpochEnd"
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def stopped(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data and a run of them that was stopped after two epochs; copy it."""
    folder = tmp_path_factory.mktemp("stopped")
    shutil.copytree(photos, folder / "photos")
    with pytest.raises(KeyboardInterrupt):
        ts.fit(folder / "photos", **TINY, out=folder / "run", reporter=Listening(2))
    assert len(checkpoints(folder / "run" / "checkpoint")) == 2
    return folder


@pytest.fixture
def mine(stopped: Path, tmp_path: Path) -> Path:
    """A copy of the run, which reads the data that it was begun with."""
    return Path(shutil.copytree(stopped / "run", tmp_path / "run"))


@pytest.fixture
def kept(stopped: Path) -> Iterator[Path]:
    """The data, put back as they were after the test changed them."""
    whole = {p: p.read_bytes() for p in (stopped / "photos").rglob("*.png")}
    yield stopped / "photos"
    for path in (stopped / "photos").rglob("*.png"):
        path.unlink()
    for path, content in whole.items():
        path.write_bytes(content)


def refused(run: Path, **options: Any) -> str:
    with pytest.raises(BadRun) as caught:
        ts.resume(run, reporter=Silent(), **options)
    return str(caught.value)


# One at a time


def test_a_run_that_another_process_trains_is_not_resumed(mine: Path) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with alone(mine):
                os.write(writing, b"!")
                signal.pause()
        finally:
            os._exit(0)
    try:
        assert os.read(reading, 1) == b"!"
        assert f"is being trained by process {pid} on " in (said := refused(mine))
        assert f"kill -INT {pid}" in said
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    with alone(mine):  # the kernel dropped the lock of the dead
        assert (mine / LOCK).read_text().startswith(f"{os.getpid()} on ")
    assert not (mine / LOCK).exists()


def test_a_run_is_not_resumed_twice_in_one_process(mine: Path) -> None:
    with alone(mine):
        assert "is being trained by process" in refused(mine)


# The same data


def test_an_edited_a_removed_and_a_new_file_are_named(mine: Path, kept: Path) -> None:
    (kept / "red" / "00.png").write_bytes((kept / "red" / "01.png").read_bytes())
    (kept / "green" / "03.png").unlink()
    shutil.copy(kept / "blue" / "00.png", kept / "blue" / "zz.png")
    said = refused(mine)
    assert "the data are not those" in said
    assert "green/03.png gone; blue/zz.png new; red/00.png changed" in said


def test_an_edit_that_keeps_the_size_of_a_file_is_named(mine: Path, kept: Path) -> None:
    from PIL import Image

    path = kept / "red" / "05.png"
    pixels = bytearray(Image.open(path).tobytes())
    pixels[7] ^= 1
    Image.frombytes("RGB", (40, 40), bytes(pixels)).save(path)
    assert "red/05.png changed" in refused(mine)


def test_a_file_under_another_label_is_named(mine: Path, kept: Path) -> None:
    (kept / "red" / "00.png").rename(kept / "green" / "r0.png")
    said = refused(mine)
    assert "red/00.png gone; green/r0.png new" in said


def test_a_moved_run_goes_on(mine: Path, tmp_path: Path) -> None:
    moved = mine.rename(tmp_path / "elsewhere")
    assert ts.resume(moved, reporter=Silent()).finished


# Where it was begun


def test_another_version_or_processor_is_said(mine: Path) -> None:
    manifest = json.loads((mine / "manifest.json").read_text())
    manifest["packages"]["torch"] = "1.0.0"
    manifest["processor"] = "ABACUS"
    (mine / "manifest.json").write_text(json.dumps(manifest))
    seal(mine)
    listening = Listening(0)
    with pytest.raises(KeyboardInterrupt):
        ts.resume(mine, reporter=listening)
    said = [line for line in listening.warned if "the same bits are not promised" in line]
    assert len(said) == 1
    assert "processor ABACUS then" in said[0]
    assert "torch 1.0.0 then" in said[0]


def test_the_same_machine_is_not_warned_of(mine: Path) -> None:
    listening = Listening(0)
    with pytest.raises(KeyboardInterrupt):
        ts.resume(mine, reporter=listening)
    assert listening.warned == []


# From a whole checkpoint


@pytest.mark.parametrize("harm", ["cut", "flipped", "only its list"])
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before_and_it_is_said(
    harm: str, mine: Path, stopped: Path
) -> None:
    newest = checkpoints(mine / "checkpoint")[-1]
    weights = newest / "weights.safetensors"
    content = weights.read_bytes()
    if harm == "only its list":
        for path in newest.iterdir():
            if path.name != "files.sha256":
                path.unlink()
    else:
        flipped = content[:-9] + bytes([content[-9] ^ 4]) + content[-8:]
        weights.write_bytes(content[: len(content) // 2] if harm == "cut" else flipped)
    listening = Listening()
    run = ts.resume(mine, reporter=listening)
    said = [line for line in listening.warned if newest.name in line]
    assert len(said) == 1
    assert said[0].endswith("The one before it is used.")
    assert len(run.history) == 4
    assert run.damage() == []


def test_a_run_whose_request_was_edited_is_not_resumed(mine: Path) -> None:
    path = mine / "asked.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 1"))
    assert "asked.yaml was cut short or changed since it was written" in refused(mine)


def test_two_runs_that_begin_in_one_second_get_two_folders(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rivals: list[Path] = []

    @contextmanager
    def late(path: Path) -> Iterator[Path]:
        with whole_folder(path) as temporary:
            yield temporary
            if not rivals:  # while ours is being filled, theirs appears
                rivals.append(path)
                path.mkdir()
                (path / "manifest.json").write_text("{}")

    monkeypatch.setattr("tunesmith.verbs.folders.whole_folder", late)
    monkeypatch.chdir(tmp_path)
    run = ts.fit(photos, **{**TINY, "epochs": 1}, strategy="linear_probe", reporter=Silent())
    assert run is not None
    assert run.folder.name == f"{rivals[0].name}-2"
    assert (tmp_path / rivals[0] / "manifest.json").read_text() == "{}"


def test_a_file_that_a_person_touched_while_it_trained_costs_nothing(photos: Path, tmp_path: Path) -> None:
    class Touching(Silent):
        def event(self, event: Any) -> None:
            (tmp_path / "run" / "plan.txt").write_text("mine now")

    run = ts.fit(photos, **{**TINY, "epochs": 1}, out=tmp_path / "run", reporter=Touching())
    assert run is not None
    assert run.scores
    assert [Path(said.split()[0]).name for said in run.damage()] == ["plan.txt"]
