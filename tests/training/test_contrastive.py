"""Pairs are drawn as they should be, their loss is what it says, and learning from them can be resumed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import tunesmith as ts
from tunesmith.data.data import Data
from tunesmith.errors import BadPlan
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.strategies.contrastive import plan
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Batch, Task
from tunesmith.training import contrastive
from tunesmith.training.contrastive import Features, embeddings, pair_loss, partners, parts
from tunesmith.training.events import EpochEnd
from tunesmith.training.loop import Training
from tunesmith.training.solving import linear_head
from tunesmith.training.state import Snapshot
from tunesmith.verbs.reporting import Silent

TARGETS = np.asarray([0, 1, 0, 2, 1, 0, 3, 1, 0, 1] * 3 + [4])  # classes 2 and 3 have three, class 4 has one


@pytest.fixture(scope="module")
def folder(tiny_text: Callable[[str], Path]) -> Path:
    return tiny_text("bert")


@pytest.fixture
def make(folder: Path, seed: int) -> Callable[[], Network]:
    """Make a tiny random text network, the same each time."""

    def made() -> Network:
        torch.manual_seed(seed)
        return ts.load(f"hf/{folder}?pooling=mean", ts.Want("text-classification", 2))

    return made


@pytest.fixture(scope="module")
def texts(reviews: Path) -> Data:
    return ts.read(reviews, seed=0)


@pytest.fixture
def words() -> Task:
    made: Task = TASKS.load("text-classification")()
    return made


def test_every_example_meets_one_of_its_class_and_one_of_another() -> None:
    for epoch in range(20):
        same, other = partners(TARGETS, seed=0, epoch=epoch).T
        assert (TARGETS[same] == TARGETS).all()
        assert (TARGETS[other] != TARGETS).all()
        alone = TARGETS == 4
        assert (same[~alone] != np.arange(31)[~alone]).all()
        assert (same[alone] == np.arange(31)[alone]).all()


def test_who_meets_whom_is_the_same_in_the_same_epoch_and_spread_evenly_over_all() -> None:
    assert (partners(TARGETS, seed=1, epoch=2) == partners(TARGETS, seed=1, epoch=2)).all()
    assert (partners(TARGETS, seed=1, epoch=2) != partners(TARGETS, seed=1, epoch=3)).any()
    assert (partners(TARGETS, seed=1, epoch=2) != partners(TARGETS, seed=2, epoch=2)).any()
    met = np.stack([partners(TARGETS, seed=0, epoch=epoch)[0] for epoch in range(2200)])
    counts = np.bincount(met[:, 0], minlength=31)  # the eleven others of class 0, 200 times each
    assert set(np.flatnonzero(counts)) == set(np.flatnonzero(TARGETS == 0)) - {0}
    assert counts[counts > 0].min() > 140
    assert counts.max() < 260
    assert len(set(met[:, 1])) == int((TARGETS != 0).sum())


def test_the_loss_of_pairs_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [1.0, 0.0], [0.0, 1.0], [4.0, 0.0]])
    monkeypatch.setattr(contrastive, "embeddings", lambda *_: rows)
    nothing: Any = None
    batch = Batch(rows, None, None, 6)
    # First group: right on both. Second: a pair at right angles that should agree, and the reverse.
    assert float(pair_loss(nothing, batch)) == pytest.approx((0 + 0 + 1 + 1) / 4)


@pytest.mark.parametrize("pieces", [1, 2, 3, 4, 5])
def test_no_group_is_torn_apart_where_memory_is_short(pieces: int) -> None:
    batch = Batch(torch.arange(15), None, None, 15)
    cut = parts(batch, pieces)
    assert all(piece.size % 3 == 0 for piece in cut)
    assert torch.cat([piece.inputs for piece in cut]).tolist() == list(range(15))  # type: ignore[misc]
    assert len(cut) <= pieces


def test_the_embedding_is_what_the_head_is_given(make: Callable[[], Network]) -> None:
    network = make()
    network.module.eval()
    inputs = network.preprocess.raw(["a lovely day", "a dull and noisy place"])
    head: Any = linear_head(network)
    with torch.no_grad():
        features = embeddings(network, inputs)
        assert torch.equal(head(features), network(inputs))
        assert not torch.equal(head(features * 2), network(inputs))
    assert not head._forward_pre_hooks


def training(
    network: Network, task: Task, data: Data, epochs: float, *, lr: float = 3e-3, **more: Any
) -> Training:
    made = plan(len(network.stages), epochs, lr)
    settings = Settings(batch=8, **more.pop("settings", {}))
    return Training(network, task, data, Plan(made.strategy, made.phases, settings), device="cpu", **more)


def spread(network: Network, made: Training) -> float:
    """How near texts of one class lie against those of two: mean cosine similarities, one less the other."""
    features = Features(network, made.task, made.labels, batch=16).pooled(made.supply.examples["train"])
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    targets = np.asarray(made.task.targets(made.data.train, made.labels))
    alike, near = targets[:, None] == targets[None, :], unit @ unit.T
    return float(near[alike].mean() - near[~alike].mean())


def test_texts_of_one_class_come_to_lie_together_and_the_head_is_solved_on_them(
    make: Callable[[], Network], texts: Data, words: Task
) -> None:
    network = make()
    made = training(network, words, texts, 5)
    before = spread(network, made)
    losses = [event.row["train_loss"] for event in made if isinstance(event, EpochEnd)]
    assert losses[-1] < 0.8 * losses[0]
    assert spread(network, made) > before + 0.1


def kept(snapshot: Snapshot) -> Snapshot:
    tensors = {k: {n: t.clone() for n, t in named.items()} for k, named in snapshot.tensors.items()}
    return Snapshot(copy.deepcopy(snapshot.progress), tensors, copy.deepcopy(snapshot.randoms))


def end(network: Network, made: Training) -> tuple[dict[str, Tensor], list[Any]]:
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in made.progress.history]
    return {n: t.clone() for n, t in network.module.state_dict().items()}, rows


def same(one: Any, two: Any) -> bool:
    return one[1] == two[1] and all(torch.equal(t, two[0][n]) for n, t in one[0].items())


def test_it_can_be_taken_down_and_goes_on_with_the_same_bits(
    make: Callable[[], Network], texts: Data, words: Task
) -> None:
    network = make()
    made = training(network, words, texts, 1)
    snapshots = [kept(made.snapshot()) for _ in made]
    whole = end(network, made)
    assert len(snapshots) > 20
    for snapshot in snapshots[1::8]:
        torch.manual_seed(99)
        fresh = make()
        again = training(fresh, words, texts, 1, snapshot=snapshot)
        list(again)
        assert same(end(fresh, again), whole)
    fresh = make()
    other = training(fresh, words, texts, 1, settings={"seed": 1})  # the control: others meet
    list(other)
    assert not same(end(fresh, other), whole)


def weights(network: Network) -> Tensor:
    """Of all stages, in a row."""
    found = [t for i in range(len(network.stages)) for t in network.tensors(i).values()]
    return torch.cat([t.detach().flatten() for t in found if t.is_floating_point()]).clone()


def test_a_batch_in_pieces_learns_what_the_whole_batch_learns(
    make: Callable[[], Network], texts: Data, words: Task
) -> None:
    ends = []
    for pieces in (1, 3):
        network = make()
        for module in network.module.modules():  # or each piece would drop other features
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        first = weights(network)
        made = training(network, words, texts, 0.5, lr=0.01, settings={"optimizer": "sgd"})
        made.progress.pieces = pieces
        list(made)
        ends.append(weights(network) - first)
    assert float(ends[0].norm()) > 1e-4  # or there would be nothing to compare
    assert float((ends[0] - ends[1]).norm()) < 1e-3 * float(ends[0].norm())


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        (
            Phase("a", 1, (0.0, 1e-3), solver="lbfgs", loss="contrastive"),
            "stages train and the head is solved",
        ),
        (Phase("a", 1, (1e-3, 1e-3), loss="contrastive"), "solver 'lbfgs' or 'ridge'"),
        (
            Phase("a", 1, (1e-3, 0.0), solver="ridge", loss="contrastive"),
            "give stages and head a learning rate",
        ),
        (
            Phase("a", 1, (1e-3, 1e-3), loss="triplet"),
            "loss must be one of task, contrastive, found 'triplet'",
        ),
    ],
)
def test_a_phase_that_cannot_be_is_refused(phase: Phase, said: str) -> None:
    with pytest.raises(BadPlan, match=said):
        Plan("by hand", (phase,))


def test_a_plan_of_pairs_survives_its_file() -> None:
    made = plan(3, 5, 1e-5)
    assert Plan.from_json(made.to_json()) == made
    assert not made.phases[0].solved


def test_images_are_refused_in_one_sentence(tunesmith: Any, photos: Path) -> None:
    answer = tunesmith(
        "fit",
        photos,
        "--model",
        "timm/test_resnet@none",
        "--image-size",
        32,
        "-s",
        "contrastive",
        "--dry-run",
    )
    assert answer.code == 2
    assert "learning from pairs (strategy contrastive) is for texts, and timm/test_resnet" in answer.err
    assert "use lp_ft" in answer.err


def test_a_head_of_two_layers_is_refused(tunesmith: Any, reviews: Path, folder: Path) -> None:
    answer = tunesmith(
        "fit",
        reviews,
        "--model",
        f"hf/{folder}?pooling=mean",
        "--head",
        "mlp",
        "-s",
        "contrastive",
        "--dry-run",
    )
    assert answer.code == 2
    assert "only a linear head can be solved" in answer.err


def test_a_fit_on_pairs_ends_in_a_run_that_predicts(reviews: Path, folder: Path, tmp_path: Path) -> None:
    run = ts.fit(
        reviews,
        model=f"hf/{folder}",
        strategy="contrastive",
        lr=1e-3,
        epochs=3,
        batch=8,
        keep="trained",
        device="cpu",
        out=tmp_path / "run",
        reporter=Silent(),
    )
    assert run is not None
    assert run.scores["kept"]["phase"] == "contrastive"
    assert len(ts.Run.open(run.folder).predict(["lovely and warm"])) == 1
