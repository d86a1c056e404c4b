"""Which networks stand for choice where nobody names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from tunesmith.errors import BadOption, MissingPackage, OtherBackend

if TYPE_CHECKING:
    from tunesmith.networks.network import Network

LOCAL: Final = "local"
MOST: Final = 6  # networks that a fit chooses from by itself
# One of each family, that a laptop runs: small and large, with published weights of a free licence.
USUAL: Final[Mapping[str, tuple[str, ...]]] = {
    "image-classification": (
        "timm/mobilenetv3_large_100.ra_in1k",
        "timm/resnet50.a1_in1k",
        "timm/convnext_tiny.in12k_ft_in1k",
        "timm/vit_small_patch16_224.augreg_in21k_ft_in1k",
    ),
    "text-classification": (
        "hf/sentence-transformers/all-MiniLM-L6-v2",
        "hf/distilbert-base-uncased",
        "hf/intfloat/multilingual-e5-small",
    ),
}


def candidates(
    models: str | Network | Sequence[str | Network] | None, task: str, *, default: str
) -> list[str | Network]:
    """The networks to rank, each once.

    models: names, separated by commas or in a list, or "local"; None: what is on this machine and, if a hub
    answers, one network of each family. default: the task's usual network.
    Raises BadOption if there is none.
    """
    if models is not None and models != LOCAL:
        given: Sequence[str | Network]
        if isinstance(models, str):
            given = models.split(",")
        else:
            given = models if isinstance(models, Sequence) else [models]
        named = [model.strip() if isinstance(model, str) else model for model in given]
        found = [model for i, model in enumerate(named) if model and not _among(model, named[:i])]
        if not found:
            raise BadOption(f"models names the candidates, separated by commas, or is {LOCAL}; found none.")
        return found
    here = _local(task)
    if models is None and _online():
        here += [name for name in dict.fromkeys((default, *USUAL.get(task, ()))) if name not in here]
    if not here:
        raise BadOption(
            f"no network for {task} is on this machine; name some with --models, put headed safetensors "
            "files into a folder that TUNESMITH_MODELS names, or go online."
        )
    return list(here)


def at_hand(task: str, *, default: str) -> list[str | Network]:
    """What a fit chooses from where nobody names a network: the usual one, and others on this machine.

    Six at most, the usual one and then the smallest. Nothing is downloaded but the usual one, and that only
    where a hub answers.
    """
    here = _local(task)
    first = [default] if default in here or not here or _online() else []
    others = [name for name in here if name != default]
    chosen: list[str | Network] = [*first, *others]
    return chosen[:MOST]


def _among(model: str | Network, others: Sequence[str | Network]) -> bool:
    return any(model is other or (isinstance(model, str) and model == other) for other in others)


def _local(task: str) -> list[str]:
    """Names of the networks on this machine, the smallest first; those of unknown size last."""
    from tunesmith.sources import SOURCES, headed_files

    found = [model for model in headed_files() if model.kind == task]
    for source in SOURCES.names():
        try:
            found += [model for model in SOURCES.load(source)().find("", task) if model.local]
        except (MissingPackage, OtherBackend):
            continue
    found.sort(key=lambda model: float("inf") if model.parameters is None else model.parameters)
    return list(dict.fromkeys(model.name for model in found))


def _online() -> bool:
    from importlib.util import find_spec

    from tunesmith.sources.hub import answers, offline

    if offline() or not find_spec("huggingface_hub"):
        return False
    from huggingface_hub import constants

    return answers(constants.ENDPOINT)
