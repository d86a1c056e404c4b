"""The loop: a generator of events. What other libraries do in callbacks, the caller does in the `for`."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tunesmith.data.data import Data
from tunesmith.errors import BadOption, Diverged, NothingLearned, UnknownName
from tunesmith.networks.activations import Activations
from tunesmith.networks.augment import augmentation, shaken
from tunesmith.networks.cls_only import only_cls
from tunesmith.networks.network import Network
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.plan import Phase, Plan, fits
from tunesmith.registry import did_you_mean
from tunesmith.tasks.task import Batch, Labels, Task
from tunesmith.training import contrastive, frozen, processes
from tunesmith.training.balance import example_weights, sampling_shares
from tunesmith.training.batches import ahead, epoch_order
from tunesmith.training.devices import accelerator_for
from tunesmith.training.examples import Examples
from tunesmith.training.feeds import Feed
from tunesmith.training.layout import lay_out
from tunesmith.training.memory import pieces_that_fit
from tunesmith.training.optimize import (
    factor,
    optimizer_for,
    optimizer_tensors,
    restore_optimizer,
    set_rates,
    trainable,
)
from tunesmith.training.predicting import predict
from tunesmith.training.recorded import Recorded
from tunesmith.training.replaying import Replaying
from tunesmith.training.rungs import Rung, given_up, paired_gain
from tunesmith.training.shortened import first_token_block
from tunesmith.training.solvers import Linear
from tunesmith.training.solving import Pooled, linear_head, solve_head
from tunesmith.training.state import (
    TAKEN,
    Progress,
    Snapshot,
    random_tensors,
    random_values,
    restore_random,
)
from tunesmith.training.supervisor import (
    JUDGED_FROM,
    LOOKED_AT,
    SLOWER,
    TRIES,
    Remedied,
    Start,
    beats_chance,
    begun_with,
    class_weight,
    ignorant_loss,
    trouble,
    unreached,
)

if TYPE_CHECKING:
    from tunesmith.tasks.task import Outcomes

FEW = 1000  # training examples below which a batch's statistics are noise to BatchNorm
RUNAWAY = 4.0  # times the loss that the run began with; fastai's range test stops there too
SETTLED = 20  # steps before the moving average of the loss is believed


@dataclass(frozen=True)
class PhaseStart:
    """A phase begins: its index and row of the plan, its steps, and how many numbers train.

    first_token: the block that is computed for its first token alone, because no other is read.
    """

    index: int
    phase: Phase
    steps: int
    parameters: int
    first_token: str | None = None


@dataclass(frozen=True)
class Step:
    """One step is done. loss: of this batch. lr: the highest rate used. examples: in the batch."""

    phase: str
    step: int
    of: int
    loss: float
    lr: float
    examples: int


@dataclass(frozen=True)
class Halved:
    """Memory ran out: batches now go in so many pieces, their gradients added up."""

    pieces: int
    batch: int


@dataclass(frozen=True)
class EpochEnd:
    """An epoch, or what a phase had left of one, is done and validated.

    row: what history.jsonl holds. best: the validation is better than every one before.
    """

    row: dict[str, Any]
    best: bool


@dataclass(frozen=True)
class PhaseEnd:
    """A phase is over, its frozen stages proven unchanged.

    stopped: "patience", "time limit", of a rung "diverged", or None.
    """

    index: int
    phase: Phase
    stopped: str | None


@dataclass(frozen=True)
class RungEnd:
    """A phase that must gain was judged, or left out because it would take too long."""

    rung: Rung


Event = PhaseStart | Step | Halved | EpochEnd | RungEnd | PhaseEnd | Remedied


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
        self.time_limit = time_limit
        self.settings = plan.settings
        self.metric = self._known(self.settings.metric or task.metric)
        self.accelerator = accelerator_for(device, self.settings.precision)
        network.module.to(self.accelerator.device)
        if self.accelerator.device.type == "cuda" and network.preprocess.takes == "image":
            network.module.to(memory_format=torch.channels_last)  # the layout of bf16 convolutions
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self.taken: dict[str, Tensor] = {}
        self.examples = examples or {
            split: Examples(data.splits[split], network.preprocess) for split in ("train", "valid")
        }
        self.recorded, self.replaying, self.remedies = recorded, replaying, remedies
        self.costs = costs or [None] * len(plan.phases)
        self.weights = example_weights(data.train, self.labels, self.settings.balance)
        self.shares = sampling_shares(data.train, self.labels, self.settings.balance)
        self.augment = self._augmentation()
        if any(phase.loss == "contrastive" for phase in plan.phases):
            contrastive.check_pairs(network)
        if any(phase.solver for phase in plan.phases):
            linear_head(network)
        self._optimizer: torch.optim.Optimizer | None = None
        self._began = time.monotonic()
        self._resumed = snapshot
        self._first: dict[str, Tensor] = {}
        if snapshot is not None:
            if remedies is not None and snapshot.progress.phase == 0:
                self._first = self._copied()  # of the network as it was loaded
            self._restore(snapshot)

    def __iter__(self) -> Iterator[Event]:
        """Run the phases; every yield leaves a state that `snapshot` can take."""
        if self._resumed is None:
            _seed(self.settings.seed)
        while self.progress.ended is None:
            yield from self._phase(self.progress.phase)
        self.keep_best(self.progress.ended)

    def keep_best(self, why: str) -> bool:
        """End here, with the weights of the best validation; False if there was none yet."""
        if self.taken and not self.best:  # on a rung that was not validated yet
            self.best, self.progress.best = self.taken, self.progress.taken
        if self.best:
            self._load(self.best)
            self.progress.ended = why
        module = self.network.module.eval()
        if self.accelerator.device.type == "cpu":
            module.to(memory_format=torch.contiguous_format)  # as it will be when it is loaded again
        return bool(self.best)

    def snapshot(self) -> Snapshot:
        """Everything that is needed to go on from this event; tensors are not copied."""
        self._clock()
        if self.accelerator.scaler is not None:
            self.progress.scaler = self.accelerator.scaler.state_dict()
        tensors = {
            "weights": self._moved(),
            "best": self.best,
            "optimizer": optimizer_tensors(self._optimizer) if self._optimizer else {},
            "random": random_tensors(),
        }
        if self.taken:
            tensors[TAKEN] = self.taken
        return Snapshot(copy.deepcopy(self.progress), tensors, random_values())

    def order(self, index: int, epoch: int) -> list[np.ndarray]:
        """The batches of one epoch of a phase, each an array of rows of the training split.

        Where the phase has several rounds in an epoch, rows are counted on from round to round.
        """
        count, rounds = len(self.data.train), contrastive.rounds(self.plan.phases[index])
        return [
            rows + turn * count
            for turn in range(rounds)
            for rows in epoch_order(
                count,
                self.settings.batch,
                seed=self.settings.seed,
                epoch=(index * 1_000_000 + epoch) * rounds + turn,
                lengths=self.examples["train"].lengths,
                shares=self.shares,
            )
        ]

    def solve(self, solver: str, features: Pooled | None = None) -> Linear:
        """Solve the head to convergence on features, and leave the solution in the network.

        solver: "ridge" or "lbfgs". features: None: the stored ones.
        Raises BadPlan unless the head is one linear layer.
        """
        found = features or self.recorded
        assert found is not None
        targets = {
            s: np.asarray(self.task.targets(self.data.splits[s], self.labels)) for s in ("train", "valid")
        }
        return solve_head(
            self.network,
            found,
            (self.examples["train"], targets["train"], self.weights),
            (self.examples["valid"], targets["valid"]),
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
            optimizer = optimizer_for(self.network, phase, self.settings)
            prepared = self._prepared(optimizer)
            with only_cls(self.network.module, block) if block else nullcontext():
                for epoch in itertools.count():
                    order = self.order(index, epoch)[: len(left)]
                    make = self._maker(index, epoch)
                    for rows, batch in zip(order, ahead(make, [self._mine(r) for r in order]), strict=True):
                        set_rates(optimizer, left.pop(0))
                        yield self._step(prepared, batch.to(self.accelerator.device), len(rows))
                    if not left:
                        return
        finally:
            progress.phase, progress.pieces = before

    def _set_up(self, phase: Phase) -> None:
        """Let the phase's weights move, and nothing else."""
        frozen.apply(self.network, phase, batch_norm=self._batch_norm())
        if self.network.preprocess.takes == "image":
            lay_out(self.network.module, phase, self._few)

    def _prepared(self, optimizer: torch.optim.Optimizer) -> Any:
        """The optimizer in the form that mixed precision takes."""
        if self.accelerator.scaler is None:
            return optimizer
        # accelerate remembers every optimizer, and fp16 would divide the gradients once for each.
        self.accelerator.free_memory()
        return self.accelerator.prepare_optimizer(optimizer)

    def _phase(self, index: int) -> Iterator[Event]:
        progress, network = self.progress, self.network
        if self.remedies is not None and index == 0 and not self._first:
            self._first = self._copied()
        begins = self.plan.phases[index].must_gain and progress.taken is None
        if begins and self._too_long(index):
            progress.ended = "ladder"
            name, cost = self.plan.phases[index].name, self.costs[index]
            yield RungEnd(self._climbed(Rung(name, None, None, cost, False, "too_long")))
            return
        while True:
            phase = self._as_it_begins(index)
            if progress.first_token is None:  # asked once: weights that have moved may answer otherwise
                progress.first_token = self._first_token() or ""
            block = progress.first_token or None
            self._set_up(phase)
            self._complete_best()
            if begins:
                begins, self.taken, progress.taken = False, self.best, progress.best
                self.best, progress.best = {}, None
                self._load(self.taken)
            before = frozen.fingerprints(network, phase)
            try:
                with only_cls(network.module, block) if block else nullcontext():
                    run = self._solved if phase.solved else self._trained
                    stopped = yield from run(index, phase, block)
                break
            except (Diverged, NothingLearned) as error:
                failure = error.with_traceback(None)  # which would hold what the failed attempt held
            remedied = self._remedied(phase, failure)
            if remedied is not None:
                yield remedied
            if remedied is None or progress.ended is not None:
                stopped = "diverged" if phase.must_gain else progress.ended
                break
        frozen.verify(network, phase, before)
        rung = self._judged(index, stopped) if phase.must_gain else None
        if stopped == "patience":
            self._load(self.best)  # validations got worse; the next phase begins where they were best
        self._optimizer, self._first = None, {}
        progress.phase, progress.epoch, progress.step, progress.phase_steps = index + 1, 0, 0, 0
        progress.phase_best, progress.stale, progress.tries, progress.start = None, 0, 0, 0
        progress.first_token = None
        if progress.ended is None and progress.phase == len(self.plan.phases):
            progress.ended = "plan"
        if rung is not None:
            yield RungEnd(rung)
        yield PhaseEnd(index, phase, stopped)

    def _too_long(self, index: int) -> bool:
        """Whether a rung would, as predicted, end after the time limit."""
        cost = self.costs[index]
        self._clock()
        if cost is None or self.time_limit is None:
            return False
        return processes.any_of(self.progress.elapsed + cost > self.time_limit)

    def _judged(self, index: int, stopped: str | None) -> Rung:
        """Keep what a rung made if it gained more than chance; otherwise put back what stood before it."""
        progress, name, cost = self.progress, self.plan.phases[index].name, self.costs[index]
        rung = Rung(name, None, None, cost, False, "diverged")
        if stopped != "diverged":
            now, then = self._outcomes(self.best), self._outcomes(self.taken)
            gain, error = paired_gain(self.task, now, then, self.labels, self.metric)
            rung = Rung(name, gain, error, cost, gain > error, "gain" if gain > error else "no_gain")
        if not rung.taken:
            self.best, progress.best = self.taken, progress.taken
            if given_up([True, *(row["taken"] for row in progress.rungs), False]):
                progress.ended = progress.ended or "ladder"
        self._load(self.best)
        self.taken, progress.taken, progress.trouble = {}, None, None
        return self._climbed(rung)

    def _climbed(self, rung: Rung) -> Rung:
        self.progress.rungs.append(asdict(rung))
        return rung

    def _outcomes(self, weights: dict[str, Tensor]) -> Outcomes:
        """How the network does on validation with these weights, which it then holds."""
        self._load(weights)
        return self._answered()

    def _answered(self) -> Outcomes:
        """How the network as it is does on validation; it stands in eval mode then."""
        predictions = predict(
            self.network,
            self.task,
            self.feed("valid"),
            self.labels,
            batch=2 * self.settings.batch,
            autocast=self.accelerator.autocast,
            shared=True,
        )
        return self.task.outcomes(predictions, self.task.targets(self.data.valid, self.labels))

    def _solved(self, index: int, phase: Phase, block: str | None) -> Generator[Event, None, str | None]:
        """A head that is solved to convergence on stored features, and one validation."""
        progress = self.progress
        count = sum(p.numel() for p in trainable(self.network, phase).values())
        yield PhaseStart(index, phase, 1, count, block)
        if progress.epoch == 0:
            solved = self.solve(str(phase.solver))
            self._resumed = None
            self._count(solved.loss, phase)
            yield self._validate(phase, 0.0)
        return None

    def _trained(self, index: int, phase: Phase, block: str | None) -> Generator[Event, None, str | None]:
        """Steps of the optimizer, a validation after each epoch; returns why it ended early, or None."""
        progress, network, settings = self.progress, self.network, self.settings
        optimizer = optimizer_for(network, phase, settings)
        self._optimizer = optimizer
        if self._resumed is not None:
            restore_optimizer(optimizer, dict(self._resumed.tensors["optimizer"]))
            restore_random(self._resumed.tensors["random"], self._resumed.randoms)
            self._resumed = None
        prepared = self._prepared(optimizer)
        if self.accelerator.scaler is not None and progress.scaler:
            self.accelerator.scaler.load_state_dict(progress.scaler)
        steps = self._steps(phase)
        share = partial(factor, steps=steps, schedule=settings.schedule, warmup=settings.warmup)
        set_rates(optimizer, share(max(progress.phase_steps - 1, 0)))
        count = sum(p.numel() for p in trainable(network, phase).values())
        yield PhaseStart(index, phase, steps, count, block)
        stopped = self._patience(phase)
        self._refuse_trouble(phase)
        # A training may have been taken down between an epoch's last step and its validation.
        while stopped is None and (progress.phase_steps < steps or progress.step > 0):
            order = self.order(index, progress.epoch)
            rest = order[progress.step :][: steps - progress.phase_steps]
            make = self._maker(index, progress.epoch)
            for rows, batch in zip(rest, ahead(make, [self._mine(r) for r in rest]), strict=True):
                set_rates(optimizer, share(progress.phase_steps))
                pieces = progress.pieces
                loss = self._step(prepared, batch.to(self.accelerator.device), len(rows))
                self._count(loss, phase)
                if progress.pieces != pieces:
                    yield Halved(progress.pieces, settings.batch)
                if progress.phase_steps == LOOKED_AT and (event := unreached(network, phase)) is not None:
                    yield self._noted(event)
                lr = max(group["lr"] for group in optimizer.param_groups)
                yield Step(phase.name, progress.phase_steps, steps, loss, lr, len(rows))
                if self._late():
                    stopped = progress.ended = "time limit"
                    break
            if phase.loss == "contrastive":
                now = contrastive.Features(network, self.task, self.labels, batch=2 * settings.batch)
                self.solve(str(phase.solver), now)
            yield self._validate(phase, max(group["lr"] for group in optimizer.param_groups))
            self._refuse_trouble(phase)
            stopped = stopped or self._patience(phase)
        return stopped

    def _step(self, optimizer: Any, batch: Batch, rows: int) -> float:
        """Forward, backward, step; in pieces where memory runs out. Returns the batch's loss.

        batch: this process's share of the `rows` examples of the step.
        """
        world, process = self.accelerator.num_processes, self.accelerator.process_index
        if world > 1:  # a snapshot holds the main process's random state only, so every step draws anew
            torch.manual_seed((self.settings.seed * 1_000_003 + self.progress.steps) * world + process)
        if isinstance(batch.inputs, Activations):
            if self.settings.augment == "features":
                tensors = tuple(shaken(tensor) for tensor in batch.inputs.tensors)
                batch = replace(batch, inputs=replace(batch.inputs, tensors=tensors))
        elif self.augment is not None:
            batch = replace(batch, inputs=self.augment(batch.inputs))  # type: ignore[arg-type]
        start, values = random_tensors(), random_values()
        accelerator = self.accelerator
        pairs = self.plan.phases[self.progress.phase].loss == "contrastive"
        count = rows * (contrastive.GROUP if pairs else 1)
        idle = process >= rows  # and its one example is another process's

        def attempt(pieces: int) -> float:
            if pieces != self.progress.pieces:
                restore_random(start, values)
            optimizer.zero_grad(set_to_none=True)
            total = 0.0
            for piece in contrastive.parts(batch, pieces) if pairs else batch.parts(pieces):
                with accelerator.autocast(), frozen.norms_at_rest(self.network, piece.size):
                    loss = (contrastive.pair_loss if pairs else self.task.loss)(self.network, piece)
                share = 0.0 if idle else piece.size / count
                accelerator.backward(loss * share)
                total += float(loss.detach()) * share
            return total

        most = batch.size // contrastive.GROUP if pairs else batch.size
        own, self.progress.pieces = pieces_that_fit(attempt, most, self.progress.pieces)
        loss = self._together(optimizer, own)
        if not math.isfinite(loss):
            raise Diverged(self._blame(f"the loss became {loss}"))
        if self.settings.clip:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            norm = accelerator.clip_grad_norm_(parameters, self.settings.clip)
            if norm is not None and not math.isfinite(float(norm)) and self.settings.precision != "fp16":
                raise Diverged(self._blame("the gradient became infinite or NaN"))
        optimizer.step()
        return loss

    def _together(self, optimizer: Any, own: float) -> float:
        """Add up gradients and loss over the processes; what BatchNorm counts becomes their mean."""
        if self.accelerator.num_processes == 1:
            return own
        loss = torch.tensor(own, device=self.accelerator.device)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        statistics = frozen.moving_statistics(self.network)
        for tensor in statistics:
            tensor.div_(self.accelerator.num_processes)
        processes.add_up([loss, *(p.grad for p in parameters if p.grad is not None), *statistics])
        return float(loss)

    def _count(self, loss: float, phase: Phase) -> None:
        progress = self.progress
        progress.step, progress.phase_steps, progress.steps = (
            progress.step + 1,
            progress.phase_steps + 1,
            progress.steps + 1,
        )
        progress.loss_sum, progress.loss_count = progress.loss_sum + loss, progress.loss_count + 1
        if progress.first_loss is None or progress.smooth_loss is None:
            progress.first_loss = progress.smooth_loss = loss
        progress.smooth_loss = 0.9 * progress.smooth_loss + 0.1 * loss
        if progress.steps >= SETTLED and progress.smooth_loss > RUNAWAY * max(progress.first_loss, 1.0):
            raise Diverged(
                self._blame(
                    f"the loss ran away in phase {phase.name!r}: {progress.smooth_loss:.3g}, "
                    f"and the run began with {progress.first_loss:.3g}"
                )
            )

    def _validate(self, phase: Phase, lr: float) -> EpochEnd:
        progress = self.progress
        outcomes = self._answered()
        frozen.modes(self.network, phase, batch_norm=self._batch_norm())
        scores = self.task.score(outcomes, self.labels)
        loss = scores.get("log_loss", 0.0)
        if not math.isfinite(loss):
            raise Diverged(self._blame(f"the validation loss became {loss}"))
        self._clock()
        progress.epoch += 1
        row = {
            "phase": phase.name,
            "epoch": progress.epoch,
            "steps": progress.steps,
            "train_loss": progress.loss_sum / max(progress.loss_count, 1),
            "valid_loss": scores.get("log_loss"),
            **{n: value for n, value in scores.items() if "/" not in n and n != "log_loss"},
            "lr": lr,
            "seconds": round(progress.elapsed, 3),
        }
        progress.history.append(row)
        progress.learned = progress.learned or beats_chance(outcomes)
        progress.trouble = self._trouble(phase, outcomes)
        progress.step, progress.loss_sum, progress.loss_count = 0, 0.0, 0
        score = scores[self.metric] if self.task.best == "max" else -scores[self.metric]
        if self.metric.endswith("loss"):
            score = -scores[self.metric]
        mark = {"score": score, "loss": loss, "phase": progress.phase, "epoch": progress.epoch}
        progress.stale = 0 if _better(mark, progress.phase_best) else progress.stale + 1
        if _better(mark, progress.phase_best):
            progress.phase_best = mark
        best = _better(mark, progress.best)
        if best:
            progress.best = mark
            self.best = self._copied()
        return EpochEnd(row, best)

    # -- what goes wrong -------------------------------------------------------------------------

    def _as_it_begins(self, index: int) -> Phase:
        """The phase of the plan, or what remedies have made of it; its settings are those from now on."""
        progress, phase, self.settings = self.progress, self.plan.phases[index], self.plan.settings
        if self.remedies is None or (progress.start == 0 and progress.rate == 1.0):
            return phase
        phase, self.settings = begun_with(phase, self.settings, self.remedies[progress.start], progress.rate)
        return phase

    def _trouble(self, phase: Phase, outcomes: Mapping[str, np.ndarray]) -> list[str] | None:
        """What is wrong with a network that had time to learn, in the last phase: the others prepare it."""
        progress, steps = self.progress, self._steps(phase)
        ready = max(JUDGED_FROM, steps / 2, self.settings.warmup * steps)
        last = progress.phase == len(self.plan.phases) - 1
        early = not last or progress.phase_steps < ready
        if phase.solver or early or not {"truth", "guess"} <= outcomes.keys():
            return None
        targets = np.asarray(self.task.targets(self.data.train, self.labels))
        counts = class_weight(targets, self.labels, self.weights, self.shares)
        ignorant = ignorant_loss(counts, getattr(self.task, "label_smoothing", 0.0))
        mean = progress.loss_sum / max(progress.loss_count, 1)
        found = trouble(outcomes["truth"], outcomes["guess"], mean, ignorant)
        return None if found is None else list(found)

    def _refuse_trouble(self, phase: Phase) -> None:
        if self.progress.trouble is not None:
            peak = max(phase.lrs)
            raise NothingLearned(
                f"{self.progress.trouble[1]} in phase {phase.name!r}, whose highest learning rate is "
                f"{peak:g}; try another (--lr {peak / 10:g}), another model, or look at the labels "
                f"(tunesmith check); the best network so far is the result."
            )

    def _remedied(self, phase: Phase, failure: Diverged | NothingLearned) -> Remedied | None:
        """What begins anew; None where a rung has nothing left to try: what the rungs below made stands."""
        try:
            return self._begun_anew(phase, failure)
        except (Diverged, NothingLearned):
            if not phase.must_gain:
                raise
            return None

    def _begun_anew(self, phase: Phase, failure: Diverged | NothingLearned) -> Remedied:
        """Put the best network so far in place, or the first one, and begin the phase anew, otherwise.

        Of a first phase that learned nothing even the best network may have lost what it was pretrained for.
        Where nothing is left to try, or nothing may be, training ends; raises the failure itself where there
        is no network either that has learned something.
        """
        progress, found, remedies = self.progress, self.progress.trouble, self.remedies or ()
        free = self.remedies is not None and not phase.solved and progress.ended is None
        if isinstance(failure, Diverged):
            if not free or progress.tries == TRIES:
                raise failure
            found = ["diverged", str(failure).partition("; the highest learning rate")[0]]
            progress.tries, progress.rate = progress.tries + 1, progress.rate / SLOWER
            remedy = (
                f"phase {phase.name!r} begins anew at a third of its rates, try {progress.tries} of {TRIES}"
            )
        elif found is not None and free and progress.start + 1 < len(remedies):
            progress.start += 1
            start = remedies[progress.start]
            number = f"start {progress.start + 1} of {len(remedies)}"
            remedy = f"phase {phase.name!r} begins anew with {start} ({number}; {start.source})"
        elif found is not None and progress.learned:
            progress.ended = progress.ended or "nothing more is learned"
            remedy = "training ends here, and the best network before that is the result"
        else:
            raise failure
        lost = isinstance(failure, NothingLearned)
        self._load(self._first if lost and self._first else self.best or self.taken or self._first)
        progress.step, progress.phase_steps, progress.loss_sum, progress.loss_count = 0, 0, 0.0, 0
        progress.phase_best, progress.stale, progress.trouble = None, 0, None
        progress.smooth_loss = progress.first_loss
        self._optimizer = self._resumed = None
        return self._noted(Remedied(phase.name, found[0], found[1], remedy))

    def _noted(self, event: Remedied) -> Remedied:
        self.progress.remedies.append(asdict(event))
        return event

    def _steps(self, phase: Phase) -> int:
        """How many steps a phase takes."""
        per_epoch = contrastive.rounds(phase) * math.ceil(len(self.data.train) / self.settings.batch)
        return max(1, round(phase.epochs * per_epoch))

    # -- parts -----------------------------------------------------------------------------------

    def feed(self, split: str, *, epoch: int = 0) -> Feed:
        """Where a split's batches come from in the phase that is running."""
        examples, index = self.examples[split], min(self.progress.phase, len(self.plan.phases) - 1)
        at = self.replaying.at[index] if self.replaying is not None else None
        if at is None or (split == "train" and self.augment is not None and not self.settings.views):
            return Feed(examples)
        view = epoch % self.settings.views if split == "train" and self.settings.views else None
        return Feed(examples, self.recorded, at, view)

    def _first_token(self) -> str | None:
        """The last block, if its first token alone is read in the phase that is running."""
        at = self.replaying.at[self.progress.phase] if self.replaying is not None else None
        return first_token_block(self.network, at, self._few)

    def _few(self) -> Tensor:
        """The network's output for two examples of validation, as the phase that is running sees them."""
        rows = np.arange(min(2, len(self.data.valid)))
        inputs = self.feed("valid").batch(rows, self.task, self.labels).to(self.accelerator.device).inputs
        return self.network(inputs.each(torch.clone) if isinstance(inputs, Activations) else inputs)

    def _maker(self, index: int, epoch: int) -> Callable[[np.ndarray], Batch]:
        """What makes the training batches of one epoch of a phase out of their rows."""
        feed, phase = self.feed("train", epoch=epoch), self.plan.phases[index]
        if phase.loss != "contrastive":
            return partial(self._collate, feed)
        targets = np.asarray(self.task.targets(self.data.train, self.labels))
        rounds, seed = contrastive.rounds(phase), self.settings.seed
        first = (index * 1_000_000 + epoch) * rounds
        met = [contrastive.partners(targets, seed=seed, epoch=first + turn) for turn in range(rounds)]
        every, count = np.concatenate(met), len(targets)
        return lambda rows: self._collate(feed, contrastive.groups(rows, every, count))

    def _collate(self, feed: Feed, rows: np.ndarray) -> Batch:
        batch = feed.batch(rows, self.task, self.labels)
        if self.weights is not None:
            weights = torch.as_tensor(self.weights[rows], dtype=torch.float32)
            batch = replace(batch, weights=weights)
        return batch

    def _mine(self, rows: np.ndarray) -> np.ndarray:
        """This process's share of a batch; at least one row, so that every process takes every step."""
        world = self.accelerator.num_processes
        share = np.array_split(rows, world)[self.accelerator.process_index]
        return share if len(share) else rows[:1]

    def _moved(self) -> dict[str, Tensor]:
        """Weights and buffers of every stage that has been unfrozen so far."""
        phases = self.plan.phases[: self.progress.phase + 1]
        parts = [i for i in range(len(self.network.parts)) if any(p.lrs[i] > 0 for p in phases)]
        return {name: t for i in parts for name, t in self.network.tensors(i).items()}

    def _copied(self) -> dict[str, Tensor]:
        """A copy of them in memory."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self._moved().items()}

    def _complete_best(self) -> None:
        """What a phase will move for the first time belongs to the best network as it still is."""
        if self.best:
            still = {n: t for n, t in self._moved().items() if n not in self.best}
            self.best = self.best | {n: t.detach().cpu().clone() for n, t in still.items()}

    def _load(self, tensors: dict[str, Tensor]) -> None:
        if tensors:
            self.network.module.load_state_dict(tensors, strict=False)

    def _restore(self, snapshot: Snapshot) -> None:
        self.progress = copy.deepcopy(snapshot.progress)
        self.best = dict(snapshot.tensors["best"])
        self.taken = dict(snapshot.tensors.get(TAKEN, {}))
        self._load(dict(snapshot.tensors["weights"]))
        self._began = time.monotonic() - self.progress.elapsed

    def _known(self, metric: str) -> str:
        valid = self.data.valid
        _, answers = self.task.trivial(self.labels, len(valid))
        outcomes = self.task.outcomes(answers, self.task.targets(valid, self.labels))
        known = self.task.score(outcomes, self.labels)
        if metric not in known:
            plain = [name for name in known if "/" not in name]
            guess = did_you_mean(metric, known) or f"; there are {', '.join(plain)}."
            raise UnknownName(f"no metric named {metric!r}{guess}")
        return metric

    def _batch_norm(self) -> str:
        chosen = self.settings.batch_norm
        if chosen != "auto":
            return chosen
        return "frozen" if len(self.data.train) < FEW or self.settings.batch < 16 else "train"

    def _augmentation(self) -> Callable[[Tensor], Tensor] | None:
        preprocess = self.network.preprocess
        if self.settings.augment in ("none", "features"):
            return None
        if not isinstance(preprocess, ImagePreprocess):
            raise BadOption(
                f"augment={self.settings.augment!r} changes images, and this task takes {self.task.takes}s."
            )
        return augmentation(self.settings.augment, preprocess.size)

    def _patience(self, phase: Phase) -> str | None:
        spent = phase.patience is not None and self.progress.stale >= phase.patience
        return "patience" if spent else None

    def _clock(self) -> None:
        self.progress.elapsed = time.monotonic() - self._began

    def _late(self) -> bool:
        self._clock()
        return self.time_limit is not None and processes.any_of(self.progress.elapsed > self.time_limit)

    def _blame(self, what: str) -> str:
        phase = self._as_it_begins(self.progress.phase)
        peak = max(phase.lrs)
        kept = "the best network so far is the result" if self.best else "no validation had been reached"
        return (
            f"{what} at step {self.progress.phase_steps + 1} of phase {phase.name!r}; the highest learning "
            f"rate there is {peak:g}. Lower it (--lr {peak / 10:g}), or look for inputs that are far out of "
            f"range; {kept}."
        )


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


def _better(mark: dict[str, float], best: dict[str, float] | None) -> bool:
    """A higher score, or the same with a lower loss: on small validation splits scores tie often."""
    return best is None or (mark["score"], -mark["loss"]) > (best["score"], -best["loss"])


def _seed(seed: int) -> None:
    from accelerate.utils import set_seed

    set_seed(seed)
