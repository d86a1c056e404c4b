"""How well the answers of the head that a network was pretrained with tell the new classes (LEEP).

Nguyen et al. 2020 (arXiv:2002.12462): the mean log-likelihood of a classifier that draws a source class from
the head's posterior, then a class from what goes with it. Copies that leave the log out are another number.
"""

from __future__ import annotations

import numpy as np

from tunesmith.choosing.scores.score import Score, checked
from tunesmith.errors import BadData


def leep(posteriors: np.ndarray, targets: np.ndarray) -> float:
    """Mean log Σ_z p(y | z) θ_z, in nats: 0 is best.

    posteriors: θ, [N, S], what the source head makes of each example; rows sum to 1.
    """
    theta, y = posteriors_of(posteriors, targets)
    joint = np.eye(int(y.max()) + 1)[y].T @ theta / len(y)
    shares = joint.sum(0)
    given = np.divide(joint, shares, out=np.zeros_like(joint), where=shares > 0)  # unused ones say nothing
    likely = (given[y] * theta).sum(1)
    return float(np.log(np.maximum(likely, 1e-300)).mean())


def posteriors_of(posteriors: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors and targets, checked. Raises BadData for rows that are no probabilities."""
    theta, y = checked(posteriors, targets, takes=("classes",))
    off = np.flatnonzero((theta < 0).any(1) | (np.abs(theta.sum(1) - 1) > 1e-3))
    if len(off):
        raise BadData(
            f"row {off[0]} of the posteriors does not sum to 1; pass the source logits through softmax."
        )
    return theta, y


LEEP = Score("leep", leep, "posteriors", ("classes",), True, False, "Nguyen et al. 2020, arXiv:2002.12462")
