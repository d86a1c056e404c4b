"""The network that a fit begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tunesmith.errors import BadOption
from tunesmith.networks.network import Network, Want
from tunesmith.runs import load_model
from tunesmith.sources import load as load_named
from tunesmith.sources.module import with_head


def load_network(model: str | Network | Path, want: Want) -> Network:
    """A network by name, from an earlier run, or as it was given, with the head that is wanted."""
    if isinstance(model, Network):
        _refuse_size(model.origin, want)
        return with_head(model, want)
    folder = Path(model).expanduser()
    if (folder / "manifest.json").is_file():
        _refuse_size(str(folder), want)
        earlier, _, labels = load_model(folder / "model")
        earlier.origin = f"{folder.resolve().name}/{earlier.origin}"
        if labels.names == want.labels and want.head in ("linear", "pretrained") and not want.dropout:
            return replace(earlier, loaded=(f"network and head of {folder.name}",))
        return replace(with_head(earlier, want), loaded=(f"network of {folder.name}, with a new head",))
    return load_named(str(model), want)


def _refuse_size(what: str, want: Want) -> None:
    """A network that is already built keeps the input that it was built for."""
    for name, value in (("image_size", want.image_size), ("max_length", want.max_length)):
        if value is not None:
            raise BadOption(
                f"{what} is already built for its own input; leave {name} out, or name its source."
            )
