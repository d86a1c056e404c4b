"""What is refused is refused on the command line too: one line, exit code 2, nothing left behind."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Tunesmith = Callable[..., Any]
TINY = ("--model", "timm/test_resnet@none", "--image-size", "32", "--device", "cpu", "--dry-run")


@pytest.fixture
def own_photos(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the photos that a test may spoil."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(photos, tmp_path / "photos"))


SPOILT: dict[str, Callable[[Path], Path]] = {}


def spoilt(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    SPOILT[make.__name__.replace("_", " ")] = make
    return make


@spoilt
def an_empty_image(photos: Path) -> Path:
    (photos / "red" / "x.jpg").write_bytes(b"")
    return photos


@spoilt
def an_image_cut_short(photos: Path) -> Path:
    path = photos / "red" / "00.png"
    path.write_bytes(path.read_bytes()[:1000])
    return photos


@spoilt
def a_page_called_jpg(photos: Path) -> Path:
    (photos / "red" / "x.jpg").write_bytes(b"<html>404</html>")
    return photos


@spoilt
def a_link_to_itself(photos: Path) -> Path:
    (photos / "red" / "x.jpg").symlink_to("x.jpg")
    return photos


@spoilt
def a_ragged_table(photos: Path) -> Path:
    path = photos.parent / "a.csv"
    path.write_text("text,label\nw,a\nv,b,c\n")
    return path


@spoilt
def a_table_in_latin_1(photos: Path) -> Path:
    path = photos.parent / "a.csv"
    path.write_bytes("text,label\nné,a\n".encode("latin-1"))
    return path


@spoilt
def an_archive_that_is_none(photos: Path) -> Path:
    path = photos.parent / "a.zip"
    path.write_bytes(b"PK\3\4 and no more")
    return path


@spoilt
def arrays_that_are_none(photos: Path) -> Path:
    path = photos.parent / "a.npz"
    path.write_bytes(b"cos\nsystem\n(S'touch canary'\ntR.")
    return path


@spoilt
def an_image_named_to_deceive(photos: Path) -> Path:
    (photos / "red" / "x\nerror: nothing\x1b[2J.jpg").write_bytes(b"")
    return photos


@pytest.mark.parametrize("case", SPOILT)
def test_a_dry_run_refuses_in_one_line(case: str, tunesmith: Tunesmith, own_photos: Path) -> None:
    data = SPOILT[case](own_photos)
    before = sorted(own_photos.parent.rglob("*"))
    answer = tunesmith("fit", data, *TINY)
    assert answer.code == 2
    assert answer.out == ""
    lines = answer.err.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    assert "Traceback" not in answer.err
    assert "\x1b" not in answer.err
    assert sorted(own_photos.parent.rglob("*")) == before


def test_a_dry_run_of_the_photos_as_they_are_is_fine(tunesmith: Tunesmith, own_photos: Path) -> None:
    """The control."""
    assert tunesmith("fit", own_photos, *TINY).code == 0


def test_rows_whose_image_is_missing_are_left_out_listed_and_counted(
    tunesmith: Tunesmith, own_photos: Path
) -> None:
    rows = [f"{p.relative_to(own_photos)},{p.parent.name}" for p in sorted(own_photos.rglob("*.png"))]
    rows[3] = "blue/gone.png,blue"
    rows[9] = "blue/gone too.png,blue"
    (own_photos / "list.csv").write_text("\n".join(["image,label", *rows]))
    stopped = tunesmith("fit", own_photos / "list.csv", *TINY).err
    assert "list.csv:5 names the image blue/gone.png, which is not there, and 1 other row likewise" in stopped
    assert "--skip-bad" in stopped
    answer = tunesmith("fit", own_photos / "list.csv", *TINY, "--skip-bad")
    assert answer.code == 0, answer.err
    assert "left out: list.csv:5 names the image blue/gone.png, which is not there" in answer.err
    assert "left out: list.csv:11" in answer.err
    assert "2 images left out that could not be had, 46 kept" in answer.err


def test_predict_stops_at_a_damaged_photo_or_lists_it(
    tunesmith: Tunesmith, photo_run: Path, own_photos: Path
) -> None:
    (own_photos / "red" / "x.jpg").write_bytes(b"not a picture")
    stopped = tunesmith("predict", photo_run, own_photos / "red")
    assert stopped.code == 2
    assert stopped.err.startswith("error: ")
    assert "x.jpg is no image of a known format" in stopped.err
    assert "--skip-bad" in stopped.err
    assert stopped.out == ""
    answer = tunesmith("predict", photo_run, own_photos / "red", "--skip-bad")
    assert answer.code == 0
    assert "warning: left out: x.jpg is no image of a known format" in answer.err
    assert "warning: 1 item left out, 16 answered" in answer.err
    assert len(list(csv.DictReader(io.StringIO(answer.out)))) == 16


def test_evaluate_stops_at_what_cannot_be_scored_or_lists_it(
    tunesmith: Tunesmith, photo_run: Path, own_photos: Path
) -> None:
    (own_photos / "red" / "x.jpg").write_bytes(b"not a picture")
    rows = [
        "path,label",
        "red/x.jpg,red",
        *[f"red/{p.name},red" for p in sorted((own_photos / "red").glob("*.png"))],
        "red/00.png,",
    ]
    (own_photos / "list.csv").write_text("\n".join(rows) + "\n")
    stopped = tunesmith("evaluate", photo_run, own_photos / "list.csv")
    assert stopped.code == 2
    assert "has no label, and without it nothing can be scored; use predict" in stopped.err
    answer = tunesmith("evaluate", photo_run, own_photos / "list.csv", "--skip-bad", "--json")
    assert answer.code == 0, answer.err
    assert "x.jpg is no image of a known format" in answer.err
    assert "has no label" in answer.err
    assert "warning: 2 items left out, 16 scored" in answer.err
    assert json.loads(answer.out)["count"] == 16


def test_photos_of_which_none_has_a_label_leave_nothing_to_score(
    tunesmith: Tunesmith, photo_run: Path, own_photos: Path
) -> None:
    (own_photos / "list.csv").write_text("path,label\nred/00.png,\nred/01.png,\n")
    answer = tunesmith("evaluate", photo_run, own_photos / "list.csv", "--target", "label", "--skip-bad")
    assert answer.code == 2
    assert "nothing is left to score" in answer.err


def test_predict_says_that_the_cache_cannot_be_written(
    tunesmith: Tunesmith, photo_run: Path, own_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> tuple[int, str]:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tunesmith.data.stored.tempfile.mkstemp", refuse)
    answer = tunesmith("predict", photo_run, own_photos)
    assert (answer.code, answer.out) == (2, "")
    assert "Traceback" not in answer.err
    said = answer.err.splitlines()[-1]
    assert said.startswith("error: ")
    assert "Read-only file system" in said
    assert "TUNESMITH_CACHE" in said


def test_predict_says_when_nothing_can_be_read(
    tunesmith: Tunesmith, photo_run: Path, own_photos: Path
) -> None:
    (own_photos / "x.jpg").write_bytes(b"")
    answer = tunesmith("predict", photo_run, own_photos / "x.jpg", "--skip-bad")
    assert answer.code == 2
    assert "none of the 1 images can be read" in answer.err


def test_predictions_stand_beside_the_other_columns(
    tunesmith: Tunesmith, photo_run: Path, own_photos: Path
) -> None:
    (own_photos / "list.csv").write_text("image,label,who\nred/00.png,red,me\nblue/01.png,blue,you\n")
    rows = list(csv.DictReader(io.StringIO(tunesmith("predict", photo_run, own_photos / "list.csv").out)))
    assert [row["who"] for row in rows] == ["me", "you"]
    assert [row["label given"] for row in rows] == ["red", "blue"]
    assert {row["label"] for row in rows} <= {"red", "green", "blue"}
