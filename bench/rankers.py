"""How rankers of networks stand to a table of truth: regret and weighted tau, with intervals over data sets.

A ranker gives each network of a data set a value, the larger the better. Regret is the test score of the best
network less that of the ranker's first one, in points (of several first ones, their mean); weighted tau is
scipy's, with its usual weights. All of it is arithmetic on what bench/truth.py has kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import weightedtau  # type: ignore[import-untyped]

from tunesmith.choosing.evidence import Evidence
from tunesmith.choosing.which_network import Candidate, ranked

DRAWS = 10_000
LESS_IS_BETTER = ("ridge_mse",)
DEFAULT, LISTED, STATIC, SIZE, RANDOM = (
    "default ranker",
    "default ranker with the list",
    "static list of the other data sets",
    "parameter count",
    "random",
)
Table = Mapping[str, Mapping[str, float]]  # data set -> network -> a number


def truth(cells: Mapping[str, Any], networks: Sequence[str], runs: int) -> dict[str, dict[str, float]]:
    """The test score of each network's best run by validation, of data sets whose cells are all there.

    networks: that a whole data set has. runs: that a whole cell has, those that failed among them.
    """
    found: dict[str, dict[str, float]] = {}
    for data, own in cells.items():
        whole = [n for n in networks if "evidence" in own.get(n, {}) and len(own[n]["runs"]) >= runs]
        best = {}
        for network in whole:
            done = [run for run in own[network]["runs"].values() if "failed" not in run]
            if done:
                best[network] = float(max(done, key=lambda run: (run["valid"], -run["seconds"]))["test"])
        if best and len(best) == len(networks):
            found[data] = best
    return found


def rankers(cells: Mapping[str, Any], known: Table) -> dict[str, dict[str, dict[str, float]]]:
    """What every ranker says of every network: ranker -> data set -> network -> value.

    known: as `truth` gives it. A score that a network cannot have (no source head) puts it last.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for data, networks in known.items():
        seen = {network: cells[data][network]["evidence"] for network in networks}
        listed = static(known, without=data)
        ranks = {own["origin"]: listed[network] for network, own in seen.items() if network in listed}
        candidates = [candidate(network, own) for network, own in seen.items()]
        for name in next(iter(seen.values()))["scores"]:
            sign = -1.0 if name in LESS_IS_BETTER else 1.0
            values = {n: own["scores"].get(name) for n, own in seen.items()}
            told = [sign * value for value in values.values() if value is not None]
            least = min(told, default=0.0) - 1.0
            found.setdefault(name, {})[data] = {
                n: least if value is None else sign * value for n, value in values.items()
            }
        found.setdefault(DEFAULT, {})[data] = joint(candidates, data, {})
        if len(listed) == len(networks):
            found.setdefault(LISTED, {})[data] = joint(candidates, data, ranks)
            found.setdefault(STATIC, {})[data] = {network: listed[network] for network in networks}
        found.setdefault(SIZE, {})[data] = {n: float(own["parameters"]) for n, own in seen.items()}
        found.setdefault(RANDOM, {})[data] = dict.fromkeys(networks, 0.0)
    return found


def joint(candidates: list[Candidate], data: str, ranks: Mapping[str, float]) -> dict[str, float]:
    """The default ranker's value of each network."""
    examples = len(candidates[0].evidence.strata)
    ranking = ranked(candidates, data=data, examples=examples, ranks=ranks)
    return {row.model: row.score for row in ranking.rows}


def static(known: Table, *, without: str = "") -> dict[str, float]:
    """Mean rank over the other data sets, 0 always last, 1 always first; networks that all of them have."""
    places: dict[str, list[float]] = {}
    others = [scores for data, scores in known.items() if data != without]
    for scores in others:
        for network, score in scores.items():
            below = sum(score > other for other in scores.values())
            equal = sum(score == other for other in scores.values()) - 1
            places.setdefault(network, []).append((below + equal / 2) / max(len(scores) - 1, 1))
    return {network: float(np.mean(p)) for network, p in places.items() if p and len(p) == len(others)}


def judged(known: Table, found: Mapping[str, Table], *, seed: int = 0) -> dict[str, dict[str, Any]]:
    """For each ranker: regret and tau by data set, their means, and intervals by bootstrap over data sets.

    `against`: the mean difference of regret to each of the usual rankers, paired by data set; below 0 this
    one is better.
    """
    regrets = {r: {d: regret(known[d], own) for d, own in table.items()} for r, table in found.items()}
    taus = {r: {d: tau(known[d], own) for d, own in table.items()} for r, table in found.items()}
    rows: dict[str, dict[str, Any]] = {}
    for name in found:
        row: dict[str, Any] = {
            "regret": interval(regrets[name].values(), seed),
            "tau": interval(taus[name].values(), seed),
            "by_data": {d: {"regret": regrets[name][d], "tau": taus[name][d]} for d in found[name]},
        }
        row["against"] = {}
        for other in (RANDOM, SIZE, STATIC, DEFAULT):
            if other != name and other in regrets:
                shared = [d for d in found[name] if d in regrets[other]]
                row["against"][other] = interval([regrets[name][d] - regrets[other][d] for d in shared], seed)
        rows[name] = row
    return rows


def regret(scores: Mapping[str, float], values: Mapping[str, float]) -> float:
    """Points that are lost by taking the ranker's first network, or one of them by lot.

    >>> regret({"a": 0.9, "b": 0.8, "c": 0.7}, {"a": 1, "b": 3, "c": 3})
    15.0
    """
    first = max(values.values())
    taken = [scores[network] for network, value in values.items() if value == first]
    return round(100 * (max(scores.values()) - float(np.mean(taken))), 6)


def tau(scores: Mapping[str, float], values: Mapping[str, float]) -> float:
    """Weighted Kendall's tau of values and scores; 0 where all values are alike.

    >>> tau({"a": 0.9, "b": 0.8, "c": 0.7}, {"a": 3, "b": 2, "c": 1})
    1.0
    """
    names = list(scores)
    found = float(weightedtau([values[n] for n in names], [scores[n] for n in names]).statistic)
    return round(found, 6) if np.isfinite(found) else 0.0


def interval(values: Any, seed: int) -> dict[str, float]:
    """The mean over data sets, and the interval of 95 % by drawing data sets again."""
    numbers = np.asarray(list(values), float)
    random = np.random.default_rng(seed)
    means = numbers[random.integers(0, len(numbers), (DRAWS, len(numbers)))].mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return {"value": float(numbers.mean()), "low": float(low), "high": float(high)}


def kept(found: Candidate) -> dict[str, Any]:
    """A candidate as JSON values, from which `candidate` makes it again."""
    own = found.evidence
    assert isinstance(own, Evidence)  # the table's data sets have classes
    return {
        "origin": found.origin,
        "parameters": found.parameters,
        "macs": found.macs,
        "pretraining": found.pretraining,
        "seconds": found.seconds,
        "nearness": None if found.nearness is None else found.nearness.value,
        "scores": {**own.scores(), **found.scores},
        "targets": own.targets.tolist(),
        "right": own.right.astype(int).tolist(),
        "near": own.near.astype(int).tolist(),
        "errors": np.round(own.errors, 5).tolist(),
        "nulls": np.round(own.nulls, 5).tolist(),
        "log_evidence": own.log_evidence,
    }


def candidate(model: str, row: Mapping[str, Any]) -> Candidate:
    """A candidate again."""
    evidence = Evidence(
        np.asarray(row["targets"]),
        np.asarray(row["right"], bool),
        np.asarray(row["near"], bool),
        np.asarray(row["errors"]),
        np.asarray(row["nulls"]),
        row["log_evidence"],
    )
    return Candidate(model, row["origin"], row["parameters"], row["macs"], row["pretraining"], evidence)
