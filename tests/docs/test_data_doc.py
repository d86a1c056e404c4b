"""Every form of data on docs/data.md is built, read, and said as the page says it."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CASES = (
    "folders", "split-folders", "deep", "text-folders", "csv", "no-header", "paths", "tables-by-split",
    "jsonl", "parquet", "txt", "zip", "npz", "saved", "list", "records", "pandas", "torch",
    "dict-of-splits", "groups", "bare-names",
)  # fmt: skip
ERRORS = ("no-label", "fields", "nothing-known", "single", "absent")


def build(path: Path) -> None:
    """A file that a list of files names: an image of its own colour, a text, or a "damaged" image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".txt":
        path.write_text(f"what {path.parent.name} {path.stem} says", encoding="utf-8")
    elif path.stem == "damaged":
        path.write_bytes(b"this is no image")
    else:
        from PIL import Image

        digest = zlib.crc32(str(path.relative_to(Path.cwd())).encode())
        Image.new("RGB", (12, 10), (digest % 256, digest // 256 % 256, digest // 65536 % 256)).save(path)


def outcome(blocks: list[Any], folder: Path) -> tuple[str, str]:
    """What is said of the data of one case, and the message of the error; one of them is empty."""
    import tunesmith as ts

    for block in blocks:
        if block.marks.get("role") == "files":
            for line in block.text.splitlines():
                build(folder / line)
    for block in blocks:
        if "file" in block.marks:
            path = folder / block.marks["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
    space: dict[str, Any] = {"ts": ts, "__name__": "docs"}
    for block in blocks:
        if block.language == "python":
            try:
                exec(compile(block.text, "docs/data.md", "exec"), space)
            except ts.TunesmithError as error:
                return "", str(error).replace(str(folder), ".")
    return "\n".join(space["data"].understood), ""


@pytest.fixture(scope="module")
def cases(blocks: Callable[[str], list[Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for block in blocks("data.md"):
        if "case" in block.marks:
            found.setdefault(block.marks["case"], []).append(block)
    return found


def written(blocks: list[Any], role: str) -> str:
    return "".join(b.text for b in blocks if b.marks.get("role") == role).rstrip("\n")


@pytest.mark.parametrize("name", CASES)
def test_a_form_is_understood_as_the_page_says(cases: dict[str, list[Any]], name: str, here: Path) -> None:
    assert outcome(cases[name], here) == (written(cases[name], "says"), "")


@pytest.mark.parametrize("name", ERRORS)
def test_bad_input_is_refused_in_the_words_of_the_page(
    cases: dict[str, list[Any]], name: str, here: Path
) -> None:
    assert outcome(cases[name], here) == ("", written(cases[name], "error"))


def test_skip_bad_leaves_out_what_stopped_the_fit(
    cases: dict[str, list[Any]], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import tunesmith as ts

    _, message = outcome(cases["bad-image"], here)
    assert "dog/damaged.jpg" in message
    assert "skip_bad=True" in message
    ts.fit("photos", model="torchvision/resnet18@none", image_size=32, dry_run=True, skip_bad=True)
    assert "left out: dog/damaged.jpg" in capsys.readouterr().err


def test_every_form_of_the_page_is_tried(cases: dict[str, list[Any]]) -> None:
    assert set(cases) == {*CASES, *ERRORS, "bad-image"}


def test_the_names_that_are_guessed_are_those_of_the_page(page: Callable[[str], str]) -> None:
    import re

    from tunesmith.data.columns import LABEL_NAMES, PATH_NAMES, TEXT_NAMES

    rows = {line.split("|")[1].strip(): line for line in page("data.md").splitlines() if line.startswith("|")}
    for row, names in (("label", LABEL_NAMES), ("text", TEXT_NAMES), ("path of an image", PATH_NAMES)):
        assert re.findall(r"`(\w+)`", rows[row].split("|")[2]) == list(names)


def test_the_words_for_splits_are_those_of_the_page(page: Callable[[str], str]) -> None:
    import re

    from tunesmith.data.rows import SPLIT_WORDS

    line = next(s for s in page("data.md").splitlines() if s.startswith("The words for splits"))
    assert re.findall(r"`(\w+)`", line) == list(SPLIT_WORDS)


def test_the_endings_of_images_are_those_of_the_page(page: Callable[[str], str]) -> None:
    import re

    from tunesmith.data.rows import IMAGE_ENDINGS

    line = next(s for s in page("data.md").splitlines() if "Images end in" in s)
    assert re.findall(r"\.[a-z]+\b", line.partition("Images end in")[2]) == list(IMAGE_ENDINGS)
