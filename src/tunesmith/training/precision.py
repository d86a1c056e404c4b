"""Whether frozen stages may be computed in bf16: only if a head on their features answers the same."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from tunesmith.errors import EngineFailed
from tunesmith.networks.network import Network
from tunesmith.store import Store
from tunesmith.training.examples import Examples
from tunesmith.training.heads import are_numbers, ridge
from tunesmith.training.recorded import Recorded

ASKED: Final = 500  # examples whose answers are compared, at least
EQUAL: Final = 0.99  # of them must stay the same
SAME: Final = 0.01  # of the spread of numbers, by which equal ones may differ


def precision_that_agrees(
    network: Network, store: Store, examples: Examples, targets: np.ndarray, **options: Any
) -> tuple[str, str]:
    """Either "bf16" or "fp32", and why, in words.

    examples, targets: of the training split; class indices. options: of Recorded. The records of both
    precisions are kept; a second run computes none.
    """
    if len(examples.whole) < ASKED:
        return "fp32", f"for want of {ASKED} examples to compare the answers on"
    random = np.random.default_rng(options.get("seed", 0))
    rows = np.sort(random.permutation(len(examples.whole))[:ASKED])
    try:
        exact, coarse = (
            _features(Recorded(network, store, {}, examples, precision=precision, **options), examples, rows)
            for precision in ("fp32", "bf16")
        )
    except EngineFailed as reason:
        return "fp32", str(reason)
    share = equal_answers(exact, coarse, targets[rows])
    verb = "changes" if share < EQUAL else "keeps"
    return "bf16" if share >= EQUAL else "fp32", (
        f"because bf16 {verb} {1 - share if share < EQUAL else share:.1%} of {ASKED} answers of a probe"
    )


def _features(recorded: Recorded, examples: Examples, rows: np.ndarray) -> np.ndarray:
    recorded.fill(examples, examples.rows_of(rows))
    found = recorded.pooled(examples, rows)
    recorded.close()
    return found


def equal_answers(exact: np.ndarray, coarse: np.ndarray, targets: np.ndarray) -> float:
    """The share of equal answers of a ridge probe that learned from the other half, on exact features.

    exact, coarse: two versions of the same features, [N, D]. targets: classes [N], or numbers [N, K], whose
    answers are equal where they differ by a hundredth of the targets' spread at most.
    """
    outputs = targets.shape[1] if are_numbers(targets) else int(targets.max()) + 1
    equal = np.zeros(len(targets), bool)
    half = np.arange(len(targets)) % 2 == 0
    for asked in (half, ~half):
        probe = ridge(exact[~asked].astype(np.float64), targets[~asked], outputs)
        a, b = (np.stack(probe.answers(part[asked].astype(np.float64))) for part in (exact, coarse))
        if are_numbers(targets):
            equal[asked] = (np.abs(a - b) <= SAME * targets.std(0)).all(1)
        else:
            equal[asked] = a.argmax(1) == b.argmax(1)
    return float(equal.mean())
