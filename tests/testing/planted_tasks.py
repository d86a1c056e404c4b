"""Tasks with one fault each, and the check of the contract that names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tunesmith.data.data import Data, Finding
from tunesmith.networks.network import Network, Want
from tunesmith.networks.preprocess import Preprocess
from tunesmith.tasks.classification import Classification
from tunesmith.tasks.regression import Regression
from tunesmith.tasks.rows import Rows
from tunesmith.tasks.task import Batch, Labels
from tunesmith.tasks.token_classification import TokenClassification

Examples = Sequence[Mapping[str, Any]]


class Whole(Classification):
    """No fault: the control."""

    caught_by = ""


class LearnsFromEverySplit(Classification):
    caught_by = "test_its_labels_are_learned_from_the_training_split_alone"

    def labels(self, data: Data) -> Labels:
        names = sorted({name for split in data.splits.values() for name in split["label"]})
        counts = super().labels(data)
        return Labels(
            tuple(names), tuple(dict(zip(counts.names, counts.counts, strict=True)).get(n, 0) for n in names)
        )


class MeansOfEverySplit(Regression):
    caught_by = "test_its_labels_are_learned_from_the_training_split_alone"

    def labels(self, data: Data) -> Labels:
        return replace(
            super().labels(data), means=super().labels(replace(data, splits={"train": data.test})).means
        )


class LossIgnoresTheTruth(Classification):
    caught_by = "test_a_wrong_answer_costs_more_than_a_right_one"

    def loss(self, network: Network, batch: Batch) -> Tensor:
        if batch.targets is None:
            return super().loss(network, batch)
        each = (network(batch.inputs) ** 2).mean(1)
        return each.mean() if batch.weights is None else (each * batch.weights).mean()


class LossIgnoresWeights(Classification):
    caught_by = "test_weights_multiply_each_examples_loss"

    def loss(self, network: Network, batch: Batch) -> Tensor:
        return super().loss(network, replace(batch, weights=None))


class LossIsASum(Classification):
    caught_by = "test_the_loss_is_the_mean_over_the_examples"

    def loss(self, network: Network, batch: Batch) -> Tensor:
        return super().loss(network, batch) * batch.size


class LossIsWeighedByClass(Classification):
    """As PyTorch's cross-entropy weighs: by the sum of the batch's weights, not by its size."""

    caught_by = "test_the_loss_is_the_mean_over_the_examples"

    def loss(self, network: Network, batch: Batch) -> Tensor:
        if batch.targets is None or batch.weights is not None:
            return super().loss(network, batch)
        rare = torch.tensor([1.0, 2.0, 5.0])
        return cross_entropy(network(batch.inputs), batch.targets, rare)


class LossDoesNotReachTheNetwork(Regression):
    caught_by = "test_the_loss_moves_what_the_network_puts_out"

    def loss(self, network: Network, batch: Batch) -> Tensor:
        return super().loss(network, batch).detach().requires_grad_()


class CollateLosesWeights(Classification):
    caught_by = "test_collate_gives_the_weights_of_examples"

    def collate(self, examples: Examples, preprocess: Preprocess, labels: Labels) -> Batch:
        return replace(super().collate(examples, preprocess, labels), weights=None)


class CollateDrawsRandomNumbers(Classification):
    caught_by = "test_collate_draws_no_random_numbers"

    def collate(self, examples: Examples, preprocess: Preprocess, labels: Labels) -> Batch:
        batch = super().collate(examples, preprocess, labels)
        if batch.targets is None or batch.weights is not None:
            return batch
        return replace(batch, weights=0.5 + torch.rand(batch.size))


class CollateNeedsLabels(Classification):
    caught_by = "test_examples_without_labels_are_collated_too"

    def collate(self, examples: Examples, preprocess: Preprocess, labels: Labels) -> Batch:
        if any(example["label"] is None for example in examples):
            raise KeyError("label")
        return super().collate(examples, preprocess, labels)


class LabelsJsonCannotHold(Classification):
    caught_by = "test_what_it_learned_comes_back_from_json"

    def labels(self, data: Data) -> Labels:
        learned = super().labels(data)
        return replace(learned, counts=tuple(np.asarray(learned.counts)))


class LabelsChangedByJson(Classification):
    caught_by = "test_what_it_learned_comes_back_from_json"

    def labels(self, data: Data) -> Labels:
        learned = super().labels(data)
        return replace(learned, widths=((1.0, 2.0),))  # type: ignore[arg-type]


class OtherTargetsThanCollate(Classification):
    caught_by = "test_the_targets_are_what_collate_gives"

    def targets(self, dataset: Any, labels: Labels) -> list[Any]:
        return [len(labels.names) - 1 - target for target in super().targets(dataset, labels)]


class TargetsInThePersonsUnit(Regression):
    caught_by = "test_the_targets_are_what_collate_gives"

    def targets(self, dataset: Any, labels: Labels) -> list[Any]:
        return [target * labels.spreads + labels.means for target in super().targets(dataset, labels)]


class AnswersInAnotherOrder(Classification):
    caught_by = "test_predictions_come_in_the_order_of_the_examples"

    def predict(self, network: Network, batch: Batch) -> list[Any]:
        return super().predict(network, batch)[::-1]


class MostConfidentAnswersFirst(Classification):
    caught_by = "test_predictions_come_in_the_order_of_the_examples"

    def predict(self, network: Network, batch: Batch) -> list[Any]:
        return sorted(super().predict(network, batch), key=lambda own: -own.max())


class AnswersMindTheirNeighbours(Classification):
    caught_by = "test_a_prediction_does_not_depend_on_the_others_in_its_batch"

    def predict(self, network: Network, batch: Batch) -> list[Any]:
        logits = network(batch.inputs).double()
        return list(torch.softmax(logits / logits.std(), -1).numpy())


class MetricUpsideDown(Classification):
    caught_by = "test_right_answers_score_best_in_every_metric"

    def score(self, outcomes: Any, labels: Labels, *, only: str | None = None) -> dict[str, float]:
        scores = super().score(outcomes, labels)
        return {**scores, "accuracy": 1 - scores["accuracy"]}


class MetricSaysTheWrongDirection(Classification):
    caught_by = "test_its_metrics_say_in_which_direction_they_are_better"

    said: ClassVar = {"best": "min"}


class DecidesByAMetricThatItLacks(Classification):
    caught_by = "test_its_metrics_say_in_which_direction_they_are_better"

    said: ClassVar = {"valid_loss": "cross_entropy_loss"}


class ScoreDependsOnTheOrder(Classification):
    caught_by = "test_the_score_does_not_depend_on_the_order_of_units"

    def score(self, outcomes: Any, labels: Labels, *, only: str | None = None) -> dict[str, float]:
        right = outcomes["truth"] == outcomes["guess"]
        early = float(np.average(right, weights=np.arange(len(right), 0, -1)))
        return {**super().score(outcomes, labels), "accuracy": early}


class ScoreKeepsState(Classification):
    caught_by = "test_the_score_is_a_pure_function"

    def score(self, outcomes: Any, labels: Labels, *, only: str | None = None) -> dict[str, float]:
        scores = super().score(outcomes, labels)
        told = self.__dict__.setdefault("told", [])
        told.append(scores["accuracy"])
        return {**scores, "accuracy": float(np.mean(told))}


class ScoreSortsItsArrays(Classification):
    caught_by = "test_the_score_is_a_pure_function"

    def score(self, outcomes: Any, labels: Labels, *, only: str | None = None) -> dict[str, float]:
        scores = super().score(outcomes, labels)
        outcomes["surprise"].sort()
        return scores


class ScoreDividesByZero(Classification):
    caught_by = "test_every_draw_of_units_has_a_score"

    def score(self, outcomes: Any, labels: Labels, *, only: str | None = None) -> dict[str, float]:
        right = outcomes["truth"] == outcomes["guess"]
        with np.errstate(invalid="ignore"):
            recalls = [
                np.float64(right[outcomes["truth"] == k].sum()) / (outcomes["truth"] == k).sum()
                for k in range(len(labels.names))
            ]
        return {**super().score(outcomes, labels), "balanced_accuracy": float(np.mean(recalls))}


class OneMetricAloneIsAnother(Regression):
    caught_by = "test_one_metric_alone_is_the_one_among_all"

    def score(self, outcomes: Any, labels: Labels, *, only: str | None = None) -> dict[str, float]:
        scores = super().score(outcomes, labels, only=only)
        return (
            {**scores, "mae": scores["rmse"]}
            if only == "mae" and "rmse" in scores
            else ({"mae": 0.0} if only == "mae" else scores)
        )


class OutcomesOfUnequalLength(Classification):
    caught_by = "test_outcomes_hold_a_row_per_unit_in_every_array"

    def outcomes(self, predictions: Sequence[Any], targets: Sequence[Any]) -> dict[str, Any]:
        found = super().outcomes(predictions, targets)
        return {**found, "classes": np.unique(found["truth"])}

    def score(self, outcomes: Any, labels: Labels, *, only: str | None = None) -> dict[str, float]:
        return super().score({**outcomes}, labels)


class TrivialAnswerKnowsTheTruth(Classification):
    caught_by = "test_the_trivial_answer_is_the_same_for_every_example"

    def targets(self, dataset: Any, labels: Labels) -> list[Any]:
        self.__dict__["truth"] = super().targets(dataset, labels)
        return list(self.__dict__["truth"])

    def trivial(self, labels: Labels, count: int) -> tuple[str, list[Any]]:
        truth = self.__dict__.get("truth", [0] * count)
        return "majority class", [np.eye(len(labels.names))[k] for k in truth]


class TableWithARowTooFew(Classification):
    caught_by = "test_a_table_has_a_row_per_prediction_with_the_same_columns"

    def table(
        self, predictions: Sequence[Any], labels: Labels, *, full: bool = False
    ) -> list[dict[str, Any]]:
        rows = super().table(predictions, labels, full=full)
        return rows if full else rows[:-1]


class TableThatJsonCannotHold(Classification):
    caught_by = "test_a_table_has_a_row_per_prediction_with_the_same_columns"

    def table(
        self, predictions: Sequence[Any], labels: Labels, *, full: bool = False
    ) -> list[dict[str, Any]]:
        return [{**row, "class": np.int64(3)} for row in super().table(predictions, labels, full=full)]


class FileForgetsWhatWasSure(Classification):
    caught_by = "test_what_a_file_holds_of_predictions_scores_as_they_do"

    def from_table(self, columns: Mapping[str, Sequence[Any]], labels: Labels) -> list[Any]:
        return [np.round(own) for own in super().from_table(columns, labels)]


class SimpleAnswersForSome(Classification):
    caught_by = "test_simple_answers_are_scored_as_a_networks_are"

    def simple(self, train: Any, test: Any, labels: Labels) -> Mapping[str, list[Any]]:
        return {"first class": [np.eye(len(labels.names))[0]] * (len(test) - 1)}


class DropsWhatIsAskedOfTheNetwork(Classification):
    caught_by = "test_it_tells_the_network_what_it_wants"

    def want(self, labels: Labels, **options: Any) -> Want:
        return super().want(labels)


class FindsFaultWithEverything(Classification):
    caught_by = "test_nothing_is_found_wrong_with_good_examples"

    def check(self, data: Data) -> list[Finding]:
        return [Finding("odd", name, f"{name} is odd") for name in data.train["id"]]


class IsNotCalledWhatTheRegistryCallsIt(Classification):
    caught_by = "test_a_run_finds_it_by_its_name"
    registered_as = "planted-other"


class PartsWithoutRows(TokenClassification):
    caught_by = "test_its_parts_depend_on_their_own_example_alone"

    def rows(self, states: Tensor, batch: Batch) -> Rows | None:
        return None


class RowsMindTheirNeighbours(TokenClassification):
    """As a normalisation over the batch would make them."""

    caught_by = "test_its_parts_depend_on_their_own_example_alone"

    def rows(self, states: Tensor, batch: Batch) -> Rows | None:
        return super().rows(states - states.mean(), batch)


class RowsWithTheAnswersOfOthers(TokenClassification):
    caught_by = "test_its_parts_depend_on_their_own_example_alone"

    def rows(self, states: Tensor, batch: Batch) -> Rows | None:
        found = super().rows(states, batch)
        return found and replace(found, targets=found.targets.roll(1))


class RowsThatCountTokensOfTheBatch(TokenClassification):
    """Places are characters, not tokens: two networks would be asked about other words."""

    caught_by = "test_its_parts_depend_on_their_own_example_alone"

    def rows(self, states: Tensor, batch: Batch) -> Rows | None:
        found = super().rows(states, batch)
        return found and replace(found, places=torch.arange(len(found.of)))


class TagsWeighByTheRootOfTheWeight(TokenClassification):
    caught_by = "test_weights_multiply_each_examples_loss"

    def loss(self, network: Network, batch: Batch) -> Tensor:
        weights = batch.weights
        return super().loss(network, batch if weights is None else replace(batch, weights=weights.sqrt()))


class TagsInAnotherOrder(TokenClassification):
    caught_by = "test_predictions_come_in_the_order_of_the_examples"

    def predict(self, network: Network, batch: Batch) -> list[Any]:
        return super().predict(network, batch)[::-1]


class SpansUpsideDown(TokenClassification):
    caught_by = "test_right_answers_score_best_in_every_metric"

    def score(self, outcomes: Any, labels: Labels, *, only: str | None = None) -> dict[str, float]:
        scores = super().score(outcomes, labels, only=only)
        return {**scores, "precision": 1 - scores["precision"]}


PLANTED = [
    plant for plant in vars().copy().values() if isinstance(plant, type) and "caught_by" in vars(plant)
]
