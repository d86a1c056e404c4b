"""One candidate of a ranking: loaded, run once over the probe set through the store, and scored."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from tunesmith.choosing.evidence import Evidence, EvidenceOfNumbers, evidence_of, other_scores
from tunesmith.choosing.evidence_of_rows import EvidenceOfRows
from tunesmith.choosing.nearness import EXAMPLES, Nearness, confidence, shift, source_posteriors
from tunesmith.choosing.prior import RANDOM, pretraining_examples
from tunesmith.choosing.which_network import Candidate
from tunesmith.data.split import strata
from tunesmith.errors import TunesmithError
from tunesmith.health.repeats import same_bytes
from tunesmith.networks.network import Network, Want
from tunesmith.store import Store
from tunesmith.store.keys import record_key
from tunesmith.tasks.task import Task
from tunesmith.training.devices import accelerator_for
from tunesmith.training.examples import Examples, content_keys
from tunesmith.training.recorded import POOLED, Recorded
from tunesmith.verbs.features import recorded_of
from tunesmith.verbs.loading import load_network, seed_everything
from tunesmith.verbs.options import duration
from tunesmith.verbs.reporting import Reporter

FEWEST: Final = 5  # examples of a class that a probe should see
MANY: Final = 800  # examples from which nearness takes as many as it would
PILOT: Final = 32  # examples after which the time of all is foretold, where it is limited


class TooLong(TunesmithError):
    """A candidate that the rest of the time limit does not suffice for; caught by the ranking."""


@dataclass(frozen=True)
class Probe:
    """The examples that all candidates see.

    dataset: rows of the training split. targets: their classes [N], or numbers [N, K]. groups: [N], what is
    left out together: the group column's, or examples of equal bytes. total: examples of all splits, which
    a fit would store.
    """

    dataset: Any
    targets: np.ndarray
    groups: np.ndarray
    total: int


def probe_of(dataset: Any, targets: np.ndarray, count: int, known: dict[str, bytes], total: int) -> Probe:
    """The probe set of a training split: so many examples, each class with its share but 5 at least."""
    rows = probe_rows(targets, count)
    chosen = dataset.select(rows)
    if "group" in dataset.column_names:
        groups = np.unique(np.asarray(chosen["group"][:]), return_inverse=True)[1]
    else:
        groups = same_bytes(content_keys(chosen, known))
    return Probe(chosen, targets[rows], groups, total)


def probe_rows(targets: np.ndarray, count: int) -> np.ndarray:
    """Rows evenly over each class, or tenth of numbers, in order; whatever the seed, so that records serve.

    Not `training.sampling.sampled`, which draws by a seed and may leave a rare class with one example.

    >>> probe_rows(np.repeat([0, 1], [90, 10]), 20).tolist()[-5:]
    [90, 92, 94, 96, 98]
    """
    if len(targets) <= count:
        return np.arange(len(targets))
    found = []
    targets = strata(targets)
    for k in np.unique(targets):
        rows = np.flatnonzero(targets == k)
        share = min(len(rows), max(FEWEST, round(len(rows) * count / len(targets))))
        found.append(rows[np.arange(share) * len(rows) // share])
    return np.sort(np.concatenate(found))


def seen(
    model: str | Network,
    want: Want,
    task: Task,
    probe: Probe,
    store: Store,
    known: dict[str, bytes],
    say: Reporter,
    *,
    engine: str,
    device: str,
    seed: int,
    left: Callable[[], float],
) -> Candidate:
    """A candidate with its evidence, after one forward pass over what the store lacks.

    left: the seconds that may still be spent. Raises TooLong where they do not suffice; what was computed is
    kept. Raises what loading raises, and BadData for features that are not finite.
    """
    network = loaded(model, want, device=device, seed=seed)
    examples = Examples(probe.dataset, network.preprocess, store, known=known, task=task)
    recorded = None
    try:
        recorded = recorded_of(network, store, {"train": examples}, say, engine=engine, count=probe.total)
        fill(recorded, examples, np.arange(len(examples)), say, left)
        features = recorded.pooled(examples)
        learned = _has_source_head(model, network)
        posteriors = source_posteriors(network, features) if learned else None
        return candidate(
            model,
            network,
            evidence_of(features, probe.targets, groups=probe.groups),
            other_scores(features, posteriors, probe.targets),
            recorded.shelves[POOLED].about.get("seconds"),
            _nearness(recorded, examples, posteriors),
        )
    finally:
        if recorded is not None:
            recorded.close()
        examples.close()


def loaded(model: str | Network, want: Want, *, device: str, seed: int) -> Network:
    """A candidate on its device; of a Network a copy, which may be changed."""
    seed_everything(seed)  # as fit does: random weights would be others
    network = load_network(copy.deepcopy(model), want)
    network.module.to(accelerator_for(device, "fp32").device)
    return network


def candidate(
    model: str | Network,
    network: Network,
    evidence: Evidence | EvidenceOfNumbers | EvidenceOfRows,
    scores: Mapping[str, float | None],
    seconds: float | None = None,
    nearness: Nearness | None = None,
) -> Candidate:
    """A network with what was seen of it. model: as it was named. seconds: for one example."""
    name = model if isinstance(model, str) else network.origin
    return Candidate(
        name,
        network.origin,
        sum(p.numel() for p in network.module.parameters()),
        sum(stage.macs for stage in network.stages),
        pretraining_examples(name),
        evidence,
        scores,
        seconds,
        nearness,
    )


def fill(
    recorded: Recorded,
    examples: Examples,
    rows: np.ndarray,
    say: Reporter,
    left: Callable[[], float],
) -> None:
    """Compute what is missing of some rows; a few first, to foretell the rest, where time is limited.

    Raises TooLong where the time does not suffice.
    """
    rows = rows[recorded.absent(examples)[rows]]
    if not len(rows):
        return
    name = recorded.network.origin.partition("@")[0]
    limited = left() < float("inf")
    with say.work(f"features by {name}", len(rows)) as done:
        start = 0
        while start < len(rows):
            some = rows[start : start + PILOT] if limited else rows
            began = time.monotonic()
            recorded.fill(examples, some, progress=done)
            start += len(some)
            needed = (time.monotonic() - began) / len(some) * (len(rows) - start)
            if needed > max(left(), 0.0):
                raise TooLong(
                    f"the features of {len(rows) - start:,} more examples would take about "
                    f"{duration(needed)}, and {duration(max(left(), 0.0))} of the time limit are left"
                )


def _nearness(recorded: Recorded, examples: Examples, posteriors: np.ndarray | None) -> Nearness | None:
    """The shift of channels, computed once and kept; else the source head's confidence, if there is one."""
    if examples.lengths is None and examples.storable:
        # They run by the live network, which takes several times as long as an engine: few where all are few.
        count = min(EXAMPLES if len(examples) >= MANY else EXAMPLES // 2, len(examples))
        rows = np.arange(count) * len(examples) // count
        asked = record_key(b"".join(examples.keys[row] for row in rows), b"shift")
        with recorded.solved("nearness, first form") as shelf:
            kept = None if shelf.missing([asked])[0] else shelf.get(asked)
            if kept is not None:
                value = float(np.frombuffer(kept, np.float64)[0])
                found = None if np.isnan(value) else Nearness("shift", value, count)
            else:
                found = shift(recorded.network, examples.raw(rows))
                shelf.put([asked], [np.asarray([np.nan if found is None else found.value])])
                shelf.commit()
        if found is not None:
            return found
    return None if posteriors is None else confidence(posteriors)


def _has_source_head(model: str | Network, network: Network) -> bool:
    """Whether the head that came with a model has learned something.

    That of random or headless weights has not, and encoders of texts are loaded without one.
    """
    from tunesmith.sources import resolve

    if isinstance(model, Network) or (Path(model).expanduser() / "manifest.json").is_file():
        return True
    if model.endswith(RANDOM) or network.preprocess.takes == "text":
        return False
    return resolve(model).header.get("num_classes") != "0"
