"""What tasks have in common whose examples a network sees as they are, one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tunesmith.errors import BadOption
from tunesmith.networks.preprocess import Preprocess
from tunesmith.tasks.task import Batch, Labels, known_loss

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.plan import Settings
    from tunesmith.tasks.rows import Rows


class Uncut:
    """A mixin: what a task need not say that has no windows and nothing of its own to say of the rest.

    It decides by its metric, has no settings, learns nothing from validation, and has no answers by plain
    means but those that every task of its kind has.
    """

    name: str
    metric: str
    parts: str = ""

    def deciding(self, labels: Labels) -> str:  # noqa: ARG002
        """The metric, whatever the labels."""
        return self.metric

    def configured(self, settings: Settings) -> Any:
        """As it is. Raises BadOption for a loss, and label smoothing, which spreads a class over others."""
        known_loss(settings, ("its own",), self.name)
        if settings.label_smoothing:
            raise BadOption(
                f"label_smoothing is for classes, and {self.name} has none to smooth; leave it out."
            )
        return self

    def calibrated(self, labels: Labels, predictions: Sequence[Any], targets: Sequence[Any]) -> Labels:  # noqa: ARG002
        """The labels as they are."""
        return labels

    def cut(self, dataset: Any, preprocess: Preprocess) -> Any | None:  # noqa: ARG002
        """None: every example is seen as it is."""
        return None

    def joined(self, predictions: Sequence[Any]) -> Any:
        """The only prediction."""
        (own,) = predictions
        return own

    def rows(self, states: Tensor, batch: Batch) -> Rows | None:  # noqa: ARG002
        """None: a probe is asked about whole examples."""
        return None

    def simple(self, train: Any, test: Any, labels: Labels) -> Mapping[str, list[Any]]:  # noqa: ARG002
        """None."""
        return {}
