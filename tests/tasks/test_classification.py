"""What classification makes of examples, and what it says of them."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from tunesmith.data.data import Data
from tunesmith.networks.network import Network, Stage
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.tasks.image_classification import ImageClassification
from tunesmith.tasks.task import Batch, Labels
from tunesmith.tasks.text_classification import TextClassification

TASK = ImageClassification()
LABELS = Labels(("bird", "cat"), (3, 1))


class Words:
    """A preprocessing that turns a word into its length."""

    takes = "text"

    def raw(self, items: Any) -> dict[str, torch.Tensor]:
        return {"lengths": torch.tensor([[len(item)] for item in items])}

    def ready(self, inputs: Any) -> Any:
        return inputs


class Given(nn.Module):
    """Logits that are given."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits), requires_grad=False)

    def forward(self, lengths: torch.Tensor) -> torch.Tensor:
        return self.logits[: len(lengths)]


def network(logits: list[list[float]]) -> Network:
    stage = Stage("all", ("",), ("logits",))
    return Network(Given(logits), (), stage, (), Words(), "given")  # type: ignore[arg-type]


def batch(targets: list[int] | None, weights: list[float] | None = None, size: int = 2) -> Batch:
    return Batch(
        {"lengths": torch.zeros(size, 1)},
        None if targets is None else torch.tensor(targets),
        None if weights is None else torch.tensor(weights),
        size,
    )


def test_labels_are_those_of_the_training_split_sorted_with_counts() -> None:
    import datasets

    def split(labels: list[str]) -> datasets.Dataset:
        return datasets.Dataset.from_dict({"label": labels})

    data = Data("d", "text", {"train": split(["b", "a", "b", "10", "9"]), "valid": split(["z"])}, (), "")
    assert TASK.labels(data) == Labels(("10", "9", "a", "b"), (1, 1, 1, 2))
    assert TASK.labels(data).imbalance == 2.0


def test_the_network_wants_one_output_per_class() -> None:
    want = TASK.want(LABELS, head="mlp")
    assert (want.kind, want.outputs, want.labels, want.head) == (
        "image-classification",
        2,
        ("bird", "cat"),
        "mlp",
    )


def test_collate_gives_class_indices_and_weights() -> None:
    examples = [{"item": "ab", "label": "cat", "weight": 2}, {"item": "a", "label": "bird", "weight": 0.5}]
    found = TASK.collate(examples, Words(), LABELS)  # type: ignore[arg-type]
    assert found.targets is not None
    assert found.weights is not None
    assert found.targets.tolist() == [1, 0]
    assert found.targets.dtype == torch.int64
    assert found.weights.tolist() == [2.0, 0.5]
    assert found.size == 2


def test_collate_leaves_out_what_examples_do_not_have() -> None:
    found = TASK.collate([{"item": "ab"}, {"item": "a", "label": None}], Words(), LABELS)  # type: ignore[arg-type]
    assert found.targets is None
    assert found.weights is None


def test_the_loss_is_the_cross_entropy_in_nats() -> None:
    """Logits (0, log 3): probabilities 1/4 and 3/4."""
    loss = TASK.loss(network([[0.0, math.log(3)], [0.0, math.log(3)]]), batch([0, 1]))
    assert float(loss) == pytest.approx((math.log(4) + math.log(4 / 3)) / 2)


def test_weights_multiply_each_examples_loss() -> None:
    loss = TASK.loss(network([[0.0, math.log(3)]] * 2), batch([0, 1], [2.0, 0.0]))
    assert float(loss) == pytest.approx(math.log(4))


def test_label_smoothing_spreads_a_share_over_all_classes() -> None:
    """(1 - e) of the true class's surprise, e of the mean surprise of all."""
    smooth = ImageClassification(label_smoothing=0.2)
    loss = smooth.loss(network([[0.0, math.log(3)]]), batch([0], size=1))
    expected = 0.8 * math.log(4) + 0.2 * (math.log(4) + math.log(4 / 3)) / 2
    assert float(loss) == pytest.approx(expected)


def test_a_batch_without_labels_has_no_loss() -> None:
    with pytest.raises(ValueError, match="a batch without labels has no loss"):
        TASK.loss(network([[0.0, 1.0]] * 2), batch(None))


def test_predictions_are_probabilities_of_double_precision() -> None:
    (first, second) = TASK.predict(network([[0.0, math.log(3)], [900.0, 0.0]]), batch(None))
    assert first.dtype == np.float64
    assert first == pytest.approx([0.25, 0.75])
    assert second.tolist() == [1.0, 0.0]


def test_outcomes_hold_truth_guess_and_surprise() -> None:
    found = TASK.outcomes([np.array([0.25, 0.75]), np.array([0.0, 1.0])], [0, 0])
    assert found["truth"].tolist() == [0, 0]
    assert found["guess"].tolist() == [1, 1]
    assert found["surprise"] == pytest.approx([math.log(4), math.log(1e12)])


def test_the_trivial_answer_is_the_class_shares_of_training() -> None:
    name, answers = TASK.trivial(LABELS, 3)
    assert name == "majority class"
    assert [a.tolist() for a in answers] == [[0.75, 0.25]] * 3


def test_targets_are_class_indices_in_the_datas_order() -> None:
    import datasets

    assert TASK.targets(datasets.Dataset.from_dict({"label": ["cat", "bird", "cat"]}), LABELS) == [1, 0, 1]


def test_a_table_row_names_the_likeliest_label() -> None:
    answers = [np.array([0.2, 0.8])]
    assert TASK.table(answers, LABELS) == [{"label": "cat", "probability": 0.8}]
    assert TASK.table(answers, LABELS, full=True) == [
        {"label": "cat", "probability": 0.8, "p(bird)": 0.2, "p(cat)": 0.8}
    ]


def test_pictures_that_cannot_be_read_are_found_in_every_split() -> None:
    import datasets

    def split(name: str) -> datasets.Dataset:
        return datasets.Dataset.from_dict(
            {"id": [f"{name}.png"], "item": [{"path": None, "bytes": b"no picture"}], "label": ["a"]}
        )

    data = Data("d", "image", {name: split(name) for name in ("train", "valid", "test")}, (), "")
    assert [f.where for f in TASK.check(data)] == ["train.png", "valid.png", "test.png"]


def test_texts_of_white_space_are_found_in_every_split() -> None:
    import datasets

    def split(name: str) -> datasets.Dataset:
        return datasets.Dataset.from_dict(
            {"id": [name, "fine"], "item": [" \n\t", "words"], "label": ["a", "b"]}
        )

    data = Data("d", "text", {name: split(name) for name in ("train", "valid", "test")}, (), "")
    assert [f.where for f in TextClassification().check(data)] == ["train", "valid", "test"]


@pytest.mark.parametrize(
    ("size", "pieces", "expected"),
    [(7, 1, [7]), (7, 2, [4, 3]), (7, 3, [3, 3, 1]), (6, 4, [2, 2, 2]), (2, 9, [1, 1])],
)
def test_a_batch_is_cut_into_nearly_equal_pieces_in_order(
    size: int, pieces: int, expected: list[int]
) -> None:
    inputs = {"lengths": torch.arange(size).unsqueeze(1)}
    whole = Batch(inputs, torch.arange(size), torch.arange(size) / 2, size)
    parts = whole.parts(pieces)
    assert [part.size for part in parts] == expected
    for name in ("targets", "weights"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    assert torch.equal(torch.cat([cast(Any, part.inputs)["lengths"] for part in parts]), inputs["lengths"])


def test_pictures_are_collated_to_bytes() -> None:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), (255, 0, 7)).save(buffer, "PNG")
    item = {"path": None, "bytes": buffer.getvalue()}
    found = TASK.collate([{"item": item, "label": "cat"}], ImagePreprocess(8, 8), LABELS)
    assert isinstance(found.inputs, torch.Tensor)
    assert found.inputs.shape == (1, 3, 8, 8)
    assert found.inputs.dtype == torch.uint8
    assert found.inputs[0, :, 0, 0].tolist() == [255, 0, 7]
