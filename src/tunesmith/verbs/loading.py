"""Networks by name: what a fit begins with, and what a run ended with."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from tunesmith.data.data import Data
from tunesmith.errors import BadOption
from tunesmith.networks.network import Network, Want
from tunesmith.networks.preprocess import TextPreprocess
from tunesmith.runs import Run, load_model
from tunesmith.sources import load as load_named
from tunesmith.sources import resolve
from tunesmith.sources.module import with_head
from tunesmith.tasks.task import Labels, Task
from tunesmith.verbs.reporting import Reporter

if TYPE_CHECKING:
    from torch import nn

# What is asked of the network.
WANTED = ("head", "dropout", "image_size", "max_length", "long_texts", "allow_missing", "untie")


@overload
def load(model: str, want: Want) -> Network: ...
@overload
def load(model: str | Path | Run) -> nn.Module: ...
def load(model: str | Path | Run, want: Want | None = None) -> Network | nn.Module:
    """The network of a name, with the head that is wanted; or a run's, as a plain torch module.

    The module is on the CPU, in eval mode, and takes inputs that are ready: images normalised, texts as
    tokens by name. It is loaded anew each time, so what is done to it touches nothing else.

    model: a model's name and what is wanted of it; or a run, or its folder, alone.

    Raises BadOption for a name alone, or for a run with a wish: `fit` gives a run's network another head.
    """
    run = model if isinstance(model, Run) else None
    if run is None and (Path(model).expanduser() / "manifest.json").is_file():  # type: ignore[arg-type]
        run = Run.open(model)  # type: ignore[arg-type]
    if run is not None:
        if want is not None:
            raise BadOption(f"{run.folder.name} is a run, whose network is loaded as it is; leave want out.")
        return load_model(run.folder / "model", module=copy.deepcopy(run.module))[0].module
    if want is None:
        raise BadOption(
            f"no run at {model}; for a model's name say what is wanted of it: "
            f"load(NAME, Want(KIND, outputs=K))."
        )
    return load_named(str(model), want)


def wanted_network(
    asked: Mapping[str, Any], task: Task, data: Data, say: Reporter
) -> tuple[Labels, Want, Network]:
    """The labels, what a task wants of the network that is asked for, and that network, said.

    asked: options of `fit` by name; of those that say something of the network some may be absent. Everything
    random is seeded first: random weights are those of every verb with this seed, and so is what is stored.
    """
    labels = task.labels(data)
    seed_everything(asked["seed"])
    want = task.want(labels, **{name: asked[name] for name in WANTED if name in asked})
    network = load_network(asked["model"] or task.model, want)
    for line in (f"network: {network.origin}", *network.loaded):
        say.say(line)
    return labels, want, network


def seed_everything(seed: int) -> None:
    """Seed every generator, before any parameter exists."""
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def load_network(model: str | Network | Path, want: Want) -> Network:
    """A network by name, from an earlier run, or as it was given, with the head that is wanted."""
    if isinstance(model, Network):
        _refuse_size(model, want)
        return with_head(_reading(model, want), want)
    if not isinstance(model, str | Path):
        raise BadOption(
            f"model is a name, a folder or a Network; found a {type(model).__name__}. A module of your own "
            "is wrapped first: tunesmith.network(module, example=...)."
        )
    folder = Path(model).expanduser()
    if (folder / "manifest.json").is_file():
        earlier, _, labels = load_model(folder / "model")
        _refuse_size(earlier, want)
        earlier = _reading(earlier, want)
        earlier.origin = f"{folder.resolve().name}/{earlier.origin}"
        if labels.names == want.labels and want.head in ("linear", "pretrained") and not want.dropout:
            return replace(earlier, loaded=(f"network and head of {folder.name}",))
        return replace(with_head(earlier, want), loaded=(f"network of {folder.name}, with a new head",))
    return load_named(str(model), want)


def check_name(model: object) -> None:
    """Raise for a model's name that no source could serve, before the data are read."""
    if isinstance(model, str) and model and not (Path(model).expanduser() / "manifest.json").is_file():
        resolve(model)


def _reading(network: Network, want: Want) -> Network:
    """The network as it is to read texts that are longer than its window."""
    form = network.preprocess
    if isinstance(form, TextPreprocess):
        if form.long_texts == want.long_texts:
            return network
        return replace(network, preprocess=replace(form, long_texts=want.long_texts))
    if want.long_texts != "cut":
        raise BadOption(
            f"{network.origin} prepares its texts in a way of its own, which knows no windows; leave "
            f"long_texts out."
        )
    return network


def _refuse_size(network: Network, want: Want) -> None:
    """A network that is already built keeps the input that it was built for."""
    for name, asked, has in (
        ("image_size", want.image_size, getattr(network.preprocess, "size", None)),
        ("max_length", want.max_length, getattr(network.preprocess, "max_length", None)),
    ):
        if asked is not None and asked != has:
            raise BadOption(
                f"{network.origin} is already built for an input of {has}, and {name} asks for {asked}; "
                f"leave {name} out, or name the network's source."
            )
