"""The loop: a generator of events. What other libraries do in callbacks, the caller does in the `for`."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tunesmith.data.data import Data
from tunesmith.errors import Diverged, NothingLearned
from tunesmith.networks.activations import Activations
from tunesmith.networks.cls_only import only_cls
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Plan, fits
from tunesmith.tasks.task import Labels, Task
from tunesmith.training import contrastive, frozen, processes
from tunesmith.training.climbing import Ladder
from tunesmith.training.devices import accelerator_for
from tunesmith.training.events import EpochEnd, Event, Halved, PhaseEnd, PhaseStart, Step
from tunesmith.training.examples import Examples
from tunesmith.training.kept import Kept
from tunesmith.training.layout import lay_out
from tunesmith.training.optimize import factor, optimizer_tensors, set_rates, trainable
from tunesmith.training.progress import Progress
from tunesmith.training.recorded import Recorded
from tunesmith.training.remedies import NOTHING_MORE, as_it_begins, refuse_runaway, refuse_trouble, remedy_for
from tunesmith.training.replaying import Replaying
from tunesmith.training.shortened import first_token_block
from tunesmith.training.solvers import Linear
from tunesmith.training.solving import Pooled, check_solvers, solve_head
from tunesmith.training.state import TAKEN, Snapshot, random_tensors, random_values, restore_random
from tunesmith.training.stepping import Stepper
from tunesmith.training.supervisor import LOOKED_AT, Start, unreached
from tunesmith.training.supply import supply_of
from tunesmith.training.validating import Validation, known_metric


class Training:
    """A training that is run by iterating over it, and that can be taken down at any event.

    >>> for event in Training(network, task, data, plan):                       # doctest: +SKIP
    ...     print(event)

    network: trained in place; at the end it holds the weights of the best validation.
    labels: None: learned from the training split.
    time_limit: seconds after which training ends at the next step; the best so far is the result.
    snapshot: where an earlier training was taken down; the rest is the same, bit for bit.
    examples: the splits with what is known of them already; None: made from `data`.
    recorded, replaying: what frozen stages put out, and where each phase goes on from it; None: every
        phase runs live.
    costs: predicted seconds of each phase, None for one that is not predicted; a phase that must gain and
        would end after the time limit does not begin.
    remedies: points to start from where a phase goes wrong, the plan's own first; None: the plan's rates
        stand, and a training that goes wrong stops.
    """

    def __init__(
        self,
        network: Network,
        task: Task,
        data: Data,
        plan: Plan,
        *,
        labels: Labels | None = None,
        device: str = "auto",
        time_limit: float | None = None,
        snapshot: Snapshot | None = None,
        examples: Mapping[str, Examples] | None = None,
        recorded: Recorded | None = None,
        replaying: Replaying | None = None,
        costs: Sequence[float | None] | None = None,
        remedies: Sequence[Start] | None = None,
    ) -> None:
        fits(plan, len(network.stages), network.origin)
        self.network, self.task, self.data, self.plan = network, task, data, plan
        self.labels = labels or task.labels(data)
        self.time_limit, self.remedies = time_limit, remedies
        self.settings = plan.settings
        self.metric = known_metric(self.settings.metric or task.metric, task, self.labels, data.valid)
        self.accelerator = accelerator_for(device, self.settings.precision)
        network.module.to(self.accelerator.device)
        if self.accelerator.device.type == "cuda" and network.preprocess.takes == "image":
            network.module.to(memory_format=torch.channels_last)  # the layout of bf16 convolutions
        self.supply = supply_of(
            task,
            data,
            plan,
            self.labels,
            network.preprocess,
            examples=examples,
            recorded=recorded,
            replaying=replaying,
        )
        if any(phase.loss == "contrastive" for phase in plan.phases):
            contrastive.check_pairs(network, task)
        check_solvers(network, task, plan)
        self.progress = Progress() if snapshot is None else copy.deepcopy(snapshot.progress)
        self.kept = Kept(network, plan, self.progress)
        self.validation = Validation(
            network, task, self.supply, self.metric, self.accelerator, self.progress, self.kept
        )
        costs = costs or [None] * len(plan.phases)
        last = max((i for i, phase in enumerate(plan.phases) if phase.must_gain), default=-1)
        self.ladder = Ladder(costs, time_limit, last, self.validation, self.progress, self.kept)
        self._stepper: Stepper | None = None
        self._began = time.monotonic() - self.progress.elapsed
        self._resumed = snapshot
        if snapshot is not None:
            if remedies is not None and self.progress.phase == 0:
                self.kept.keep_first()  # the network as it was loaded
            self.kept.restore(snapshot.tensors)

    def __iter__(self) -> Iterator[Event]:
        """Run the phases; every yield leaves a state that `snapshot` can take."""
        if self._resumed is None:
            _seed(self.settings.seed)
        while self.progress.ended is None:
            yield from self._phase(self.progress.phase)
        self.keep_best(self.progress.ended)

    def keep_best(self, why: str) -> bool:
        """End here, with the weights of the best validation; False if there was none yet."""
        kept = self.kept
        if kept.taken and not kept.best:  # on a rung that was not validated yet
            kept.best, self.progress.best = kept.taken, self.progress.taken
        if kept.best:
            kept.load(kept.best)
            self.progress.ended = why
        module = self.network.module.eval()
        if self.accelerator.device.type == "cpu":
            module.to(memory_format=torch.contiguous_format)  # as it will be when it is loaded again
        return bool(kept.best)

    def snapshot(self) -> Snapshot:
        """Everything that is needed to go on from this event; tensors are not copied."""
        self._clock()
        if self.accelerator.scaler is not None:
            self.progress.scaler = self.accelerator.scaler.state_dict()
        tensors = {
            "weights": self.kept.moved(),
            "best": self.kept.best,
            "optimizer": optimizer_tensors(self._stepper.optimizer) if self._stepper else {},
            "random": random_tensors(),
        }
        if self.kept.taken:
            tensors[TAKEN] = self.kept.taken
        return Snapshot(copy.deepcopy(self.progress), tensors, random_values())

    def order(self, index: int, epoch: int) -> list[np.ndarray]:
        """The batches of one epoch of a phase: see `Supply.order`."""
        return self.supply.order(index, epoch, self.settings.batch)

    def solve(self, solver: str, features: Pooled | None = None) -> Linear:
        """Solve the head to convergence on features, and leave the solution in the network.

        solver: "ridge" or "lbfgs". features: None: the stored ones.
        Raises BadPlan unless the head is one linear layer.
        """
        supply, found = self.supply, features or self.supply.recorded
        assert found is not None
        return solve_head(
            self.network,
            found,
            (supply.examples["train"], supply.targets("train"), supply.weights),
            (supply.examples["valid"], supply.targets("valid")),
            solver,
        )

    def trial(self, index: int, shares: Sequence[float]) -> Generator[float, None, None]:
        """The loss of each of a few steps of a phase, taken at these shares of its rates.

        Nothing is counted or validated, and nothing of the network is put back: what the steps change is
        the caller's to keep. Raises Diverged where a loss is no number.
        """
        phase, progress, left = self.plan.phases[index], self.progress, list(shares)
        before = progress.phase, progress.pieces
        progress.phase = index
        _seed(self.settings.seed)
        try:
            block = self._first_token()
            self._set_up(phase)
            stepper = self._stepper_for(phase)
            with only_cls(self.network.module, block) if block else nullcontext():
                for epoch in itertools.count():
                    order = self.order(index, epoch)[: len(left)]
                    for rows, batch in self.supply.batches(index, epoch, order, self.accelerator):
                        yield stepper.take(batch, rows, left.pop(0))
                    if not left:
                        return
        finally:
            progress.phase, progress.pieces = before

    def _phase(self, index: int) -> Iterator[Event]:
        progress, kept = self.progress, self.kept
        if self.remedies is not None and index == 0 and not kept.first:
            kept.keep_first()
        begins = self.plan.phases[index].must_gain and progress.taken is None
        if begins and (refused := self.ladder.refused(self.plan.phases[index], self._clock())) is not None:
            yield refused
            return
        while True:
            phase, self.settings = as_it_begins(self.plan, progress, self.remedies)
            if progress.first_token is None:  # asked once: weights that have moved may answer otherwise
                progress.first_token = self._first_token() or ""
            block = progress.first_token or None
            self._set_up(phase)
            kept.complete_best()
            if begins:
                begins = False
                kept.begin_rung()
            before = frozen.fingerprints(self.network, phase)
            try:
                with only_cls(self.network.module, block) if block else nullcontext():
                    run = self._solved if phase.solved else self._trained
                    stopped = yield from run(index, phase, block)
                break
            except (Diverged, NothingLearned) as error:
                failure = error.with_traceback(None)  # which would hold what the failed attempt held
            remedied = remedy_for(phase, failure, progress, self.remedies)
            if remedied is not None:
                kept.go_back(lost=isinstance(failure, NothingLearned))
                progress.begin_anew()
                self._stepper = self._resumed = None
                progress.remedies.append(asdict(remedied))
                yield remedied
            elif not phase.must_gain:
                raise failure
            if remedied is None or progress.stopped is not None:
                stopped = "diverged" if phase.must_gain else progress.stopped
                break
        if phase.must_gain and stopped == NOTHING_MORE:  # taken down just when that was said
            stopped = "diverged"
        progress.ended = progress.stopped
        frozen.verify(self.network, phase, before)
        rung = self.ladder.judged(phase, stopped, self.settings.batch) if phase.must_gain else None
        if stopped == "patience":
            kept.load(kept.best)  # validations got worse; the next phase begins where they were best
        self._stepper, kept.first = None, {}
        progress.end_phase()
        if progress.ended is None and progress.phase == len(self.plan.phases):
            progress.ended = "plan"
        if rung is not None:
            yield rung
        yield PhaseEnd(index, phase, stopped)

    def _solved(self, index: int, phase: Phase, block: str | None) -> Generator[Event, None, str | None]:
        """A head that is solved to convergence on stored features, and one validation."""
        self._go_on()
        yield PhaseStart(index, phase, 1, self._moving(phase), block)
        if self.progress.epoch == 0:
            solved = self.solve(str(phase.solver))
            self._count(solved.loss, phase)
            yield self._validate(phase, 0.0)
        return None

    def _trained(self, index: int, phase: Phase, block: str | None) -> Generator[Event, None, str | None]:
        """Steps of the optimizer, a validation after each epoch; returns why it ended early, or None."""
        progress, settings = self.progress, self.settings
        self._stepper = stepper = self._stepper_for(phase, self._resumed)
        self._go_on()
        steps = self._steps(phase)
        share = partial(factor, steps=steps, schedule=settings.schedule, warmup=settings.warmup)
        set_rates(stepper.optimizer, share(max(progress.phase_steps - 1, 0)))
        yield PhaseStart(index, phase, steps, self._moving(phase), block)
        stopped = progress.stopped or self._patience(phase)
        refuse_trouble(phase, progress)
        # A training may have been taken down between an epoch's last step and its validation.
        while stopped is None and (progress.phase_steps < steps or progress.step > 0):
            order = self.order(index, progress.epoch)
            rest = order[progress.step :][: steps - progress.phase_steps]
            for rows, batch in self.supply.batches(index, progress.epoch, rest, self.accelerator):
                pieces = progress.pieces
                loss = stepper.take(batch, rows, share(progress.phase_steps))
                self._count(loss, phase)
                if progress.pieces != pieces:
                    yield Halved(progress.pieces, settings.batch)
                looked = progress.phase_steps == LOOKED_AT
                if looked and (seen := unreached(self.network, phase, loss)) is not None:
                    progress.remedies.append(asdict(seen))
                    yield seen
                yield Step(phase.name, progress.phase_steps, steps, loss, stepper.lr, rows)
                if self._late():
                    stopped = progress.stopped = "time limit"
                    break
            if phase.loss == "contrastive":
                now = contrastive.Features(self.network, self.task, self.labels, batch=2 * settings.batch)
                self.solve(str(phase.solver), now)
            yield self._validate(phase, stepper.lr)
            refuse_trouble(phase, progress)
            stopped = stopped or self._patience(phase)
        return stopped

    def _go_on(self) -> None:
        """Everything random is as the snapshot found it; from here on nothing of a snapshot is needed."""
        if self._resumed is not None:
            restore_random(self._resumed.tensors["random"], self._resumed.randoms)
            self._resumed = None

    def _validate(self, phase: Phase, lr: float) -> EpochEnd:
        outcomes = self.validation.outcomes(self.settings.batch)
        frozen.modes(self.network, phase, batch_norm=self._batch_norm())
        self._clock()
        return self.validation.epoch_end(phase, self.settings, self._steps(phase), outcomes, lr)

    # -- parts -----------------------------------------------------------------------------------

    def _set_up(self, phase: Phase) -> None:
        """Let the phase's weights move, and nothing else."""
        frozen.apply(self.network, phase, batch_norm=self._batch_norm())
        if self.network.preprocess.takes == "image":
            lay_out(self.network.module, phase, self._few)

    def _batch_norm(self) -> str:
        return frozen.batch_norm_of(self.settings, len(self.data.train))

    def _stepper_for(self, phase: Phase, resumed: Snapshot | None = None) -> Stepper:
        return Stepper(
            self.network,
            self.task,
            phase,
            self.settings,
            self.accelerator,
            self.progress,
            augment=self.supply.augment,
            state=None if resumed is None else resumed.tensors["optimizer"],
        )

    def _count(self, loss: float, phase: Phase) -> None:
        self.progress.count(loss)
        refuse_runaway(phase, self.progress)

    def _first_token(self) -> str | None:
        """The last block, if its first token alone is read in the phase that is running."""
        return first_token_block(self.network, self.supply.at(self.progress.phase), self._few)

    def _few(self) -> Tensor:
        """The network's output for two examples of validation, as the phase that is running sees them."""
        inputs = self.supply.few(self.progress.phase).to(self.accelerator.device).inputs
        return self.network(inputs.each(torch.clone) if isinstance(inputs, Activations) else inputs)

    def _moving(self, phase: Phase) -> int:
        """How many numbers train."""
        return sum(p.numel() for p in trainable(self.network, phase).values())

    def _steps(self, phase: Phase) -> int:
        """How many steps a phase takes."""
        per_epoch = contrastive.rounds(phase) * math.ceil(
            len(self.supply.examples["train"]) / self.settings.batch
        )
        return max(1, round(phase.epochs * per_epoch))

    def _patience(self, phase: Phase) -> str | None:
        spent = phase.patience is not None and self.progress.stale >= phase.patience
        return "patience" if spent else None

    def _clock(self) -> float:
        """Seconds of training so far."""
        self.progress.elapsed = time.monotonic() - self._began
        return self.progress.elapsed

    def _late(self) -> bool:
        elapsed = self._clock()
        return self.time_limit is not None and processes.any_of(elapsed > self.time_limit)


def train(
    network: Network,
    task: Task,
    data: Data,
    plan: Plan,
    *,
    labels: Labels | None = None,
    device: str = "auto",
    time_limit: float | None = None,
) -> Training:
    """A Training, to be iterated over: `for event in ts.train(network, task, data, plan): ...`."""
    return Training(network, task, data, plan, labels=labels, device=device, time_limit=time_limit)


def _seed(seed: int) -> None:
    from accelerate.utils import set_seed

    set_seed(seed)
