"""Columns of bare names, "0a1b" for train/0a1b.jpg: which folder beside the table holds the images?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from tunesmith.data.columns import PATH_NAMES, TEXT_NAMES, first_named
from tunesmith.data.rows import IMAGE_ENDINGS, Asked
from tunesmith.data.tables import Table, Unread, Values

NAMES: Final = ("id", "image_id", "img_id", "image_name", "name")
ASKED: Final = 20  # cells whose files are looked for; more than half of them must be there
FOLDERS: Final = 100  # in the table's folder that are looked into
BARE: Final = re.compile(r"[^\s/\\]{1,100}")


def by_name(table: Table, asked: Asked) -> tuple[Table, Asked]:
    """The table with paths in place of bare names, and that column as the item; else both as they are.

    The column is the one that is named, or the first one that is called as paths are, or (where no
    column is called as texts are) as names are. Its cells are names where one folder, the table's own
    or one in it, holds files that are called so but for one ending, the same for all.
    """
    column = _column(table, asked)
    if table.folder is None or column is None or asked.takes == "text":
        return table, asked
    place = table.columns.index(column)
    cells = [_bare(values[place]) for values in table.head()[:ASKED]]
    names = [cell for cell in cells if cell]
    homes = list(_homes(str(table.folder), names)) if len(names) == len(cells) else []
    if len(homes) != 1:
        return table, asked
    home, ending = homes[0]

    def path_of(value: Any) -> Any:
        bare = _bare(value)
        return os.path.join(home, bare + ending) if bare else value  # noqa: PTH118

    def rows() -> Iterator[tuple[str, Values]]:
        for where, values in table.rows():
            if isinstance(values, Unread):
                yield where, values
            else:
                yield where, (*values[:place], path_of(values[place]), *values[place + 1 :])

    return replace(table, rows=rows), replace(asked, item=column)


def _column(table: Table, asked: Asked) -> str | None:
    if asked.item is not None:
        return asked.item if asked.item in table.columns else None
    taken = {asked.target, asked.split, asked.group, asked.weight}
    free = [name for name in table.columns if name not in taken]
    return first_named(free, PATH_NAMES) or (
        first_named(free, NAMES) if first_named(free, TEXT_NAMES) is None else None
    )


def _bare(value: Any) -> str:
    """The cell as a name without folder and without an image's ending; "" if it is none."""
    name = str(value) if isinstance(value, str | int) else ""
    bare = BARE.fullmatch(name) and not name.lower().endswith(IMAGE_ENDINGS) and name[0] != "."
    return name if bare else ""


def _homes(folder: str, names: list[str]) -> Iterator[tuple[str, str]]:
    """Every (folder, ending) that makes paths of most of the names."""
    try:
        with os.scandir(folder) as entries:
            homes = ["", *sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))]
    except OSError:
        return
    for home in homes[: FOLDERS + 1]:
        for ending in dict.fromkeys((*IMAGE_ENDINGS, *map(str.upper, IMAGE_ENDINGS))):
            paths = (os.path.join(folder, home, name + ending) for name in names)  # noqa: PTH118
            if 2 * sum(map(os.path.isfile, paths)) > len(names):
                yield home, ending
                break  # where capitals do not matter, .JPG is there as well
