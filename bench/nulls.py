"""Measure how often the verdict raises an alarm where nothing is wrong; resumable.

    python bench/nulls.py [--pairs 2000]     # of each setting; what is in bench/results is not drawn again

A pair is a simulated test split with the answers of everything that a verdict compares: the trained network,
its probe, two other networks' probes, one from scratch, and the pretrained and the random features on the
same few training examples. Answers come of latent difficulties, shared by all of them and by the members of a
group; designs differ in size, classes, imbalance, groups, accuracy and in how alike two networks err.

Two settings, because the alarms' nulls exclude each other (see tunesmith.verdicts.alarms):

alike   all are equally good. Every alarm is false but no_gain: that pretraining gains nothing is then true.
worth   the same, but pretrained features remove exactly a fifth of the twin's mistakes, the least gain that
        counts as one: every alarm is false, no_gain among them, at the edge of what it may not name.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm  # type: ignore[import-untyped]

from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels
from tunesmith.verdicts.alarms import WORTH, Alarm, below, harmed_classes, no_gain, proven
from tunesmith.verdicts.paired import Pair

RESULTS = Path(__file__).resolve().parent / "results" / "nulls.json"
SETTINGS = ("alike", "worth")
EVERY = 50  # pairs after which the results are written


@dataclass(frozen=True)
class Design:
    """What a simulated test split is like. each: units in a group, 1 for none. shares: of the classes."""

    count: int
    shares: NDArray[np.float64]
    each: int
    accuracy: float
    metric: str


def design(random: np.random.Generator) -> Design:
    """One of many: 60 to 1,000 units, 2 to 10 classes, alike or 10 : 1, alone or in groups of 4."""
    K = int(random.choice([2, 4, 10]))
    imbalance = float(random.choice([1.0, 10.0]))
    shares = imbalance ** np.linspace(0, -1, K)
    metric = "macro_f1" if imbalance > 3 else "accuracy"
    return Design(
        int(random.choice([60, 150, 400, 1000])),
        shares / shares.sum(),
        int(random.choice([1, 1, 4])),
        float(random.uniform(0.6, 0.97)),
        metric,
    )


def alarms(random: np.random.Generator, setting: str) -> tuple[Design, tuple[Alarm, ...]]:
    """What the verdict names for one simulated pair."""
    own = design(random)
    K, n = len(own.shares), own.count
    task = TASKS.load("image-classification")()
    labels = Labels(tuple(f"class {k}" for k in range(K)), (1,) * K)
    groups = np.arange(n) // own.each if own.each > 1 else None
    truth = random.choice(K, n, p=own.shares)
    together = random.normal(size=n // own.each + 1)[np.arange(n) // own.each]
    share = 0.5 if own.each > 1 else 0.0
    difficulty = np.sqrt(share) * together + np.sqrt(1 - share) * random.normal(size=n)

    def answers(accuracy: float) -> Mapping[str, NDArray[Any]]:
        like = random.choice([0.5, 0.8, 0.95])  # how far the common difficulty decides
        latent = norm.cdf(like * difficulty + np.sqrt(1 - like**2) * random.normal(size=n))
        wrong = (truth + random.integers(1, K, n)) % K
        surprise = -np.log(np.clip(1 - latent, 1e-6, 1))
        return {"truth": truth, "guess": np.where(latent < accuracy, truth, wrong), "surprise": surprise}

    def two(first: float, second: float) -> Pair:
        return Pair(task, labels, answers(first), answers(second), groups)

    edge = (own.accuracy - WORTH) / (1 - WORTH)  # of which a fifth of the mistakes more is own.accuracy
    probed, twins = (
        two(own.accuracy, own.accuracy),
        two(own.accuracy, edge if setting == "worth" else own.accuracy),
    )
    suspicions = [
        below("below_probe", probed, own.metric, "linear probe"),
        harmed_classes(probed, "linear probe"),
        below("below_twin", twins, own.metric, "random twin"),
        no_gain(twins, own.metric),
        below("below_scratch", two(own.accuracy, own.accuracy), own.metric, "from scratch"),
        below("better_start", two(own.accuracy, own.accuracy), own.metric, "another"),
        below("better_start", two(own.accuracy, own.accuracy), own.metric, "a third"),
    ]
    return own, proven(suspicions, own.metric)


def counted_as_false(setting: str, found: tuple[Alarm, ...]) -> list[str]:
    """The kinds of alarms that are false in a setting."""
    return [alarm.kind for alarm in found if not (setting == "alike" and alarm.kind == "no_gain")]


def upper(false: int, pairs: int) -> float:
    """The 95 % upper bound of a rate (Clopper & Pearson 1934, one-sided)."""
    return float(beta.ppf(0.95, false + 1, pairs - false)) if false < pairs else 1.0


def simulated(setting: str, number: int) -> dict[str, Any]:
    """The pair of that number: the same whenever it is drawn."""
    own, found = alarms(np.random.default_rng([SETTINGS.index(setting), number]), setting)
    named = [alarm.kind for alarm in found]
    about = {"n": f"{own.count:04}", "K": f"{len(own.shares):02}", "each": own.each, "metric": own.metric}
    return {**about, "named": named, "false": counted_as_false(setting, found)}


def counted(tally: Counter[str], row: Mapping[str, Any]) -> Counter[str]:
    """A tally with one pair more: pairs and pairs with a false alarm, in all and by design."""
    parts = [f"{key}={row[key]}" for key in ("n", "K", "each", "metric")]
    keys = ["pairs", *(f"pairs {part}" for part in parts), *(f"{kind} false" for kind in row["false"])]
    if row["false"]:
        keys += ["false", *(f"false {part}" for part in parts)]
    keys += [f"{kind} named" for kind in row["named"]]
    return tally + Counter(keys)


def summary(tally: Mapping[str, int]) -> dict[str, Any]:
    """Rates of false alarms, all together and by design."""
    pairs, false = tally.get("pairs", 0), tally.get("false", 0)
    designs = [key.removeprefix("pairs ") for key in tally if key.startswith("pairs ")]
    return {
        "pairs": pairs,
        "false": false,
        "rate": round(false / max(pairs, 1), 4),
        "upper": round(upper(false, pairs), 4),
        "by_design": {d: round(tally.get(f"false {d}", 0) / tally[f"pairs {d}"], 4) for d in sorted(designs)},
    }


def main() -> None:
    """Draw what is missing, and write rates with their upper bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2000)
    pairs = parser.parse_args().pairs
    kept = json.loads(RESULTS.read_text())["tallies"] if RESULTS.exists() else {}
    tallies = {setting: Counter(kept.get(setting, {})) for setting in SETTINGS}

    def write() -> None:
        told = {setting: summary(tally) for setting, tally in tallies.items()}
        text = json.dumps({"command": "python bench/nulls.py", "summary": told, "tallies": tallies}, indent=1)
        RESULTS.write_text(text + "\n", encoding="utf-8")

    for setting in SETTINGS:
        while (number := tallies[setting]["pairs"]) < pairs:
            tallies[setting] = counted(tallies[setting], simulated(setting, number))
            if (number + 1) % EVERY == 0:
                write()
                print(setting, number + 1, summary(tallies[setting])["rate"], flush=True)
    write()
    for setting, tally in tallies.items():
        told = summary(tally)
        print(f"{setting}: {told['false']} of {told['pairs']} with an alarm, upper bound {told['upper']:.3f}")


if __name__ == "__main__":
    main()
