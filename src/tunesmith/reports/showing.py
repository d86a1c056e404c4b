"""Examples as a page shows them, with what a network's answer rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunesmith.data.data import Data
from tunesmith.errors import BadData
from tunesmith.health.looks import jpeg, small
from tunesmith.networks.network import Network
from tunesmith.networks.preprocess import ImagePreprocess, TextPreprocess
from tunesmith.reports.asked import Asked
from tunesmith.reports.attribution import spoken
from tunesmith.reports.content import Shown
from tunesmith.reports.heat import heat_map
from tunesmith.reports.pictures import warmed


@dataclass
class Showing:
    """Makes Shown of examples, as far as data and network are there.

    data, network: None where they are not. missing: grows by what could not be shown, and why, as a key of
    `advice_words.MISSING`. unexplained: why answers could not be explained, where that was tried and failed.
    """

    data: Data | None
    network: Network | None
    missing: dict[str, str] = field(default_factory=dict)
    unexplained: str | None = None
    _places: dict[str, dict[str, int]] = field(default_factory=dict)

    def example(self, split: str, row: int) -> Shown:
        """An example of the data, as it is."""
        assert self.data is not None
        found = self.data.splits[split][row]
        return Shown(found["id"], found["label"], **self._as_is(found["item"]))

    def answered(
        self,
        id_: str,
        truth: str,
        guess: str,
        asked: Asked,
        *,
        probability: float | None = None,
        between: tuple[str, str] | None = None,
    ) -> Shown:
        """A test example with what was answered, and what the answer rests on.

        asked: what of the network's outputs is explained. probability, between: of the answer, as Shown has
        them.
        """
        item = self._item("test", id_)
        seen = {} if item is None else self._as_is(item)
        why = self._why(item, asked) if seen else {}
        return Shown(id_, truth, guess=guess, probability=probability, between=between, **seen, **why)

    def explain(self, shown: Sequence[Shown]) -> None:
        """Name why no answer of these is explained, where that was tried and failed for all."""
        if self.unexplained and not any(one.heat or one.tokens for one in shown):
            self.missing["heat"] = self.unexplained

    def _as_is(self, item: Any) -> dict[str, Any]:
        if not isinstance(item, Mapping):
            return {"text": str(item)}
        try:
            return {"picture": jpeg(small(item))}
        except BadData:
            self.missing.setdefault("pictures", "unreadable")
            return {}

    def _why(self, item: Any, asked: Asked) -> dict[str, Any]:
        if self.network is None:
            return {}
        image = isinstance(item, Mapping)
        if not isinstance(self.network.preprocess, ImagePreprocess if image else TextPreprocess):
            self.unexplained = "own_preprocess"
            return {}
        if self._in_windows(str(item)):
            self.unexplained = "windows"
            return {}
        try:
            why = self._heat(item, asked) if image else spoken(self.network, str(item), asked)
        # A network of any form may stand here; that it cannot be explained must not cost the page.
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError):
            why = None
        if why is None:
            self.unexplained = "no_places"
            return {}
        return {"heat" if image else "tokens": why}

    def _in_windows(self, item: str) -> bool:
        """Whether a text's answer is joined of those to its windows, which have each their own grounds."""
        form = self.network.preprocess if self.network is not None else None
        if not isinstance(form, TextPreprocess) or form.long_texts != "windows":
            return False
        return form.lengths([item])[0] > form.max_length

    def _heat(self, item: Mapping[str, Any], asked: Asked) -> bytes | None:
        assert self.network is not None
        form = self.network.preprocess
        assert isinstance(form, ImagePreprocess)
        heat = heat_map(self.network, item, asked)
        return None if heat is None else jpeg(warmed(small(item), heat, form))

    def _item(self, split: str, id_: str) -> Any:
        """An example's raw item, by its id; None without data."""
        if self.data is None:
            return None
        if split not in self._places:
            self._places[split] = {name: i for i, name in enumerate(self.data.splits[split]["id"][:])}
        row = self._places[split].get(id_)
        return None if row is None else self.data.splits[split][row]["item"]
