"""What is expected of a network before it has seen the data: its size, its pretraining, earlier data sets.

On public tables of fine-tuned accuracy a list of networks by their mean rank on the other data sets beats
most scores that look at the data. Such a list is kept in static_ranks.json, by the network's origin, and used
where it knows every candidate; bench/truth.py measures it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np

MOST: Final = 2.5  # of any part of the prior, either way
SIZE: Final = 4.0  # one unit of size is a factor of 4 in parameters
EVEN: Final = 300  # training examples at which neither small nor large networks are preferred
RANDOM: Final = "@none"
EXAMPLES: Final[Mapping[str, float]] = {  # of known pretraining data, by the words that names have for them
    "in1k": 1.28e6,
    "imagenet-1k": 1.28e6,
    "in12k": 12e6,
    "in21k": 14.2e6,
    "in22k": 14.2e6,
    "imagenet-21k": 14.2e6,
    "yfcc": 99e6,
    "lvd142m": 142e6,
    "lvd1689m": 1.689e9,
    "jft": 300e6,
    "openai": 400e6,
    "laion400m": 400e6,
    "laion2b": 2.3e9,
    "datacompxl": 12.8e9,
    "webli": 10e9,
    "1 billion sentence pairs": 1.17e9,
}


def weight_of(examples: int) -> float:
    """The share of the prior in the ranking, by how many training examples there are."""
    return 0.5 if examples < 200 else 0.35 if examples < 2000 else 0.2


def size_preference(examples: int) -> float:
    """From -1 (small networks) to 1 (large ones): log10 of the training examples over 300.

    A rule of thumb, to be fitted on a table of measured accuracies when there is a large one.

    >>> [round(size_preference(n), 2) for n in (30, 100, 300, 1000, 5000)]
    [-1.0, -0.48, 0.0, 0.52, 1.0]
    """
    return max(-1.0, min(1.0, math.log10(examples / EVEN)))


def prior(
    origins: Sequence[str],
    parameters: Sequence[int],
    pretraining: Sequence[float | None],
    *,
    examples: int,
    ranks: Mapping[str, float] | None = None,
) -> np.ndarray:
    """What is expected of each candidate, [M], in standard deviations or so; 0 is the middle of the zoo.

    pretraining: how many examples each was pretrained on: 0 for random weights, None where nobody says.
    ranks: by origin, from 0 (always last) to 1 (always first); None: the list that comes with tunesmith.
    """
    size = np.log(np.maximum(np.asarray(parameters, float), 1)) / math.log(SIZE)
    liked = size_preference(examples)
    size = np.clip(size - np.median(size), -MOST, MOST)
    known = static_ranks() if ranks is None else ranks
    if origins and all(origin in known for origin in origins):
        places = np.asarray([known[origin] for origin in origins])
        spread = float(places.std())
        usual = (places - places.mean()) / (spread if spread > 0 else 1)
        return np.clip(usual + min(liked, 0.0) * size, -MOST, MOST)  # type: ignore[no-any-return]
    logs = [None if n is None else math.log10(max(n, 1.0)) for n in pretraining]
    told = [log for log in logs if log]
    middle = float(np.median(told)) if told else 0.0
    source = np.asarray([0.0 if log is None else log - middle if told else 0.0 for log in logs])
    return np.clip(np.clip(source, -MOST, MOST) + liked * size, -MOST, MOST)  # type: ignore[no-any-return]


def pretraining_examples(name: str, data: str | None = None) -> float | None:
    """How many examples a network was pretrained on, by its name and what is said of its data.

    >>> pretraining_examples("timm/convnext_tiny.in12k_ft_in1k")
    12000000.0
    >>> pretraining_examples("timm/resnet18@none"), pretraining_examples("hf/mine")
    (0.0, None)
    """
    if name.endswith(RANDOM):
        return 0.0
    said = f"{name.partition('@')[0]} {data or ''}".lower()
    if name.startswith("torchvision/") and "@" not in name:
        said += " in1k"
    found = [n for word, n in EXAMPLES.items() if re.search(rf"(?<![a-z0-9]){re.escape(word)}", said)]
    return max(found, default=None)


@cache
def static_ranks() -> Mapping[str, float]:
    """Mean ranks over the data sets of the table of truth, by origin, from 0 (last) to 1 (first)."""
    text = files("tunesmith.choosing").joinpath("static_ranks.json").read_text(encoding="utf-8")
    ranks: dict[str, float] = json.loads(text)["ranks"]
    return ranks
