"""Which layers should train where answers have parts: every stage probed by its words, tokens or pixels."""

from __future__ import annotations

from typing import Final

import numpy as np

from tunesmith.choosing.evidence import drawn_again
from tunesmith.choosing.evidence_of_rows import evidence_of_rows
from tunesmith.choosing.pilot import pilot
from tunesmith.choosing.rows import Gathered, gather, kin, thinned, windows_within
from tunesmith.choosing.which_stages import StageEvidence, beside, has_linear_head, not_finite
from tunesmith.networks.network import Network
from tunesmith.tasks.task import Labels, Task
from tunesmith.training.examples import Examples
from tunesmith.training.feeds import Feed
from tunesmith.training.solvers import least_squares

TOKENS: Final = 5000  # that run live, for all stages at once
DRAWS: Final = 100


def evidence_by_parts(
    network: Network, task: Task, labels: Labels, examples: Examples, *, seed: int = 0
) -> tuple[StageEvidence, ...]:
    """A row per stage, input first, and one for the head, as `which_stages.evidence` gives them.

    A probe answers the parts of examples (of groups) that it has not seen, in ten folds; it is judged by
    macro-F1 or hit@1, and its standard error is that over examples drawn again. Nothing is stored.
    Raises BadData for features that are not finite.
    """
    stages, groups, K = range(len(network.stages)), kin(examples.whole), len(labels.names)
    windows = windows_within(examples, TOKENS, seed=seed)
    found: list[Gathered | None] = []
    probes: list[tuple[float | None, float | None]] = []
    for rows in gather(network, task, Feed(examples), labels, windows, stages):
        if rows is not None:
            count = int((~np.isfinite(rows.features)).any(1).sum())
            if count:
                raise not_finite(network, len(found), count, f"{len(rows):,} {task.parts}")
            rows = thinned(rows, task, labels, seed=seed)
        found.append(rows)
        probes.append((None, None) if rows is None else _probed(rows, groups, task, K, seed))
    head = None
    if (last := found[-1]) is not None and has_linear_head(network):
        block = last.features, last.targets, None
        head = least_squares(lambda: [block], K)
    measured = pilot(network, task, labels, examples, head=head, seed=seed)
    return tuple(beside(network, [*probes, (None, None)], measured, len(examples)))


def _probed(rows: Gathered, groups: np.ndarray, task: Task, outputs: int, seed: int) -> tuple[float, float]:
    """The score of a probe, and its standard error."""
    own, _ = evidence_of_rows(rows, groups, parts=task.parts, outputs=outputs, seed=seed)
    once = np.ones((1, len(groups)))
    counts = np.concatenate([once, drawn_again(own.strata, DRAWS, groups=groups, seed=seed)])
    scores = own.over(counts * own.seen)["ridge_loo"]
    return float(scores[0]), float(scores[1:].std())
