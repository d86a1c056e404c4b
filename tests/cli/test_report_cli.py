"""`tunesmith report` and `tunesmith compare`, as a person types them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from tunesmith.errors import BadOption, BadRun
from tunesmith.seals import seal
from tunesmith.verbs.reporting import Silent

Call = Callable[..., Any]
paged = pytest.mark.skipif(not find_spec("tunesmith.reports.page"), reason="no page is drawn yet")
beside = pytest.mark.skipif(not find_spec("tunesmith.reports.compare_page"), reason="no page is drawn yet")


def fitted(data: Any, out: Path, **options: Any) -> Path:
    usual = {"model": "timm/test_resnet@none", "image_size": 32, "strategy": "full", "epochs": 1, "batch": 8}
    usual["keep"] = "trained"
    run = ts.fit(data, out=out, device="cpu", reporter=Silent(), **{**usual, **options})
    assert run is not None
    return run.folder


@pytest.fixture(scope="module")
def weak(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the same test photos as `photo_run`, nearly untrained."""
    return fitted(photos, tmp_path_factory.mktemp("runs") / "weak", lr=1e-6)


@paged
def test_a_report_lies_in_the_run_unless_told_otherwise(
    photo_run: Path, tunesmith: Call, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(photo_run, tmp_path / "run"))
    answer = tunesmith("report", run)
    assert answer.code == 0
    assert answer.out.strip() == str(run / "report.html")
    assert (run / "report.html").read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html")
    other = tunesmith("report", run, "--out", tmp_path / "page.html", "--lang", "zh")
    assert other.out.strip() == str(tmp_path / "page.html")
    assert 'lang="zh' in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert ts.Run.open(run).report(out=tmp_path / "again.html").is_file()


def test_a_language_that_no_page_is_written_in_is_refused(photo_run: Path, tunesmith: Call) -> None:
    answer = tunesmith("report", photo_run, "--lang", "fr")
    assert (answer.code, answer.err) == (2, "error: pages are written in en and zh; found 'fr'.\n")


def test_a_report_of_nothing_is_refused(tunesmith: Call, tmp_path: Path) -> None:
    answer = tunesmith("report", tmp_path)
    assert answer.code == 2
    assert "no run at" in answer.err


def test_a_page_cannot_take_the_place_of_a_folder(photo_run: Path, tunesmith: Call, tmp_path: Path) -> None:
    answer = tunesmith("report", photo_run, "--out", tmp_path)
    assert answer.code == 2
    assert "is a folder" in answer.err


# Comparing


def test_runs_are_compared_on_the_same_examples(photo_run: Path, weak: Path) -> None:
    found = ts.compare([photo_run, weak])
    first, second = found.runs
    assert (found.metric, found.count) == ("accuracy", 7)
    assert (first.name, second.name) == ("photos", "weak")
    assert (
        first.scores["accuracy"].value
        == ts.Run.open(photo_run).scores["test"]["metrics"]["accuracy"]["value"]
    )
    assert first.gaps == {}
    gap = second.gaps["accuracy"]
    assert gap.value == pytest.approx(second.scores["accuracy"].value - first.scores["accuracy"].value)
    assert gap.low <= gap.value <= gap.high
    assert gap.value == pytest.approx((second.only_this - second.only_first) / 7)
    loss = second.gaps["log_loss"]
    assert loss.value == pytest.approx(first.scores["log_loss"].value - second.scores["log_loss"].value)
    assert found.differ["lr"] == ("0.01", "1e-06")
    assert "model" not in found.differ


def test_a_run_beside_itself_differs_in_nothing(photo_run: Path) -> None:
    found = ts.compare([photo_run, photo_run])
    assert (found.runs[1].gaps["accuracy"].low, found.runs[1].gaps["accuracy"].high) == (0, 0)
    assert found.differ == {}


def test_the_order_of_the_test_examples_does_not_matter(photo_run: Path, weak: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    turned = Path(shutil.copytree(weak, tmp_path / "weak"))
    table = pq.read_table(turned / "predictions.parquet")
    pq.write_table(table.take(list(range(len(table)))[::-1]), turned / "predictions.parquet")
    seal(turned)
    assert ts.compare([photo_run, turned]).runs[1].gaps == ts.compare([photo_run, weak]).runs[1].gaps


def test_a_comparison_is_a_table_and_json(photo_run: Path, weak: Path, tunesmith: Call) -> None:
    answer = tunesmith("compare", photo_run, weak)
    assert answer.code == 0
    assert "7 test examples" in answer.out
    assert "lr: photos 0.01, weak 1e-06" in answer.out
    told = json.loads(tunesmith("compare", photo_run, weak, "--json").out)
    assert [run["name"] for run in told["runs"]] == ["photos", "weak"]
    assert set(told["runs"][1]["gaps"]) == {"accuracy", "balanced_accuracy", "macro_f1", "log_loss"}


@beside
def test_a_comparison_can_be_a_page(photo_run: Path, weak: Path, tunesmith: Call, tmp_path: Path) -> None:
    answer = tunesmith("compare", photo_run, weak, "--page", tmp_path / "page.html")
    assert answer.code == 0
    assert "weak" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_runs_on_other_test_examples_are_refused(photo_run: Path, photos: Path, tmp_path: Path) -> None:
    other = fitted(photos, tmp_path / "other", seed=3)
    with pytest.raises(BadRun, match=r"was not scored on the test examples of .* of 7 are not among them \("):
        ts.compare([photo_run, other])


def test_other_labels_of_the_same_examples_are_refused(photo_run: Path, weak: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    changed = Path(shutil.copytree(weak, tmp_path / "weak"))
    table = pq.read_table(changed / "predictions.parquet")
    truth = table["truth"].to_pylist()
    truth[0] = "red" if truth[0] != "red" else "blue"
    place = table.column_names.index("truth")
    pq.write_table(table.set_column(place, "truth", pa.array(truth)), changed / "predictions.parquet")
    seal(changed)
    with pytest.raises(BadRun, match="hold different labels for 1 of their 7 test examples"):
        ts.compare([photo_run, changed])


def test_other_texts_under_the_same_names_were_compared(photo_run: Path, weak: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    changed = Path(shutil.copytree(weak, tmp_path / "weak"))
    table = pq.read_table(changed / "examples.parquet")
    content, split = table["content"].to_pylist(), table["split"].to_pylist()
    content[split.index("test")] = bytes(16)
    place = table.column_names.index("content")
    pq.write_table(table.set_column(place, "content", pa.array(content)), changed / "examples.parquet")
    seal(changed)
    name = table["id"][split.index("test")].as_py()
    with pytest.raises(BadRun, match=f"hold different content for 1 of their 7 test examples .{name}."):
        ts.compare([photo_run, changed])
    (changed / "examples.parquet").unlink()  # a run of before kept no content
    assert ts.compare([photo_run, changed]).count == 7


def test_runs_that_know_other_labels_are_refused(photo_run: Path, photos: Path, tmp_path: Path) -> None:
    pairs = [(p, p.parent.name) for p in sorted(photos.rglob("*.png")) if p.parent.name != "red"]
    other = fitted(pairs, tmp_path / "other")
    with pytest.raises(BadRun, match=r"know different labels \(red\)"):
        ts.compare([photo_run, other])


def test_one_run_cannot_be_compared(photo_run: Path, tunesmith: Call) -> None:
    for one in ([photo_run], photo_run, str(photo_run)):
        with pytest.raises(BadOption, match="two runs or more"):
            ts.compare(one)  # type: ignore[arg-type]
    assert tunesmith("compare", photo_run).code == 2
