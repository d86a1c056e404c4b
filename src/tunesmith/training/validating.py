"""What the validation split says of a network in training: after an epoch, and of a rung as a whole."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tunesmith.errors import UnknownName
from tunesmith.evaluation import sign_of
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Settings
from tunesmith.registry import did_you_mean
from tunesmith.tasks.task import Labels, Task
from tunesmith.training.events import EpochEnd
from tunesmith.training.kept import Kept
from tunesmith.training.predicting import predict
from tunesmith.training.progress import Progress
from tunesmith.training.remedies import diverged
from tunesmith.training.rungs import Rung, judged
from tunesmith.training.supervisor import JUDGED_FROM, beats_chance, found_wrong
from tunesmith.training.supply import Supply

if TYPE_CHECKING:
    from tunesmith.tasks.task import Outcomes


class Validation:
    """Asks a network about the validation split, and keeps the best network.

    metric: of the task; says what is best.
    """

    def __init__(
        self,
        network: Network,
        task: Task,
        supply: Supply,
        metric: str,
        accelerator: Any,
        progress: Progress,
        kept: Kept,
    ) -> None:
        self.network, self.task, self.supply, self.metric = network, task, supply, metric
        self.accelerator, self.progress, self.kept = accelerator, progress, kept

    def outcomes(self, batch: int, weights: dict[str, Tensor] | None = None) -> Outcomes:
        """How the network does with these weights, or as it is, in eval mode; it stands so afterwards.

        batch: of the training; twice as many go through at a time.
        """
        if weights is not None:
            self.kept.load(weights)
        supply = self.supply
        predictions = predict(
            self.network,
            self.task,
            supply.feed("valid", self.progress.phase),
            supply.labels,
            batch=2 * batch,
            autocast=self.accelerator.autocast,
            shared=True,
        )
        return self.task.outcomes(predictions, self.task.targets(supply.data.valid, supply.labels))

    def epoch_end(
        self, phase: Phase, settings: Settings, steps: int, outcomes: Outcomes, lr: float
    ) -> EpochEnd:
        """Count the epoch, and keep the network if it is the best so far.

        steps: of the whole phase. lr: the highest rate of its newest step.
        Raises Diverged where the validation loss is no number.
        """
        progress = self.progress
        scores = self.task.score(outcomes, self.supply.labels)
        loss = scores.get(self.task.valid_loss, 0.0)
        if not math.isfinite(loss):
            raise diverged(f"the validation loss became {loss}", phase, progress)
        row = progress.end_epoch(phase.name, scores, self.task.valid_loss, lr)
        progress.learned = progress.learned or beats_chance(outcomes)
        progress.trouble = None
        if progress.phase_steps >= max(JUDGED_FROM, steps / 2, settings.warmup * steps):
            progress.trouble = self._trouble(phase, outcomes, row["train_loss"])
        best = progress.rate_validation(sign_of(self.metric) * scores[self.metric], loss)
        if best:
            self.kept.keep_best()
        return EpochEnd(row, best)

    def rung(self, name: str, seconds: float | None, batch: int) -> Rung:
        """What a rung gained over what stood before it. seconds: that it was predicted to take."""
        now, then = self.outcomes(batch, self.kept.best), self.outcomes(batch, self.kept.taken)
        return judged(name, seconds, self.task, now, then, self.supply.labels, self.metric)

    def _trouble(self, phase: Phase, outcomes: Outcomes, train_loss: float) -> list[str] | None:
        """What is wrong with the network, in the last phase: the others prepare it."""
        last = self.progress.phase == len(self.supply.plan.phases) - 1
        if phase.solver or not last or self.task.answers not in ("classes", "numbers"):
            return None
        supply = self.supply
        counts, smoothing = (supply.weights, supply.shares), supply.plan.settings.label_smoothing
        found = found_wrong(
            outcomes,
            supply.targets("train"),
            supply.labels,
            *counts,
            smoothing,
            train_loss,
            getattr(self.task, "cost", None),  # numbers have more than one loss
        )
        return None if found is None else list(found)


def known_metric(metric: str, task: Task, labels: Labels, valid: Any) -> str:
    """The metric, if the task gives one of that name for the validation split. Raises UnknownName."""
    _, answers = task.trivial(labels, len(valid))
    known = task.score(task.outcomes(answers, task.targets(valid, labels)), labels)
    if metric not in known:
        plain = [name for name in known if "/" not in name]
        guess = did_you_mean(metric, known) or f"; there are {', '.join(plain)}."
        raise UnknownName(f"no metric named {metric!r}{guess}")
    return metric
