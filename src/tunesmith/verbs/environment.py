"""What a run should know of the machine it ran on, and where things lie."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = (
    "tunesmith",
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "keras",
    "datasets",
    "accelerate",
    "safetensors",
    "scikit-learn",
    "numpy",
    "pillow",
)
DECIDING = ("python", "processor", "threads", "gpu")  # beside the packages


def prepare(*, offline: bool = False) -> None:
    """Tell the libraries underneath how to behave, before they are imported.

    Their bars and advice would tear ours. offline: they must not reach for a hub, in this process.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    cache = os.environ.get("TUNESMITH_CACHE")
    if cache:  # otherwise what was downloaded before tunesmith came is found in the hubs' own caches
        os.environ.setdefault("HF_HOME", os.path.join(cache, "huggingface"))  # noqa: PTH118
        os.environ.setdefault("TORCH_HOME", os.path.join(cache, "torch"))  # noqa: PTH118
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ["HF_DATASETS_OFFLINE"] = "1"
        for module in ("huggingface_hub.constants", "datasets.config"):
            if module in sys.modules:  # they read the environment only when they are imported
                sys.modules[module].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


def described() -> dict[str, Any]:
    """Versions and hardware: within them, the same command gives the same bits."""
    import torch

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": {name: _version(name) for name in PACKAGES},
        "command": [os.path.basename(sys.argv[0]), *sys.argv[1:]],  # noqa: PTH119
    }


def changes(manifest: Mapping[str, Any]) -> list[str]:
    """What differs from where a run was begun and can change its bits, in a sentence or none."""
    now = described()
    was = {**{n: manifest.get(n) for n in DECIDING}, **dict(manifest.get("packages") or {})}
    here = {**{n: now[n] for n in DECIDING}, **now["packages"]}
    differing = [f"{n} {was[n]} then, {here[n]} now" for n in here if n in was and was[n] != here[n]]
    if not differing:
        return []
    return [f"the run was begun elsewhere ({'; '.join(differing)}): the same bits are not promised"]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
