"""docs/cli.md names every option of every command, with its default, and no other.

`python tests/docs/test_cli_doc.py` writes the tables of the page anew from the code.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

PAGES = (
    "cli.md",
    "api.md",
    "check.md",
    "data.md",
    "export.md",
    "models.md",
    "rank.md",
    "rates.md",
    "snippets.md",
)
LISTINGS = {"tasks", "strategies", "scores", "sources", "formats"}
COMMANDS = (
    *("fit", "resume", "check", "rank", "evaluate", "predict", "report", "compare"),
    *("export", "verify"),
    *("stages", "plan", "lr", "models", "store", "demo"),
)


def commands() -> Mapping[str, Any]:
    import typer.main

    from tunesmith.cli.app import app

    found: Mapping[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return found


def rows(command: Any) -> dict[str, tuple[str, str]]:
    """What the table of a command must say: "`--model`, `-m`" to (default, meaning)."""
    found = {}
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = f"`{parameter.name.upper()}`"
        else:
            name = ", ".join(f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts])
        empty = parameter.default is None or parameter.default is False or parameter.default == ""
        default = "" if empty else f"`{parameter.default}`"
        if parameter.required:
            default = "needed"
        found[name] = (default, parameter.help or "")
    return found


def sections(page: str) -> dict[str, str]:
    """The page's text below each heading of the second level."""
    pieces = re.split(r"^## (.+)$", page, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def table(section: str) -> dict[str, tuple[str, str]]:
    """The rows of the table of a section."""
    found = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == 3:
            found[cells[0]] = (cells[1], cells[2])
    return found


@pytest.fixture(scope="module")
def cli(page: Callable[[str], str]) -> dict[str, str]:
    return sections(page("cli.md"))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_names_every_option_of_a_command_and_no_other(cli: dict[str, str], name: str) -> None:
    assert list(table(cli[name])) == list(rows(commands()[name]))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_gives_the_defaults_of_the_code(cli: dict[str, str], name: str) -> None:
    said = {option: default for option, (default, _) in table(cli[name]).items()}
    assert said == {option: default for option, (default, _) in rows(commands()[name]).items()}


def test_the_page_has_every_command_and_no_other(cli: dict[str, str]) -> None:
    assert set(commands()) == {*COMMANDS, *LISTINGS}
    assert set(cli) == {*COMMANDS, "tasks, strategies, scores, sources and formats"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_two_examples(cli: dict[str, str], name: str) -> None:
    assert len(re.findall(rf"^tunesmith {name}\b", cli[name], re.MULTILINE)) == 2


@pytest.mark.parametrize("page_name", PAGES)
def test_the_command_line_accepts_every_example(blocks: Callable[[str], list[Any]], page_name: str) -> None:
    lines = [
        line
        for b in blocks(page_name)
        if b.language == "sh"
        for line in b.text.replace("\\\n", " ").splitlines()
    ]
    for line in lines:
        program, *words = shlex.split(line, comments=True)
        if program != "tunesmith":
            continue
        command = commands()[words[0]]
        command.make_context(words[0], words[1:])  # raises for an option or value that is unknown


def test_a_misspelt_option_would_be_found() -> None:
    with pytest.raises(Exception, match="epoch"):
        commands()["fit"].make_context("fit", ["photos", "--epoch", "3"])


def rewrite(path: Path) -> None:
    """Put the tables of the code into the page, in the place of the old ones or of the word TABLE."""
    text = path.read_text(encoding="utf-8")
    for name in COMMANDS:
        lines = [
            f"| {option} | {default} | {words} |"
            for option, (default, words) in rows(commands()[name]).items()
        ]
        new = "\n".join(["| option | default | meaning |", "|---|---|---|", *lines])
        old = sections(text)[name]
        fresh = re.sub(r"^TABLE$|^\| option.*?(?=\n\n|\n*\Z)", lambda _: new, old, count=1, flags=re.M | re.S)  # noqa: B023
        text = text.replace(
            f"## {name}\n{old.removeprefix(chr(10))}", f"## {name}\n{fresh.removeprefix(chr(10))}"
        )
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    rewrite(Path(__file__).resolve().parent.parent.parent / "docs" / "cli.md")
