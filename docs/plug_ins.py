"""How long a task is, and what had to change outside its file: the table in docs/ideas.md.

    python docs/plug_ins.py        writes the table anew

Lines are those of the file, without blank ones. Beside a task stand the modules of `tasks/` that it imports
and that are not the form itself. What the form had to learn is told below, by hand, when a task is added.
"""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tunesmith.tasks import TASKS

DOCS: Final = Path(__file__).resolve().parent
HEAD: Final = "| task | lines | beside it | what had to change outside"
FORM: Final = ("tunesmith.tasks.task", "tunesmith.tasks.uncut")
LEARNED: Final = {
    "image-classification": "the spine was written for it",
    "text-classification": "the spine was written for it",
    "image-regression": "what asked for classes asks the task: `answers`, `solver`, `valid_loss`, "
    "`deciding`, `calibrated`; `data/numbers.py`, `health/numbers.py`",
    "text-regression": "nothing more",
    "token-classification": "windows (`cut`, `joined`, `Batch.pieces`) and probes of words (`rows`); "
    "readers of tags and spans, `health/tags.py`",
    "question-answering": "windows as there, their text told to `collate`; two texts as one item; a reader "
    "of SQuAD's form",
    "text-pair-classification": "two texts as one item (`data/pairs.py`, `Want.pairs`); tables with "
    "two text columns",
    "text-pair-regression": "nothing more",
}
TUTORIAL: Final = "multi-label"


def path_of(module: str) -> Path:
    """The file of a module."""
    found = find_spec(module)
    if found is None or found.origin is None:
        raise SystemExit(f"there is no module {module}")
    return Path(found.origin)


def lines_in(text: str) -> int:
    """How many lines are not blank."""
    return sum(bool(line.strip()) for line in text.splitlines())


def beside(module: str) -> list[str]:
    """The modules of `tasks/` that a task's own imports lead to, but for the form and other tasks."""
    members = {where.partition(":")[0] for where in TASKS.members.values()}
    found: list[str] = []
    ahead = [module]
    while ahead:
        for node in ast.walk(ast.parse(path_of(ahead.pop()).read_text(encoding="utf-8"))):
            name = node.module if isinstance(node, ast.ImportFrom) else None
            if name and name.startswith("tunesmith.tasks.") and name not in (*FORM, *found, *members):
                found.append(name)
                ahead.append(name)
    return sorted(found)


def rows() -> dict[str, tuple[int, str, str]]:
    """Of each task its lines, what stands beside it, and what had to change."""
    found = {}
    for task, where in TASKS.members.items():
        module = where.partition(":")[0]
        others = [(name, lines_in(path_of(name).read_text(encoding="utf-8"))) for name in beside(module)]
        shared = ", ".join(f"`{name.rpartition('.')[2]}` {lines}" for name, lines in others)
        own = lines_in(path_of(module).read_text(encoding="utf-8"))
        found[task] = (own, shared, LEARNED.get(task, "?"))
    blocks = re.findall(r"^```python file=multi_label\.py\n(.*?)^```$", page("write-a-task.md"), re.M | re.S)
    found[f"{TUTORIAL} ([tutorial](write-a-task.md))"] = (lines_in("".join(blocks)), "", "nothing")
    return found


def page(name: str) -> str:
    """A page of docs/."""
    return (DOCS / name).read_text(encoding="utf-8")


def table() -> str:
    """The table as it should stand."""
    told = [f"| {task} | {own} | {shared} | {learned} |" for task, (own, shared, learned) in rows().items()]
    return "\n".join([f"{HEAD} |", "|---|---|---|---|", *told])


def with_table(text: str) -> str:
    """The page with the table of today in the place of the old one."""
    return re.sub(rf"^{re.escape(HEAD)}.*?(?=\n\n|\n*\Z)", lambda _: table(), text, flags=re.M | re.S)


if __name__ == "__main__":
    (DOCS / "ideas.md").write_text(with_table(page("ideas.md")), encoding="utf-8")
