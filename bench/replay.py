"""Measure frozen-backbone training beside its peers; resumable, run by run.

    python bench/replay.py [photos | texts | last_block | full | growth | exact | fire | numbers ...]
        [--rounds 3] [--confirm-all] [--retry]

Needs the data sets and weights that tests/real use, in TUNESMITH_REAL_DATA (default: shared/data beside
the repository), and builds an environment for fastai and one for Keras in TUNESMITH_BENCH_ENVS (default:
bench/.envs). Results lie in bench/results/replay_*.json; docs/numbers.md is written from them.

Every run is a fresh process, timed from its start to its exit: imports, data, training, a validation
after each epoch, the saved model, and the answers to the test split, which tunesmith always gives. In
a round every contender runs once, in turn forwards and backwards. Peers run a few epochs; the rest is
extrapolated: the first epoch as it was, every later one as the last that was measured.

BENCH_SMALL=1 goes through everything on 64 examples in a folder of its own and proves nothing.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import running
from page import extrapolated, write_numbers
from running import DATA, PLACE, RESULTS, ROOT, SMALL, Ledger, fresh, minilm, peer, timed, tunesmith

KERAS = DATA / "weights" / "mobilenetv2_100_keras.safetensors"
MINILM = "hf/sentence-transformers/all-MiniLM-L6-v2"
EPOCHS, PILOT = (3 if SMALL else 10), 2
LAST_BLOCK_EPOCHS = 3 if SMALL else 5
TORCH_PEERS = {
    "plain loop": ("torch", "plain"),
    "Trainer": ("torch", "trainer"),
    "fastai": ("fastai", "learner"),
}
RATES = {"photos": {"lr": 1e-4, "head_lr": 3e-3}, "texts": {"lr": 1e-4, "head_lr": 1e-2}}
GROWTH = (64, 128, 256) if SMALL else (1000, 4000, 16000, 64000)
NOTHING = 24  # images: every step of a fit, and next to no work
TINY = ("--model", "timm/test_efficientnet@none", "--image-size", "32")
ALIKE = ("--baselines", "none", "--keep", "trained")  # what peers do not do is timed on its own

Run = Callable[[int], dict[str, Any]]  # epochs -> a row


def photos(ledger: Ledger, asked: argparse.Namespace) -> None:
    """Ten epochs of a linear head on trashnet, beside four peers and a fit by hand."""
    data = running.photos()
    options = {"task": "photos", "data": data, "weights": KERAS, **RATES["photos"]}
    ledger.once("keras: converted weights", partial(_converted, data))
    workers = _workers(ledger, TORCH_PEERS, {**options, "data": running.photos(512)})
    peers = {
        name: partial(_peer, *where, {**options, "workers": workers[name]})
        for name, where in TORCH_PEERS.items()
    }
    peers["Keras"] = partial(_peer, "keras", "fit", options)
    by_hand = {**options, "workers": workers["plain loop"]}
    _probe(ledger, asked, data, str(KERAS), peers, by_hand)


def texts(ledger: Ledger, asked: argparse.Namespace) -> None:
    """Ten epochs of a linear head on sentence-polarity, beside two peers and a fit by hand."""
    data = running.texts()
    options = {"task": "texts", "data": data, "weights": minilm(), **RATES["texts"]}
    names = {name: TORCH_PEERS[name] for name in ("plain loop", "Trainer")}
    peers = {name: partial(_peer, *where, options) for name, where in names.items()}
    _probe(ledger, asked, data, MINILM, peers, options)


def last_block(ledger: Ledger, asked: argparse.Namespace) -> None:
    """Five epochs of the last block and the head of a sentence encoder, read by its mean and by CLS."""
    data = running.texts()
    ledger.facts["epochs"] = LAST_BLOCK_EPOCHS
    for pooling in ("mean", "cls"):
        options = {"task": "texts", "data": data, "weights": minilm(), "pooling": pooling, **RATES["texts"]}
        flags = _flags("texts", f"{MINILM}?pooling={pooling}", LAST_BLOCK_EPOCHS)
        flags += ["--strategy", "top", "--unfreeze", "1", "--lr", str(options["lr"])]
        plain = partial(peer, "torch", "plain", train="last_block", epochs=PILOT, **options)
        for number in range(asked.rounds):
            contenders = {
                f"plain loop, {pooling}": plain,
                f"parts, {pooling}": partial(peer, "torch", "parts", **options),
                f"tunesmith, {pooling}": partial(_cold, data, flags, f"{pooling}-{number}"),
            }
            _round(ledger, number, contenders)
    _forget("cache-")


def full(ledger: Ledger, asked: argparse.Namespace) -> None:
    """Full fine-tuning: examples per second in the epochs after the first, over 32 steps a round."""
    subsets = {"photos": (running.photos(512), str(KERAS), 3), "texts": (running.texts(1024), MINILM, 2)}
    for task, (data, model, epochs) in subsets.items():
        weights = KERAS if task == "photos" else minilm()
        rates = {"lr": 1e-4, "head_lr": 1e-3}
        flags = _flags(task, model, epochs, head_lr=1e-3)
        flags += ["--strategy", "full", "--lr", "1e-4", "--precision", "fp32"]
        common: dict[str, Any] = {"task": task, "data": data, "weights": weights, **rates}
        common |= {"train": "full", "epochs": epochs}
        ledger.facts[task] = {"epochs": epochs, "examples": 64 if SMALL else int(data.name.split("-")[-1])}
        for number in range(asked.rounds):
            contenders: dict[str, Callable[[], dict[str, Any]]] = {
                f"{name}, {task}": partial(peer, *where, **common) for name, where in TORCH_PEERS.items()
            }
            cache = fresh(PLACE / ".data" / "cache-full")
            contenders[f"tunesmith, {task}"] = partial(tunesmith, data, cache, *flags)
            _round(ledger, number, contenders)
    _forget("cache-")


def growth(ledger: Ledger, asked: argparse.Namespace) -> None:
    """Seconds and memory of one epoch of a linear probe over 1k to 64k small images."""
    rounds = range(asked.rounds)
    ledger.facts["sizes"] = GROWTH
    for size in (NOTHING, *GROWTH):
        keys = [f"round {number}: {size} images" for number in rounds]
        if all(key in ledger.runs for key in keys) and not ledger.retry:
            continue
        folder = _images(size)
        for key in keys:
            cache = fresh(PLACE / ".data" / "cache-growth")
            flags = (*TINY, "--strategy", "linear_probe", "--epochs", "1", "--batch", "32", *ALIKE)
            ledger.once(key, partial(tunesmith, folder, cache, *flags))
        shutil.rmtree(folder)
    _forget("cache-")
    _fit_slope(ledger, rounds)


def fire(ledger: Ledger, asked: argparse.Namespace) -> None:  # noqa: ARG001 (all steps are called alike)
    """The store under fire: processes killed while they write it, in the full count."""
    ledger.once("under fire", partial(_proof, "store/test_under_fire.py", "TUNESMITH_FIRE_RESULT"))


def exact(ledger: Ledger, asked: argparse.Namespace) -> None:  # noqa: ARG001 (all steps are called alike)
    """Replay against the live network, bit for bit, at every cut of every network of the tests."""
    ledger.once("every cut", partial(_proof, "networks/test_replay.py", "TUNESMITH_EXACT_RESULT"))


def _proof(test: str, variable: str) -> dict[str, Any]:
    """Run a test's full count; what it wrote into the file that a variable names."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    written = RESULTS / f"{Path(test).stem}.txt"
    written.unlink(missing_ok=True)
    count = "not full" if SMALL else "full"
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(ROOT / "tests" / test),
        "-m",
        count,
        "-p",
        "no:cacheprovider",
    ]
    row = timed(command, {variable: str(written)})
    if "failed" not in row and not written.exists():
        row["failed"] = "the test passed but wrote no result"
    wrote = written.read_text("utf-8") if written.exists() else ""
    written.unlink(missing_ok=True)
    return {**row, "wrote": wrote}


def _probe(
    ledger: Ledger,
    asked: argparse.Namespace,
    data: Path,
    model: str,
    peers: Mapping[str, Run],
    by_hand: Mapping[str, Any],
) -> None:
    """The rounds of a linear head on a frozen backbone; then eager, imports and the confirmation."""
    ledger.facts["epochs"] = EPOCHS
    flags = [*_flags(by_hand["task"], model, EPOCHS), "--strategy", "linear_probe"]
    for number in range(asked.rounds):
        contenders: dict[str, Callable[[], dict[str, Any]]] = {
            n: partial(run, PILOT) for n, run in peers.items()
        }
        contenders["encode once"] = partial(peer, "torch", "encode_once", **by_hand)
        contenders["tunesmith"] = partial(_cold_and_second, data, flags, ledger.name, number)
        _round(ledger, number, contenders)
    cache = fresh(PLACE / ".data" / "cache-eager")
    ledger.once("tunesmith, cold, eager", partial(tunesmith, data, cache, *flags, "--engine", "eager"))
    cache, usual = fresh(PLACE / ".data" / "cache-usual"), [f for f in flags if f not in ALIKE]
    ledger.once("tunesmith, cold, with a verdict", partial(tunesmith, data, cache, *usual))
    warm = PLACE / ".data" / f"cache-{ledger.name}-{asked.rounds - 1}"
    ledger.once("tunesmith, imports only", partial(_imports, data, warm, flags, asked.rounds))
    finished = {n: row for n in peers if "failed" not in (row := ledger.runs[f"round 0: {n}"])}
    fastest = min(finished, key=lambda n: extrapolated(finished[n], EPOCHS), default="")
    for name in peers if asked.confirm_all else [fastest] * bool(fastest):
        ledger.once(f"all epochs: {name}", partial(peers[name], EPOCHS))
    _forget("cache-")


def _round(ledger: Ledger, number: int, contenders: Mapping[str, Callable[[], dict[str, Any]]]) -> None:
    """Every contender once; odd rounds backwards, so that none always runs on the warmer machine."""
    names = list(contenders)
    for name in names if number % 2 == 0 else reversed(names):
        ledger.once(f"round {number}: {name}", contenders[name])


def _cold_and_second(data: Path, flags: list[str], name: str, number: int) -> dict[str, Any]:
    """A run with an empty cache; the same command again stands beside it as `second`."""
    cache = PLACE / ".data" / f"cache-{name}-{number}"
    cold = _cold(data, flags, f"{name}-{number}")
    stored = sum(p.stat().st_size for p in cache.rglob("*") if p.is_file()) if cache.exists() else 0
    again = {} if "failed" in cold else tunesmith(data, cache, *flags)
    if "failed" in again:
        cold["failed"] = f"the second run: {again['failed']}"
    return {**cold, "stored_mib": round(stored / 2**20, 1), "second": again}


def _cold(data: Path, flags: list[str], name: str) -> dict[str, Any]:
    return tunesmith(data, fresh(PLACE / ".data" / f"cache-{name}"), *flags)


def _peer(env: str, script: str, options: Mapping[str, Any], epochs: int) -> dict[str, Any]:
    return peer(env, script, epochs=epochs, **options)


def _flags(task: str, model: str, epochs: int, *, head_lr: float | None = None) -> list[str]:
    rate = RATES[task]["head_lr"] if head_lr is None else head_lr
    return ["--model", model, "--epochs", str(epochs), "--batch", "32", "--head-lr", str(rate), *ALIKE]


def _workers(
    ledger: Ledger, peers: Mapping[str, tuple[str, str]], options: Mapping[str, Any]
) -> dict[str, int]:
    """For each peer the number of loader processes, 0 or 2, with which an epoch takes least."""
    chosen = {}
    for name, where in peers.items():
        took = {}
        for workers in (0, 2):
            key = f"pilot: {name}, {workers} workers"
            row = ledger.once(key, partial(peer, *where, epochs=1, workers=workers, **options))
            took[workers] = row["epochs"][0] if "failed" not in row else math.inf
        chosen[name] = min(took, key=lambda workers: took[workers])
    ledger.facts["workers"] = chosen
    ledger.write()
    return chosen


def _converted(data: Path) -> dict[str, Any]:
    """Whether the Keras network with converted weights gives timm's features of eight photos, to 1e-3."""
    options = {"task": "photos", "data": data, "weights": KERAS}
    folder = fresh(PLACE / ".data" / "reference")
    made = peer("torch", "reference", **options, out=folder)
    if "failed" in made:
        return made
    row = peer("keras", "fit", **options, reference=folder / "reference.npz")
    shutil.rmtree(folder)
    return row


def _imports(data: Path, cache: Path, flags: list[str], rounds: int) -> dict[str, Any]:
    """Seconds of a process that only imports what a second run had imported at its end."""
    listed = PLACE / ".data" / "modules.txt"
    row = tunesmith(data, cache, *flags, wrapper=(str(ROOT / "bench" / "modules.py"), str(listed)))
    if "failed" in row:
        return row
    names = listed.read_text("utf-8").split()
    each = "import importlib, pathlib, sys\nfor name in pathlib.Path(sys.argv[1]).read_text().split():\n"
    each += "    try:\n        importlib.import_module(name)\n    except Exception:\n        pass\n"
    runs = [timed([sys.executable, "-c", each, str(listed)]) for _ in range(max(3, rounds))]
    broken = [run for run in runs if "failed" in run]
    if broken:
        return broken[0]
    seconds = [run["seconds"] for run in runs]
    return {"seconds": statistics.median(seconds), "all": seconds, "modules": len(names)}


def _images(count: int) -> Path:
    """A folder of so many PNG files, 32 pixels a side, of two classes that differ in colour."""
    import numpy as np
    from PIL import Image

    folder = fresh(PLACE / ".data" / f"growth-{count}")
    random = np.random.default_rng(0)
    for label in ("red", "blue"):
        (folder / label).mkdir(parents=True)
    for i in range(count):
        label = ("red", "blue")[i % 2]
        pixels = random.integers(0, 200, (32, 32, 3), dtype=np.uint8)
        pixels[..., 0 if label == "red" else 2] += 55
        Image.fromarray(pixels).save(folder / label / f"{i:06d}.png", compress_level=1)
    return folder


def _fit_slope(ledger: Ledger, rounds: range) -> None:
    """Slopes of log seconds over log images, raw and less the start-up; and the picture of them."""
    import numpy as np

    def median(size: int, field: str) -> float:
        rows = [ledger.runs[f"round {number}: {size} images"] for number in rounds]
        return statistics.median([float(row[field]) for row in rows if "failed" not in row])

    try:
        start = median(NOTHING, "seconds")
        seconds = [median(size, "seconds") for size in GROWTH]
        memory = [median(size, "rss_anon_mib") for size in GROWTH]
    except statistics.StatisticsError:
        print("growth: a size has no run that went through; no slope", flush=True)
        return
    work = [s - start for s in seconds]
    if min(work) <= 0:
        print("growth: a size took no longer than the start-up; no slope", flush=True)
        return
    size = np.log(np.asarray(GROWTH, dtype=float))
    ledger.facts |= {
        "start_up": start,
        "seconds": seconds,
        "rss_anon_mib": memory,
        # Of a + b n^e the steps from n to 4 n grow as n^e, whatever the start-up a is.
        "slope": float(np.polyfit(size[:-1], np.log(np.diff(np.asarray(seconds))), 1)[0]),
        "slope_less_start": float(np.polyfit(size, np.log(np.asarray(work)), 1)[0]),
        "slope_raw": float(np.polyfit(size, np.log(np.asarray(seconds)), 1)[0]),
    }
    ledger.write()
    _draw(seconds, work, memory)


def _draw(seconds: list[float], work: list[float], memory: list[float]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6))
    left.loglog(GROWTH, seconds, "o-", label="whole process")
    left.loglog(GROWTH, work, "s--", label="less start-up")
    left.set(xlabel="images", ylabel="seconds", title="One epoch of a linear probe, 32 × 32 pixels")
    left.legend()
    right.semilogx(GROWTH, memory, "o-")
    right.set(xlabel="images", ylabel="MiB", title="Peak anonymous memory", ylim=(0, None))
    figure.tight_layout()
    figure.savefig((PLACE if SMALL else ROOT / "docs") / "growth.png", dpi=120)


def _forget(prefix: str) -> None:
    for path in (PLACE / ".data").glob(f"{prefix}*"):
        shutil.rmtree(path)


STEPS: dict[str, Callable[[Ledger, argparse.Namespace], None]] = {
    f.__name__: f for f in (photos, texts, last_block, full, growth, exact, fire)
}


def main() -> None:
    """Run what has no result yet, then write docs/numbers.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(STEPS)}; numbers: only write"
    )
    parser.add_argument("--rounds", type=int, default=1 if SMALL else 3)
    parser.add_argument("--confirm-all", action="store_true", help="all epochs of every peer, once")
    parser.add_argument("--retry", action="store_true", help="run again what failed")
    asked = parser.parse_args()
    unknown = set(asked.names) - {*STEPS, "numbers"}
    if unknown or asked.rounds < 1:
        parser.error(f"no step {', '.join(sorted(unknown))}" if unknown else "--rounds counts from 1")
    os.chdir(ROOT)
    for name, step in STEPS.items():
        if not asked.names or name in asked.names:
            step(Ledger(name, asked.retry), asked)
    write_numbers(RESULTS, PLACE / "numbers.md" if SMALL else ROOT / "docs" / "numbers.md")


if __name__ == "__main__":
    main()
