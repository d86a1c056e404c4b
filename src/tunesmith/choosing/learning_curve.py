"""How good a head becomes with how many labels, and what twice as many are worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tunesmith.training.heads import ridge
from tunesmith.training.sampling import sampled

STEPS: Final = (30, 100, 300, 1000, 3000)
MOST: Final = 5000  # labels; more take long to solve, and a line has its direction by then
FEW: Final = 300  # labels up to which a score is the mean of several draws
DRAWS: Final = 3

Answers = list[NDArray[np.float64]]


@dataclass(frozen=True)
class Curve:
    """Scores by number of labels, and the answers of the last two: half of the labels, and all of them."""

    sizes: tuple[int, ...]
    values: tuple[float, ...]
    half: list[Any]
    whole: list[Any]


def sizes(count: int) -> tuple[int, ...]:
    """The numbers of labels that are tried: 100, 300, 1,000 ..., half of all, all; 5,000 at most.

    >>> sizes(1750), sizes(90)
    ((100, 300, 875, 1750), (30, 45, 90))
    """
    count = min(count, MOST)
    least = 100 if count >= 300 else STEPS[0]
    steps = {step for step in STEPS if least <= step < 0.45 * count}
    return tuple(sorted(steps | {max(count // 2, 1), count}))


def learning_curve(
    known: NDArray[Any],
    targets: NDArray[Any],
    asked: NDArray[Any],
    score: Callable[[Answers], float],
    outputs: int,
    *,
    seed: int,
    whole: Answers | None = None,
) -> Curve:
    """Ridge heads on more and more of the features, each scored on the same test examples.

    known: [N, D] with targets: classes [N], or numbers [N, outputs]. asked: [n, D]. score: of answers for
    `asked`, more is better. Examples are drawn with each class, or tenth of the numbers, at its share.
    whole: answers of a head that has learned from all of the features, where they are known already.
    """

    def learned(size: int, draw: int) -> Answers:
        if size == len(known) and whole is not None:
            return whole
        rows = sampled(targets, size, seed=seed + draw)
        return ridge(known[rows].astype(float), targets[rows], outputs).answers(asked.astype(float))

    return curve(len(known), learned, score)


def curve(count: int, learned: Callable[[int, int], list[Any]], score: Callable[[list[Any]], float]) -> Curve:
    """Scores of heads that have learned from more and more of some examples.

    learned: a head's answers by the number of examples, and by the draw of them where there are several.
    """
    tried = sizes(count)
    values, answers = [], []
    for size in tried:
        draws = range(DRAWS if size <= FEW and size < count else 1)
        answers += [learned(size, draw) for draw in draws]
        values.append(float(np.mean([score(own) for own in answers[-len(draws) :]])))
    return Curve(tried, tuple(values), answers[-2], answers[-1])


def forecast(sizes: Sequence[int], values: Sequence[float]) -> float:
    """What twice the labels would bring if mistakes go on falling by a power of their number.

    The power is fitted to the last four sizes (Hestness et al. 2017, arXiv:1712.00409); a curve that does
    not rise brings 0.

    >>> round(forecast((100, 200, 400), (0.6, 0.8, 0.9)), 4)  # mistakes halve each time
    0.05
    """
    pairs = [(n, 1 - v) for n, v in zip(sizes, values, strict=True) if v < 1][-4:]
    if len(pairs) < 2 or values[-1] >= 1:
        return 0.0
    counts, mistakes = np.log([n for n, _ in pairs]), np.log([e for _, e in pairs])
    power = -float(np.polyfit(counts, mistakes, 1)[0])
    return (1 - values[-1]) * (1 - math.pow(2, -power)) if power > 0 else 0.0
