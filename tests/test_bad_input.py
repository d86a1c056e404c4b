"""What a person can get wrong is refused with one message: what was asked, what was found, what to do."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Refused = Callable[..., str]

TINY = ("--model", "timm/test_resnet@none", "--image-size", "32", "--device", "cpu")


@pytest.fixture
def refused(tunesmith: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """The message with which a command refuses; and nothing but the message is left behind."""
    monkeypatch.chdir(tmp_path)

    def message(*words: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        answer = tunesmith(*words)
        assert answer.code == 2, answer
        assert answer.out == ""
        lines = answer.err.splitlines()
        assert [line.startswith("error: ") for line in lines].count(True) == 1, answer.err
        assert lines[-1].startswith("error: ")
        assert not [line for line in lines if "Traceback" in line or "Warning" in line]
        assert sorted(tmp_path.rglob("*")) == before
        assert Path.cwd() == tmp_path
        said: str = lines[-1].removeprefix("error: ")
        return said

    return message


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    """Write a table."""

    def write(text: str, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def own_photos(photos: Path, tmp_path: Path) -> Path:
    """A copy of the photos that a test may spoil."""
    return Path(shutil.copytree(photos, tmp_path / "photos"))


@pytest.fixture
def own_run(photo_run: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may spoil."""
    return Path(shutil.copytree(photo_run, tmp_path / "run"))


@pytest.fixture
def begun(photo_run: Path, tmp_path: Path) -> Path:
    """A run that was interrupted before its end."""
    folder = Path(shutil.copytree(photo_run, tmp_path / "begun"))
    (folder / "scores.json").unlink()
    return folder


# Data


def test_a_missing_path_is_answered_with_a_guess(refused: Refused, own_photos: Path) -> None:
    said = refused("fit", "phots", *TINY)
    assert "phots" in said
    assert "did you mean 'photos'?" in said


def test_no_data_at_all_are_asked_for(refused: Refused) -> None:
    assert "tunesmith fit DATA" in refused("fit")


def test_an_empty_folder_is_called_empty(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty is an empty folder" in refused("fit", "empty", *TINY)


def test_one_class_is_nothing_to_learn(refused: Refused, own_photos: Path) -> None:
    shutil.rmtree(own_photos / "red")
    shutil.rmtree(own_photos / "green")
    said = refused("fit", own_photos, *TINY)
    assert "blue" in said
    assert "two" in said


def test_a_class_with_one_example_is_named(refused: Refused, own_photos: Path) -> None:
    for path in sorted((own_photos / "red").iterdir())[1:]:
        path.unlink()
    assert "single example (red)" in refused("fit", own_photos, *TINY)


def test_a_column_that_is_not_there_is_answered_with_a_guess(refused: Refused, reviews: Path) -> None:
    said = refused("fit", reviews, "--target", "lable")
    assert "lable" in said
    assert "'label'" in said


def test_a_number_that_is_no_class_is_named_with_file_and_row(
    refused: Refused, table: Callable[..., Path]
) -> None:
    said = refused("fit", table("text,label\none,a\ntwo,b\nthree,0.37\n"))
    assert "table.csv" in said
    assert "4" in said
    assert "0.37" in said


def test_a_truncated_jpeg_is_named(refused: Refused, own_photos: Path) -> None:
    from PIL import Image

    path = own_photos / "red" / "cut.jpg"
    Image.open(own_photos / "red" / "00.png").save(path)
    path.write_bytes(path.read_bytes()[:-300])
    said = refused("fit", own_photos, *TINY)
    assert "red/cut.jpg" in said
    assert "--skip-bad" in said


def test_a_text_that_is_called_jpg_is_named(refused: Refused, own_photos: Path) -> None:
    (own_photos / "red" / "note.jpg").write_text("not a picture")
    said = refused("fit", own_photos, *TINY)
    assert "1 of 49 images" in said
    assert said.count("red/note.jpg") == 1


def test_a_row_whose_image_is_missing_is_named(refused: Refused, own_photos: Path) -> None:
    rows = [f"{p.parent.name}/{p.name},{p.parent.name}" for p in sorted(own_photos.rglob("*.png"))]
    rows[3] = "blue/gone.png,blue"
    (own_photos.parent / "list.csv").write_text("\n".join(["image,label", *rows]))
    (own_photos.parent / "blue").symlink_to(own_photos / "blue")
    (own_photos.parent / "green").symlink_to(own_photos / "green")
    (own_photos.parent / "red").symlink_to(own_photos / "red")
    said = refused("fit", "list.csv", *TINY)
    assert "list.csv:5" in said
    assert "blue/gone.png" in said


def test_skipped_items_are_listed_and_counted(
    tunesmith: Callable[..., Any], own_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (own_photos / "red" / "note.jpg").write_text("not a picture")
    answer = tunesmith(
        "fit", own_photos, *TINY, "--skip-bad", "--strategy", "linear_probe", "-e", 1, "-o", "run"
    )
    assert answer.code == 0, answer.err
    assert "warning: left out: red/note.jpg" in answer.err
    assert "1 images left out, 48 kept" in answer.err
    assert "red/note.jpg" in (tmp_path / "run" / "plan.txt").read_text()


def test_empty_texts_are_named_with_their_rows(refused: Refused, table: Callable[..., Path]) -> None:
    rows = [f"some words {i},{'ab'[i % 2]}" for i in range(20)]
    rows[7] = ",b"
    assert "table.csv:9" in refused("fit", table("\n".join(["text,label", *rows])))


def test_missing_labels_are_named_with_their_rows(refused: Refused, table: Callable[..., Path]) -> None:
    rows = [f"some words {i},{'ab'[i % 2]}" for i in range(20)]
    rows[7] = "some words,"
    said = refused("fit", table("\n".join(["text,label", *rows])))
    assert "table.csv" in said
    assert "9" in said


def test_labels_that_are_missing_cannot_be_scored(refused: Refused, photo_run: Path, photos: Path) -> None:
    said = refused("evaluate", photo_run, photos / "red" / "00.png")
    assert "no label" in said
    assert "predict" in said


def test_a_label_that_was_never_learned_cannot_be_scored(
    refused: Refused, photo_run: Path, own_photos: Path
) -> None:
    (own_photos / "red").rename(own_photos / "rad")
    said = refused("evaluate", photo_run, own_photos)
    assert "'rad'" in said
    assert "did you mean 'red'?" in said


# Models and weights


def test_a_model_with_a_typo_is_answered_with_a_guess(refused: Refused, photos: Path) -> None:
    assert "test_resnet" in refused("fit", photos, "--model", "timm/test_resnt@none")


def test_a_source_with_a_typo_is_answered_with_a_guess(refused: Refused, photos: Path) -> None:
    assert "did you mean 'timm'?" in refused("fit", photos, "--model", "tim/test_resnet")


def test_weights_of_another_architecture_are_refused(refused: Refused, photos: Path, tmp_path: Path) -> None:
    import timm
    from safetensors.torch import save_file

    other = timm.create_model("test_vit", pretrained=False)
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    said = refused("fit", photos, "--model", f"timm/test_resnet@{tmp_path / 'other.safetensors'}")
    assert "other.safetensors" in said
    assert "test_resnet" in said


class Canary:
    """An object whose unpickling leaves a trace: what an attacker would put into a checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_code_in_a_checkpoint_never_runs(
    name: str, refused: Refused, photos: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import torch

    canary = tmp_path_factory.mktemp("canary") / "sang"
    torch.save({"conv1.0.weight": Canary(canary)}, tmp_path / name)
    said = refused("fit", photos, "--model", f"timm/test_resnet@{tmp_path / name}")
    assert name in said
    assert not canary.exists()
    with pytest.raises(Exception):  # noqa: B017, PT011  the control: unsafe loading would have run it
        pickle.loads(pickle.dumps(Canary(canary)))["x"]
    assert canary.exists()


def test_an_image_model_is_refused_for_texts(refused: Refused, reviews: Path) -> None:
    said = refused("fit", reviews, *TINY)
    assert "text" in said
    assert "image" in said


def test_a_text_model_is_refused_for_images(
    refused: Refused, photos: Path, tiny_text: Callable[[str], Path]
) -> None:
    folder = tiny_text("bert")
    said = refused("fit", photos, "--model", f"hf/{folder}")
    assert folder.name in said
    assert "does not serve this task" in said


def test_pictures_cannot_be_augmented_where_there_are_texts(
    refused: Refused, reviews: Path, tiny_text: Callable[[str], Path]
) -> None:
    said = refused("fit", reviews, "--model", f"hf/{tiny_text('bert')}", "--augment", "flip")
    assert "augment='flip'" in said
    assert "texts" in said


# Options


WRONG: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a learning rate of 1e9": (("--lr", "1e9"), ("lr", "1000000000.0", "1e-3")),
    "a learning rate of NaN": (("--lr", "nan"), ("lr", "nan")),
    "an unknown strategy": (("--strategy", "gradul"), ("'gradul'", "did you mean 'gradual'?")),
    "an unknown task": (("--task", "image-classificatoin"), ("did you mean 'image-classification'?",)),
    "an unknown balance": (("--balance", "weight"), ("'weight'", "did you mean 'weights'?")),
    "an unknown optimizer": (("--optimizer", "admw"), ("'admw'", "did you mean 'adamw'?")),
    "an unknown schedule": (("--schedule", "cosin"), ("did you mean 'cosine'?",)),
    "an unknown head": (("--head", "linaer"), ("'linaer'", "did you mean 'linear'?")),
    "an unknown metric": (("--metric", "acuracy"), ("'acuracy'", "did you mean 'accuracy'?")),
    "an unknown device": (("--device", "gpu"), ("'gpu'", "cuda")),
    "an unknown augmentation": (("--augment", "flipp"), ("did you mean 'flip'?",)),
    "unknown parts": (("--strategy", "full", "--parts", "norms"), ("'norms'", "norm")),
    "an unknown stage": (("-s", "surgical", "--unfreeze", "layer5"), ("'layer5'", "layer4")),
    "a share of stages": (("-s", "top", "--unfreeze", "half"), ("'half'", "how many")),
    "more stages than there are": (("-s", "top", "--unfreeze", "70"), ("70", "7")),
    "unfreeze where it means nothing": (("-s", "full", "--unfreeze", "2"), ("'full'", "top, surgical")),
    "negative epochs": (("--epochs", "-1"), ("epochs", "-1")),
    "no epochs": (("--epochs", "0"), ("epochs", "0")),
    "a batch of nothing": (("--batch", "0"), ("batch", "0")),
    "a dropout of two": (("--dropout", "2"), ("dropout", "2")),
    "a negative patience": (("--patience", "-1"), ("patience", "-1")),
    "a negative weight decay": (("--weight-decay", "-1"), ("weight decay", "-1")),
    "a soon time limit": (("--time-limit", "soon"), ("'soon'", "10m")),
    "images without pixels": (("--image-size", "0"), ("image_size", "0")),
    "a test split of everything": (("--test-size", "1"), ("test", "1")),
    "a negative seed": (("--seed", "-1"), ("seed", "-1")),
    "fp16 on a CPU": (("--precision", "fp16"), ("fp16", "fp32")),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_option_that_makes_no_sense_is_refused(case: str, refused: Refused, photos: Path) -> None:
    options, expected = WRONG[case]
    given = [*TINY, *options]
    said = refused("fit", photos, *given)
    assert [word for word in expected if word not in said] == [], said


def test_cuda_is_refused_where_there_is_none(refused: Refused, photos: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert "no CUDA GPU" in refused("fit", photos, *TINY, "--device", "cuda")


def test_an_unknown_option_is_answered_with_a_guess(tunesmith: Callable[..., Any]) -> None:
    answer = tunesmith("fit", "photos", "--stratgy", "full")
    assert answer.code == 2
    assert "--strategy" in answer.err


def test_an_unknown_command_is_answered_with_a_guess(tunesmith: Callable[..., Any]) -> None:
    answer = tunesmith("fti")
    assert answer.code == 2
    assert "'fit'" in answer.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epoch: 3\n", ("'epoch'", "did you mean 'epochs'?")),
        ("epochs: three\n", ("epochs", "'three'")),
        ("batch: many\n", ("batch", "'many'")),
        ("- epochs\n", ("name: value",)),
        ("epochs: [\n", ("YAML",)),
        ("data: '<in memory: list>'\n", ("data", "memory")),
    ],
)
def test_a_wrong_configuration_is_refused(
    text: str, expected: tuple[str, ...], refused: Refused, photos: Path, table: Callable[..., Path]
) -> None:
    path = table(text, "fit.yaml")
    given = [] if "data" in text else [photos]
    said = refused("fit", *given, *TINY, "--config", path)
    assert [word for word in expected if word not in said] == [], said


def test_a_configuration_that_is_not_there_is_named(refused: Refused, photos: Path) -> None:
    assert "fit.yml" in refused("fit", photos, "--config", "fit.yml")


# Plans


def test_a_plan_for_another_network_is_refused(refused: Refused, photos: Path, tmp_path: Path) -> None:
    from tunesmith.strategies.full import plan

    (tmp_path / "plan.json").write_text(plan(3, 1, 1e-3, head_lr=1e-3).to_json())
    said = refused("fit", photos, *TINY, "--plan", "plan.json")
    assert "3 stages" in said
    assert "has 7" in said


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (None, ("not JSON", "plan.json")),
        ({"fases": []}, ("'fases'", "did you mean 'phases'?")),
        ({"phases": []}, ("no phase",)),
        ({"phases": [{"name": "a", "epochs": 1, "lrs": [0.0, 1e9]}]}, ("1000000000.0", "10")),
        ({"phases": [{"name": "a", "epochs": 1, "lrs": [0.0, 0.0]}]}, ("nothing would train",)),
        ({"settings": {"optimizer": "admw"}}, ("did you mean 'adamw'?",)),
    ],
)
def test_a_plan_that_is_no_plan_is_refused(
    change: Any, expected: tuple[str, ...], refused: Refused, photos: Path, tmp_path: Path
) -> None:
    from tunesmith.strategies.full import plan

    whole = json.loads(plan(1, 1, 1e-3, head_lr=1e-3).to_json())
    text = "{" if change is None else json.dumps(whole | change)
    (tmp_path / "plan.json").write_text(text)
    said = refused("fit", photos, *TINY, "--plan", "plan.json")
    assert [word for word in expected if word not in said] == [], said


def test_a_plan_that_is_not_there_is_answered_with_a_guess(
    refused: Refused, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "plan.json").write_text("{}")
    assert "did you mean 'plan.json'?" in refused("fit", photos, *TINY, "--plan", "plam.json")


def test_a_plan_of_nothing_is_refused(refused: Refused) -> None:
    assert "--stages N" in refused("plan")


# Runs


def test_a_folder_that_is_not_empty_is_never_written_to(
    refused: Refused, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    said = refused("fit", photos, *TINY, "--out", "mine")
    assert "mine exists and is not empty" in said
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_place_that_cannot_be_written_to_is_refused_before_training(
    refused: Refused, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    said = refused("fit", photos, *TINY, "--out", "file/run")
    assert "file is a file" in said
    assert "--out" in said


def test_a_finished_run_cannot_be_resumed(refused: Refused, photo_run: Path) -> None:
    said = refused("resume", photo_run)
    assert "is finished" in said
    assert f"--model {photo_run}" in said


def test_a_folder_that_is_no_run_cannot_be_resumed(refused: Refused, photos: Path) -> None:
    said = refused("resume", photos)
    assert "no run at" in said
    assert "manifest.json" in said
    assert "runs/latest" in said


def test_a_run_that_is_not_there_is_answered_with_a_guess(refused: Refused, own_run: Path) -> None:
    assert "did you mean 'run'?" in refused("predict", "rum", "x.png")


def test_a_run_is_not_resumed_on_other_data(
    refused: Refused, begun: Path, own_photos: Path, tmp_path: Path
) -> None:
    import yaml

    from tunesmith.seals import seal

    asked = yaml.safe_load((begun / "asked.yaml").read_text())
    (begun / "asked.yaml").write_text(yaml.safe_dump(asked | {"data": str(own_photos)}))
    seal(begun)
    (own_photos / "red" / "00.png").unlink()
    said = refused("resume", begun)
    assert "the data are not those" in said
    assert "red/00.png gone" in said


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_weights_that_were_cut_short_are_not_loaded(
    verb: str, refused: Refused, own_run: Path, photos: Path
) -> None:
    weights = own_run / "model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    said = refused(verb, own_run, photos)
    assert "weights.safetensors" in said
    assert "cut short" in said


def test_weights_whose_header_lies_are_not_loaded(refused: Refused, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    assert "w.safetensors" in refused("fit", photos, "--model", f"timm/test_resnet@{tmp_path}/w.safetensors")


def test_a_batch_of_nothing_is_refused_for_predictions(
    refused: Refused, photo_run: Path, photos: Path
) -> None:
    assert "batch" in refused("predict", photo_run, photos, "--batch", 0)


def test_no_items_at_all_are_asked_for(refused: Refused, photo_run: Path) -> None:
    assert "standard input" in refused("predict", photo_run)


@pytest.mark.parametrize(
    ("name", "text"),
    [("asked.yaml", "["), ("asked.yaml", "- a"), ("manifest.json", "{}"), ("plan.json", "{")],
)
def test_a_damaged_run_is_not_resumed(name: str, text: str, refused: Refused, begun: Path) -> None:
    (begun / name).write_text(text)
    assert name in refused("resume", begun)


def test_an_unknown_optimizer_is_refused_for_a_plan_without_a_network(refused: Refused) -> None:
    assert "did you mean 'adamw'?" in refused("plan", "--stages", 3, "--optimizer", "admw")


def test_an_image_that_is_not_there_is_named(refused: Refused, photo_run: Path) -> None:
    assert "gone.png" in refused("predict", photo_run, "gone.png")


def test_a_file_of_an_unknown_kind_is_refused_before_anything_is_predicted(
    refused: Refused, photo_run: Path
) -> None:
    said = refused("predict", photo_run, "gone.png", "--output", "answers.xlsx")
    assert "answers.xlsx" in said
    assert ".parquet" in said
