"""What tasks have in common whose examples a network sees as they are, one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.networks.preprocess import Preprocess
from tunesmith.tasks.task import Labels


class Uncut:
    """A mixin: no windows, and no answers by plain means but those that every task of its kind has."""

    def cut(self, dataset: Any, preprocess: Preprocess) -> Any | None:  # noqa: ARG002
        """None: every example is seen as it is."""
        return None

    def joined(self, predictions: Sequence[Any]) -> Any:
        """The only prediction."""
        (own,) = predictions
        return own

    def simple(self, train: Any, test: Any, labels: Labels) -> Mapping[str, list[Any]]:  # noqa: ARG002
        """None."""
        return {}
