"""Named entities beside the transformers Trainer: the same network, sentences, epochs and rates.

`python bench/tags.py [crossner/ai crossner/politics:1 btc-ner ...]` (:1 is a seed) goes on where it stopped:
a result that lies in bench/results is not measured again. Both train MiniLM in every stage; the interval is
paired over sentences. Each runs in a process of its own: seconds are the processor's, from start to exit.
TUNESMITH_MOST=150 takes so many sentences of each file, for a machine that is slow.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from questions import small_reader
from running import DATA, PLACE, timed
from tunesmith.evaluation import difference
from tunesmith.reports.predictions import read_predictions
from tunesmith.tasks.tagged_words import Tagged
from tunesmith.tasks.token_classification import TokenClassification

RESULTS = Path(__file__).resolve().parent / "results"
TASK: Any = TokenClassification()
LR, BATCH = 2e-4, 16
# A file or folder, and epochs: of 100, 200, 200 and some 800 sentences about as many steps.
SETS = {
    "crossner/ai": ("crossner/ai", 20),
    "crossner/politics": ("crossner/politics", 10),
    "crossner/science": ("crossner/science", 10),
    "btc-ner": ("btc-ner/CONLL-format/data/a.conll", 5),
}


def ours(data: Path, folder: Path, epochs: int, seed: int) -> list[Any]:
    """tunesmith's answers to the test split."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    run = ts.fit(
        str(data), task=TASK.name, model=TASK.model, strategy="full", epochs=epochs, lr=LR, head_lr=LR,
        decay=1.0, batch=BATCH, keep="trained", baselines="none", schedule="linear", warmup=0.0, seed=seed,
        device="cpu", replay=False, out=folder / "run", reporter=Silent(),
    )  # fmt: skip
    assert run is not None
    _, task, labels = run.model
    return read_predictions(run.folder, "test", task, labels).answers


def theirs(source: Path, folder: Path, epochs: int, seed: int) -> list[Any]:
    """The Trainer's answers, by the recipe of transformers' own examples: first pieces, -100 elsewhere."""
    import transformers

    from tunesmith.sources import resolve
    from tunesmith.sources.transformers_files import folder_of

    data = TASK.read(str(source), seed=seed)  # of a set that comes in one piece it makes the splits
    labels = TASK.labels(data)
    where = folder_of(resolve(TASK.model))
    tokenizer = transformers.AutoTokenizer.from_pretrained(where)
    place = {name: i for i, name in enumerate(labels.names)}
    transformers.set_seed(seed)
    model = transformers.AutoModelForTokenClassification.from_pretrained(where, num_labels=len(place))

    def encoded(split: str) -> list[dict[str, Any]]:
        rows = []
        for text, label in zip(data.splits[split]["item"], data.splits[split]["label"], strict=True):
            told = json.loads(label)
            words = [text[a:b] for a, b in told["words"]]
            own = tokenizer(words, is_split_into_words=True, truncation=True, max_length=256)
            ids, before, tags = own.word_ids(), None, []
            for word in ids:
                tags.append(-100 if word is None or word == before else place.get(told["tags"][word], -100))
                before = word
            rows.append({**own, "labels": tags, "words": told["words"]})
        return rows

    parts = {split: encoded(split) for split in ("train", "valid", "test")}
    fed = {s: [{k: v for k, v in row.items() if k != "words"} for row in own] for s, own in parts.items()}
    arguments = transformers.TrainingArguments(
        str(folder / "trainer"), num_train_epochs=epochs, learning_rate=LR, per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=2 * BATCH, weight_decay=0.01, eval_strategy="epoch", save_strategy="epoch",
        load_best_model_at_end=True, seed=seed, report_to=[], disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    collator = transformers.DataCollatorForTokenClassification(tokenizer)
    trainer = transformers.Trainer(
        model, arguments, train_dataset=fed["train"], eval_dataset=fed["valid"], data_collator=collator
    )
    trainer.train()
    logits = trainer.predict(fed["test"]).predictions
    answers = []
    for row, own in zip(parts["test"], logits, strict=True):
        first = [t for t, tag in enumerate(row["labels"]) if tag != -100]
        chances = np.exp(own[first] - own[first].max(1, keepdims=True))
        answers.append(
            Tagged(np.asarray(row["words"])[: len(first)], chances / chances.sum(1, keepdims=True))
        )
    return answers


def cut(source: Path, folder: Path) -> Path:
    """The first sentences of each file, as many as TUNESMITH_MOST says; the files themselves without it."""
    most = int(os.environ.get("TUNESMITH_MOST", "0"))
    if not most:
        return source
    for path in [source] if source.is_file() else sorted(source.glob("*.txt")):
        blocks = path.read_text(encoding="utf-8").split("\n\n")[:most]
        folder.mkdir(exist_ok=True)
        (folder / path.name).write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return folder / source.name if source.is_file() else folder


HALVES = {"ours": ours, "theirs": theirs}


def in_a_process(who: str, name: str, source: Path, folder: Path) -> tuple[list[Any], float]:
    """The answers of one of them, and the processor's seconds of its process; kept for the next try."""
    place, _, seed = name.partition(":")
    kept = PLACE / ".data" / f"tags-{name.replace('/', '-')}-{who}.pickle"
    if not kept.is_file():
        asked = [who, str(source), str(folder), str(SETS[place][1]), seed or "0"]
        row = timed([sys.executable, __file__, "--half", *asked])
        if "failed" in row:
            raise RuntimeError(row["failed"])
        told = pickle.loads((folder / who).read_bytes()), row["cpu_seconds"]
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(pickle.dumps(told))
    found: tuple[list[Any], float] = pickle.loads(kept.read_bytes())
    return found


def measure(name: str, halves: Sequence[str]) -> dict[str, Any] | None:
    """One data set: both F1, the paired interval of their difference, seconds; None for one half alone."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        place, epochs = SETS[name.partition(":")[0]]
        source = cut(DATA / place, folder / "data")
        done = [in_a_process(who, name, source, folder) for who in halves]
        if len(done) < len(HALVES):
            return None
        (mine, seconds), (other, longer) = done
        data = TASK.read(str(source), seed=int(name.partition(":")[2] or 0))
        labels = TASK.labels(data)
        targets = TASK.targets(data.test, labels)
    first, second = (TASK.score(TASK.outcomes(own, targets), labels) for own in (mine, other))
    gap = difference(TASK, mine, other, targets, labels, "f1")
    sizes = {split: len(own) for split, own in data.splits.items()}
    return {
        "sizes": sizes, "epochs": epochs, "lr": LR, "f1": first["f1"], "trainer_f1": second["f1"],
        "gap": [gap.value, gap.low, gap.high], "seconds": round(seconds), "trainer_seconds": round(longer),
    }  # fmt: skip


def weibo() -> dict[str, Any]:
    """Chinese posts from file to verdict with a tiny random BERT over characters, beside no Trainer."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    place = DATA / "weibo-ner-zh"
    texts = TASK.read(str(place)).train["item"][:]
    with tempfile.TemporaryDirectory() as folder:
        run = ts.fit(
            str(place), model=f"hf/{small_reader(''.join(texts), Path(folder) / 'bert')}", strategy="full",
            epochs=10, lr=1e-3, balance="weights", device="cpu", out=Path(folder) / "run", reporter=Silent(),
        )  # fmt: skip
        assert run is not None
        test, baselines = run.scores["test"], run.scores["baselines"]
        return {
            "seconds": round(time.process_time()), "count": test["count"], "f1": test["metrics"]["f1"],
            "baselines": {name: own["metrics"]["f1"]["value"] for name, own in baselines.items()},
            "verdict": run.scores["verdict"], "kept": run.scores["kept"].get("sentence", ""),
        }  # fmt: skip


def main() -> None:
    """Measure what is not there yet; with `ours` or `theirs` before the names one half alone, to be kept."""
    if sys.argv[1:2] == ["--half"]:
        who, source, folder, epochs, seed = sys.argv[2:]
        answers = HALVES[who](Path(source), Path(folder), int(epochs), int(seed))
        (Path(folder) / who).write_bytes(pickle.dumps(answers))
        return
    halves = [who for who in HALVES if who in sys.argv[1:]] or list(HALVES)
    for name in [own for own in sys.argv[1:] if own not in HALVES] or SETS:
        path = RESULTS / f"tags_{name.replace('/', '_').replace(':', '_seed_')}.json"
        if path.is_file() or (told := measure(name, halves)) is None:
            continue
        path.write_text(json.dumps(told, indent=1) + "\n")
        print(name, path.read_text())
    if not sys.argv[1:] and not (path := RESULTS / "weibo.json").is_file():
        path.write_text(json.dumps(weibo(), indent=1) + "\n")


if __name__ == "__main__":
    main()
