"""A byte that changed in a run's files is found out when the file is read, or nothing reads it.

Of a finished run: whoever reads a file (open, predict, evaluate, scores, history ...) is told. Of an
unfinished one: resume is told, or goes on from the checkpoint before, or reads the same as before.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from tunesmith.errors import BadRun
from tunesmith.exports.card import CARD
from tunesmith.exports.golden import GOLDEN
from tunesmith.health.saving import HEALTH
from tunesmith.reports.predictions import Predictions, read_predictions
from tunesmith.runs import Run, load_model
from tunesmith.seals import SEALS, read_sealed, settle
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels
from tunesmith.training.state import read_checkpoint
from tunesmith.verbs.folders import EXAMPLES
from tunesmith.verbs.rankings import RANKING
from tunesmith.verbs.reporting import Silent

DRAWN, ALL = 100, 2_000
READERS: dict[str, Callable[[Run], object]] = {
    "asked.yaml": lambda run: run.asked,
    "manifest.json": lambda run: run.manifest,
    "plan.json": lambda run: run.plan,
    "history.jsonl": lambda run: run.history,
    "replay.json": lambda run: run.replay,
    "scores.json": lambda run: run.scores,
    "predictions.parquet": lambda run: run.predictions,
    "predictions-valid.parquet": lambda run: validation_of(run),
    "facts.json": lambda run: run.facts,
    HEALTH: lambda run: read_sealed(run.folder, HEALTH),
    GOLDEN: lambda run: read_sealed(run.folder, GOLDEN),
    RANKING: lambda run: read_sealed(run.folder, RANKING),  # there if these data were ranked before
    "model": lambda run: load_model(run.folder / "model"),
    EXAMPLES: lambda run: examples_of(run),
    SEALS: lambda run: (
        run.asked,
        run.manifest,
        run.plan,
        run.scores,
        run.history,
        run.replay,
        run.predictions,
        run.facts,
        read_sealed(run.folder, HEALTH),
        read_sealed(run.folder, GOLDEN),
        validation_of(run),
    ),
}


def validation_of(run: Run) -> Predictions:
    """What a run keeps of validation."""
    described = run.described
    task, labels = TASKS.load(described["task"])(), Labels.from_json(described["labels"])
    return read_predictions(run.folder, "valid", task, labels)


FOR_PEOPLE = ("log.txt", "plan.txt")  # nothing of tunesmith reads them


def examples_of(run: Run) -> bytes:
    return read_sealed(run.folder, EXAMPLES)


@pytest.fixture(scope="module")
def runs(photo_run: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Copies that a test may spoil: a finished run, and one that was stopped after its second epoch."""
    folder = tmp_path_factory.mktemp("flipped")
    shutil.copytree(photo_run, folder / "finished")
    seen = []

    class Impatient(Silent):
        def event(self, event: Any) -> None:
            seen.append(type(event).__name__)
            if seen.count("EpochEnd") == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ts.fit(
            photos,
            model="timm/test_resnet@none",
            image_size=32,
            epochs=4,
            keep="trained",
            batch=8,
            device="cpu",
            out=folder / "begun",
            reporter=Impatient(),
        )
    return {name: folder / name for name in ("finished", "begun")}


def flipped(path: Path, draw: random.Random) -> tuple[bytes, str]:
    """Change one bit, or the whole byte, somewhere in a file: what it held before, and where."""
    content = path.read_bytes()
    spot = draw.randrange(len(content))
    changed = bytearray(content)
    changed[spot] ^= draw.choice([1 << draw.randrange(8), draw.randrange(1, 256)])
    path.write_bytes(bytes(changed))
    return content, f"{path.name} at {spot}"


def fate_in_a_finished_run(run: Path, path: Path) -> str:
    """Whether a changed file is refused by whoever reads it."""
    name = path.relative_to(run).parts[0]
    damage = Run(run).damage()
    try:
        opened = Run.open(run)
        if name in READERS:
            READERS[name](opened)
    except BadRun as error:
        named = path.name in str(error) or path.name == SEALS
        return "refused" if named and damage else f"refused without its name: {error}"
    # Of the list itself, a line of a file for people may be the one that changed.
    return "not read, and named" if damage and name in (*FOR_PEOPLE, SEALS) else "silent"


def reading(run: Path) -> str:
    """Everything that a resume reads of a run, in words; but for its checkpoints."""
    opened = Run.open(run)
    choice = opened.replay
    said = [opened.asked, opened.manifest, opened.plan, choice, opened.history, examples_of(opened)]
    return repr(said)


def fate_in_an_unfinished_run(run: Path, path: Path, before: str) -> str:
    """Whether a resume is told of a changed file, or passes a changed checkpoint over, saying so."""
    if path.is_relative_to(run / "checkpoint"):
        snapshot, complaints = read_checkpoint(run / "checkpoint")
        place = path.relative_to(run / "checkpoint").parts[0]
        if snapshot is None or len(complaints) > 1:
            return f"lost: {complaints}"
        newest = place == max(p.name for p in (run / "checkpoint").iterdir())
        told = len(complaints) == 1 and place in complaints[0]
        return "passed over" if told else "not read" if not complaints and not newest else "silent"
    if path.name == HEALTH:
        return "written anew"  # by the resume, of the data that it reads
    try:
        after = reading(run)
    except BadRun:
        return "refused"
    if after == before:
        return "not read" if path.name in FOR_PEOPLE else "equal"
    return "silent"


def survey(runs: dict[str, Path], count: int, draw: random.Random) -> Counter[str]:
    """Flip so many bytes, each in a whole run, and count what became of them."""
    fates: Counter[str] = Counter()
    before = reading(runs["begun"])
    for i in range(count):
        kind = ("finished", "begun")[i % 2]
        run = runs[kind]
        files = sorted(p for p in run.rglob("*") if p.is_file() and p.name != CARD)  # yours to edit
        path = draw.choice(files)  # by files, not by bytes: else nearly all would hit the weights
        content, where = flipped(path, draw)
        try:
            finished = kind == "finished"
            fate = (
                fate_in_a_finished_run(run, path)
                if finished
                else fate_in_an_unfinished_run(run, path, before)
            )
        finally:
            path.write_bytes(content)
        fates[f"{kind}, {fate}"] += 1
        assert not fate.startswith(("silent", "lost", "refused without")), (kind, where, fate)
    assert Run(runs["finished"]).damage() == []
    return fates


def test_flipped_bytes_are_found_out(runs: dict[str, Path], seed: int) -> None:
    fates = survey(runs, DRAWN, random.Random(seed))
    assert fates["finished, refused"] > DRAWN // 4


@pytest.mark.full
def test_2000_flipped_bytes_are_found_out(runs: dict[str, Path], seed: int) -> None:
    """TUNESMITH_FLIPS names the file for what was counted, of which bench/results keeps one."""
    fates = survey(runs, ALL, random.Random(seed))
    assert sum(fates.values()) == ALL
    if os.environ.get("TUNESMITH_FLIPS"):
        result = {"flips": ALL, "seed": seed, "silent": 0, "fates": dict(sorted(fates.items()))}
        Path(os.environ["TUNESMITH_FLIPS"]).write_text(json.dumps(result, indent=1) + "\n")


def test_without_the_list_a_flipped_byte_would_pass(runs: dict[str, Path]) -> None:
    """The control: a digit of a score that became another one is still JSON."""
    run = runs["finished"]
    whole = {p: p.read_bytes() for p in (run / "scores.json", run / "files.sha256")}
    text = whole[run / "scores.json"].replace(b'"value": 0.', b'"value": 1.', 1)
    assert text != whole[run / "scores.json"]
    try:
        (run / "scores.json").write_bytes(text)
        with pytest.raises(BadRun, match=r"scores\.json was cut short or changed since it was written"):
            _ = Run.open(run).scores
        listed = whole[run / "files.sha256"].decode().splitlines(keepends=True)
        (run / "files.sha256").write_text("".join(line for line in listed if "scores.json" not in line))
        settle(run, "scores.json")  # a list that believes the change
        assert Run.open(run).scores
    finally:
        for path, content in whole.items():
            path.write_bytes(content)


def test_every_file_that_a_prediction_opens_is_one_that_is_checked(
    runs: dict[str, Path], photos: Path
) -> None:
    """What is "not read" above is not read by predict and evaluate either."""
    run = runs["finished"]
    opened: set[str] = set()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and watching and str(arguments[0]).startswith(str(run)):
            opened.add(Path(str(arguments[0])).relative_to(run).parts[0])

    watching = True
    sys.addaudithook(watch)
    ts.predict(run, [photos / "red" / "00.png"])
    ts.evaluate(run, photos)
    watching = False
    assert {"model", "asked.yaml"} <= opened
    assert opened <= set(READERS)


def test_a_report_of_damage_names_each_file(runs: dict[str, Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs["finished"], tmp_path / "run"))
    (run / "predictions.parquet").write_bytes(b"PAR1")
    (run / "model" / "network.json").unlink()
    assert [Path(said.split()[0]).name for said in Run(run).damage()] == [
        "predictions.parquet",
        "network.json",
    ]
