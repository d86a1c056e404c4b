"""A checkpoint is read back as it was written, or not at all."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.training.progress import Progress
from tunesmith.training.state import (
    KEPT,
    Snapshot,
    checkpoints,
    random_tensors,
    random_values,
    read_checkpoint,
    restore_random,
    write_checkpoint,
)


def snapshot(steps: int = 7, **progress: Any) -> Snapshot:
    tensors = {
        "weights": {"head.weight": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)},
        "best": {},
        "optimizer": {"step.head.weight": torch.tensor(7.0)},
        "random": random_tensors(),
    }
    return Snapshot(
        Progress(steps=steps, history=[{"epoch": 1, "accuracy": 0.1 + 0.2}], **progress),
        tensors,
        random_values(),
    )


def equal(one: Snapshot, two: Snapshot) -> bool:
    same_tensors = all(
        one.tensors[kind].keys() == two.tensors[kind].keys()
        and all(torch.equal(t, two.tensors[kind][n]) for n, t in one.tensors[kind].items())
        for kind in one.tensors
    )
    return same_tensors and asdict(one.progress) == asdict(two.progress) and one.randoms == two.randoms


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = snapshot(best={"score": 1 / 3, "loss": 0.1, "phase": 0, "epoch": 1}, ended="plan", pieces=4)
    write_checkpoint(tmp_path, written)
    found, complaints = read_checkpoint(tmp_path)
    assert found is not None
    assert complaints == []
    assert equal(found, written)
    assert not equal(found, snapshot(steps=8))  # or `equal` is blind


def test_without_a_checkpoint_there_is_none(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "nowhere") == (None, [])


def test_only_the_newest_two_are_kept(tmp_path: Path) -> None:
    for steps in (1, 5, 30, 200):
        write_checkpoint(tmp_path, snapshot(steps))
    assert [
        json.loads((p / "state.json").read_text())["progress"]["steps"] for p in checkpoints(tmp_path)
    ] == [30, 200]
    assert KEPT == 2


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"phase": 0, "epoch": 9}, {"phase": 0, "epoch": 10}),
        ({"phase": 9, "epoch": 12}, {"phase": 10, "epoch": 0}),
        ({"phase": 1, "epoch": 100}, {"phase": 2, "epoch": 0}),
    ],
)
def test_of_two_checkpoints_at_one_step_the_later_one_is_the_newest(
    earlier: dict[str, int], later: dict[str, int], tmp_path: Path
) -> None:
    for place in (earlier, later):
        write_checkpoint(tmp_path, snapshot(50, **place))
    found, _ = read_checkpoint(tmp_path)
    assert found is not None
    assert {k: getattr(found.progress, k) for k in later} == later


def test_a_second_checkpoint_of_the_same_place_replaces_the_first(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, snapshot(elapsed=1.0))
    write_checkpoint(tmp_path, snapshot(elapsed=2.0))
    found, _ = read_checkpoint(tmp_path)
    assert found is not None
    assert found.progress.elapsed == 2.0
    assert len(checkpoints(tmp_path)) == 1


FILES = (
    "best.safetensors",
    "files.sha256",
    "optimizer.safetensors",
    "random.safetensors",
    "state.json",
    "weights.safetensors",
)


def test_these_are_all_the_files_of_a_checkpoint(tmp_path: Path) -> None:
    place = write_checkpoint(tmp_path, snapshot())
    assert tuple(sorted(p.name for p in place.iterdir())) == FILES


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", ["a bit", "cut", "gone", "empty"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(name: str, harm: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, snapshot(1))
    place = write_checkpoint(tmp_path, snapshot(2))
    content = bytearray((place / name).read_bytes())
    if harm == "gone":
        (place / name).unlink()
    else:
        content[len(content) // 2] ^= 1
        harmed = {"a bit": bytes(content), "cut": bytes(content[: len(content) // 2]), "empty": b""}
        (place / name).write_bytes(harmed[harm])
    found, complaints = read_checkpoint(tmp_path)
    assert found is not None
    assert equal(found, snapshot(1))
    assert len(complaints) == 1
    assert place.name in complaints[0]
    assert "damaged" in complaints[0]


def test_any_flipped_byte_of_the_state_is_found_out(tmp_path: Path, seed: int) -> None:
    """A digit turned into another one is still JSON, and still another training."""
    place = write_checkpoint(tmp_path, snapshot(12345))
    content = (place / "state.json").read_bytes()
    draw = random.Random(seed)
    for spot in [content.index(b"12345"), *(draw.randrange(len(content)) for _ in range(50))]:
        harmed = bytearray(content)
        harmed[spot] ^= 1
        (place / "state.json").write_bytes(bytes(harmed))
        found, complaints = read_checkpoint(tmp_path)
        assert found is None
        assert "changed since it was written" in complaints[0]
    (place / "state.json").write_bytes(content)
    assert read_checkpoint(tmp_path)[1] == []


def test_when_every_checkpoint_is_damaged_each_is_complained_of(tmp_path: Path) -> None:
    for steps in (1, 2):
        (write_checkpoint(tmp_path, snapshot(steps)) / "files.sha256").write_text("[]")
    found, complaints = read_checkpoint(tmp_path)
    assert found is None
    assert len(complaints) == 2


def test_what_a_killed_writer_left_is_cleared(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, snapshot())
    left = tmp_path / ".step-00000009-0000-000001.0a1b2c3d.tmp"
    left.mkdir()
    (left / "weights.safetensors").write_bytes(b"half")
    found, complaints = read_checkpoint(tmp_path)
    assert found is not None
    assert complaints == []
    assert not left.exists()


def drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_every_generator_goes_on_where_it_was_taken_down(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    np.random.randn()  # leaves the second of a pair in the generator
    tensors, values = random_tensors(), json.loads(json.dumps(random_values()))
    first, gauss = drawn(), np.random.randn()
    assert drawn() != first
    restore_random(tensors, values)
    assert (drawn(), np.random.randn()) == (first, gauss)
