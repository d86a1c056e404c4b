"""Steps of the optimizer in one phase: in pieces where memory runs out, together with other processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tunesmith.networks.activations import Activations
from tunesmith.networks.augment import shaken
from tunesmith.networks.kinds import stated_axis
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Settings
from tunesmith.tasks.task import Batch, Task
from tunesmith.training import contrastive, frozen, processes
from tunesmith.training.memory import pieces_that_fit
from tunesmith.training.optimize import optimizer_for, restore_optimizer, set_rates
from tunesmith.training.progress import Progress
from tunesmith.training.remedies import diverged
from tunesmith.training.state import random_tensors, random_values, restore_random


class Stepper:
    """The optimizer of a phase, and how it takes a step.

    augment: changes live images; None: nothing does. state: an earlier optimizer's, by parameter name.
    """

    def __init__(
        self,
        network: Network,
        task: Task,
        phase: Phase,
        settings: Settings,
        accelerator: Any,
        progress: Progress,
        *,
        augment: Callable[[Tensor], Tensor] | None,
        state: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.network, self.task, self.phase, self.settings = network, task, phase, settings
        self.accelerator, self.progress, self.augment = accelerator, progress, augment
        self.pairs = phase.loss == "contrastive"
        self.optimizer = optimizer_for(network, phase, settings)
        if state is not None:
            restore_optimizer(self.optimizer, dict(state))
        self._prepared: Any = self.optimizer
        if accelerator.scaler is not None:
            # accelerate remembers every optimizer, and fp16 would divide the gradients once for each.
            accelerator.free_memory()
            self._prepared = accelerator.prepare_optimizer(self.optimizer)

    @property
    def lr(self) -> float:
        """The highest rate that is used now."""
        return max(float(group["lr"]) for group in self.optimizer.param_groups)

    def take(self, batch: Batch, rows: int, share: float) -> float:
        """One step at a share of the peak rates. Returns the batch's loss.

        batch: this process's share of the `rows` examples of the step.
        Raises Diverged where the loss or the gradient is no number.
        """
        set_rates(self.optimizer, share)
        world, process = self.accelerator.num_processes, self.accelerator.process_index
        if world > 1:  # a snapshot holds the main process's random state only, so every step draws anew
            torch.manual_seed((self.settings.seed * 1_000_003 + self.progress.steps) * world + process)
        batch = self._augmented(batch)
        loss = self._together(self._gradients(batch, rows))
        if not math.isfinite(loss):
            raise diverged(f"the loss became {loss}", self.phase, self.progress)
        if self.settings.clip:
            norm = self.accelerator.clip_grad_norm_(self._parameters(), self.settings.clip)
            if norm is not None and not math.isfinite(float(norm)) and self.settings.precision != "fp16":
                raise diverged("the gradient became infinite or NaN", self.phase, self.progress)
        self._prepared.step()
        return loss

    def _augmented(self, batch: Batch) -> Batch:
        if isinstance(batch.inputs, Activations):
            if self.settings.augment != "features":
                return batch
            cut, module = batch.inputs.cut, self.network.module
            axes = [stated_axis(module, cut.maker(leaf)) for leaf in cut.stored]
            pairs = zip(batch.inputs.tensors, axes, strict=True)
            tensors = tuple(shaken(tensor, axis=axis) for tensor, axis in pairs)
            return replace(batch, inputs=replace(batch.inputs, tensors=tensors))
        if self.augment is None:
            return batch
        return replace(batch, inputs=self.augment(batch.inputs))  # type: ignore[arg-type]

    def _gradients(self, batch: Batch, rows: int) -> float:
        """Leave this process's part of the gradients in the weights; its part of the loss."""
        start, values = random_tensors(), random_values()
        accelerator, pairs = self.accelerator, self.pairs
        count = rows * (contrastive.GROUP if pairs else 1)
        idle = accelerator.process_index >= rows  # and its one example is another process's

        def attempt(pieces: int) -> float:
            if pieces != self.progress.pieces:
                restore_random(start, values)
            self._prepared.zero_grad(set_to_none=True)
            total = 0.0
            for piece in contrastive.parts(batch, pieces) if pairs else batch.parts(pieces):
                with accelerator.autocast(), frozen.norms_at_rest(self.network, piece.size):
                    loss = (contrastive.pair_loss if pairs else self.task.loss)(self.network, piece)
                share = 0.0 if idle else batch.share(piece) * batch.size / count
                accelerator.backward(loss * share)
                total += float(loss.detach()) * share
            return total

        most = batch.size // contrastive.GROUP if pairs else batch.size
        own, self.progress.pieces = pieces_that_fit(attempt, most, self.progress.pieces)
        return own

    def _together(self, own: float) -> float:
        """Add up gradients and loss over the processes; what BatchNorm counts becomes their mean."""
        if self.accelerator.num_processes == 1:
            return own
        loss = torch.tensor(own, device=self.accelerator.device)
        statistics = frozen.moving_statistics(self.network)
        for tensor in statistics:
            tensor.div_(self.accelerator.num_processes)
        gradients = [p.grad for p in self._parameters() if p.grad is not None]
        processes.add_up([loss, *gradients, *statistics])
        return float(loss)

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self._prepared.param_groups for parameter in group["params"]]
