"""Files that `bench/hostile.py` found to do harm once: each is a case of its own."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.data.images import decode
from tunesmith.data.read import read
from tunesmith.errors import BadData

FOUND = Path(__file__).parent / "found"
REFUSED = {  # and what they did
    "text_that_is_no_utf8.parquet": "row 1 cannot be read",  # UnicodeDecodeError
    "start_before_the_file.zip": "cannot be unpacked",  # OSError: a file cannot be read from before its start
    "member_without_a_name.zip": "cannot be unpacked|outside",  # IndexError
    "letters_beyond_unicode.npz": "cannot be read",  # SystemError: such a letter there is not
}
SPEAKING = {
    "directory_cut_short.tif",
    "libtiff_speaks.tif",
    "number_that_signals.tif",
    "tags_beyond_the_end.tif",
}


def test_every_file_that_was_found_is_tried() -> None:
    there = {path.name for path in FOUND.iterdir()}
    assert there == {*REFUSED, *SPEAKING, "synsets"}
    assert max(path.stat().st_size for path in FOUND.rglob("*") if path.is_file()) < 5000


@pytest.mark.parametrize("name", REFUSED)
def test_what_was_a_traceback_is_a_sentence(name: str) -> None:
    with pytest.raises(BadData, match=REFUSED[name]):
        read(FOUND / name)


@pytest.mark.parametrize("name", sorted(SPEAKING))
def test_what_made_a_decoder_speak_is_refused_in_silence(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            decode({"path": str(FOUND / name), "bytes": None})
        except BadData as error:
            assert str(error).startswith(str(FOUND / name))  # noqa: PT017
    assert [str(warning.message) for warning in warned] == []
    assert capfd.readouterr() == ("", "")


def test_names_of_synsets_that_are_cut_short_are_named(
    tmp_path: Path, write_image: Callable[[Path], None]
) -> None:
    folder = Path(shutil.copytree(FOUND / "synsets", tmp_path / "synsets"))
    for i in range(6):
        write_image(folder / ("n01440764", "n01443537")[i % 2] / f"{i}.png")
    with pytest.raises(
        BadData, match=r"imagenet_class_index\.json .* does not name synsets .*mend or remove it"
    ):
        read(folder)
