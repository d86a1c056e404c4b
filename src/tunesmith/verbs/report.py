"""One page that shows a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import BadOption
from tunesmith.verbs.environment import prepare

if TYPE_CHECKING:
    from tunesmith.runs import Run


def report(
    run: str | Path | Run,
    *,
    out: str | Path | None = None,
    lang: str = "en",
    open: bool = False,  # noqa: A002 (the command line's name for it)
    data: Any = None,
) -> Path:
    """Show a run as one self-contained page: scores, plan, curves, mistakes, and what to try next.

    Returns where the page lies. It is made anew each time, from what the run's folder holds, the data where
    they still are, and the network; what is not there any more is left out, with the reason.

    run: the folder of the run; runs/latest is the newest one.
    out: the file to write; by default report.html in the run's folder.
    lang: en or zh.
    open: show it in the browser.
    data: the data, where they were given in memory.

    Raises BadRun for a run that is unfinished or damaged.
    """
    prepare()
    check_lang(lang)
    from tunesmith.files import write_whole
    from tunesmith.runs import Run as Opened
    from tunesmith.verbs.gathering import gather

    opened = run if isinstance(run, Opened) else Opened.open(run)
    prepare(offline=bool(opened.asked.get("offline")))  # the data are read again as they were then
    path = opened.folder / "report.html" if out is None else page_path(out)
    content = gather(opened, data=data)
    from tunesmith.reports.page import run_page

    write_whole(path, run_page(content, lang=lang))
    if open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
    return path


def check_lang(lang: str) -> None:
    """Raise BadOption for a language that pages are not written in."""
    from tunesmith.health.words import LANGUAGES

    if lang not in LANGUAGES:
        raise BadOption(f"pages are written in {' and '.join(LANGUAGES)}; found {lang!r}.")


def page_path(file: str | Path) -> Path:
    """Where a page is to be written; raises BadOption for a folder."""
    path = Path(file).expanduser()
    if path.is_dir():
        raise BadOption(f"a page is written to a file, and {path} is a folder; name {path / 'report.html'}.")
    return path
