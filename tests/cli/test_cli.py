"""The command line: the same verbs and options as in Python, and forms for people, files and machines."""

from __future__ import annotations

import errno
import inspect
import io
import json
import os
import pty
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Tunesmith = Callable[..., Any]

TINY = ("--model", "timm/test_resnet@none", "--image-size", "32", "--batch", "8", "--device", "cpu")
QUICK = (*TINY, "--strategy", "full", "--epochs", "1", "--keep", "trained")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def two_reviews(tmp_path: Path) -> Path:
    """A table of two texts, without labels."""
    path = tmp_path / "new.csv"
    path.write_text("text\nlovely and warm\ndull and cold\n")
    return path


@pytest.fixture(scope="session")
def review_run(
    reviews: Path, tiny_text: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a finished run on `reviews`."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    out = tmp_path_factory.mktemp("runs") / "reviews"
    model = f"hf/{tiny_text('bert')}"
    ts.fit(reviews, model=model, strategy="linear_probe", epochs=1, device="cpu", out=out, reporter=Silent())
    return out


def weights(run: Path) -> bytes:
    """The bytes of a run's weights."""
    return (run / "model" / "weights.safetensors").read_bytes()


# Twins


def commands() -> dict[str, Any]:
    """Every command by name, as typer holds it."""
    import typer

    from tunesmith.cli.app import app

    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def verbs() -> dict[str, Callable[..., Any]]:
    """Every verb's function by the command's name."""
    from tunesmith.verbs.check import check
    from tunesmith.verbs.compare import compare
    from tunesmith.verbs.evaluate import evaluate
    from tunesmith.verbs.exporting import export
    from tunesmith.verbs.fit import fit
    from tunesmith.verbs.looking import demo, models, plan, stages
    from tunesmith.verbs.predict import predict
    from tunesmith.verbs.rank import rank
    from tunesmith.verbs.rates import lr
    from tunesmith.verbs.report import report
    from tunesmith.verbs.resume import resume
    from tunesmith.verbs.storing import store
    from tunesmith.verbs.verifying import verify

    working = (fit, resume, check, rank, evaluate, predict, report, compare, export, verify)
    return {v.__name__: v for v in (*working, stages, plan, lr, models, store, demo)}


@pytest.mark.parametrize("name", verbs())
def test_a_verb_has_the_same_options_on_both_doors(name: str) -> None:
    of_python = set(inspect.signature(verbs()[name]).parameters) - {"reporter"}
    of_command = {p.name for p in commands()[name].params if p.name != "help"}
    only_here = {"json", "quiet", "output"}
    # What cannot be typed: data in memory.
    only_python = {"resume": {"data", "model"}, "report": {"data"}, "export": {"data"}}.get(name, set())
    assert of_command - only_here == of_python - only_python


@pytest.mark.parametrize("name", verbs())
def test_a_verb_has_the_same_defaults_on_both_doors(name: str) -> None:
    parameters = inspect.signature(verbs()[name]).parameters
    differing = {
        p.name: (p.default, parameters[p.name].default)
        for p in commands()[name].params
        if p.name in parameters
        and parameters[p.name].default is not inspect.Parameter.empty
        and p.default != parameters[p.name].default
    }
    assert differing == {}


@pytest.mark.parametrize("name", verbs())
def test_every_option_is_explained(name: str) -> None:
    assert [p.name for p in commands()[name].params if not p.help] == []


def test_what_is_on_by_default_can_be_turned_off(tunesmith: Tunesmith) -> None:
    assert "--no-replay" in tunesmith("fit", "--help").out
    answer = tunesmith("fit", "nowhere", "--no-replay")
    assert (answer.code, "nothing is at nowhere" in answer.err) == (2, True)


def test_every_verb_is_a_command_and_the_rest_are_lists() -> None:
    assert set(commands()) - set(verbs()) == {"tasks", "strategies", "scores", "sources", "formats"}


# Help


@pytest.mark.parametrize("name", commands())
def test_the_help_of_a_command_has_an_example(name: str, tunesmith: Tunesmith) -> None:
    answer = tunesmith(name, "--help")
    assert answer.code == 0
    assert f"Example: tunesmith {name}" in answer.out


def test_the_examples_of_the_help_are_not_wrapped(tunesmith: Tunesmith) -> None:
    lines = [line.strip() for line in tunesmith("--help").out.splitlines()]
    assert "tunesmith fit photos/ --model timm/mobilenetv2_100 --strategy gradual" in lines


def test_the_command_alone_shows_the_help(tunesmith: Tunesmith) -> None:
    alone = tunesmith()
    assert alone.code == 0
    assert alone.out == tunesmith("--help").out


def test_the_version_is_that_of_the_package(tunesmith: Tunesmith) -> None:
    import tunesmith as ts

    assert tunesmith("--version").out == f"tunesmith {ts.__version__}\n"


def test_the_help_answers_before_torch_is_imported() -> None:
    code = (
        "import sys; sys.argv = ['tunesmith', '--help']\n"
        "from tunesmith.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'datasets', 'transformers', 'numpy', 'sklearn', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "Commands:" in answer.stdout


def test_the_help_answers_at_once() -> None:
    def best(*words: str) -> float:
        times = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *words], capture_output=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(times)

    # Work, not time on the wall: machines that run tests are shared.
    assert best("-m", "tunesmith", "--help") - best("-c", "pass") < 0.5


@pytest.mark.parametrize("name", ["tasks", "strategies", "scores", "sources"])
def test_a_list_names_every_member_and_says_what_it_is(name: str, tunesmith: Tunesmith) -> None:
    from tunesmith.choosing.scores import SCORES
    from tunesmith.sources import SOURCES
    from tunesmith.strategies import STRATEGIES
    from tunesmith.tasks import TASKS

    registry = {"tasks": TASKS, "strategies": STRATEGIES, "scores": SCORES, "sources": SOURCES}[name]
    lines = tunesmith(name).out.splitlines()
    assert [line.split()[0] for line in lines] == registry.names()
    assert all(len(line.split()) > 3 for line in lines)


# Looking


def test_a_plan_is_printed_with_the_names_of_the_stages(tunesmith: Tunesmith) -> None:
    lines = tunesmith("plan", "--stages", 3, "--strategy", "full", "--epochs", 2).out.splitlines()
    assert lines[0].split() == ["phase", "epochs", "stage", "0", "stage", "1", "stage", "2", "head"]
    assert lines[1].split()[:2] == ["full", "2"]


def test_a_printed_plan_can_be_given_to_fit(tunesmith: Tunesmith, here: Path, photos: Path) -> None:
    model = "timm/test_resnet@none"
    text = tunesmith("plan", "--model", model, "--strategy", "full", "--epochs", 1, "--json").out
    (here / "plan.json").write_text(text)
    answer = tunesmith("fit", photos, *TINY, "--plan", "plan.json", "--out", "run")
    assert answer.code == 0, answer.err
    assert len((here / "run" / "history.jsonl").read_text().splitlines()) == 1


def test_stages_are_listed_with_their_share_of_the_work(tunesmith: Tunesmith) -> None:
    rows = json.loads(tunesmith("stages", "timm/test_resnet@none", "--json").out)
    assert [row["stage"] for row in rows][-2:] == ["layer4", "fc"]
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert "layer4" in tunesmith("stages", "timm/test_resnet@none").out


def test_the_stages_of_a_run_are_listed(tunesmith: Tunesmith, photo_run: Path) -> None:
    assert "layer4" in tunesmith("stages", photo_run).out


def test_models_are_found_by_a_part_of_their_name(tunesmith: Tunesmith) -> None:
    found = json.loads(tunesmith("models", "test_resnet", "--source", "timm", "--json").out)
    assert "timm/test_resnet" in {model["name"].partition(".")[0] for model in found}
    assert all("test_resnet" in model["name"] for model in found)


# Forms of output


def test_a_file_gets_plain_lines(tunesmith: Tunesmith, here: Path, photos: Path) -> None:
    answer = tunesmith("fit", photos, *QUICK, "--out", "run")
    lines = answer.err.splitlines()
    assert answer.out == ""
    assert "\x1b" not in answer.err
    assert lines[0] == "photos: 48 images in 3 classes, read from class folders"
    heading = next(i for i, line in enumerate(lines) if line.split()[:2] == ["phase", "epoch"])
    assert lines[heading + 1].split()[:2] == ["full", "1"]
    assert lines[-2:] == ["run: run", "next: tunesmith predict run FILE_OR_TEXT"]
    assert max(len(line) for line in lines[heading : heading + 2]) <= 80


def test_quiet_says_nothing_on_success(tunesmith: Tunesmith, here: Path, photos: Path) -> None:
    answer = tunesmith("fit", photos, *QUICK, "--out", "run", "--quiet")
    assert (answer.code, answer.out, answer.err) == (0, "", "")


def test_json_is_all_that_a_machine_gets(tunesmith: Tunesmith, here: Path, photos: Path) -> None:
    answer = tunesmith("fit", photos, *QUICK, "--out", "run", "--json")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in answer.out.splitlines()]
    assert answer.err == ""
    assert [row["event"] for row in rows if "event" in row and row["event"] != "Step"] == [
        "PhaseStart",
        "EpochEnd",
        "PhaseEnd",
    ]
    assert rows[-1]["finished"] == str(here / "run")
    assert rows[-1]["scores"]["test"]["count"] == 7


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    from tunesmith.cli.drawing import Json
    from tunesmith.training.events import Step

    Json().event(Step("head", 1, 2, float("nan"), 1e-3, 8))
    assert json.loads(capsys.readouterr().out)["loss"] is None


def test_a_terminal_gets_a_bar_a_row_an_epoch_and_a_box(photo_run: Path) -> None:
    from rich.console import Console

    from tunesmith.cli.drawing import Live
    from tunesmith.plan import Phase
    from tunesmith.runs import Run
    from tunesmith.training.events import EpochEnd, PhaseEnd, PhaseStart, Step

    screen = io.StringIO()
    live = Live(Console(file=screen, force_terminal=True, width=80, highlight=False))
    phase = Phase("head", 1, (0.0, 1e-3))
    run = Run.open(photo_run)
    live.event(PhaseStart(0, phase, 5, 99))
    live.event(Step("head", 5, 5, 0.25, 1e-3, 8))
    live.event(EpochEnd(run.history[0], True))
    live.event(PhaseEnd(0, phase, None))
    live.finished(run)
    seen = screen.getvalue()
    assert "━" in seen
    assert "5/5" in seen
    assert "loss 0.2500" in seen
    assert "head           1" in seen
    box = seen[seen.index("╭") :]
    for part in ("this run", "linear probe", "majority class", "run:", "next: tunesmith predict"):
        assert part in box
    assert max(len(line) for line in box.splitlines()) == 80


def test_a_real_terminal_gets_its_cursor_back(here: Path, photos: Path) -> None:
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tunesmith", "fit", str(photos), *QUICK, "--out", "run"],
        stderr=child,
        stdout=child,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "90"},
    )
    os.close(child)
    seen = b""
    while True:
        try:
            piece = os.read(parent, 65536)
        except OSError:  # Linux says so where the other end is closed
            break
        if not piece:
            break
        seen += piece
    os.close(parent)
    text = seen.decode()
    assert process.wait() == 0, text
    assert "━" in text
    assert "╰" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_a_dry_run_writes_nothing_and_prints_the_plan(tunesmith: Tunesmith, here: Path, photos: Path) -> None:
    answer = tunesmith("fit", photos, *QUICK, "--dry-run")
    assert answer.code == 0
    assert "full        1    1e-04" in answer.err
    assert list(here.iterdir()) == []


def test_runs_lie_under_runs_and_latest_is_the_newest(tunesmith: Tunesmith, here: Path, photos: Path) -> None:
    assert tunesmith("fit", photos, *QUICK).code == 0
    first = (here / "runs" / "latest").resolve()
    assert tunesmith("fit", photos, *QUICK).code == 0
    second = (here / "runs" / "latest").resolve()
    assert first != second
    assert sorted(p.resolve() for p in (here / "runs").glob("photos-*")) == [first, second]
    assert tunesmith("predict", "runs/latest", photos / "red" / "00.png").code == 0


# Configuration, and the same bits


def test_a_configuration_is_the_same_as_its_options(tunesmith: Tunesmith, here: Path, photos: Path) -> None:
    (here / "fit.yaml").write_text(
        f"data: {photos}\nmodel: timm/test_resnet@none\nimage-size: 32\nbatch: 8\ndevice: cpu\n"
        "strategy: full\nepochs: 1\nlr: 1e-2\nkeep: trained\n"
    )
    assert tunesmith("fit", "--config", "fit.yaml", "--out", "a").code == 0
    assert tunesmith("fit", photos, *QUICK, "--lr", "0.01", "--out", "b").code == 0
    assert (here / "a" / "asked.yaml").read_text() == (here / "b" / "asked.yaml").read_text()
    assert weights(here / "a") == weights(here / "b")


def test_the_command_line_wins_over_the_configuration_even_with_a_default(
    tunesmith: Tunesmith, here: Path, photos: Path
) -> None:
    (here / "fit.yaml").write_text("epochs: 2\nseed: 7\nstrategy: full\n")
    answer = tunesmith(
        "fit", photos, *TINY, "--config", "fit.yaml", "--epochs", 1, "--seed", 0, "--out", "run"
    )
    assert answer.code == 0, answer.err
    asked = (here / "run" / "asked.yaml").read_text()
    assert "epochs: 1.0\n" in asked
    assert "seed: 0\n" in asked
    assert "strategy: full\n" in asked


def test_python_wins_over_the_configuration_even_with_a_default(here: Path, photos: Path) -> None:
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    (here / "fit.yaml").write_text(
        "data: nowhere\nmodel: timm/test_resnet@none\nimage_size: 32\nstrategy: full\nepochs: 1\nseed: 7\n"
    )
    run = ts.fit(photos, config="fit.yaml", seed=0, out="run", reporter=Silent())
    assert run is not None
    assert run.asked["seed"] == 0
    assert run.asked["data"] == str(photos)


def test_what_a_run_was_asked_repeats_it_bit_for_bit(
    tunesmith: Tunesmith, here: Path, photos: Path, photo_run: Path
) -> None:
    answer = tunesmith("fit", "--config", photo_run / "asked.yaml", "--out", "again")
    assert answer.code == 0, answer.err
    assert weights(here / "again") == weights(photo_run)
    other = tunesmith("fit", "--config", photo_run / "asked.yaml", "--out", "other", "--seed", 1)
    assert other.code == 0, other.err
    assert weights(here / "other") != weights(photo_run)  # or the comparison is blind


def test_a_run_with_an_edited_plan_repeats_with_its_own_plan(
    tunesmith: Tunesmith, here: Path, photos: Path, photo_run: Path
) -> None:
    plan = json.loads((photo_run / "plan.json").read_text())
    plan["phases"] = plan["phases"][1:]
    plan["phases"][0]["epochs"] = 1
    plan["settings"]["label_smoothing"] = 0.3
    (here / "plan.json").write_text(json.dumps(plan))
    assert tunesmith("fit", photos, *TINY, "--plan", "plan.json", "--out", "a").code == 0
    (here / "plan.json").unlink()
    answer = tunesmith("fit", "--config", here / "a" / "asked.yaml", "--out", "b")
    assert answer.code == 0, answer.err
    assert weights(here / "a") == weights(here / "b")


def test_an_edited_plan_is_obeyed(tunesmith: Tunesmith, here: Path, photos: Path, photo_run: Path) -> None:
    plan = json.loads((photo_run / "plan.json").read_text())
    plan["phases"] = [{"name": "mine", "epochs": 1, "lrs": [0, 0, 0, 0, 0, 0.005, 0, 0.01]}]
    plan["settings"]["batch"] = 17
    (here / "plan.json").write_text(json.dumps(plan))
    answer = tunesmith("fit", photos, *TINY, "--plan", "plan.json", "--keep", "trained", "--out", "run")
    assert answer.code == 0, answer.err
    assert "not obeyed: batch" in answer.err
    (row,) = [json.loads(line) for line in (here / "run" / "history.jsonl").read_text().splitlines()]
    assert (row["phase"], row["steps"]) == ("mine", 2)
    moved = changed(here / "run", seed=0)
    assert {name.partition(".")[0] for name in moved} == {"layer3", "fc"}


def changed(run: Path, *, seed: int) -> set[str]:
    """The names of the weights that differ from those that the run began with."""
    import torch
    from safetensors.torch import load_file

    from tunesmith.networks.network import Want
    from tunesmith.sources import load
    from tunesmith.verbs.loading import seed_everything

    seed_everything(seed)
    labels = ("blue", "green", "red")
    network = load("timm/test_resnet@none", Want("image-classification", 3, labels, image_size=32))
    before = network.module.state_dict()
    after = load_file(run / "model" / "weights.safetensors")
    return {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}


def test_the_same_command_twice_gives_the_same_bits(tunesmith: Tunesmith, here: Path, photos: Path) -> None:
    for out in ("a", "b"):
        assert tunesmith("fit", photos, *QUICK, "--augment", "standard", "--out", out).code == 0
    assert weights(here / "a") == weights(here / "b")
    assert (here / "a" / "scores.json").read_bytes() == (here / "b" / "scores.json").read_bytes()


def test_a_time_limit_ends_training_with_a_scored_run(tunesmith: Tunesmith, here: Path, photos: Path) -> None:
    answer = tunesmith(
        "fit", photos, *TINY, "--strategy", "full", "-e", 10_000, "--time-limit", "1s", "-o", "run"
    )
    assert answer.code == 0, answer.err
    assert "ended early: time limit" in answer.err
    assert json.loads((here / "run" / "scores.json").read_text())["ended"] == "time limit"


# Predict and evaluate


def rows_of(text: str) -> list[list[str]]:
    """The cells of a CSV."""
    return [line.split(",") for line in text.splitlines()]


def test_predictions_of_single_files_are_a_table(tunesmith: Tunesmith, photo_run: Path, photos: Path) -> None:
    answer = tunesmith("predict", photo_run, photos / "red" / "00.png", photos / "blue" / "01.png")
    heading, first, second = rows_of(answer.out)
    assert heading == ["item", "label", "probability"]
    assert first[0].endswith("red/00.png")
    assert second[0].endswith("blue/01.png")
    assert answer.err == ""


def test_predictions_of_a_folder_are_a_row_per_file(
    tunesmith: Tunesmith, photo_run: Path, photos: Path
) -> None:
    rows = rows_of(tunesmith("predict", photo_run, photos / "red", "--probabilities").out)
    assert rows[0] == ["item", "label", "probability", "p(blue)", "p(green)", "p(red)"]
    assert len(rows) == 17
    assert all(sum(map(float, row[3:])) == pytest.approx(1, abs=1e-5) for row in rows[1:])


def test_predictions_of_a_table_are_a_row_per_row(
    tunesmith: Tunesmith, review_run: Path, two_reviews: Path
) -> None:
    rows = rows_of(tunesmith("predict", review_run, two_reviews).out)
    assert [row[0] for row in rows[1:]] == ["lovely and warm", "dull and cold"]


def test_predictions_of_texts_are_the_same_however_they_come(
    tunesmith: Tunesmith, review_run: Path, two_reviews: Path
) -> None:
    typed = tunesmith("predict", review_run, "lovely and warm", "dull and cold").out
    assert typed == tunesmith("predict", review_run, two_reviews).out
    assert typed == tunesmith("predict", review_run, stdin="lovely and warm\n\ndull and cold\n").out
    assert typed == tunesmith("predict", review_run, "-", stdin="lovely and warm\ndull and cold\n").out


def test_a_text_longer_than_a_file_name_can_be_is_a_text(tunesmith: Tunesmith, review_run: Path) -> None:
    assert len(rows_of(tunesmith("predict", review_run, "a lovely day " * 100).out)) == 2


def test_images_are_named_on_standard_input(tunesmith: Tunesmith, photo_run: Path, photos: Path) -> None:
    rows = rows_of(tunesmith("predict", photo_run, stdin=f"{photos / 'red' / '00.png'}\n").out)
    assert len(rows) == 2


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_predictions_are_written_in_four_forms(
    ending: str, tunesmith: Tunesmith, review_run: Path, here: Path
) -> None:
    import pandas as pd

    answer = tunesmith("predict", review_run, "lovely", "dull, cold", "--output", f"answers.{ending}")
    assert (answer.code, answer.out, answer.err) == (0, "", "")
    readers: Mapping[str, Callable[..., Any]] = {
        "csv": pd.read_csv,
        "tsv": lambda path: pd.read_csv(path, sep="\t"),
        "jsonl": lambda path: pd.read_json(path, lines=True),
        "parquet": pd.read_parquet,
    }
    frame = readers[ending](here / f"answers.{ending}")
    assert list(frame.columns) == ["item", "label", "probability"]
    assert list(frame["item"]) == ["lovely", "dull, cold"]
    assert frame["probability"].between(0.5, 1).all()


def test_evaluation_prints_an_interval_for_every_class(
    tunesmith: Tunesmith, photo_run: Path, photos: Path
) -> None:
    lines = tunesmith("evaluate", photo_run, photos).out.splitlines()
    assert lines[0] == "48 examples, with 95 % intervals"
    table = {line.split()[0]: line for line in lines[lines.index("") + 1 :]}
    assert list(table) == ["class", "blue", "green", "red"]
    assert table["class"].split() == ["class", "precision", "recall", "F1"]
    assert table["red"].count("[") == 3


def test_evaluation_is_json_for_machines(tunesmith: Tunesmith, photo_run: Path, photos: Path) -> None:
    scores = json.loads(tunesmith("evaluate", photo_run, photos, "--json").out)
    assert scores["count"] == 48
    assert scores["metrics"]["recall/red"]["low"] <= scores["metrics"]["recall/red"]["value"]


# Interrupted


def test_ctrl_c_leaves_a_run_that_can_be_resumed(tunesmith: Tunesmith, here: Path, photos: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tunesmith",
            "fit",
            str(photos),
            *TINY,
            "-s",
            "full",
            "-e",
            "20",
            "--json",
            "--out",
            "run",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if '"EpochEnd"' in line:
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.strip() == "stopped; go on with: tunesmith resume run"
    assert not (here / "run" / "scores.json").exists()
    history = (here / "run" / "history.jsonl").read_text()
    assert 1 <= len(history.splitlines()) < 20
    assert not list(here.rglob("*.tmp"))
    again = tunesmith("resume", "run")
    assert again.code == 0
    assert "going on after" in again.err
    assert (here / "run" / "history.jsonl").read_text().startswith(history)
    assert len((here / "run" / "history.jsonl").read_text().splitlines()) == 20


def test_ctrl_c_while_nothing_has_begun_says_so(
    tunesmith: Tunesmith, here: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.verbs import loading

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "load_network", interrupted)
    answer = tunesmith("fit", photos, *QUICK)
    assert answer.code == 130
    assert answer.err.splitlines()[-1] == "stopped"
    assert list(here.iterdir()) == []


def test_ctrl_c_before_the_first_step_names_the_way_on(
    tunesmith: Tunesmith, here: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.verbs import carrying_out

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(carrying_out, "baselines_of", interrupted)
        answer = tunesmith("fit", photos, *QUICK, "--out", "run")
    assert answer.code == 130
    assert answer.err.splitlines()[-1] == "stopped; go on with: tunesmith resume run"
    assert tunesmith("resume", "run").code == 0


# What goes wrong underneath


def test_a_closed_pipe_is_no_error(tunesmith: Tunesmith, monkeypatch: pytest.MonkeyPatch) -> None:
    import tunesmith.cli.app as doors

    def closed() -> None:
        raise BrokenPipeError

    monkeypatch.setattr(doors, "app", closed)
    assert tunesmith("tasks").code == 0


def test_a_full_disk_is_one_line(tunesmith: Tunesmith, monkeypatch: pytest.MonkeyPatch) -> None:
    import tunesmith.cli.app as doors

    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "runs/x/model")

    monkeypatch.setattr(doors, "app", full)
    answer = tunesmith("fit")
    assert (answer.code, answer.err) == (1, "error: No space left on device: runs/x/model\n")
