"""What a run's model card is made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

from tunesmith.exports.card import Facts
from tunesmith.exports.licences import weights_licence
from tunesmith.plan import table
from tunesmith.runs import Run
from tunesmith.tasks import TASKS
from tunesmith.verbs.options import IN_MEMORY

PACKAGES: Final = ("tunesmith", "torch", "torchvision", "timm", "transformers", "keras")  # a card names them


def facts_of(run: Run, scores: Mapping[str, Any]) -> Facts:
    """The facts of a run's card. scores: what scores.json says, or is about to."""
    described, asked, manifest = run.described, run.asked, run.manifest
    return Facts(
        name=run.folder.name,
        data=data_name(asked.get("data")),
        described=described,
        network=origin_name(manifest["network"]),
        seed=int(manifest["seed"]),
        packages={name: manifest.get("packages", {}).get(name) for name in PACKAGES},
        plan=table(run.plan, [part["name"] for part in described["parts"]]),
        scores=scores,
        answers=TASKS.load(described["task"])().answers,
        licences={
            "weights": weights_licence(described.get("recipe"), asked.get("model")),
            "data": manifest.get("data_licence"),
        },
    )


def data_name(data: object) -> str:
    """How data are called, without where they lie on one machine.

    >>> data_name("/home/ann/photos"), data_name("<in memory: DataFrame>"), data_name(["a.csv", "b.csv"])
    ('photos', 'data given in memory', 'a.csv, b.csv')
    """
    if isinstance(data, list | tuple):
        return ", ".join(data_name(own) for own in data)
    text = str(data)
    return "data given in memory" if text.startswith(IN_MEMORY) else PurePath(text).name or text


def origin_name(origin: str) -> str:
    """Where a network comes from, without where that lies on one machine.

    >>> origin_name("hf//home/ann/my-bert?pooling=mean@16a0"), origin_name("timm/resnet18@none")
    ('hf/my-bert?pooling=mean@16a0', 'timm/resnet18@none')
    """
    source, _, model = origin.partition("/")
    return f"{source}/{PurePath(model).name}" if model.startswith(("/", ".", "~")) else origin
