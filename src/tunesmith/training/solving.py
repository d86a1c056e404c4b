"""Solve a linear head to convergence on stored features, instead of training it in steps."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import nn

from tunesmith.errors import BadPlan
from tunesmith.networks.network import Network
from tunesmith.plan import Plan
from tunesmith.store.keys import record_key
from tunesmith.tasks.task import Task
from tunesmith.training import solvers
from tunesmith.training.examples import Examples
from tunesmith.training.heads import are_numbers
from tunesmith.training.recorded import Recorded
from tunesmith.training.solvers import Block, Linear, best_penalty, least_squares

ROWS = 1024  # examples that are read from the store at a time


class Pooled(Protocol):
    """Where features come from: what is recorded, or what is computed now."""

    def pooled(self, examples: Examples, rows: np.ndarray | None = None) -> np.ndarray:
        """What the head is given of examples, float32 [n, D]; of one that is cut into windows their mean."""


def linear_head(network: Network) -> nn.Linear:
    """The head, where it is one linear layer. Raises BadPlan where it is something else."""
    parts = [network.module.get_submodule(path) for path in network.head.modules]
    layers = [m for m in parts if next(m.parameters(), None) is not None]
    if len(layers) != 1 or not isinstance(layers[0], nn.Linear):
        kinds = ", ".join(type(m).__name__ for m in layers)
        raise BadPlan(
            f"only a linear head can be solved, and this one is made of {kinds}; use head 'linear', or no "
            f"solver."
        )
    return layers[0]


def check_solvers(network: Network, task: Task, plan: Plan) -> None:
    """Raise BadPlan where a phase is to solve what cannot be solved so."""
    solvers_ = {phase.solver for phase in plan.phases if phase.solver}
    if solvers_ and task.solver is None:
        raise BadPlan(f"a head for {task.name} cannot be solved in closed form; leave the solver out.")
    if "lbfgs" in solvers_ and task.answers == "numbers":
        raise BadPlan("solver 'lbfgs' is logistic regression, and the answers are numbers; use 'ridge'.")
    if solvers_ and plan.settings.loss is not None and all(phase.solved for phase in plan.phases):
        raise BadPlan(
            f"a head that is solved has a loss of its own, and no phase takes steps that could lower "
            f"{plan.settings.loss!r}; leave the loss or the solver out."
        )
    if solvers_:
        linear_head(network)


def solve_head(
    network: Network,
    recorded: Pooled,
    train: tuple[Examples, np.ndarray, np.ndarray | None],
    valid: tuple[Examples, np.ndarray],
    solver: str,
) -> Linear:
    """Solve the head and put the solution into it; memory does not grow with the examples.

    train: examples, targets (classes [N] or numbers [N, K]), weights [N] or None. valid: what chooses the
    penalty.
    solver: "ridge", penalty by exact leave-one-out; "lbfgs", logistic regression, penalty by log-loss on
    the validation split.
    """
    head = linear_head(network)
    examples, targets, weights = train

    def blocks() -> Iterator[Block]:
        return blocks_of(recorded, examples, targets, weights)

    if solver == "ridge":
        found = least_squares(blocks, head.out_features)
    else:
        found = best_penalty(blocks, lambda: blocks_of(recorded, *valid), head.out_features)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(found.weights.T.copy()))
        if head.bias is not None:
            head.bias.copy_(torch.from_numpy(found.bias))
    return found


def probe_head(
    recorded: Recorded, examples: Examples, targets: np.ndarray, outputs: int, *, rows: np.ndarray
) -> Linear:
    """`least_squares` on the pooled features of some examples, solved once: the store keeps the solution.

    targets: of all examples: classes [N], or numbers [N, outputs].
    """
    numbers = are_numbers(targets)
    own = targets[rows].astype(np.float64 if numbers else np.int64)
    asked = record_key(b"".join(examples.keys[row] for row in examples.rows_of(rows)), own.tobytes())
    if examples.of is not None:
        asked = record_key(asked, examples.counts(rows).tobytes())
    code = hashlib.sha256(inspect.getsource(solvers).encode()).hexdigest()
    with recorded.solved(
        f"least squares, {outputs} {'numbers' if numbers else 'classes'}, by {code}"
    ) as shelf:
        if shelf.missing([asked])[0] or (kept := shelf.get(asked)) is None:
            found = least_squares(lambda: blocks_of(recorded, examples, targets, rows=rows), outputs)
            told = [found.penalty, found.loss]
            shelf.put([asked], [np.concatenate([found.weights.ravel(), found.bias, told])])
            shelf.commit()
            return found
        solution = np.frombuffer(kept, np.float64).copy()
    both, (penalty, loss) = solution[:-2].reshape(-1, outputs), solution[-2:]
    return Linear(both[:-1], both[-1], float(penalty), 0, True, float(loss), numbers)


def answers_of(head: Linear, recorded: Recorded, examples: Examples) -> list[np.ndarray]:
    """What a solved head says of every example: probabilities or numbers, float64 [K] each, in memory."""
    count = len(examples.whole)
    rows = (np.arange(start, min(start + ROWS, count)) for start in range(0, count, ROWS))
    return [own for some in rows for own in head.answers(recorded.pooled(examples, some))]


def blocks_of(
    recorded: Pooled,
    examples: Examples,
    targets: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    rows: np.ndarray | None = None,
) -> Iterator[Block]:
    """What the head is given for some examples, with their targets and weights, a block at a time."""
    rows = np.arange(len(examples.whole)) if rows is None else rows
    for start in range(0, len(rows), ROWS):
        some = rows[start : start + ROWS]
        own = None if weights is None else weights[some]
        yield recorded.pooled(examples, some), targets[some], own
