"""Learning rates to start from, per family of networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Defaults:
    """Where a search would begin; a person's own numbers come first.

    head_lr: of a new head on frozen stages.
    top_lr: of a few unfrozen stages.
    full_lr: when every stage trains.
    decay: of the rate per stage towards the input when every stage trains.
    pretraining_lr: the highest peak rate with which published networks of the family were pretrained,
        per optimizer: fine-tuning above it forgets.
    """

    head_lr: float
    top_lr: float
    full_lr: float
    decay: float
    weight_decay: float
    warmup: float
    schedule: str
    pretraining_lr: Mapping[str, float]


# Rates of AdamW. Sources: Kornblith et al. 2018 (arXiv:1805.08974) and fastai's fine_tune for "cnn";
# Liu et al. 2022 (arXiv:2201.03545) for "convnext"; Steiner et al. 2021 (arXiv:2106.10270) and
# Touvron et al. 2022 (arXiv:2204.07118) for "vit"; Devlin et al. 2018 (arXiv:1810.04805) and Mosbach
# et al. 2020 (arXiv:2006.04884) for "text".
DEFAULTS: Final[Mapping[str, Defaults]] = {
    "cnn": Defaults(3e-3, 3e-4, 1e-4, 1.0, 1e-4, 0.05, "cosine", {"sgd": 0.5, "adam": 5e-3, "adamw": 5e-3}),
    "convnext": Defaults(
        1e-3, 2e-4, 1e-4, 0.9, 0.05, 0.05, "cosine", {"sgd": 0.5, "adam": 4e-3, "adamw": 4e-3}
    ),
    "vit": Defaults(1e-3, 1e-4, 5e-5, 0.9, 0.05, 0.1, "cosine", {"sgd": 0.1, "adam": 3e-3, "adamw": 3e-3}),
    "text": Defaults(1e-2, 1e-4, 5e-5, 1.0, 0.01, 0.1, "linear", {"sgd": 0.1, "adam": 6e-4, "adamw": 6e-4}),
}
SGD_RATIO: Final = {"cnn": 30.0, "convnext": 30.0, "vit": 100.0, "text": 100.0}


def defaults(family: str, optimizer: str) -> Defaults:
    """The defaults of a family, its rates scaled for the optimizer.

    SGD with momentum takes rates 30 to 100 times those of Adam: it does not divide by the size of the
    gradient.
    """
    base = DEFAULTS[family]
    if optimizer != "sgd":
        return base
    ratio = SGD_RATIO[family]
    return Defaults(
        base.head_lr * ratio,
        base.top_lr * ratio,
        base.full_lr * ratio,
        base.decay,
        base.weight_decay,
        base.warmup,
        base.schedule,
        base.pretraining_lr,
    )


def too_high(lr: float, family: str, optimizer: str) -> str | None:
    """A warning if pretrained stages would train faster than in pretraining, else None."""
    highest = DEFAULTS[family].pretraining_lr[optimizer]
    if lr <= highest:
        return None
    return (
        f"a learning rate of {lr:g} for pretrained stages is above the {highest:g} that networks of this "
        f"family ({family}, {optimizer}) are pretrained with: what they know may be lost."
    )
