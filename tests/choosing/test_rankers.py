"""The judge of rankers: regret and tau by hand, a list without its own data set, evidence kept as JSON."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.choosing.evidence import evidence_of, other_scores
from tunesmith.choosing.which_network import Candidate, ranked

Draw = Callable[..., Any]
ALL = ("0", "1", "2")


@pytest.fixture(scope="module")
def judge() -> Any:
    path = Path(__file__).resolve().parents[2] / "bench" / "rankers.py"
    spec = importlib.util.spec_from_file_location("rankers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rankers"] = module
    spec.loader.exec_module(module)
    return module


def seen(telling: Draw, seed: int, network: int, shift: float) -> Candidate:
    features, targets = telling(60, 12, seed, K=3, shift=shift)
    return Candidate(
        str(network),
        f"origin {network}",
        10**6 * (network + 1),
        10**8,
        None,
        evidence_of(features, targets),
        other_scores(features, None, targets),
    )


def table(judge: Any, telling: Draw, seed: int, sets: int = 4) -> dict[str, Any]:
    """Data sets on which the second of three networks is the best, and its features say so."""
    cells: dict[str, Any] = {}
    for d in range(sets):
        for n, (shift, test) in enumerate(((0.1, 0.5), (0.8, 0.9), (0.3, 0.7))):
            runs = {
                "head": {"valid": test, "test": test - d / 100, "seconds": 1.0},
                "full": {"valid": test - 0.1, "test": 0.99, "seconds": 1.0},
                "top": {"failed": "it broke"},
            }
            evidence = judge.kept(seen(telling, seed + d, n, shift))
            cells.setdefault(f"set {d}", {})[str(n)] = {"runs": runs, "evidence": evidence}
    return json.loads(json.dumps(cells))  # type: ignore[no-any-return]


def test_the_truth_is_the_test_score_of_the_best_run_by_validation(
    judge: Any, telling: Draw, seed: int
) -> None:
    cells = table(judge, telling, seed)
    assert judge.truth(cells, ALL, 3)["set 1"] == pytest.approx({"0": 0.49, "1": 0.89, "2": 0.69})
    del cells["set 1"]["2"]["evidence"], cells["set 2"]["0"]["runs"]["full"]
    assert list(judge.truth(cells, ALL, 3)) == ["set 0", "set 3"]  # the others are not whole yet


def test_a_ranker_that_knows_has_no_regret_and_chance_has_the_mean(
    judge: Any, telling: Draw, seed: int
) -> None:
    cells = table(judge, telling, seed)
    known = judge.truth(cells, ALL, 3)
    found = judge.judged(known, judge.rankers(cells, known))
    for name in ("default ranker", "ridge_loo", "static list of the other data sets"):
        assert found[name]["regret"]["value"] == 0
    assert found["random"]["regret"]["value"] == pytest.approx(100 * (0.9 - 0.7), abs=1e-6)
    assert found["random"]["tau"]["value"] == 0
    assert found["parameter count"]["regret"]["value"] == pytest.approx(20)
    gap = found["default ranker"]["against"]["random"]
    assert gap["value"] == pytest.approx(-20)
    assert gap["high"] < 0
    assert found["leep"]["regret"]["value"] == found["random"]["regret"]["value"]  # no network has a head


def test_the_list_does_not_see_the_data_set_that_it_is_judged_on(judge: Any) -> None:
    known = {"a": {"x": 0.9, "y": 0.1}, "b": {"x": 0.2, "y": 0.8}, "c": {"x": 0.9, "y": 0.1}}
    assert judge.static(known, without="b") == {"x": 1.0, "y": 0.0}
    assert judge.static(known, without="a") == {"x": 0.5, "y": 0.5}
    assert judge.static(known)["x"] == pytest.approx(2 / 3)


def test_a_candidate_is_the_same_after_it_was_kept(judge: Any, telling: Draw, seed: int) -> None:
    given = [seen(telling, seed, n, 0.3 + n / 5) for n in range(3)]
    again = [judge.candidate(c.model, json.loads(json.dumps(judge.kept(c)))) for c in given]
    one, two = (ranked(zoo, data="x", examples=60, ranks={}) for zoo in (given, again))
    assert [row.model for row in one.rows] == [row.model for row in two.rows]
    assert [row.score for row in one.rows] == pytest.approx([row.score for row in two.rows], abs=1e-3)


def test_an_interval_holds_the_mean_and_narrows_with_more_data_sets(judge: Any, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=40)
    few, many = judge.interval(values[:4], seed), judge.interval(values, seed)
    assert many["low"] < many["value"] < many["high"]
    assert many["high"] - many["low"] < few["high"] - few["low"]
