"""The ranker: evidence where it is clear, a prior where it is not, and chances that are honest about both."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tunesmith.choosing.evidence import Evidence, EvidenceOfNumbers, drawn_again, evidence_of, other_scores
from tunesmith.choosing.prior import pretraining_examples, prior, size_preference, weight_of
from tunesmith.choosing.ranking import Failed, Ranking, furthest_ahead
from tunesmith.choosing.scores.knn import knn
from tunesmith.choosing.scores.logme import logme
from tunesmith.choosing.scores.ridge_loo import ridge_loo
from tunesmith.choosing.which_network import Candidate, finalists, ranked, standing
from tunesmith.errors import BadData, BadOption

Draw = Callable[..., Any]


def candidate(
    model: str,
    features: np.ndarray,
    targets: np.ndarray,
    *,
    millions: float = 3.5,
    pretraining: float | None = 1.28e6,
    groups: np.ndarray | None = None,
) -> Candidate:
    evidence = evidence_of(features, targets, groups=groups)
    return Candidate(
        model, f"{model}@0123", round(millions * 1e6), round(millions * 1e8), pretraining, evidence
    )


def zoo(telling: Draw, with_noise: Draw, seed: int, **case: Any) -> tuple[dict[str, Any], np.ndarray]:
    """Three networks that know something, and two decoys: random features, and one of the three in noise."""
    found: dict[str, Any] = {}
    for i, shift in enumerate((0.6, 0.55, 0.5)):
        features, targets = telling(seed=seed + i, D=48, shift=shift, **case)
        found[f"real {i}"] = features
    found["random"] = np.random.default_rng(seed).normal(size=features.shape)
    found["noisy"] = with_noise(found["real 2"], 1000, seed)
    return found, targets


def rank_all(features: dict[str, Any], targets: np.ndarray, **options: Any) -> Ranking:
    candidates = [
        candidate(name, own, targets, pretraining=0.0 if name == "random" else 1.28e6)
        for name, own in features.items()
    ]
    return ranked(candidates, data="drawn", examples=len(targets), **options)


CASES: dict[str, dict[str, Any]] = {
    "100 examples": {"N": 100},
    "1,000 examples": {"N": 1000},
    "30 examples": {"N": 30, "K": 3},
    "one in a hundred": {"N": 1010, "rare": 10},
}


@pytest.mark.parametrize("case", CASES)
def test_decoys_are_last(telling: Draw, with_noise: Draw, seed: int, case: str) -> None:
    ranking = rank_all(*zoo(telling, with_noise, seed, **CASES[case]), seed=seed)
    assert {row.model for row in ranking.rows[-2:]} == {"random", "noisy"}
    assert all(np.isfinite(row.score) for row in ranking.rows)
    assert ranking.rows[-1].p_best < 0.05


def test_the_same_candidates_give_the_same_ranking(telling: Draw, with_noise: Draw, seed: int) -> None:
    given = zoo(telling, with_noise, seed, N=100)
    assert rank_all(*given, seed=seed).to_json() == rank_all(*given, seed=seed).to_json()
    assert rank_all(*given, seed=seed).to_json() != rank_all(*given, seed=seed + 1).to_json()


def equals(telling: Draw, seed: int, N: int) -> Ranking:
    """The same, one as good as the other: the same features, dealt anew among the examples of each class."""
    features, targets = telling(N, 48, seed, shift=0.4)
    dealt, random = features.copy(), np.random.default_rng(seed)
    for k in np.unique(targets):
        dealt[targets == k] = random.permutation(features[targets == k])
    small = candidate("small", features, targets, millions=2)
    large = candidate("large", dealt, targets, millions=60)
    return ranked([small, large], data="drawn", examples=N, seed=seed)


def two(telling: Draw, seed: int, N: int, *, small: float, large: float) -> Ranking:
    """A network of 2 million parameters and one of 60, whose classes are so far apart."""
    a, targets = telling(N, 48, seed, shift=small)
    b, _ = telling(N, 48, seed + 1, shift=large)
    pair = [candidate("small", a, targets, millions=2), candidate("large", b, targets, millions=60)]
    return ranked(pair, data="drawn", examples=N, seed=seed)


def nearly(seed: int, N: int, *, small: float, large: float) -> Ranking:
    """The like of `equals`, but that the classes lie so far apart in the features of each."""
    random, targets = np.random.default_rng([seed, N]), np.arange(N) % 4
    means, noise = random.normal(size=(4, 48))[targets], random.normal(size=(N, 48))
    dealt = noise.copy()
    for k in range(4):
        dealt[targets == k] = random.permutation(noise[targets == k])
    pair = [
        candidate("small", noise + small * means, targets, millions=2),
        candidate("large", dealt + large * means, targets, millions=60),
    ]
    return ranked(pair, data="drawn", examples=N, seed=seed)


class TestSize:
    def test_of_equals_the_smaller_one_is_first_with_100_examples(self, telling: Draw, seed: int) -> None:
        ranking = equals(telling, seed, 100)
        assert ranking.best.model == "small"
        assert all(row.within_noise for row in ranking.rows)

    def test_of_equals_the_larger_one_is_first_with_1000_examples(self, telling: Draw, seed: int) -> None:
        ranking = equals(telling, seed, 1000)
        assert ranking.best.model == "large"
        assert ranking.cheapest.model == "small"

    def test_clear_evidence_for_the_larger_one_wins_with_100_examples(self, telling: Draw, seed: int) -> None:
        ranking = two(telling, seed, 100, small=0.15, large=0.6)
        assert ranking.best.model == "large"
        assert not ranking.rows[1].within_noise

    def test_clear_evidence_for_the_smaller_one_wins_with_1000(self, telling: Draw, seed: int) -> None:
        assert two(telling, seed, 1000, small=0.6, large=0.15).best.model == "small"

    def test_what_speaks_for_the_larger_one_with_1000_examples_does_not_with_100(self, seed: int) -> None:
        assert nearly(seed, 1000, small=0.29, large=0.3).best.model == "large"
        assert nearly(seed, 100, small=0.29, large=0.3).best.model == "small"
        assert nearly(seed, 100, small=0.2, large=0.3).best.model == "large"

    def test_with_1000_examples_a_few_hundredths_decide_against_the_preferred_size(self, seed: int) -> None:
        ranking = nearly(seed, 1000, small=0.3, large=0.28)
        assert ranking.rows[1].behind.value < 0.05
        assert ranking.best.model == "small"
        preferred = [weight_of(n) * size_preference(n) for n in (100, 1000)]
        assert -preferred[0] > preferred[1] > 0


class TestChances:
    def test_they_sum_to_one_and_are_shared_by_twins(self, telling: Draw, seed: int) -> None:
        features, targets = telling(200, 20, seed, shift=0.4)
        other, _ = telling(200, 20, seed + 1, shift=0.2)
        ranking = rank_all({"a": features, "b": features.copy(), "c": other}, targets, seed=seed)
        first = {row.model: row for row in ranking.rows}
        assert sum(row.p_best for row in ranking.rows) == pytest.approx(1)
        assert sum(row.p_top3 for row in ranking.rows) == pytest.approx(3)
        assert first["a"].p_best == first["b"].p_best
        assert first["b"].behind.value == first["b"].behind.low == first["b"].behind.high == 0

    def test_a_gap_is_paired(self, telling: Draw, seed: int) -> None:
        """Networks that err on the same examples are told apart though their intervals overlap."""
        features, targets = telling(300, 20, seed, shift=0.3)
        worse = features.copy()
        lost = np.random.default_rng(seed).permutation(300)[:24]
        worse[lost] = features[np.random.default_rng(seed + 1).permutation(lost)]
        ranking = rank_all({"better": features, "worse": worse}, targets, seed=seed)
        better, behind = ranking.rows
        assert better.accuracy.low < behind.accuracy.high  # the control: unpaired, nothing would be told
        width = better.accuracy.high - better.accuracy.low
        assert behind.behind.high - behind.behind.low < width

    def test_samples_keep_classes_and_draw_groups_whole(self, seed: int) -> None:
        targets = np.arange(60) % 3
        counts = drawn_again(targets, 50, seed=seed)
        for k in range(3):
            assert (counts[:, targets == k].sum(1) == 20).all()
        groups = np.arange(60) // 4
        whole = drawn_again(targets, 50, groups=groups, seed=seed)
        assert (whole.reshape(50, 15, 4).std(2) == 0).all()
        assert (counts.reshape(50, 15, 4).std(2) > 0).any()

    def test_examples_of_a_group_do_not_vouch_for_each_other(self, telling: Draw, seed: int) -> None:
        features, targets = telling(60, 80, seed, shift=0.0)
        copies, labels, groups = np.tile(features, (4, 1)), np.tile(targets, 4), np.tile(np.arange(60), 4)
        fooled = candidate("x", copies, labels).evidence
        told = candidate("x", copies, labels, groups=groups).evidence
        assert isinstance(fooled, Evidence)
        assert isinstance(told, Evidence)
        assert fooled.right.mean() > 0.9
        assert told.right.mean() < 0.5
        assert told.near.mean() < 0.6 < fooled.near.mean()

    def test_finalists_are_few_and_probably_hold_the_best(self, telling: Draw, seed: int) -> None:
        features = {str(i): telling(100, 20, seed + i, shift=0.3)[0] for i in range(6)}
        ranking = rank_all(features, telling(100, 20, seed)[1], seed=seed)
        chosen = finalists(ranking)
        assert len(chosen) <= 3
        assert chosen[0].p_best == max(row.p_best for row in ranking.rows)
        clear = two(telling, seed, 300, small=1.0, large=0.0)
        assert [row.model for row in finalists(clear)] == ["small"]

    def test_whoever_is_ahead_by_more_than_chance_is_named(self, telling: Draw, seed: int) -> None:
        told = two(telling, seed, 300, small=1.0, large=0.0).to_json()
        assert furthest_ahead(told, "large@0123") == "small"
        assert furthest_ahead(told, "small@0123") is None
        assert furthest_ahead(told, "elsewhere@0123") is None
        alike = equals(telling, seed, 100).to_json()
        assert {furthest_ahead(alike, f"{name}@0123") for name in ("small", "large")} == {None}

    def test_one_that_the_prior_put_behind_can_be_ahead(self, telling: Draw, seed: int) -> None:
        told = json.loads(two(telling, seed, 300, small=1.0, large=0.0).to_json())
        for row in told["rows"]:  # as a prior would have it: the worse one is the first, and 0.2 worse
            gap = 0.0 if row["model"] == "large" else 0.2
            row["behind"] = {"value": -gap, "low": -1.5 * gap, "high": -0.5 * gap}
        assert furthest_ahead(json.dumps(told), "large@0123") == "small"


class TestStanding:
    def test_a_hopeless_candidate_does_not_make_the_others_alike(self) -> None:
        values = np.tile([0.80, 0.78, 0.76, 0.10], (3, 1))
        found = standing(values)[0]
        assert found[0] - found[2] > 1.0
        assert found[3] == -2.5
        usual = (values[0] - values[0].mean()) / values[0].std()
        assert usual[0] - usual[2] < 0.2  # the control

    def test_a_gap_below_the_noise_counts_little(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        noisy = np.array([0.501, 0.5, 0.499]) + np.concatenate(
            [np.zeros((1, 3)), random.normal(0, 0.05, (200, 3))]
        )
        quiet = np.array([0.501, 0.5, 0.499]) + np.concatenate(
            [np.zeros((1, 3)), random.normal(0, 1e-5, (200, 3))]
        )
        assert np.abs(standing(noisy)[0]).max() < 0.1
        assert standing(quiet)[0, 0] > 0.5

    def test_candidates_that_are_all_alike_stand_at_zero(self) -> None:
        assert (standing(np.full((5, 3), 0.7)) == 0).all()


class TestPrior:
    def test_small_networks_are_liked_with_few_examples_and_large_ones_with_many(self) -> None:
        sizes, known = (1_000_000, 64_000_000), (1.28e6, 1.28e6)
        few = prior(("a", "b"), sizes, known, examples=100)
        many = prior(("a", "b"), sizes, known, examples=3000)
        assert few[0] > few[1]
        assert many[0] < many[1]
        assert size_preference(100) == pytest.approx(-size_preference(900))

    def test_random_weights_are_expected_to_be_bad_and_unknown_ones_are_not(self) -> None:
        found = prior(("a", "b", "c"), (10**6,) * 3, (1.28e6, 0.0, None), examples=300)
        assert found.tolist() == [0.0, -2.5, 0.0]

    def test_the_static_list_decides_where_it_knows_every_candidate(self) -> None:
        sizes, known = (10**6,) * 2, (None, None)
        ranks = {"a": 0.1, "b": 0.9}
        listed = prior(("a", "b"), sizes, known, examples=1000, ranks=ranks)
        assert listed[0] < 0 < listed[1]
        assert prior(("a", "c"), sizes, known, examples=1000, ranks=ranks).tolist() == [0, 0]

    def test_of_equals_on_the_static_list_few_examples_prefer_the_smaller_and_many_none(self) -> None:
        sizes, known, ranks = (2_000_000, 60_000_000), (None, None), {"a": 0.5, "b": 0.5}
        few = prior(("a", "b"), sizes, known, examples=100, ranks=ranks)
        assert few[0] > few[1]
        assert prior(("a", "b"), sizes, known, examples=1000, ranks=ranks).tolist() == [0, 0]

    def test_its_weight_falls_as_examples_grow(self) -> None:
        assert [weight_of(n) for n in (100, 199, 200, 1999, 2000)] == [0.5, 0.5, 0.35, 0.35, 0.2]

    def test_the_largest_named_pretraining_counts(self) -> None:
        assert pretraining_examples("torchvision/resnet50") == 1.28e6
        assert pretraining_examples("timm/x.laion2b_ft_in12k_in1k") == 2.3e9
        assert pretraining_examples("/w/mine.safetensors", "1000 classes") is None


class TestForm:
    def test_no_candidate_is_an_error_with_the_reasons(self) -> None:
        with pytest.raises(BadOption, match=r"no candidate .*a: it is gone"):
            ranked([], data="drawn", examples=10, failed=(Failed("a", "it is gone"),))

    def test_one_candidate_is_certainly_the_best(self, telling: Draw, seed: int) -> None:
        ranking = rank_all({"only": telling(40, 5, seed)[0]}, telling(40, 5, seed)[1])
        assert (ranking.best.p_best, ranking.cheapest.model) == (1.0, "only")

    def test_it_prints_as_a_table_and_reads_as_json(self, telling: Draw, with_noise: Draw, seed: int) -> None:
        failed = (Failed("timm/gone", "not here"),)
        ranking = rank_all(*zoo(telling, with_noise, seed, N=100), failed=failed)
        lines = str(ranking).splitlines()
        assert lines[0].split()[:2] == ["network", "probe"]
        assert lines[1].split()[0] == "1"
        assert "not ranked: timm/gone: not here" in lines
        assert "<table" in ranking._repr_html_()
        loaded = json.loads(ranking.to_json())
        assert [row["place"] for row in loaded["rows"]] == [1, 2, 3, 4, 5]
        assert {"ridge_loo", "ridge_mse", "knn", "logme"} <= set(loaded["rows"][0]["scores"])

    def test_scores_beside_need_posteriors_or_are_none(self, telling: Draw, seed: int) -> None:
        features, targets = telling(60, 8, seed)
        assert other_scores(features, None, targets)["leep"] is None
        chances = np.abs(features) / np.abs(features).sum(1, keepdims=True)
        assert all(value is not None for value in other_scores(features, chances, targets).values())

    def test_features_that_are_not_finite_are_refused(self, telling: Draw, seed: int) -> None:
        features, targets = telling(60, 8, seed)
        features[3] = np.inf
        with pytest.raises(BadData, match="row 3"):
            evidence_of(features, targets)


class TestNumbers:
    @pytest.fixture
    def known(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Features that tell of two numbers, which are in spreads as a task gives them."""
        random = np.random.default_rng(seed)
        features = random.normal(size=(200, 16))
        numbers = features @ random.normal(size=(16, 2)) + random.normal(0, 1, (200, 2))
        return features, (numbers - numbers.mean(0)) / numbers.std(0)

    def test_evidence_is_the_scores_of_their_names(self, known: tuple[np.ndarray, np.ndarray]) -> None:
        features, numbers = known
        found = evidence_of(features, numbers)
        assert isinstance(found, EvidenceOfNumbers)
        scores = found.scores()
        assert scores["ridge_loo"] == pytest.approx(ridge_loo(features, numbers))
        assert scores["knn"] == pytest.approx(knn(features, numbers))
        assert scores["ridge_mse"] == pytest.approx(1 - scores["ridge_loo"])
        assert scores["logme"] == pytest.approx(logme(features, numbers))
        assert set(other_scores(features, None, numbers)).isdisjoint(scores)

    def test_networks_that_tell_more_of_the_numbers_come_first(
        self, known: tuple[np.ndarray, np.ndarray], seed: int
    ) -> None:
        features, numbers = known
        random = np.random.default_rng(seed + 1)
        noisy = features + random.normal(0, 1, features.shape)
        zoo_ = {"good": features, "noisy": noisy, "random": random.normal(size=(200, 16))}
        found = rank_all(zoo_, numbers)
        assert [row.model for row in found.rows] == ["good", "noisy", "random"]
        assert found.rows[0].accuracy.value > 0.8 > found.rows[1].accuracy.value
        assert not found.rows[2].within_noise
        assert "200 of 200 training examples with numbers, probed by R²" in str(found)
