"""Names of a family (tasks, sources, strategies) and the members they stand for, loaded when asked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from tunesmith.errors import BadOption, MissingPackage, UnknownName


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The clause that guesses what was meant, or nothing.

    >>> did_you_mean("gradul", ["gradual", "full"])
    "; did you mean 'gradual'?"
    >>> did_you_mean("zebra", ["gradual", "full"])
    ''
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


@dataclass(frozen=True)
class Registry:
    """A family of plug-ins: ours by name, other people's by entry point.

    family: singular, as it stands in messages: "task".
    members: name to "package.module:attribute", imported when the member is first asked for.

    added: members of this process alone, as `register` left them.

    A third party adds a member with an entry point in the group `tunesmith.<family>s`.
    """

    family: str
    members: Mapping[str, str]
    added: dict[str, Any] = field(default_factory=dict, repr=False)

    def names(self) -> list[str]:
        """Every name, ours in the order in which they are declared, then the third parties'."""
        theirs = [*(e.name for e in self._entry_points()), *self.added]
        return list(dict.fromkeys([*self.members, *theirs]))

    def register(self, name: str, member: Any) -> None:
        """Add a member to this process: in a notebook, or while it is written. Again: in place of the last.

        Raises BadOption for one of our own names.
        """
        if name in self.members:
            raise BadOption(f"{self.family} {name!r} is tunesmith's own; give yours another name.")
        self.added[name] = member

    def load(self, name: str) -> Any:
        """The member called `name`.

        Raises UnknownName with a guess, or MissingPackage if its optional package is not installed.
        """
        if name in self.members:
            module, _, attribute = self.members[name].partition(":")
            return getattr(import_module(module), attribute)
        if name in self.added:
            return self.added[name]
        for entry in self._entry_points():
            if entry.name == name:
                return entry.load()
        guess = did_you_mean(name, self.names())
        raise UnknownName(
            f"no {self.family} named {name!r}{guess or ';'} `tunesmith {plural(self.family)}` lists them."
        )

    def _entry_points(self) -> Any:
        return entry_points(group=f"tunesmith.{plural(self.family)}")


def plural(noun: str) -> str:
    """The plural of a family's name.

    >>> plural("strategy"), plural("task")
    ('strategies', 'tasks')
    """
    return noun[:-1] + "ies" if noun.endswith("y") else noun + "s"


def require(package: str, extra: str, purpose: str) -> Any:
    """Import an optional package, or say which line installs it."""
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingPackage(
            f"{purpose} needs the package {package}, which is not installed here: "
            f'pip install "tunesmith[{extra}]"'
        ) from error
