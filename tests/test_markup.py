"""Plans, networks, data and runs show themselves in notebooks."""

from __future__ import annotations

from pathlib import Path

import tunesmith as ts
from tunesmith import markup
from tunesmith.plan import Phase, Plan


def test_a_plan_shows_what_is_frozen_and_the_rates() -> None:
    plan = Plan("top <b>", (Phase("head", 1, (0.0, 0.0, 1e-3)), Phase("all", 2, (1e-5, 1e-4, 1e-3))))
    shown = plan._repr_html_()
    assert shown.count("frozen") == 2
    assert "1e-05" in shown
    assert "top &lt;b&gt;" in shown
    assert shown.index("head</th>") < shown.index("stage 1") < shown.index("stage 0")


def test_data_show_their_classes(photos: Path) -> None:
    shown = ts.read(photos)._repr_html_()
    assert all(f">{name}</td>" in shown for name in ("red", "green", "blue"))
    assert "48 images in 3 classes" in shown


def test_a_network_shows_its_stages() -> None:
    network = ts.load("timm/test_resnet@none", ts.Want("image-classification", 3))
    shown = network._repr_html_()
    assert all(f">{part.name}</td>" in shown for part in network.parts)


def test_a_run_shows_its_verdict_and_its_plan(photo_run: Path) -> None:
    run = ts.Run.open(photo_run)
    shown = run._repr_html_()
    assert run.verdict in shown
    assert "majority class" in shown
    assert run.plan.strategy in shown


def test_an_unfinished_run_says_how_to_go_on(photo_run: Path, tmp_path: Path) -> None:
    import shutil

    half = tmp_path / "half"
    shutil.copytree(photo_run, half)
    (half / "scores.json").unlink()
    assert "tunesmith resume" in ts.Run.open(half)._repr_html_()


def test_a_long_table_is_cut_and_says_so() -> None:
    shown = markup.table(("n",), [(str(i),) for i in range(70)], most=60)
    assert "and 10 more" in shown
    assert "<td" not in markup.table(("n",), [])
