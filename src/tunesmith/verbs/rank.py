"""Which pretrained network suits labelled data: candidates ranked by one forward pass each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tunesmith.verbs.environment import prepare
from tunesmith.verbs.options import duration, seconds, whole
from tunesmith.verbs.stopping import stoppable

if TYPE_CHECKING:
    from tunesmith.choosing.ranking import Failed, Ranking
    from tunesmith.choosing.which_network import Candidate
    from tunesmith.data.data import Data
    from tunesmith.networks.network import Network
    from tunesmith.store import Store
    from tunesmith.tasks.task import Task
    from tunesmith.verbs.reporting import Reporter

EXAMPLES: Final = 2000  # of the training split that a ranking looks at


def rank(
    data: Any,
    *,
    models: str | Network | Sequence[str | Network] | None = None,
    task: str | None = None,
    examples: int = EXAMPLES,
    finals: bool = False,
    time_limit: str | float | None = None,
    item: str | None = None,
    target: str | None = None,
    split: str | None = None,
    group: str | None = None,
    weight: str | None = None,
    columns: str | None = None,
    valid_size: float = 0.15,
    test_size: float = 0.15,
    skip_bad: bool = False,
    image_size: int | None = None,
    max_length: int | None = None,
    long_texts: str = "cut",
    engine: str = "auto",
    store_limit: str | int = "20GB",
    device: str = "auto",
    seed: int = 0,
    offline: bool = False,
    reporter: Reporter | None = None,
) -> Ranking:
    """Rank pretrained networks by what their features tell of labelled data.

    Each candidate runs once over a probe set of the training split; a fit with the same network, image size
    and engine finds the features in the store. The validation and test splits are not looked at.

    data: folder, table, zip, npz, hf://NAME; in Python also frames, lists, data sets.
    models: candidates, comma separated, or local; by default local ones, and a few more when online.
    task: what is to be learned; found from the data when not named.
    examples: at most so many of the training split are looked at, each class with its share.
    finals: a short real run of up to three that may be the best decides between them, on validation.
    time_limit: end after 90s, 10m, 1h30m, with the candidates that were seen until then.
    item: the column with texts or with paths of images; of pairs of texts both, with a comma between.
    target: the column with labels, or columns of numbers with commas between.
    split: the column that says train, valid or test.
    group: the column whose values stay together in one split (patient, author).
    weight: the column that says how much an example counts.
    columns: names for the columns of a table without header: "label,text".
    valid_size: share of the data for validation, where it has to be made.
    test_size: share of the data for the test, where it has to be made.
    skip_bad: leave out items that cannot be read, listed and counted, instead of stopping.
    image_size: pixels a side, for all candidates; by default as each was pretrained.
    max_length: tokens a text is cut at; by default each network's window, at most 512.
    long_texts: what becomes of longer ones: cut, or windows: all is read, and the answers are joined.
    engine: what computes features: auto, openvino, onnxruntime, compile or eager.
    store_limit: how large the store of features may grow: 500MB, 20GB; 0 stores nothing.
    device: auto, cpu, cuda, cuda:N or mps.
    seed: of the splits, where they have to be made, of random weights and of the bootstrap.
    offline: never reach for a hub, in this process.
    reporter: where to tell what happens; None: lines on standard error.

    Raises BadOption if no candidate could be ranked; one that cannot be loaded is listed with the reason.
    """
    asked = {k: v for k, v in locals().items() if k != "reporter"}
    began = time.monotonic()
    prepare(offline=offline)
    from tunesmith.networks.preprocess import check_long_texts
    from tunesmith.verbs.candidates import candidates
    from tunesmith.verbs.carrying_out import speaker
    from tunesmith.verbs.finals import with_finals
    from tunesmith.verbs.rankings import keep
    from tunesmith.verbs.replaying import open_store
    from tunesmith.verbs.understanding import read_data

    say = speaker(reporter)
    limit = seconds(time_limit)
    whole("examples", examples, least=20)
    whole("image_size", image_size)
    whole("max_length", max_length)
    check_long_texts(long_texts)
    store = open_store(store_limit)
    known: dict[str, bytes] = {}
    found, how, looked = read_data(asked, store, known, say)
    looked.close()
    rankable(how)
    chosen = candidates(models, how.kind, default=how.model)

    def left() -> float:
        return float("inf") if limit is None else limit - (time.monotonic() - began)

    ranking = ranking_of(chosen, found, how, asked, store, known, say, left)
    if finals:
        ranking = with_finals(ranking, chosen, asked, say, left)
    keep(ranking, found)
    return ranking


def rankable(task: Task) -> None:
    """Raise BadOption for a task whose networks nothing in closed form can rank."""
    from tunesmith.errors import BadOption

    if task.answers == "parts" and not task.parts:
        raise BadOption(
            f"networks for {task.name} are not ranked: its answers have parts, and it does not say of which "
            f"parts a probe could be asked (`Task.rows`); fit each network with --model and compare the runs "
            f"(the usual one is {task.model})."
        )


def ranking_of(
    chosen: Sequence[str | Network],
    data: Data,
    task: Task,
    asked: Mapping[str, Any],
    store: Store,
    known: dict[str, bytes],
    say: Reporter,
    left: Callable[[], float],
) -> Ranking:
    """The ranking of some candidates on data that are read.

    asked: options of `rank` or `fit` by name. left: seconds that it may still take.
    Raises BadOption if no candidate could be ranked.
    """
    import numpy as np

    from tunesmith.choosing.ranking import Failed
    from tunesmith.choosing.which_network import Candidate, ranked
    from tunesmith.data.rows import counted, some
    from tunesmith.errors import BadOption
    from tunesmith.verbs.probing import FEWEST, probe_of, seen
    from tunesmith.verbs.probing_parts import FEWEST_WITH_PARTS, probe_of_parts, seen_in_parts

    labels = task.labels(data)
    sizes = ("image_size", "max_length", "long_texts")
    want = task.want(labels, **{name: asked[name] for name in sizes})
    count, total = asked.get("examples", EXAMPLES), sum(len(own) for own in data.splits.values())
    if task.answers == "parts":
        probe = probe_of_parts(data, task, count, known, total)
    else:
        targets = np.asarray(task.targets(data.train, labels))
        probe = probe_of(data.train, targets, count, known, total)
    seldom = np.flatnonzero(np.bincount(probe.targets) < FEWEST) if task.answers == "classes" else ()
    few = [labels.names[k] for k in seldom]
    if few:
        say.warn(f"fewer than {FEWEST} training examples of {some(few)}: the ranking says little of them")
    if task.answers == "parts" and len(probe.dataset) < FEWEST_WITH_PARTS:
        say.warn(f"only {counted(len(probe.dataset), task.unit)} to train on: the ranking says little")
    how = {name: asked[name] for name in ("engine", "device", "seed")}

    def look(model: str | Network) -> Candidate:
        if task.answers == "parts":
            return seen_in_parts(model, want, task, labels, probe, store, known, say, **how, left=left)
        return seen(model, want, task, probe, store, known, say, **how, left=left)

    with stoppable():
        outcomes = [_tried(look, model, left, say) for model in chosen]
        ready = [outcome for outcome in outcomes if isinstance(outcome, Candidate)]
        failed = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
        late = [outcome for outcome in failed if outcome.late]
        if late and not ready:
            limit = duration(seconds(asked["time_limit"]) or 0)
            raise BadOption(
                f"the time limit of {limit} does not suffice for one candidate ({late[0].reason}); what was "
                f"computed is kept: give it more time, or fewer --examples."
            )
        return ranked(
            ready,
            data=data.name,
            examples=len(data.train),
            groups=probe.groups,
            failed=failed,
            seed=asked["seed"],
        )


def _tried(
    look: Callable[[str | Network], Candidate],
    model: str | Network,
    left: Callable[[], float],
    say: Reporter,
) -> Candidate | Failed:
    """The candidate, or why there is none: whatever one network does, the others are ranked."""
    from tunesmith.choosing.ranking import Failed
    from tunesmith.errors import TunesmithError
    from tunesmith.verbs.probing import TooLong

    late = False
    name = model if isinstance(model, str) else model.origin
    try:
        if left() > 0:
            return look(model)
        reason, late = "the time limit had passed", True
    except TunesmithError as error:
        reason, late = str(error), isinstance(error, TooLong)
    except Exception as error:  # noqa: BLE001 (code of strangers runs here)
        line = next(iter(str(error).strip().splitlines()), "")[:200]
        reason = f"it cannot be run ({type(error).__name__}: {line})"
    failed = Failed(name, reason, late)
    say.warn(failed.sentence)
    return failed
