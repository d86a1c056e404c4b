"""The half of a task's contract that scores, verdicts and reports rest on: what becomes of predictions."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from tunesmith.tasks.task import less_is_better
from tunesmith.testing.stand_ins import same

if TYPE_CHECKING:
    from tunesmith.testing.tasks import Known


class Answering:
    """How a task answers, how its answers are scored and how they are shown."""

    def test_predictions_come_in_the_order_of_the_examples(self, known: Known) -> None:
        network, rows = known.network(known.mixed), np.roll(np.arange(known.batch.size), 1)
        answers = known.predict(network, known.batch)
        assert len(answers) == known.batch.size
        assert same(known.predict(network, known.rows(*rows)), [answers[row] for row in rows])

    def test_a_prediction_does_not_depend_on_the_others_in_its_batch(self, known: Known) -> None:
        """Batches are made by length and by what fits into memory. In whatever order they come back here."""
        network = known.network(known.mixed)
        for rows in ([0, 1, 0], [0, 2, 0]):
            together = known.predict(network, known.rows(*rows))
            for row in rows:
                (alone,) = known.predict(network, known.rows(row))
                assert any(same(alone, answer) for answer in together)

    def test_the_targets_are_what_collate_gives(self, known: Known) -> None:
        """A split is scored by `targets` and trained by collate. Of parts: the right answers fit best."""
        assert known.batch.targets is not None
        trained, targets = known.batch.targets.numpy(), known.targets
        assert len(targets) == len(known.data.train)
        if known.task.answers != "parts":
            assert np.asarray(targets) == pytest.approx(trained, abs=1e-6)
            return
        decides, answers = known.task.deciding(known.labels), known.answers(known.right)
        found = [
            _scored(known, answers[turn:] + answers[:turn], targets)[decides] for turn in range(len(answers))
        ]
        best = min(found) if less_is_better(decides) else max(found)
        assert found[0] == best

    def test_right_answers_score_best_in_every_metric(self, known: Known) -> None:
        assert known.batch.targets is not None
        targets = known.targets if known.task.answers == "parts" else list(known.batch.targets.numpy())
        best, worse = (_scored(known, known.answers(said), targets) for said in (known.right, known.wrong))
        assert best.keys() == worse.keys()
        for metric in best:
            sign = -1 if less_is_better(metric) else 1
            assert sign * best[metric] >= sign * worse[metric], f"wrong answers have the better {metric}"
        decides = known.task.deciding(known.labels)
        assert best[decides] != worse[decides], f"{decides} does not tell right from wrong"

    def test_outcomes_hold_a_row_per_unit_in_every_array(self, known: Known) -> None:
        outcomes = _outcomes(known, known.mixed)
        sizes = {name: len(values) for name, values in outcomes.items()}
        assert len(set(sizes.values())) == 1, f"arrays of unequal length: {sizes}"
        assert all(np.asarray(values).dtype.kind in "fiub" for values in outcomes.values())
        if known.task.answers != "parts":
            assert set(sizes.values()) == {len(known.data.train)}

    def test_the_score_does_not_depend_on_the_order_of_units(self, known: Known) -> None:
        """The bootstrap draws units in any order."""
        outcomes = _outcomes(known, _half_right(known))
        count = _rows(outcomes)
        expected = _score(known, outcomes)
        for order in (np.arange(count)[::-1], np.random.default_rng(0).permutation(count)):
            assert _score(known, _drawn(outcomes, order)) == pytest.approx(expected)

    def test_the_score_is_a_pure_function(self, known: Known) -> None:
        """Of units that it was shown before, and of its arrays it changes none."""
        outcomes = _outcomes(known, _half_right(known))
        kept = copy.deepcopy(dict(outcomes))
        count = _rows(outcomes)
        first = known.task.score(outcomes, known.labels)
        known.task.score(_drawn(outcomes, np.zeros(count, int)), known.labels)
        again = known.task.score(outcomes, known.labels)
        assert again == first
        assert same(dict(outcomes), kept)

    def test_every_draw_of_units_has_a_score(self, known: Known) -> None:
        """A draw may miss a class, or hold one unit alone many times: what divides by zero needs a value."""
        outcomes = _outcomes(known, _half_right(known))
        count = _rows(outcomes)
        expected = _score(known, outcomes).keys()
        for rows in [np.full(count, row) for row in range(count)]:
            scores = _score(known, _drawn(outcomes, rows))
            assert scores.keys() == expected
            assert np.isfinite(list(scores.values())).all(), f"{scores} of one unit alone"

    def test_one_metric_alone_is_the_one_among_all(self, known: Known) -> None:
        outcomes = _outcomes(known, _half_right(known))
        for metric, value in _score(known, outcomes).items():
            assert _score(known, outcomes, only=metric)[metric] == value

    def test_the_trivial_answer_is_the_same_for_every_example(self, known: Known) -> None:
        """It knows how many there are and nothing of them; asked before and after the truth was there."""
        task, count = known.task, len(known.data.train)
        name, before = task.trivial(known.labels, count)
        outcomes = task.outcomes(known.answers(known.mixed), known.targets)
        again, after = task.trivial(known.labels, count)
        assert name == again != ""
        assert len(before) == count
        assert all(same(answer, before[0]) for answer in (*before, *after))
        assert (
            task.score(task.outcomes(after, known.targets), known.labels).keys()
            == _score(known, outcomes).keys()
        )

    def test_simple_answers_are_scored_as_a_networks_are(self, known: Known) -> None:
        found = known.task.simple(known.data.train, known.data.train, known.labels)
        for answers in found.values():
            assert len(answers) == len(known.data.train)
            assert _scored(known, answers, known.targets)

    def test_a_table_has_a_row_per_prediction_with_the_same_columns(self, known: Known) -> None:
        predictions = known.answers(known.mixed)
        for full in (False, True):
            rows = known.task.table(predictions, known.labels, full=full)
            assert len(rows) == len(predictions)
            assert len({tuple(row) for row in rows}) == 1
        assert json.loads(json.dumps(known.task.table(predictions, known.labels)))
        assert known.task.table([], known.labels) == []

    def test_what_a_file_holds_of_predictions_scores_as_they_do(self, known: Known) -> None:
        """Pages and comparisons read answers and labels from a Parquet file alone."""
        predictions = known.answers(_half_right(known))
        file = pa.Table.from_pylist(known.task.table(predictions, known.labels, full=True))
        columns = {name: file[name].to_pylist() for name in file.column_names}
        again = known.task.from_table(columns, known.labels)
        targets = known.task.targets({"label": list(known.data.train["label"])}, known.labels)
        expected = _scored(known, predictions, known.targets)
        assert _scored(known, again, targets) == pytest.approx(expected, rel=1e-9)
        with pytest.raises((KeyError, ValueError)):
            known.task.from_table({"id": list(known.data.train["id"])}, known.labels)

    def test_a_whole_split_has_one_prediction_per_example(self, known: Known) -> None:
        """One at a time through the same code as a run's."""
        from tunesmith.training.predicting import predict

        network = known.network(known.mixed)
        answers = predict(network, known.task, known.data.train, known.labels, batch=1)
        assert same(answers, known.answers(known.mixed))


def _half_right(known: Known) -> Any:
    """Outputs of which every second is wrong."""
    said = known.right.copy()
    said[::2] = known.wrong[::2]
    return said


def _outcomes(known: Known, outputs: Any) -> Mapping[str, Any]:
    return known.task.outcomes(known.answers(outputs), known.targets)


def _score(known: Known, outcomes: Mapping[str, Any], *, only: str | None = None) -> dict[str, float]:
    """Scores by a task of their own, so that one that keeps state fails where that is looked for."""
    return copy.deepcopy(known.task).score(outcomes, known.labels, only=only)


def _scored(known: Known, answers: list[Any], targets: list[Any]) -> dict[str, float]:
    return _score(known, known.task.outcomes(answers, targets))


def _rows(outcomes: Mapping[str, Any]) -> int:
    return max(len(values) for values in outcomes.values())


def _drawn(outcomes: Mapping[str, Any], rows: Any) -> dict[str, Any]:
    """Some units. Of an array that is too short those that it has: that is looked for elsewhere."""
    return {name: np.asarray(values)[rows[rows < len(values)]] for name, values in outcomes.items()}
