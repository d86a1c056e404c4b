"""How little of a class is unknown once the source head's likeliest class is known (NCE).

Tran, Nguyen & Hassner 2019 (arXiv:1908.08142). With many source classes and few examples each source class
is met once or twice and seems to tell everything: the value is then near 0 for any network.
"""

from __future__ import annotations

import numpy as np

from tunesmith.choosing.scores.leep import posteriors_of
from tunesmith.choosing.scores.score import Score


def nce(posteriors: np.ndarray, targets: np.ndarray) -> float:
    """-H(Y | Z) in nats, Z the largest of the posteriors [N, S]: 0 is best."""
    theta, y = posteriors_of(posteriors, targets)
    z = theta.argmax(1)
    joint = np.zeros((int(y.max()) + 1, theta.shape[1]))
    np.add.at(joint, (y, z), 1 / len(y))
    shares = joint.sum(0)
    there = joint > 0
    return float((joint[there] * np.log((joint / np.where(shares > 0, shares, 1))[there])).sum())


NCE = Score("nce", nce, "posteriors", ("classes",), True, False, "Tran et al. 2019, arXiv:1908.08142")
