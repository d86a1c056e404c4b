"""What regression makes of numbers, and what it says of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr  # type: ignore[import-untyped]
from sklearn import metrics

from tunesmith.data.data import Data
from tunesmith.errors import BadData, BadOption
from tunesmith.evaluation import evaluate
from tunesmith.plan import Settings
from tunesmith.tasks.image_classification import ImageClassification
from tunesmith.tasks.regression import LOSSES
from tunesmith.tasks.task import Batch, Labels
from tunesmith.tasks.text_regression import TextRegression
from tunesmith.training.supervisor import found_wrong

TASK: Any = TextRegression()
ONE = Labels(("price",), means=(100.0,), spreads=(20.0,))
TWO = Labels(("price", "weight"), means=(100.0, -3.0), spreads=(20.0, 0.5))


@pytest.fixture
def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """True and answered numbers of 200 examples in two columns, with ties."""
    random = np.random.default_rng(seed)
    target = random.normal(size=(200, 2)).round(1)
    return target, (target + random.normal(0, 0.7, (200, 2))).round(2)


def scored(target: np.ndarray, answer: np.ndarray, labels: Labels) -> dict[str, float]:
    found: dict[str, float] = TASK.score(TASK.outcomes(list(answer), list(target)), labels)
    return found


def in_unit(values: np.ndarray, labels: Labels) -> np.ndarray:
    found: np.ndarray = values * np.asarray(labels.spreads) + np.asarray(labels.means)
    return found


def test_one_column_scores_as_scikit_learn_and_scipy_do(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    target, answer = (own[:, :1] for own in drawn)
    true, said = in_unit(target, ONE)[:, 0], in_unit(answer, ONE)[:, 0]
    expected = {
        "rmse": metrics.root_mean_squared_error(true, said),
        "mae": metrics.mean_absolute_error(true, said),
        "r2": metrics.r2_score(true, said),
        "pearson": pearsonr(true, said).statistic,
        "spearman": spearmanr(true, said).statistic,
        "squared_loss": metrics.mean_squared_error(target, answer),
    }
    assert scored(target, answer, ONE) == pytest.approx(expected, abs=1e-9)
    assert scored(target, answer + 0.1, ONE)["rmse"] != pytest.approx(expected["rmse"], abs=1e-9)


def test_several_columns_have_their_own_scores_and_a_mean(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    target, answer = drawn
    found = scored(target, answer, TWO)
    true, said = in_unit(target, TWO), in_unit(answer, TWO)
    for k, name in enumerate(TWO.names):
        assert found[f"rmse/{name}"] == pytest.approx(metrics.root_mean_squared_error(true[:, k], said[:, k]))
        assert found[f"pearson/{name}"] == pytest.approx(pearsonr(true[:, k], said[:, k]).statistic)
        assert found[f"spearman/{name}"] == pytest.approx(spearmanr(true[:, k], said[:, k]).statistic)
    assert found["r2"] == pytest.approx(metrics.r2_score(true, said))
    assert found["standardised_rmse"] == pytest.approx(
        (found["rmse/price"] / 20 + found["rmse/weight"] / 0.5) / 2
    )
    assert "rmse" not in found
    assert TASK.deciding(TWO) == "standardised_rmse"
    assert TASK.deciding(ONE) == "rmse"


def test_equal_true_numbers_have_no_correlation_and_no_explained_share() -> None:
    same = np.full((5, 1), 0.1)
    assert scored(same, np.arange(5.0)[:, None], ONE)["r2"] == 0
    assert scored(same, same, ONE)["r2"] == 1
    assert scored(same, np.arange(5.0)[:, None], ONE)["spearman"] == 0
    assert scored(np.arange(5.0)[:, None], same, ONE)["pearson"] == 0
    assert all(math.isfinite(value) for value in scored(same, same + 1, ONE).values())


def test_labels_are_mean_and_standard_deviation_of_the_training_split() -> None:
    data = Data("d", "text", splits(["1.0", "2.0", "6.0"]), (), "", (), "numbers", ("price",))
    assert TASK.labels(data) == Labels(("price",), means=(3.0,), spreads=(math.sqrt(14 / 3),))


def splits(written: list[str]) -> dict[str, Any]:
    return {"train": datasets.Dataset.from_dict({"label": written})}


def test_equal_numbers_are_nothing_to_learn() -> None:
    data = Data("d", "text", splits(["[1.0, 3.0]", "[2.0, 3.0]"]), (), "", (), "numbers", ("price", "size"))
    with pytest.raises(BadData, match="every training example has the same size, 3: there is nothing"):
        TASK.labels(data)


def test_a_row_of_the_table_is_in_the_persons_unit_with_its_interval() -> None:
    known = replace(ONE, widths=(5.0,))
    assert TASK.table([np.array([0.5])], ONE) == [{"price": 110.0}]
    assert TASK.table([np.array([0.5])], known) == [{"price": 110.0, "price low": 105.0, "price high": 115.0}]
    assert TASK.table([np.array([0.5])], ONE, full=True) == [{"answer(price)": 110.0}]


def test_intervals_hold_nine_of_ten_new_numbers(seed: int) -> None:
    """Over 400 draws of 30 validation residuals; the guarantee is of the mean over draws."""
    random = np.random.default_rng(seed)
    held = []
    for _ in range(400):
        noise = random.standard_t(3, (230, 1))
        known = TASK.calibrated(ONE, list(np.zeros((30, 1))), list(noise[:30]))
        held.append((np.abs(noise[30:]) * 20 <= known.widths[0]).mean())
    assert 0.89 < np.mean(held) < 0.93  # between 0.9 and 0.9 + 1/31, and what chance adds
    narrow = [0.8 * held_ for held_ in held]  # the control
    assert not 0.89 < np.mean(narrow) < 0.93


def test_too_few_validation_examples_give_no_interval() -> None:
    eight = [np.array([float(i)]) for i in range(8)]
    assert TASK.calibrated(ONE, eight, [np.zeros(1)] * 8).widths == ()
    nine = [*eight, np.array([8.0])]
    assert TASK.calibrated(ONE, nine, [np.zeros(1)] * 9).widths == (160.0,)  # the largest of nine


def test_scores_come_with_intervals_in_the_persons_unit(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    target, answer = (own[:, :1] for own in drawn)
    found = evaluate(TASK, list(answer), list(target), ONE, samples=200)
    assert found["rmse"].low < found["rmse"].value < found["rmse"].high
    assert found["rmse"].value == pytest.approx(20 * np.sqrt(((answer - target) ** 2).mean()))
    assert found.confusion is None


def test_label_smoothing_is_refused() -> None:
    with pytest.raises(BadOption, match="label_smoothing is for classes"):
        TASK.configured(Settings(label_smoothing=0.1))


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_that_is_named_is_what_training_lowers(name: str) -> None:
    """By hand: errors of 0.5 and 2 spreads cost 0.25 and 4, or 0.5 and 2, or 0.125 and 1.5."""
    expected = {"mse": (0.25, 4.0), "mae": (0.5, 2.0), "huber": (0.125, 1.5)}[name]
    task = TASK.configured(Settings(loss=name))
    answer, target = np.array([[0.5], [-2.0]]), np.zeros((2, 1))
    assert task.cost(answer, target).tolist() == list(expected)
    scores = task.score({"answer": answer, "target": target}, ONE)
    assert scores[task.valid_loss] == sum(expected) / 2
    said: Any = lambda _: torch.from_numpy(answer)  # noqa: E731
    batch = Batch(torch.zeros(2), torch.zeros(2, 1), None, 2)
    assert float(task.loss(said, batch)) == sum(expected) / 2


def test_a_loss_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadOption, match="knows no loss 'hubert'; did you mean 'huber'"):
        TASK.configured(Settings(loss="hubert"))
    with pytest.raises(BadOption, match="knows no loss 'mae'; it knows cross_entropy"):
        ImageClassification().configured(Settings(loss="mae"))
    assert TASK.configured(Settings()).valid_loss == "squared_loss"


@pytest.mark.parametrize("name", LOSSES)
def test_a_network_that_knows_the_mean_alone_is_found_by_every_loss(name: str, seed: int) -> None:
    """Its training loss is that of the mean, whatever the loss is called; half of it is not."""
    random = np.random.default_rng(seed)
    target, answer = random.normal(size=(100, 1)), random.normal(size=(100, 1))
    cost = TASK.configured(Settings(loss=name)).cost
    ignorant = float(cost(np.full((100, 1), target.mean()), target).mean())
    outcomes = {"target": target, "answer": answer}
    for train_loss, found in ((ignorant, True), (0.5 * ignorant, False)):
        said = found_wrong(outcomes, target, ONE, None, None, 0.0, train_loss, cost)
        assert (said is not None) == found
