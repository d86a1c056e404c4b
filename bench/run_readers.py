"""Rows of the fuzzing table: weights, configurations and the files of a run.

A run's files are refused by their hashes alone, so they are listed anew after each mutation: what is then
read is what somebody wrote on purpose.
"""

from __future__ import annotations

import functools
import io
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from data_readers import mended_zip
from inputs import Reader, Sample


@functools.cache
def _state(number: int) -> dict[str, Any]:
    import torch

    torch.manual_seed(number)
    return {"body.weight": torch.randn(6, 5), "body.bias": torch.randn(6), "body.n": torch.tensor(number)}


@functools.cache
def _safetensors(number: int) -> bytes:
    from safetensors.torch import save

    about = {"model": "timm/test_resnet", "mean": "[0.5, 0.5, 0.5]", "num_classes": "6"}
    return bytes(save(_state(number), metadata=about if number % 2 else None))


@functools.cache
def _torch(number: int) -> bytes:
    import torch

    file = io.BytesIO()
    state = _state(number)
    torch.save({"state_dict": state} if number % 2 else state, file)
    return file.getvalue()


def safetensors_weights(random: Random) -> Sample:
    """Weights with and without words about themselves."""
    return Sample({"w.safetensors": _safetensors(random.randrange(8))}, "w.safetensors")


def torch_weights(random: Random) -> Sample:
    """A state dict as torch.save writes it, under some name."""
    name = random.choice(("w.pt", "w.bin", "w.pth", "w.safetensors"))
    return Sample({name: _torch(random.randrange(8))}, name, mend=mended_zip)


def old_torch_weights(random: Random) -> Sample:
    """A state dict as torch wrote it before it wrote archives."""
    import torch

    file = io.BytesIO()
    torch.save(_state(random.randrange(8)), file, _use_new_zipfile_serialization=False)
    return Sample({"w.pth": file.getvalue()}, "w.pth")


def read(path: Path) -> object:
    """The state dict, in a network that it fits unless it was mutated."""
    import torch

    from tunesmith.networks.weights import load_weights, read_weights

    body = torch.nn.Linear(5, 6)
    body.register_buffer("n", torch.tensor(0))
    network = torch.nn.ModuleDict({"body": body})
    return load_weights(network, read_weights(path), where=path.name, network="body", allow_missing=True)


OPTIONS = (
    "epochs: 3",
    "lr: 1e-4",
    "strategy: gradual",
    "unfreeze: [layer4, layer3]",
    "model: ~",
    "skip_bad: no",
    "time_limit: 1h30m",
    "batch: 16",
    "clip: null",
    "# words",
    "target: 'label'",
)


def configuration(random: Random) -> Sample:
    """Options of `fit` as a person writes them, or as a run does."""
    return Sample({"fit.yaml": "\n".join(random.sample(OPTIONS, 6)).encode()}, "fit.yaml")


def configured(path: Path) -> object:
    """The options, and a plan that they may name."""
    from tunesmith.verbs.config import read_config
    from tunesmith.verbs.fit import fit

    return read_config(path, fit)


def a_plan(random: Random) -> Sample:
    """A plan of three phases."""
    from tunesmith.strategies.gradual import plan

    return Sample({"plan.json": plan(random.randint(2, 4), 3, 1e-3).to_json().encode()}, "plan.json")


def planned(path: Path) -> object:
    """The plan, and how it is printed."""
    from tunesmith.verbs.planning import read_plan

    return str(read_plan(path))


@functools.cache
def _run() -> dict[str, bytes]:
    """The files of a run that was fitted to a few pictures."""
    import numpy as np
    from PIL import Image

    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("cold", "warm"):
            (folder / "data" / name).mkdir(parents=True)
            for i in range(8):
                pixels = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "data" / name / f"{i}.png")
        tiny: dict[str, Any] = {
            "model": "timm/test_resnet@none",
            "image_size": 32,
            "epochs": 1,
            "device": "cpu",
        }
        ts.fit(folder / "data", strategy="linear_probe", **tiny, out=folder / "run", reporter=Silent())
        files = sorted(p for p in (folder / "run").rglob("*") if p.is_file())
        return {f"run/{p.relative_to(folder / 'run')}": p.read_bytes() for p in files}


SMALL = ("asked.yaml", "manifest.json", "plan.json", "scores.json", "history.jsonl", "replay.json")


def saved_run(random: Random) -> Sample:
    """A finished run, one of whose small files is mutated."""
    return Sample(_run(), "run", mutated=(f"run/{random.choice(SMALL)}",))


def saved_model(_: Random) -> Sample:
    """A finished run, whose description of the network is mutated."""
    return Sample(_run(), "run", mutated=("run/model/network.json",))


def opened(path: Path) -> object:
    """Everything that a run says of itself."""
    from tunesmith.runs import Run
    from tunesmith.seals import seal

    seal(path)
    run = Run.open(path)
    return run.asked, run.manifest, run.plan, run.scores, run.history, run.replay, run.predictions


def loaded(path: Path) -> object:
    """The network of a run."""
    from tunesmith.runs import load_model
    from tunesmith.seals import seal

    (path / "model" / "files.sha256").unlink()
    seal(path / "model")
    return load_model(path / "model")


@functools.cache
def _checkpoint(number: int) -> dict[str, bytes]:
    import torch

    from tunesmith.training.progress import Progress
    from tunesmith.training.state import Snapshot, random_tensors, random_values, write_checkpoint

    kinds = {"weights": _state(number), "best": {}, "optimizer": {"step": torch.tensor(1.0)}}
    snapshot = Snapshot(Progress(steps=number), {**kinds, "random": random_tensors()}, random_values())
    with tempfile.TemporaryDirectory() as scratch:
        place = write_checkpoint(Path(scratch), snapshot)
        return {f"checkpoint/{place.name}/{p.name}": p.read_bytes() for p in sorted(place.iterdir())}


def checkpoint(random: Random) -> Sample:
    """A checkpoint, its list of hashes among what is mutated."""
    return Sample(_checkpoint(random.randrange(4)), "checkpoint")


def gone_on_with(path: Path) -> object:
    """The newest whole checkpoint; what is wrong with another is said, not raised."""
    from tunesmith.training.state import read_checkpoint

    return read_checkpoint(path)


RUNS: tuple[Reader, ...] = (
    Reader("safetensors", read, safetensors_weights),
    Reader("torch files", read, torch_weights),
    Reader("old torch files", read, old_torch_weights),
    Reader("configurations", configured, configuration),
    Reader("plans", planned, a_plan),
    Reader("runs", opened, saved_run),
    Reader("models of runs", loaded, saved_model),
    Reader("checkpoints", gone_on_with, checkpoint),
)
