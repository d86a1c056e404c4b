"""Six points to start from, per family of networks: tried in order where a training learns nothing.

Each is a published recipe, written relative to the family's own defaults (which_lr.py), so that it keeps its
meaning under other strategies and optimizers. The first is the plan as it stands.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from tunesmith.training.supervisor import Start

QUICK_TUNE = "Pineda Arango et al. 2023 (arXiv:2306.03828), by their runs: small batches, 5e-4 to 1e-3"
NEAR = "Li et al. 2020 (arXiv:2002.11770): domains near that of pretraining want less"
THIRD = "Kornblith et al. 2018 (arXiv:1805.08974): a third, the next point of their grid of rates"

PORTFOLIOS: Final[Mapping[str, tuple[Start, ...]]] = {
    "cnn": (
        Start(source="the plan"),
        Start(1 / 3, warmup=0.1, source=THIRD),
        Start(5, batch=16, weight_decay=0.01, source=QUICK_TUNE),
        Start(
            10,
            warmup=0.3,
            decay=0.8,
            source="Howard & Gugger 2020 (arXiv:2002.04688), fine_tune: 1e-3 down to 1e-5",
        ),
        Start(
            0.1,
            warmup=0.2,
            weight_decay=0.0,
            source=NEAR,
        ),
        Start(3, batch=8, warmup=0.1, source=QUICK_TUNE),
    ),
    "convnext": (
        Start(source="the plan"),
        Start(
            0.5,
            weight_decay=1e-8,
            decay=0.9,
            source="Liu et al. 2022 (arXiv:2201.03545), fine-tuning: 5e-5, 1e-8",
        ),
        Start(1 / 3, batch=16, warmup=0.1, source=THIRD),
        Start(5, batch=16, source=QUICK_TUNE),
        Start(0.1, warmup=0.2, source=NEAR),
        Start(
            10,
            batch=16,
            warmup=0.1,
            decay=0.8,
            source="Bao et al. 2021 (arXiv:2106.08254), BEiT-L: 1e-3, 0.75",
        ),
    ),
    "vit": (
        Start(source="the plan"),
        Start(
            0.4,
            weight_decay=1e-8,
            decay=0.95,
            source="Bao et al. 2021 (arXiv:2106.08254), supervised: 2e-5, 0.85",
        ),
        Start(
            2,
            weight_decay=1e-3,
            warmup=0.1,
            source="Tang et al. 2024 (arXiv:2404.16233), AutoGluon: 1e-4, 0.9",
        ),
        Start(
            10,
            weight_decay=0.05,
            decay=0.72,
            source="He et al. 2021 (arXiv:2111.06377), self-supervised: 5e-4, 0.65",
        ),
        Start(0.2, warmup=0.2, source=NEAR),
        Start(5, batch=16, warmup=0.1, source=QUICK_TUNE),
    ),
    "text": (
        Start(source="the plan"),
        Start(
            0.4,
            batch=16,
            warmup=0.1,
            source="Mosbach et al. 2020 (arXiv:2006.04884): 2e-5, warm-up, many epochs",
        ),
        Start(2, batch=32, decay=0.8, source="Clark et al. 2020 (arXiv:2003.10555), ELECTRA-base: 1e-4, 0.8"),
        Start(0.6, batch=16, source="Devlin et al. 2018 (arXiv:1810.04805): 3e-5, batches of 16"),
        Start(0.2, batch=16, warmup=0.06, source="Liu et al. 2019 (arXiv:1907.11692), RoBERTa: 1e-5, 0.06"),
        Start(
            8,
            weight_decay=1e-3,
            decay=0.9,
            source="Tang et al. 2024 (arXiv:2404.16233), small encoders: 4e-4, 0.9",
        ),
    ),
}


def starts(family: str, *, named: Collection[str] = ()) -> tuple[Start, ...]:
    """The points to start from, without touching what a person named.

    named: of "batch", "warmup", "weight_decay" and "decay"; the plan's value stands there.

    >>> starts("text", named=["batch"])[1].batch is None
    True
    """
    kept: dict[str, float | None] = {name: 1.0 if name == "decay" else None for name in named}
    return tuple(replace(start, **kept) for start in PORTFOLIOS[family])  # type: ignore[arg-type]
