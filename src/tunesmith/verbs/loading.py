"""The network that a fit begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tunesmith.networks.network import Network, Want
from tunesmith.runs import load_model
from tunesmith.sources import load as load_named
from tunesmith.sources.module import with_head


def load_network(model: str | Network | Path, want: Want) -> Network:
    """A network by name, from an earlier run, or as it was given, with the head that is wanted."""
    if isinstance(model, Network):
        return with_head(model, want)
    folder = Path(model).expanduser()
    if (folder / "manifest.json").is_file():
        earlier, _, labels = load_model(folder / "model")
        earlier.origin = f"{folder.resolve().name}/{earlier.origin}"
        if labels.names == want.labels and want.head in ("linear", "pretrained"):
            return replace(earlier, loaded=(f"network and head of {folder.name}",))
        return replace(with_head(earlier, want), loaded=(f"network of {folder.name}, with a new head",))
    return load_named(str(model), want)
