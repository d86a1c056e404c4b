"""`tunesmith check`, and what `fit` says of the data before it trains and of the score after it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

Tunesmith = Callable[..., Any]
TINY = ("--model", "timm/test_resnet@none", "--image-size", "32", "--device", "cpu")


@pytest.fixture
def leaky(photos: Path, tmp_path: Path) -> Path:
    """`photos` in given splits: test has a copy of a training photo, and one saved again as JPEG."""
    from PIL import Image

    folder = tmp_path / "leaky"
    for name in ("red", "green", "blue"):
        for split, numbers in (("train", range(10)), ("valid", range(10, 13)), ("test", range(13, 16))):
            (folder / split / name).mkdir(parents=True)
            for i in numbers:
                shutil.copy(photos / name / f"{i:02d}.png", folder / split / name)
    shutil.copy(folder / "train" / "red" / "00.png", folder / "test" / "red" / "copy.png")
    Image.open(folder / "train" / "blue" / "01.png").save(folder / "test" / "blue" / "again.jpg", quality=95)
    return folder


def kinds(answer: Any) -> dict[str, Any]:
    """The findings of `check --json` by kind."""
    return {finding["kind"]: finding for finding in json.loads(answer.out)["findings"]}


def test_a_table_names_what_is_wrong_and_what_to_do(tunesmith: Tunesmith, leaky: Path) -> None:
    answer = tunesmith("check", leaky)
    assert answer.code == 0
    assert "Byte for byte the same in more than one split: 1 image;" in answer.out
    assert "test/red/copy.png" in answer.out
    assert "The score flatters by them" in answer.out
    assert "not looked for: suspected label errors" in answer.out
    assert "Traceback" not in answer.out + answer.err


def test_as_json_it_is_one_document_and_the_same_each_time(tunesmith: Tunesmith, leaky: Path) -> None:
    first, second = tunesmith("check", leaky, "--json"), tunesmith("check", leaky, "--json")
    assert first.out == second.out
    found = kinds(first)
    assert found["byte_equal_across"]["values"]["leaked"] == 1
    (group,) = found["near_duplicates_across"]["groups"]
    assert {item["id"] for item in group} == {"train/blue/01.png", "test/blue/again.jpg"}
    assert first.err == ""


def test_sound_data_has_no_warning(tunesmith: Tunesmith, photos: Path) -> None:
    assert not kinds(tunesmith("check", photos, "--json"))


def test_a_bad_photo_is_a_finding_and_exit_code_0(tunesmith: Tunesmith, leaky: Path) -> None:
    (leaky / "train" / "red" / "02.png").write_bytes(b"")
    answer = tunesmith("check", leaky, "--json")
    assert answer.code == 0
    finding = kinds(answer)["unreadable"]
    assert (finding["level"], finding["groups"][0][0]["id"]) == ("error", "train/red/02.png")
    assert kinds(tunesmith("check", leaky, "--json", "--skip-bad"))["unreadable"]["level"] == "warning"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "nowhere"),
        (("PHOTOS", "--model", "timm/no_such_net"), "no_such_net"),
        (("PHOTOS", "--page", "no/such/folder/page.html"), "a folder that is not there"),
        (("PHOTOS", "--page", "."), "a page is written to a file, and . is a folder"),
        (("PHOTOS", "--lang", "fr"), "lang is en or zh"),
        (("PHOTOS", "--image-size", "0"), "image_size is a whole number from 1"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    tunesmith: Tunesmith, photos: Path, words: tuple[str, ...], said: str
) -> None:
    answer = tunesmith("check", *(photos if word == "PHOTOS" else word for word in words))
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_with_a_model_labels_are_looked_at_and_its_features_are_kept(
    tunesmith: Tunesmith, leaky: Path
) -> None:
    found = json.loads(tunesmith("check", leaky, "--json", *TINY).out)
    assert found["model"].startswith("timm/test_resnet")
    assert found["skipped"] == {}
    again = tunesmith("check", leaky, *TINY)
    assert "features of train" not in again.err  # they were computed the first time


def test_what_a_page_lacks_is_said_before_the_data_are_read(
    tunesmith: Tunesmith, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for package in ("jinja2", "matplotlib"):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, package, None)
            answer = tunesmith("check", photos, "--page", tmp_path / "health.html")
            assert answer.code == 2
            assert f"a page needs the package {package}" in answer.err
            assert "images" not in answer.err  # of what was understood
            assert tunesmith("check", photos).code == 0


def test_a_page_in_the_home_folder_is_written_there(
    tunesmith: Tunesmith, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.verbs.check import _page

    monkeypatch.setenv("HOME", str(tmp_path))
    assert _page("~/health.html", "en") == tmp_path / "health.html"


def test_rows_whose_image_is_missing_are_a_finding_and_are_not_left_out(
    tunesmith: Tunesmith, photos: Path, tmp_path: Path
) -> None:
    own_photos = Path(shutil.copytree(photos, tmp_path / "own"))
    rows = [f"{p.relative_to(own_photos)},{p.parent.name}" for p in sorted(own_photos.rglob("*.png"))]
    rows[3] = "blue/gone.png,blue"
    (own_photos / "list.csv").write_text("\n".join(["image,label", *rows]))
    answer = tunesmith("check", own_photos / "list.csv")
    assert answer.code == 0, answer.err
    assert "left out" not in answer.err
    assert "Named in the data, but not to be had: 1 images" in answer.out
    found = json.loads(tunesmith("check", own_photos / "list.csv", "--json").out)
    assert not [line for line in found["understood"] if "could not be had" in line]


def test_a_run_is_not_asked_of_the_labels_that_it_learned(
    tunesmith: Tunesmith, leaky: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    fitted(tunesmith, leaky, run)
    found = json.loads(tunesmith("check", leaky, "--json", "--model", run, "--device", "cpu").out)
    assert found["skipped"] == {"suspected_labels": "learned_from"}
    (leaky / "train" / "red" / "05.png").unlink()  # other data, as far as can be told
    found = json.loads(tunesmith("check", leaky, "--json", "--model", run, "--device", "cpu").out)
    assert found["skipped"] == {}


def test_texts_are_checked_with_a_tokenizer(
    tunesmith: Tunesmith, tmp_path: Path, tiny_text: Callable[[str], Path]
) -> None:
    lines = ["text,label"]
    lines += [
        f"item {'abcdefghij'[i % 10]} {i * 7919} {'good' if i % 2 else 'bad'},{'xy'[i % 2]}"
        for i in range(40)
    ]
    lines.append(f"{'very long ' * 60},x")
    path = tmp_path / "texts.csv"
    path.write_text("\n".join(lines) + "\n")
    found = kinds(tunesmith("check", path, "--json", "--model", f"hf/{tiny_text('bert')}", "--device", "cpu"))
    assert found["truncated_texts"]["values"]["count"] == 1
    assert found["truncated_texts"]["groups"][0][0]["id"].endswith(":42")


def test_a_page_is_written_with_pictures(tunesmith: Tunesmith, leaky: Path, tmp_path: Path) -> None:
    if not find_spec("tunesmith.reports.health_page"):
        pytest.skip("the page is not drawn yet")
    page = tmp_path / "health.html"
    answer = tunesmith("check", leaky, "--page", page)
    assert answer.code == 0
    assert str(page) in answer.out
    assert "data:image/jpeg;base64," in page.read_text(encoding="utf-8")


def test_of_many_classes_the_largest_and_the_smallest_are_shown() -> None:
    from rich.console import Console

    from tunesmith.cli.health import draw
    from tunesmith.health.finding import Health

    counts = {f"class {k:02d}": {"train": 100 - k, "valid": 1, "test": 1} for k in range(20)}
    stream = io.StringIO()
    draw(Health("many", "text", (), counts, ()), console=Console(file=stream, width=80))
    said = stream.getvalue()
    assert "… 8 more classes" in said
    assert "class 05" in said
    assert "class 06" not in said
    assert "class 14" in said
    assert "1,810" in said  # of all of them
    assert "nothing was found that needs your attention" in said


def test_a_bar_counts_what_is_done() -> None:
    from rich.console import Console

    from tunesmith.cli.drawing import Live

    stream = io.StringIO()
    with Live(Console(file=stream, force_terminal=True, width=80)).work("looking", 4) as done:
        done(3)
    assert "3/4" in stream.getvalue()


def fitted(tunesmith: Tunesmith, data: Path, out: Path) -> Any:
    answer = tunesmith("fit", data, *TINY, "--strategy", "linear_probe", "--epochs", 1, "--out", out)
    assert answer.code == 0, answer.err
    return answer


def test_fit_warns_of_leaks_and_restates_the_score_without_them(
    tunesmith: Tunesmith, leaky: Path, tmp_path: Path
) -> None:
    from tunesmith.health.saving import from_json

    answer = fitted(tunesmith, leaky, tmp_path / "run")
    assert "warning: Byte for byte the same in more than one split" in answer.err
    assert "tunesmith check DATA" in answer.err
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    fewer = scores["without_duplicates"]
    assert (fewer["count_left_out"], fewer["count"], scores["test"]["count"]) == (2, 9, 11)
    assert "without 2 near-duplicates of training examples" in answer.err
    health = from_json((tmp_path / "run" / "health.json").read_text("utf-8"))
    assert {"byte_equal_across", "near_duplicates_across"} <= {finding.kind for finding in health.findings}


def test_the_restated_score_is_that_of_the_rest(tunesmith: Tunesmith, leaky: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    fitted(tunesmith, leaky, tmp_path / "run")
    rows = pq.read_table(tmp_path / "run" / "predictions.parquet").to_pylist()
    rest = [row for row in rows if Path(row["id"]).name not in ("copy.png", "again.jpg")]
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    by_hand = sum(row["truth"] == row["label"] for row in rest) / len(rest)
    assert len(rest) == len(rows) - 2
    assert scores["without_duplicates"]["metrics"]["accuracy"]["value"] == pytest.approx(by_hand)


def test_without_leaks_the_score_stands_alone(tunesmith: Tunesmith, photos: Path, tmp_path: Path) -> None:
    answer = fitted(tunesmith, photos, tmp_path / "run")
    assert "without_duplicates" not in json.loads((tmp_path / "run" / "scores.json").read_text())
    assert "near-duplicate" not in answer.err


def test_with_a_bad_photo_left_out_the_leaks_are_still_the_right_ones(
    tunesmith: Tunesmith, leaky: Path, tmp_path: Path
) -> None:
    (leaky / "test" / "blue" / "13.png").write_bytes(b"")
    out = tmp_path / "run"
    words = ("--strategy", "linear_probe", "--epochs", 1, "--out", out, "--skip-bad")
    assert tunesmith("fit", leaky, *TINY, *words).code == 0
    fewer = json.loads((out / "scores.json").read_text())["without_duplicates"]
    assert (fewer["count_left_out"], fewer["count"]) == (2, 8)
