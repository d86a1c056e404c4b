"""docs/write-a-task.md and docs/write-a-source.md: what they write is installed, tested and trained."""

from __future__ import annotations

import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith.registry import Registry
from tunesmith.sources import SOURCES
from tunesmith.tasks import TASKS

Blocks = Callable[[str], list[Any]]


class Counter:
    """How many tests passed, and which did not."""

    def __init__(self) -> None:
        self.passed, self.failed = 0, set[str]()

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.passed += report.passed and report.when == "call"
        if report.failed:
            self.failed.add(report.nodeid)


def written(blocks: list[Any], folder: Path) -> None:
    """The files of a page, as an installed package: pip leaves a folder of what it is beside its modules."""
    folder.mkdir()
    files: dict[str, str] = {}
    for block in blocks:
        if "file" in block.marks:
            name = block.marks["file"]
            files[name] = files.get(name, "") + ("\n" if name in files else "") + block.text
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    project = tomllib.loads(files["pyproject.toml"])["project"]
    about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {where}" for name, where in points.items())]
    (about / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def installed(
    blocks: Blocks, here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Path]]:
    """Install what a page writes; the current folder is another one."""
    before = set(sys.modules)

    def install(page: str) -> Path:
        folder = tmp_path_factory.mktemp("site") / "package"
        written(blocks(page), folder)
        monkeypatch.syspath_prepend(folder)
        return folder

    yield install
    for name in set(sys.modules) - before:
        if name.startswith(("multi_label", "test_multi_label", "zoo", "test_zoo")):
            del sys.modules[name]


def run(page: str, blocks: Blocks) -> dict[str, Any]:
    """The blocks of a page that belong to no file, from top to bottom."""
    space: dict[str, Any] = {"__name__": "docs"}
    for block in blocks(page):
        if block.language == "python" and "file" not in block.marks:
            exec(compile(block.text, f"docs/{page}", "exec"), space)
    return space


def tried(path: Path) -> Counter:
    """The tests of a file, run as its author runs them."""
    counter = Counter()
    options = ["-o", "addopts=", "-p", "no:cacheprovider", "-q", "-s", "--noconftest"]
    pytest.main(
        [str(path), *options, f"--rootdir={path.parent}", "--import-mode=importlib"], plugins=[counter]
    )
    return counter


@pytest.mark.parametrize(
    ("page", "family", "name"),
    [("write-a-task.md", TASKS, "multi-label"), ("write-a-source.md", SOURCES, "zoo")],
)
def test_a_third_partys_member_is_found_by_its_entry_point(
    installed: Callable[[str], Path], page: str, family: Registry, name: str
) -> None:
    assert name not in family.names()
    installed(page)
    assert name in family.names()
    assert callable(family.load(name))
    assert name not in family.members


def test_the_tutorials_task_keeps_the_contract(installed: Callable[[str], Path]) -> None:
    found = tried(installed("write-a-task.md") / "test_multi_label.py")
    assert found.failed == set()
    assert found.passed >= 29


def test_the_tutorials_source_keeps_the_contract(installed: Callable[[str], Path]) -> None:
    found = tried(installed("write-a-source.md") / "test_zoo.py")
    assert found.failed == set()
    assert found.passed >= 19


def test_the_tutorials_task_learns_predicts_and_reports(
    installed: Callable[[str], Path],
    blocks: Blocks,
    here: Path,
    tiny_text: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    installed("write-a-task.md")
    shutil.copytree(tiny_text("bert"), here / "my-bert")
    space = run("write-a-task.md", blocks)
    assert space["run"].finished
    assert 0 <= space["run"].scores["test"]["metrics"]["micro_f1"]["value"] <= 1
    assert "training shares" in str(space["run"].verdict)
    assert (here / "tickets.html").stat().st_size > 10_000
    assert "'labels':" in capsys.readouterr().out


def test_the_tutorials_source_is_fitted_and_opened_again(
    installed: Callable[[str], Path],
    blocks: Blocks,
    here: Path,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    installed("write-a-source.md")
    shutil.copytree(photos, here / "photos")
    space = run("write-a-source.md", blocks)
    assert space["run"].finished
    assert "'label': " in capsys.readouterr().out
