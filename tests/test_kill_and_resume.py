"""A run that is killed at any moment and resumed ends with the same bits as one that was not."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., dict[str, Any]]

STRATEGIES: dict[str, dict[str, Any]] = {
    "linear_probe": {},
    "full": {"optimizer": "sgd", "lr": 0.01},
    "top": {"unfreeze": 2, "balance": "sampler"},
    "gradual": {"augment": "standard"},
    "lp_ft": {"dropout": 0.2, "patience": 1},
    "surgical": {"unfreeze": "0", "parts": "norm"},
}
MOMENTS = {"step": 14, "fsync": 30, "rename": 6, "predict": 5, "phase": 1}  # and how often each comes about


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Have a verb carried out by a fresh child of a process that has imported everything."""
    nursery = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("nursery.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    to, back = nursery.stdin, nursery.stdout
    assert back.readline().strip() == "ready"

    def request(verb: str, die: tuple[str, int] | None = None, **options: Any) -> dict[str, Any]:
        to.write(json.dumps({"verb": verb, "options": options, "die": die}) + "\n")
        to.flush()
        answer: dict[str, Any] = json.loads(back.readline())
        return answer

    yield request
    to.close()
    nursery.wait()


@pytest.fixture(scope="module")
def unharmed(ask: Ask, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The digest of the run of a strategy that was left alone."""
    known: dict[str, str] = {}

    def digest(strategy: str) -> str:
        if strategy not in known:
            out = tmp_path_factory.mktemp("unharmed") / strategy
            assert ask("fit", **options(photos, strategy, out)) == {"killed": False, "code": 0}
            known[strategy] = outcome(out)
        return known[strategy]

    return digest


def options(photos: Path, strategy: str, out: Path, *, seed: int = 0) -> dict[str, Any]:
    """A fit of a few seconds: a network of 0.2 million weights, 34 pictures, 3 epochs."""
    return {
        "data": str(photos),
        "model": "timm/test_resnet@none",
        "strategy": strategy,
        "epochs": 3,
        "batch": 8,
        "image_size": 32,
        "out": str(out),
        "device": "cpu",
        "seed": seed,
        **STRATEGIES[strategy],
    }


def outcome(folder: Path) -> str:
    """A digest of everything that a run leaves, but for times and commands."""
    total = hashlib.sha256()
    for name in (
        "model/weights.safetensors",
        "model/network.json",
        "scores.json",
        "predictions.parquet",
        "predictions-valid.parquet",
        "plan.json",
    ):
        total.update((folder / name).read_bytes())
    total.update(json.dumps(json.loads((folder / "facts.json").read_text())["moved"]).encode())
    for line in (folder / "history.jsonl").read_text().splitlines():
        total.update(json.dumps({k: v for k, v in json.loads(line).items() if k != "seconds"}).encode())
    return total.hexdigest()


def killed_and_resumed(
    ask: Ask, photos: Path, out: Path, draw: random.Random, strategy: str
) -> tuple[str, bool]:
    """The digest of a run that was killed at a drawn moment, perhaps again while resuming; and if it was."""
    moment = draw.choice(list(MOMENTS))
    died = ask("fit", (moment, draw.randint(1, MOMENTS[moment])), **options(photos, strategy, out))["killed"]
    if not (out / "manifest.json").is_file():
        assert ask("fit", **options(photos, strategy, out))["code"] == 0  # it had not begun
        return outcome(out), died
    while not (out / "scores.json").is_file():
        again = (draw.choice(list(MOMENTS)), draw.randint(1, 40)) if draw.random() < 0.3 else None
        answer = ask("resume", again, run=str(out))
        assert answer["killed"] or answer["code"] == 0
    return outcome(out), died


@pytest.mark.parametrize("draw", range(8))
def test_a_killed_run_resumes_to_the_same_bits(
    draw: int, seed: int, ask: Ask, unharmed: Callable[[str], str], photos: Path, tmp_path: Path
) -> None:
    strategy = list(STRATEGIES)[draw % len(STRATEGIES)]
    found, _ = killed_and_resumed(ask, photos, tmp_path / "run", random.Random(f"{seed} {draw}"), strategy)
    assert found == unharmed(strategy)


@pytest.mark.full
def test_fifty_killed_runs_resume_to_the_same_bits(
    seed: int, ask: Ask, unharmed: Callable[[str], str], photos: Path, tmp_path: Path
) -> None:
    killed = 0
    for i in range(50):
        strategy = list(STRATEGIES)[i % len(STRATEGIES)]
        draw = random.Random(f"{seed} full {i}")
        found, died = killed_and_resumed(ask, photos, tmp_path / str(i), draw, strategy)
        assert found == unharmed(strategy), (i, strategy)
        killed += died
    assert killed >= 40  # or the moments are drawn so late that the proof is blind


def test_another_seed_ends_with_other_bits(
    ask: Ask, unharmed: Callable[[str], str], photos: Path, tmp_path: Path
) -> None:
    """The control: were `outcome` blind, every resumed run would seem the same."""
    assert ask("fit", **options(photos, "full", tmp_path / "run", seed=1))["code"] == 0
    assert outcome(tmp_path / "run") != unharmed("full")
