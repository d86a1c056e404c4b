"""Where batches come from: live inputs, or stored activations at a cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.tasks.task import Batch, Labels, Task
from tunesmith.training.examples import Examples
from tunesmith.training.recorded import Recorded


@dataclass(frozen=True)
class Feed:
    """Batches of one split.

    recorded, at: where activations are stored, and the stage before which the network goes on from
    them; None: the whole network runs. view: which augmented view of the images.
    """

    examples: Examples
    recorded: Recorded | None = None
    at: int | None = None
    view: int | None = None

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def lengths(self) -> np.ndarray | None:
        """Tokens per text, by which texts share a batch, replayed or not; None for images."""
        return self.examples.lengths

    def batch(self, rows: np.ndarray, task: Task, labels: Labels) -> Batch:
        """One batch on the CPU; no randomness."""
        if self.recorded is None or self.at is None:
            return self.examples.batch(rows, task, labels)
        inputs = self.recorded.activations(self.at, self.examples, rows, view=self.view)
        return self.examples.batch(rows, task, labels, inputs)
