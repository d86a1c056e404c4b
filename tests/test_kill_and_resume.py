"""A run that is killed at any moment and resumed ends with the same bits as one that was not.

Over every strategy, on pictures and on texts, with and without the store. TUNESMITH_KILLS names a ledger, a
file of one line for each kill that was survived, so that the full count can be stopped and gone on with.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., dict[str, Any]]
Case = tuple[str, str, bool]  # strategy, kind of data, whether frozen stages are replayed from the store

STRATEGIES: dict[str, dict[str, Any]] = {
    "linear_probe": {},
    "full": {"optimizer": "sgd", "lr": 0.01},
    "top": {"unfreeze": 2, "balance": "sampler"},
    "gradual": {},
    "lp_ft": {"dropout": 0.2, "patience": 1},
    "surgical": {"unfreeze": "0", "parts": "norm"},
    "auto": {},
}
CASES: list[Case] = [
    (s, kind, replay) for kind in ("photos", "reviews") for replay in (True, False) for s in STRATEGIES
] + [("contrastive", "reviews", True), ("contrastive", "reviews", False)]
OF_NUMBERS: list[Case] = [("lp_ft", "prices", True), ("auto", "prices", False), ("top", "stars", True)]
OF_PAIRS: list[Case] = [("lp_ft", "pairs", True), ("full", "pairs", False), ("top", "likeness", True)]
DRAWN = [CASES[i] for i in (0, 8, 16, 24, 4, 19, 3, 11, 13)]  # of the 30: strategies, both kinds, both ways
MOMENTS = {"step": 14, "fsync": 40, "rename": 8, "predict": 5, "phase": 1}  # and how often each comes about
ALL = 200


@pytest.fixture(scope="module")
def prices(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 48 pictures with a number each."""
    path = tmp_path_factory.mktemp("data") / "prices.csv"
    names = sorted(photos.rglob("*.png"))
    path.write_text("file,price\n" + "".join(f"{name},{i % 16 + i / 50}\n" for i, name in enumerate(names)))
    return path


@pytest.fixture(scope="module")
def pairs(reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reviews two by two, and whether both are of one kind."""
    path = tmp_path_factory.mktemp("data") / "pairs.csv"
    rows = [line.rpartition(",") for line in reviews.read_text().splitlines()[1:]]
    drawn = random.Random(0)
    lines = ["premise,hypothesis,label"]
    for first, _, label in rows:
        second, _, other = drawn.choice(rows)
        lines.append(f"{first},{second},{label == other}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def stars(reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reviews with a number each."""
    return numbered(reviews, tmp_path_factory.mktemp("data") / "stars.csv")


@pytest.fixture(scope="module")
def likeness(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pairs with a number each."""
    return numbered(pairs, tmp_path_factory.mktemp("data") / "likeness.csv")


def numbered(table: Path, path: Path) -> Path:
    """The table with a number in the place of each label."""
    header, *rows = table.read_text().splitlines()
    lines = [f"{row.rpartition(',')[0]},{i % 5 + i / 50}" for i, row in enumerate(rows)]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def options(
    photos: Path,
    reviews: Path,
    prices: Path,
    pairs: Path,
    stars: Path,
    likeness: Path,
    tiny_text: Callable[[str], Path],
) -> Callable[..., dict[str, Any]]:
    """A fit of about a second: a small network, 34 pictures or 42 texts, 3 epochs."""
    bert = tiny_text("bert")
    texts = {"reviews": reviews, "pairs": pairs, "stars": stars, "likeness": likeness}

    def asked(case: Case, out: Path, *, seed: int = 0) -> dict[str, Any]:
        strategy, kind, replay = case
        own = dict(STRATEGIES.get(strategy, {}))
        if kind in ("photos", "prices"):
            own |= {
                "data": str(photos if kind == "photos" else prices),
                "model": "timm/test_resnet@none",
                "image_size": 32,
            }
            if strategy == "gradual":
                own["augment"] = "standard"
        else:
            own |= {"data": str(texts[kind]), "model": f"hf/{bert}"}
            if kind in ("stars", "likeness"):
                own.pop("balance", None)  # of classes
        return {
            "strategy": strategy,
            "epochs": 3,
            "keep": "auto" if strategy in ("top", "gradual") else "trained",
            "batch": 8,
            "out": str(out),
            "device": "cpu",
            "seed": seed,
            "replay": replay,
            **own,
        }

    return asked


@pytest.fixture(scope="module")
def unharmed(
    ask: Ask, options: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Case], str]:
    """The digest of the run of a case that was left alone."""
    known: dict[Case, str] = {}

    def digest(case: Case) -> str:
        if case not in known:
            out = tmp_path_factory.mktemp("unharmed") / "run"
            assert ask("fit", **options(case, out)) == {"killed": False, "code": 0}
            known[case] = outcome(out)
        return known[case]

    return digest


def outcome(folder: Path) -> str:
    """A digest of everything that a run leaves, but for times and commands."""
    total = hashlib.sha256()
    for name in (
        "model/weights.safetensors",
        "model/network.json",
        "scores.json",
        "predictions.parquet",
        "predictions-valid.parquet",
        "plan.json",
        "examples.parquet",
    ):
        total.update((folder / name).read_bytes())
    total.update(json.dumps(json.loads((folder / "facts.json").read_text())["moved"]).encode())
    for line in (folder / "history.jsonl").read_text().splitlines():
        total.update(json.dumps({k: v for k, v in json.loads(line).items() if k != "seconds"}).encode())
    return total.hexdigest()


def killed_and_resumed(ask: Ask, asked: dict[str, Any], draw: random.Random) -> int:
    """Kill a run at a drawn moment, perhaps again while resuming, until it is finished: how often it died."""
    out = Path(asked["out"])
    moment = draw.choice(list(MOMENTS))
    died = int(ask("fit", (moment, draw.randint(1, MOMENTS[moment])), **asked)["killed"])
    if not (out / "manifest.json").is_file():
        assert ask("fit", **asked)["code"] == 0  # it had not begun
        return died
    while not (out / "scores.json").is_file():
        again = (draw.choice(list(MOMENTS)), draw.randint(1, 40)) if draw.random() < 0.3 else None
        answer = ask("resume", again, run=str(out))
        assert answer["killed"] or answer["code"] == 0
        died += answer["killed"]
    return died


def leftovers(folder: Path) -> list[str]:
    """Temporary files and locks below a run's folder."""
    return [p.name for p in folder.rglob("*") if p.name.endswith(".tmp") or p.name == "lock"]


@pytest.mark.parametrize("draw", range(len(DRAWN)))
def test_a_killed_run_resumes_to_the_same_bits(
    draw: int,
    seed: int,
    ask: Ask,
    unharmed: Callable[[Case], str],
    options: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    case = DRAWN[draw]
    killed_and_resumed(ask, options(case, tmp_path / "run"), random.Random(f"{seed} {draw}"))
    assert outcome(tmp_path / "run") == unharmed(case)


@pytest.mark.parametrize("case", [*OF_NUMBERS, *OF_PAIRS])
def test_a_killed_run_of_numbers_or_pairs_resumes_to_the_same_bits(
    case: Case,
    seed: int,
    ask: Ask,
    unharmed: Callable[[Case], str],
    options: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    killed_and_resumed(ask, options(case, tmp_path / "run"), random.Random(f"{seed} {case}"))
    assert outcome(tmp_path / "run") == unharmed(case)


def test_a_killed_run_on_pairs_at_a_measured_rate_resumes_to_the_same_bits(
    seed: int, ask: Ask, options: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    def asked(name: str) -> dict[str, Any]:
        usual = options(("gradual", "reviews", True), tmp_path / name)
        return {**usual, "strategy": "contrastive", "epochs": 2, "lr": "auto"}

    assert ask("fit", **asked("unharmed")) == {"killed": False, "code": 0}
    assert ask("fit", ("step", 105), **asked("run"))["killed"]  # of which 100 are the range test
    assert ask("resume", ("fsync", 9), run=str(tmp_path / "run"))["killed"]
    assert ask("resume", run=str(tmp_path / "run")) == {"killed": False, "code": 0}
    assert outcome(tmp_path / "run") == outcome(tmp_path / "unharmed")


def test_a_run_that_is_killed_five_times_while_it_resumes_ends_the_same_and_leaves_nothing(
    ask: Ask, unharmed: Callable[[Case], str], options: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    case, run = ("lp_ft", "photos", True), tmp_path / "run"
    assert ask("fit", ("step", 4), **options(case, run))["killed"]
    deaths = [("step", 1), ("fsync", 1), ("fsync", 4), ("rename", 1), ("predict", 1)]
    assert [ask("resume", moment, run=str(run))["killed"] for moment in deaths] == [True] * 5
    assert ask("resume", run=str(run)) == {"killed": False, "code": 0}
    assert outcome(run) == unharmed(case)
    assert leftovers(run) == []


@pytest.mark.full
def test_200_killed_runs_resume_to_the_same_bits(
    seed: int,
    ask: Ask,
    unharmed: Callable[[Case], str],
    options: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    ledger = Path(os.environ.get("TUNESMITH_KILLS", tmp_path / "kills.jsonl"))
    rows = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.is_file() else []
    known = {row["number"] for row in rows if row["seed"] == seed}
    for i in range(ALL):
        if i in known:
            continue
        case = CASES[i % len(CASES)]
        asked = options(case, tmp_path / str(i))
        died = killed_and_resumed(ask, asked, random.Random(f"{seed} full {i}"))
        if leftovers(tmp_path / str(i)):  # it died after its last word
            assert ask("resume", run=str(tmp_path / str(i)))["code"] != 0
        row = {"number": i, "seed": seed, "case": case, "died": died, "left": leftovers(tmp_path / str(i))}
        rows.append({**row, "same": outcome(tmp_path / str(i)) == unharmed(case)})
        with ledger.open("a") as lines:
            lines.write(json.dumps(rows[-1]) + "\n")
    rows = [row for row in rows if row["seed"] == seed]
    assert [row for row in rows if not row["same"] or row["left"]] == []
    assert len(rows) == ALL
    assert sum(row["died"] > 0 for row in rows) >= 0.7 * ALL  # or the moments are drawn too late
    assert len(Counter(str(row["case"]) for row in rows if row["died"])) == len(CASES)


def test_another_seed_ends_with_other_bits(
    ask: Ask, unharmed: Callable[[Case], str], options: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """The control: were `outcome` blind, every resumed run would seem the same."""
    case = ("full", "photos", True)
    assert ask("fit", **options(case, tmp_path / "run", seed=1))["code"] == 0
    assert outcome(tmp_path / "run") != unharmed(case)
