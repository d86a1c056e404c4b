"""Measure pairs of texts, and numbers from texts, beside the transformers Trainer; resumable, run by run.

    python bench/pairs.py [pairs | numbers]

pairs: banking77, do two customers ask the same? Half of the pairs are of one intent, the others of two
intents whose names share a word; no question is in two splits. numbers: btc-ner, how many names are in a
tweet? Both are drawn once, by a seed. Needs the data sets in TUNESMITH_REAL_DATA and all-MiniLM-L6-v2.

tunesmith and the Trainer get the same network (BertForSequenceClassification on MiniLM), examples, epochs,
batches, rates, schedule and one thread; seeds alternate who begins. Seconds are of whole processes, from
start to exit with the test split answered, and the processor's beside them, since the machine may be shared.
BENCH_SMALL=1 goes through everything on 64 examples in a folder of its own and proves nothing.
"""

from __future__ import annotations

import csv
import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from page import write_numbers
from running import DATA, PEERS, PLACE, RESULTS, SMALL, load, machine, minilm, timed

SIZES = {"train": 64, "valid": 16, "test": 32} if SMALL else {"train": 400, "valid": 60, "test": 600}
RECIPE: dict[str, Any] = {
    "epochs": 1 if SMALL else 4, "batch": 16, "lr": 1e-4, "warmup": 0.1, "weight_decay": 0.01,
    "max_length": 256,
}  # fmt: skip
SEEDS = {"pairs": 1, "numbers": 1} if SMALL else {"pairs": 8, "numbers": 3}
WHO = ("tunesmith", "Trainer")
SAMPLES = 2000  # of the bootstrap

Row = tuple[str, ...]


def pairs() -> Iterator[tuple[str, list[Row]]]:
    """Two questions, and whether they are of one intent."""
    draw = random.Random(0)
    pools: dict[str, list[Row]] = {}
    for file in ("train", "test"):
        with (DATA / "banking77" / f"{file}.csv").open(encoding="utf-8", newline="") as lines:
            pools[file] = [(row["text"], row["category"]) for row in csv.DictReader(lines)]
        pools[file] = sorted(dict.fromkeys(pools[file]))
        draw.shuffle(pools[file])
    fifth = len(pools["train"]) // 5
    pools |= {"valid": pools["train"][:fifth], "train": pools["train"][fifth:]}
    for split, count in SIZES.items():
        by_intent: dict[str, list[str]] = defaultdict(list)
        for text, intent in pools[split]:
            by_intent[intent].append(text)
        near = {own: [o for o in by_intent if o != own and _share(own, o)] for own in by_intent}
        near = {own: others for own, others in near.items() if others}
        found: dict[Row, None] = {}
        while len(found) < count:
            intent = draw.choice(sorted(near))
            same = len(found) % 2 == 0
            first, second = draw.sample(by_intent[intent], 2)
            if not same:
                second = draw.choice(by_intent[draw.choice(near[intent])])
            found[first, second, "same" if same else "other"] = None
        yield split, list(found)


def numbers() -> Iterator[tuple[str, list[Row]]]:
    """A tweet, and how many names are in it."""
    found: dict[str, str] = {}
    for path in sorted((DATA / "btc-ner" / "CONLL-format" / "data").glob("*.conll")):
        for block in path.read_text(encoding="utf-8").split("\n\n"):
            cells = [line.rsplit("\t", 1) for line in block.split("\n") if "\t" in line]
            words = [word.strip() for word, _ in cells]
            if len(words) >= 4:
                found[" ".join(words)] = str(sum(tag.startswith("B-") for _, tag in cells))
    rows: list[Row] = sorted(found.items())
    random.Random(0).shuffle(rows)
    start = 0
    for split, count in SIZES.items():
        yield split, rows[start : start + count]
        start += count


def _share(one: str, other: str) -> bool:
    return bool(set(one.lower().split("_")) & set(other.lower().split("_")))


KINDS: dict[str, tuple[Callable[[], Iterator[tuple[str, list[Row]]]], Row, str]] = {
    "pairs": (pairs, ("sentence1", "sentence2", "label"), "text-pair-classification"),
    "numbers": (numbers, ("text", "label"), "text-regression"),
}


def data_of(kind: str) -> Path:
    """The folder of the tables of a kind, written once."""
    folder = PLACE / ".data" / f"texts-{kind}-{'-'.join(map(str, SIZES.values()))}"
    folder.mkdir(parents=True, exist_ok=True)
    make, heading, _ = KINDS[kind]
    for split, rows in make():
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([heading, *rows])
    return folder


def measured(kind: str, who: str, seed: int) -> dict[str, Any]:
    """One process: its seconds and its answers to the test split."""
    data = data_of(kind)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "run"
        asked = {**RECIPE, "seed": seed, "out": out}
        env = {"OMP_NUM_THREADS": "1", "TUNESMITH_CACHE": str(Path(scratch) / "cache")}
        if who == "Trainer":
            command = [str(PEERS / "torch" / "trainer_texts.py"), f"--data={data}", f"--weights={minilm()}"]
            command += ["--numbers"] if kind == "numbers" else []
            env["PYTHONPATH"] = str(PEERS / "shared")
        else:
            model = f"hf/{minilm()}?pooling=own"
            command = ["-m", "tunesmith", "fit", str(data), f"--model={model}", f"--task={KINDS[kind][2]}"]
            command += ["--strategy=full", "--keep=trained", "--baselines=none", "--schedule=linear"]
            command += [f"--head-lr={RECIPE['lr']}", "--device=cpu"]
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in asked.items()]
        row = timed([sys.executable, *command, *flags], env)
        if "failed" not in row and who == "tunesmith":
            told = pq.read_table(out / "predictions.parquet").to_pydict()
            row["answers"] = told["label" if kind == "pairs" else "answer(label)"]
            _check_order(told["id"])
    return row


def _check_order(ids: list[str]) -> None:
    """Raises ValueError where answers are not in the order of the table."""
    places = [int(name.rpartition(":")[2]) for name in ids]
    if places != sorted(places) or len(places) != SIZES["test"]:
        raise ValueError("the answers are in another order than the table's rows")


def metric_of(kind: str) -> tuple[str, Callable[[Any, Any], float]]:
    """The name of what is compared, and how it is computed."""
    if kind == "pairs":
        return "accuracy", lambda truth, answers: float((truth == answers).mean())
    return "Pearson's correlation", lambda truth, answers: float(np.corrcoef(truth, answers)[0, 1])


def summed_up(kind: str, runs: dict[str, Any]) -> dict[str, Any]:
    """Scores of both, and their difference with a paired interval of 95 %: rows and seeds are drawn again."""
    with (data_of(kind) / "test.csv").open(encoding="utf-8", newline="") as file:
        truth: Any = [row["label"] for row in csv.DictReader(file)]
    form = str if kind == "pairs" else float
    truth = np.asarray(list(map(form, truth)))
    seeds = [
        s for s in range(SEEDS[kind]) if all("answers" in runs.get(f"{kind} {who} {s}", {}) for who in WHO)
    ]
    if not seeds:
        return {}
    answers = {who: [np.asarray(runs[f"{kind} {who} {s}"]["answers"]) for s in seeds] for who in WHO}
    name, metric = metric_of(kind)

    def means(rows: Any, places: Any) -> dict[str, float]:
        return {
            who: float(np.mean([metric(truth[rows], answers[who][i][rows]) for i in places])) for who in WHO
        }

    everything = means(np.arange(len(truth)), range(len(seeds)))
    draw = np.random.default_rng(0)
    gaps = []
    for _ in range(SAMPLES):
        rows = draw.integers(0, len(truth), len(truth))
        drawn = means(rows, draw.integers(0, len(seeds), len(seeds)))
        gaps.append(drawn["tunesmith"] - drawn["Trainer"])
    low, high = np.percentile(gaps, (2.5, 97.5)).tolist()
    spent = {
        who: {
            clock: float(np.mean([runs[f"{kind} {who} {s}"][clock] for s in seeds]))
            for clock in ("seconds", "cpu_seconds")
        }
        for who in WHO
    }
    gap = {"value": everything["tunesmith"] - everything["Trainer"], "low": low, "high": high}
    return {"metric": name, "seeds": len(seeds), "scores": everything, "difference": gap, "spent": spent}


def main(kinds: list[str]) -> None:
    """Measure what is not there yet; write the results and the page."""
    path = RESULTS / "pairs.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"runs": {}}
    for seed in range(max(SEEDS.values())):
        for kind in [own for own in kinds or KINDS if seed < SEEDS[own]]:
            for who in WHO if seed % 2 == 0 else WHO[::-1]:
                key = f"{kind} {who} {seed}"
                if "answers" in kept["runs"].get(key, {}):
                    continue
                row = {"load_before": load(), "when": time.strftime("%Y-%m-%d %H:%M:%S")}
                kept["runs"][key] = {**row, **measured(kind, who, seed)}
                print(key, kept["runs"][key].get("failed", kept["runs"][key]["seconds"]), flush=True)
                kept |= {"command": "python bench/pairs.py", "machine": machine(), "sizes": SIZES}
                kept |= {"recipe": RECIPE, "summary": {own: summed_up(own, kept["runs"]) for own in KINDS}}
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(kept.get("summary"), indent=1))
    if not SMALL:
        write_numbers(RESULTS, PLACE.parent / "docs" / "numbers.md")


if __name__ == "__main__":
    main(sys.argv[1:])
