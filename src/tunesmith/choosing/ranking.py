"""A ranking of networks, as it is printed and saved."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith import markup
from tunesmith.choosing.nearness import Nearness
from tunesmith.evaluation import Score

if TYPE_CHECKING:
    from rich.table import Table

HEADING = ("", "network", "probe", "behind the best", "best", "top 3", "millions", "ms each", "nearness")
NUMBERS = (0, 2, 3, 4, 5, 6, 7)  # columns that stand to the right


@dataclass(frozen=True)
class Row:
    """One candidate.

    score: what it is ranked by: evidence and prior, in standard deviations. accuracy: balanced (of numbers
    the explained share, R²; of parts macro-F1 or hit@1), of a ridge probe by exact leave-one-out (of parts
    out of ten folds), with its interval. behind: how much
    less than the first one's, paired. within_noise: whether 0 lies in that interval, or below is better.
    cheapest: of those within the noise. p_best, p_top3: over bootstrap samples of the examples. macs,
    seconds: for one example. finals: the validation score of a short real run, where one was made, negative
    where less of it is better. scores: by name, with those that do not decide.
    """

    place: int
    model: str
    origin: str
    score: float
    prior: float
    p_best: float
    p_top3: float
    accuracy: Score
    behind: Score
    within_noise: bool
    cheapest: bool
    parameters: int
    macs: int
    seconds: float | None
    pretraining: float | None
    nearness: Nearness | None
    scores: Mapping[str, float | None]
    finals: float | None = None


@dataclass(frozen=True)
class Failed:
    """A candidate that is not in the ranking, and why.

    late: for want of time alone.
    """

    model: str
    reason: str
    late: bool = False

    @property
    def sentence(self) -> str:
        """What is said of it; a reason that begins with the model's name is not given another."""
        said = self.reason if self.reason.startswith(self.model) else f"{name(self.model)}: {self.reason}"
        return f"not ranked: {said}"


@dataclass(frozen=True)
class Ranking:
    """Candidates from best to worst.

    data: their name. examples: that were looked at, of `training` to train on. prior_weight: its share in
    the score. failed: what could not be loaded, or not in time. classes: 0 where the answers are numbers or
    have parts. probed: what the probe is judged by, in words.
    """

    data: str
    examples: int
    classes: int
    training: int
    prior_weight: float
    rows: tuple[Row, ...]
    failed: tuple[Failed, ...] = ()
    probed: str = "balanced accuracy"

    @property
    def best(self) -> Row:
        """The first one."""
        return self.rows[0]

    @property
    def cheapest(self) -> Row:
        """The one of least work among those that chance alone could have put behind the first."""
        return next(row for row in self.rows if row.cheapest)

    def table(self) -> Table:
        """The rows as a rich table."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        for i, name in enumerate(HEADING):
            table.add_column(name, justify="right" if i in NUMBERS else "left", overflow="fold")
        for row in self.rows:
            style = "bold" if row.place == 1 else "" if row.within_noise else "dim"
            table.add_row(*(Text(cell) for cell in _cells(row)), style=style)
        return table

    def closing(self) -> list[str]:
        """What follows from the rows, in a few lines."""
        inside = [row for row in self.rows if row.within_noise]
        said = [f"best: {name(self.best.model)}, with a chance of {self.best.p_best:.0%}"]
        if len(inside) > 1:
            others = ", ".join(name(row.model) for row in inside[1:])
            said.append(f"within noise of it: {others}; the least work of these: {name(self.cheapest.model)}")
        of = "numbers" if self.probed == "R²" else "parts"
        among = f"in {self.classes:,} classes" if self.classes else f"with {of}, probed by {self.probed}"
        said.append(
            f"by {self.examples:,} of {self.training:,} training examples {among}; the "
            f"prior (size, pretraining, earlier data) counts {self.prior_weight:.0%}"
        )
        tried = [row for row in self.rows if row.finals is not None]
        if tried:
            runs = ", ".join(f"{name(row.model)} {abs(row.finals or 0.0):.3f}" for row in tried)
            said.append(f"short real runs, on validation: {runs}")
        return [*said, *(f.sentence for f in self.failed)]

    @property
    def note(self) -> str:
        """Which network was taken and why, in a line."""
        best = self.best
        chance = f"the best with a chance of {best.p_best:.0%}"
        return f"network: {name(best.model)}, the first of {len(self.rows)} in a ranking ({chance})"

    def to_json(self) -> str:
        """All of it as one JSON document."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    def __str__(self) -> str:
        from rich.console import Console

        stream = io.StringIO()
        console = Console(file=stream, width=140, color_system=None, highlight=False)
        console.print(self.table())
        return "\n".join([*(line.rstrip() for line in stream.getvalue().splitlines()), *self.closing()])

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        told = markup.table(HEADING, [_cells(row) for row in self.rows], numbers=NUMBERS)
        return markup.box(f"networks for {self.data}", told, markup.lines(*self.closing()))


def furthest_ahead(text: str, origin: str) -> str | None:
    """The model whose probe leads another's by more than chance, the furthest ahead; None: there is none.

    text: a ranking as JSON. origin: of that other; of a network that is not in the ranking nothing is known.
    By more than chance: the interval of what one of the two is behind the first, or before it, leaves 0 out.
    """
    rows = json.loads(text)["rows"]
    ours = next((row for row in rows if row["origin"] == origin), None)
    lead = max(rows, key=lambda row: float(row["accuracy"]["value"]))
    if ours is None or lead is ours or not (ours["behind"]["low"] > 0 or lead["behind"]["high"] < 0):
        return None
    return str(lead["model"])


def name(model: str) -> str:
    """A model as a person would call it: of a file its name alone.

    >>> name("/weights/mobilenetv1_100.safetensors"), name("timm/resnet18")
    ('mobilenetv1_100', 'timm/resnet18')
    """
    return Path(model).stem if model.endswith(".safetensors") and "@" not in model else model


def _cells(row: Row) -> tuple[str, ...]:
    gap = row.behind
    behind = "" if row.place == 1 else f"{gap.value:.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
    return (
        str(row.place),
        name(row.model),
        str(row.accuracy),
        behind,
        f"{row.p_best:.0%}",
        f"{row.p_top3:.0%}",
        f"{row.parameters / 1e6:.1f}",
        "" if row.seconds is None else f"{1000 * row.seconds:.1f}",
        "" if row.nearness is None else str(row.nearness),
    )
