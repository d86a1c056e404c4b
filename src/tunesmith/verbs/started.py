"""What a fit has once it began: data, network, plan and a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.data import Data
from tunesmith.networks.network import Network, Want
from tunesmith.plan import Plan
from tunesmith.store import Store
from tunesmith.tasks.task import Labels, Task
from tunesmith.training.examples import Examples
from tunesmith.training.recorded import Recorded
from tunesmith.training.replaying import Replaying
from tunesmith.verbs.deciding import Decided


@dataclass
class Started:
    """A fit whose data are read, whose network is loaded and whose plan is made.

    began: when, by the monotonic clock; earlier by what interrupted processes spent in training.
    leaked: bool [n], test examples that have a byte-equal or nearly equal one in train or valid.
    decided: what was left to evidence before training: rungs of strategy auto, and what is kept.
    """

    folder: Path
    asked: Mapping[str, Any]
    data: Data
    task: Task
    labels: Labels
    want: Want
    network: Network
    plan: Plan
    examples: Mapping[str, Examples]
    recorded: Recorded
    replaying: Replaying | None
    began: float
    leaked: np.ndarray
    store: Store
    decided: Decided
