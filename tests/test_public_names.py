"""The public names are what they should be, whatever was imported before."""

from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import tunesmith as ts

ROOT = Path(__file__).resolve().parent.parent
CLASSES = {
    "Data",
    "ImagePreprocess",
    "Network",
    "Phase",
    "Plan",
    "Run",
    "Settings",
    "Stage",
    "TextPreprocess",
    "Training",
    "TunesmithError",
    "Want",
}


@pytest.fixture(scope="module", autouse=True)
def _everything_was_imported() -> None:
    for module in pkgutil.walk_packages(ts.__path__, "tunesmith."):
        if not module.name.endswith("__main__"):
            import_module(module.name)


@pytest.mark.parametrize("name", ts.__all__)
def test_a_public_name_is_what_it_says(name: str) -> None:
    thing = getattr(ts, name)
    assert not isinstance(thing, ModuleType)
    if name == "__version__":
        assert thing.count(".") == 2
    elif name in CLASSES:
        assert inspect.isclass(thing)
    else:
        assert inspect.isfunction(thing)
        assert name == name.lower()


@pytest.mark.parametrize("name", ts.__all__)
def test_a_public_name_is_explained(name: str) -> None:
    thing = getattr(ts, name)
    assert isinstance(thing, str) or (thing.__doc__ or "").strip()


def test_the_names_for_type_checkers_are_the_names_that_are_there() -> None:
    source = (Path(ts.__file__)).read_text()
    declared = {line.split()[-1] for line in source.splitlines() if line.startswith("    from tunesmith.")}
    assert declared | {"__version__"} == set(ts.__all__)


def test_no_public_name_is_a_submodule() -> None:
    submodules = {module.name for module in pkgutil.iter_modules(ts.__path__)}
    assert submodules & set(ts.__all__) == set()


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = ts.fitt


def test_the_package_alone_imports_nothing_heavy() -> None:
    code = "import sys, tunesmith; sys.exit(str({'torch', 'numpy', 'typer', 'yaml'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stderr.strip() == "set()"


def test_every_error_is_a_tunesmith_error_and_one_of_pythons() -> None:
    from tunesmith import errors

    ours = [e for e in vars(errors).values() if inspect.isclass(e)]
    assert all(issubclass(e, ts.TunesmithError) for e in ours)
    assert [e.__name__ for e in ours if len(e.__mro__) < 5] == ["TunesmithError"]
    assert all(e.__name__ in (errors.__doc__ or "") for e in ours)


def test_the_wheel_holds_the_tickets_and_the_mark_of_a_typed_package(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"tunesmith/demo/tickets.csv", "tunesmith/py.typed", "tunesmith/__main__.py"} <= names
    assert {f"tunesmith/testing/{name}.py" for name in ("tasks", "sources", "strategies")} <= names
    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {"tunesmith"}
