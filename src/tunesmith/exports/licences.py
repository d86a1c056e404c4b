"""What is known of the licence of pretrained weights, without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tunesmith.errors import TunesmithError

PACKAGED: Final = {"sentence-transformers/all-MiniLM-L6-v2": "apache-2.0"}  # those that a package carries


def weights_licence(recipe: Mapping[str, Any] | None, model: object) -> str | None:
    """As the file's header, the source or its package states it; None where nobody does.

    model: the name that was asked for.
    """
    if recipe is None or str(model).endswith("@none"):
        return None
    said = _headed(model)
    if said is not None:
        return said
    source, name = recipe.get("source"), str(recipe.get("model", ""))
    if "@" in str(model):
        return None
    if source == "timm":
        return _timm(name)
    return PACKAGED.get(name) if source == "hf" else None


def _headed(model: object) -> str | None:
    from tunesmith.networks.header import read_header

    file = str(model).rpartition("@")[2]
    if not file.endswith(".safetensors"):
        return None
    try:
        told = read_header(Path(file).expanduser()).metadata
    except (TunesmithError, OSError):
        return None
    return told.get("licence") or told.get("license")


def _timm(name: str) -> str | None:
    from importlib.util import find_spec

    if not find_spec("timm"):
        return None
    import timm

    config = timm.get_pretrained_cfg(name)
    return getattr(config, "license", None) or None
