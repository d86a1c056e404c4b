"""Two processes train the network that one would, and only the main one speaks and writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tunesmith as ts
from tunesmith.training import processes
from tunesmith.verbs.reporting import Silent

# 34 training pictures in batches of 11: of the last batch, one picture, the second process has no share.
OPTIONS: dict[str, Any] = {
    "model": "timm/test_resnet@none",
    "strategy": "lp_ft",
    "epochs": 3,
    "keep": "trained",
    "batch": 11,
    "image_size": 32,
    "device": "cpu",
    "optimizer": "sgd",
    "lr": 0.02,
    "head_lr": 0.02,
}
STOPPED = """
import os, signal, sys
import tunesmith as ts
from tunesmith.training.progress import Progress

count = Progress.count
def counting(self, *arguments):
    count(self, *arguments)
    if self.steps == 6 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGINT)  # to one of them alone

Progress.count = counting
try:
    ts.fit(out=sys.argv[1], **OPTIONS)
except KeyboardInterrupt:
    print("stopped")
"""


def two(*command: str) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*launcher, *command], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def command_line(photos: Path, out: Path, **options: Any) -> list[str]:
    words = [f"--{name.replace('_', '-')}={value}" for name, value in {**OPTIONS, **options}.items()]
    return ["-m", "tunesmith", "fit", str(photos), f"--out={out}", *words]


def weights(run: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(run / "model" / "weights.safetensors")


def furthest(one: Path, other: Path) -> float:
    ours, theirs = weights(one), weights(other)
    return max(float((ours[n].double() - theirs[n].double()).abs().max()) for n in ours)


def losses(run: Path) -> list[float]:
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return [row[name] for row in rows for name in ("train_loss", "valid_loss")]


@pytest.mark.full
def test_two_processes_end_where_one_does(photos: Path, tmp_path: Path) -> None:
    alone, together, other = tmp_path / "alone", tmp_path / "together", tmp_path / "other"
    said = two(*command_line(photos, together))
    for out, seed in ((alone, 0), (other, 1)):
        ts.fit(photos, out=out, reporter=Silent(), seed=seed, **OPTIONS)
    assert furthest(alone, together) < 1e-6
    assert losses(together) == pytest.approx(losses(alone), abs=1e-6)
    assert furthest(alone, other) > 1e-3  # the control: not everything is within the tolerance
    assert sorted(p.name for p in together.iterdir()) == sorted(p.name for p in alone.iterdir())
    assert (said.stdout + said.stderr).count("48 images in 3 classes") == 1


@pytest.mark.full
def test_two_processes_that_were_interrupted_resume_to_the_same_bits(photos: Path, tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    drawing = {"dropout": 0.2, "augment": "flip"}
    two(*command_line(photos, whole, **drawing))
    script = tmp_path / "stopped.py"
    script.write_text(f"OPTIONS = { ({'data': str(photos), **OPTIONS, **drawing})!r}\n{STOPPED}")
    assert two(str(script), str(stopped)).stdout.count("stopped") == 2
    assert not (stopped / "scores.json").exists()
    two("-m", "tunesmith", "resume", str(stopped))
    assert furthest(whole, stopped) == 0
    assert losses(whole) == losses(stopped)


def test_a_process_alone_is_the_main_one() -> None:
    assert "WORLD_SIZE" not in os.environ
    assert processes.place() == (0, 1)
    assert processes.main()
    assert processes.from_main(lambda: 3) == 3
    assert processes.from_all([1, 2]) == [1, 2]
    assert (processes.any_of(True), processes.any_of(False)) == (True, False)


def test_alone_nothing_is_added_up(seed: int) -> None:
    tensor = torch.from_numpy(np.random.default_rng(seed).normal(size=3))
    before = tensor.clone()
    processes.add_up([tensor])
    assert torch.equal(tensor, before)
