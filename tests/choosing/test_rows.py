"""Parts as rows: gathered alike live and replayed, thinned by place, probed out of fold by group."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import f1_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

import tunesmith as ts
from tunesmith.choosing.evidence_of_rows import EvidenceOfRows, evidence_of_rows
from tunesmith.choosing.rows import Gathered, gather, thinned, windows_within
from tunesmith.choosing.scores.ridge_loo import fitted
from tunesmith.choosing.which_network import Candidate, ranked
from tunesmith.choosing.which_stages import said
from tunesmith.choosing.which_stages_of_parts import evidence_by_parts
from tunesmith.errors import BadData, BadOption
from tunesmith.networks.cuts import find_cut
from tunesmith.networks.network import digest
from tunesmith.store import Store
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels, Task
from tunesmith.training.examples import Examples
from tunesmith.training.feeds import Feed
from tunesmith.training.recorded import Recorded
from tunesmith.verbs.reporting import Silent

sys.path.insert(0, str(Path(__file__).parent))
from planted_parts import asked, for_pairs, planted, tagged  # type: ignore[import-not-found]

TAGGED: Any = TASKS.load("token-classification")()
OPTIONS: Any = {"engine": "eager", "device": "cpu", "reporter": Silent()}
LABELS = Labels(("O", "B-PER", "I-PER"))


def rows(seed: int, *, N: int = 20, each: int = 12, D: int = 6, shift: float = 1.0) -> Gathered:
    """Words of sentences, half of them of one of two tags."""
    random = np.random.default_rng(seed)
    n = N * each
    targets = random.choice(3, n, p=(0.5, 0.3, 0.2))
    features = random.normal(size=(n, D)) + shift * random.normal(size=(3, D))[targets]
    of = np.repeat(np.arange(N), each)
    return Gathered(features.astype(np.float32), targets, of, of, np.tile(np.arange(each), N), 0)


def picks(seed: int, *, N: int = 16, each: int = 9, D: int = 5, shift: float = 2.0) -> Gathered:
    """Tokens of passages, of which one begins the answer and one ends it."""
    random = np.random.default_rng(seed)
    right = np.zeros((N, each, 2))
    right[np.arange(N)[:, None], random.integers(0, each, (N, 2)), [0, 1]] = 1
    targets = right.reshape(-1, 2)
    features = random.normal(size=(N * each, D)) + shift * targets @ random.normal(size=(2, D))
    of = np.repeat(np.arange(N), each)
    return Gathered(features.astype(np.float32), targets, of, of, np.tile(np.arange(each), N), None)


def judged(given: Gathered, groups: np.ndarray | None = None, *, seed: int = 0) -> EvidenceOfRows:
    own = np.unique(given.of) if groups is None else groups
    outputs = 2 if given.background is None else 3
    return evidence_of_rows(given, own, parts="words", outputs=outputs, seed=seed)[0]


def refitted(given: Gathered, groups: np.ndarray, Y: np.ndarray, penalty: float) -> np.ndarray:
    """What scikit-learn's ridge says of each group having learned from the others."""
    X = given.features.astype(float)
    X = (X - X.mean(0)) / X.std(0)
    ridge = Ridge(alpha=penalty * len(X), solver="cholesky")
    found: np.ndarray = cross_val_predict(ridge, X, Y, groups=groups, cv=LeaveOneGroupOut())
    return found


class TestRidge:
    @pytest.mark.parametrize("each", [2, 60])  # by the form for few rows and by that for many
    def test_answers_are_those_of_refits_without_the_group(self, seed: int, each: int) -> None:
        given = rows(seed, N=8, each=each, D=12)
        Y = np.eye(3)[given.targets]
        found = fitted(given.features, given.targets, groups=given.of)
        theirs = refitted(given, given.of, Y, found.penalty)
        assert np.abs(found.answers + Y.mean(0) - theirs).max() < 1e-6
        shuffled = np.random.default_rng(seed).permutation(given.of)
        wrong = refitted(given, shuffled, Y, found.penalty)
        assert np.abs(found.answers + Y.mean(0) - wrong).max() > 1e-4  # or the test is blind

    def test_both_forms_say_the_same(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        given = rows(seed)
        many = fitted(given.features, given.targets, groups=given.of)
        monkeypatch.setattr("tunesmith.choosing.scores.ridge_loo.MANY", 0)
        few = fitted(given.features, given.targets, groups=given.of)
        assert np.abs(many.answers - few.answers).max() < 1e-9


class TestEvidence:
    def test_macro_f1_is_that_of_refits_over_all_but_the_background(self, seed: int) -> None:
        given = rows(seed, N=8)
        found = judged(given)  # eight sentences are eight folds
        shares = np.bincount(given.targets) / len(given)
        probe = fitted(given.features, given.targets, groups=given.of)
        answers = refitted(given, given.of, np.eye(3)[given.targets], probe.penalty)
        guesses = (answers / np.sqrt(shares)).argmax(1)
        expected = f1_score(given.targets, guesses, labels=[1, 2], average="macro")
        assert found.scores()["ridge_loo"] == pytest.approx(expected, abs=1e-6)
        assert 0.3 < expected < 0.95
        assert expected != pytest.approx(f1_score(given.targets, guesses, average="macro"), abs=1e-3)

    def test_hits_are_those_of_refits_within_each_passage(self, seed: int) -> None:
        given = picks(seed, N=10)
        found = judged(given)
        probe = fitted(given.features, given.targets, groups=given.of)
        answers = refitted(given, given.of, given.targets, probe.penalty)
        best = answers.reshape(10, 9, 2).argmax(1)
        right = (best == given.targets.reshape(10, 9, 2).argmax(1)).mean()
        assert found.scores()["ridge_loo"] == pytest.approx(right, abs=1e-6)
        assert 0.2 < right < 1
        swapped = (best[:, ::-1] == given.targets.reshape(10, 9, 2).argmax(1)).mean()
        assert swapped != pytest.approx(right)  # the control: starts are not ends
        assert found.least_prior > 0

    def test_shuffled_answers_say_nothing(self, seed: int) -> None:
        given = rows(seed)
        shuffled = replace(given, targets=np.random.default_rng(seed).permutation(given.targets))
        assert judged(given).scores()["ridge_mse"] < 0.8
        assert judged(shuffled).scores()["ridge_mse"] > 0.95

    def test_words_of_one_sentence_do_not_vouch_for_each_other(self, seed: int) -> None:
        """A sentence has a tag of its own and all its words look alike: nothing can be learned."""
        random = np.random.default_rng(seed)
        of = np.repeat(np.arange(30), 8)
        features = random.normal(size=(30, 40))[of] + 0.01 * random.normal(size=(240, 40))
        given = Gathered(features, np.arange(30)[of] % 3, of, of, np.tile(np.arange(8), 30), 0)
        assert judged(given).scores()["ridge_loo"] < 0.6
        alone = fitted(features, given.targets)
        assert (alone.guesses == given.targets).mean() > 0.95  # or the test is blind

    def test_a_group_lies_in_one_fold(self, seed: int) -> None:
        given = rows(seed)
        by_two = judged(given, np.arange(20) // 2)
        assert by_two.errors != pytest.approx(judged(given).errors)

    @pytest.mark.parametrize(
        ("given", "groups", "said"),
        [
            (rows(0), np.zeros(20, int), "belong together"),
            (replace(rows(0), features=np.ones((240, 6))), np.arange(20), "the same"),
            (replace(rows(0), features=np.full((240, 6), np.nan)), np.arange(20), "not finite"),
        ],
    )
    def test_what_says_nothing_is_refused(self, given: Gathered, groups: np.ndarray, said: str) -> None:
        with pytest.raises(BadData, match=said):
            judged(given, groups)

    def test_examples_that_one_network_could_not_see_count_for_none(self, seed: int) -> None:
        given = rows(seed)
        part = given.at(np.flatnonzero(given.of < 12))
        pair = [judged(given), judged(part, np.arange(20))]
        zoo = [Candidate(str(i), f"{i}@0", 10**6, 10**8, None, own) for i, own in enumerate(pair)]
        ranking = ranked(zoo, data="drawn", examples=20, seed=seed)
        assert ranking.examples == 12
        assert "with parts, probed by macro-F1" in str(ranking)
        alone = ranked(zoo[:1], data="drawn", examples=20, seed=seed)
        assert alone.examples == 20


class TestThinned:
    def test_background_is_three_times_the_rest_at_most(self, seed: int) -> None:
        given = rows(seed, N=40)
        rare = replace(given, targets=np.where(given.places == 0, 1, 0))
        kept = thinned(rare, TAGGED, LABELS, seed=seed)
        assert np.bincount(kept.targets).tolist() == [120, 40]
        assert len(thinned(given, TAGGED, LABELS, seed=seed)) == len(given)  # half is no background

    def test_the_seed_and_the_places_decide_which(self, seed: int) -> None:
        given = replace(rows(seed, N=40), targets=np.where(rows(seed, N=40).places == 0, 1, 0))

        def which(own: Gathered, chosen: int) -> set[tuple[int, int]]:
            kept = thinned(own, TAGGED, LABELS, seed=chosen)
            return set(zip(kept.of.tolist(), kept.places.tolist(), strict=True))

        turned = given.at(np.random.default_rng(seed).permutation(len(given)))
        assert which(given, 3) == which(given, 3) == which(turned, 3)
        assert which(given, 3) != which(given, 4)

    def test_nothing_but_background_is_refused(self, seed: int) -> None:
        given = replace(rows(seed), targets=np.zeros(240, np.int64))
        with pytest.raises(BadData, match="all 240 words that were looked at are O, so there is nothing"):
            thinned(given, TAGGED, LABELS, seed=0)


class TestGather:
    @pytest.mark.parametrize("kind", ["token-classification", "question-answering"])
    def test_replayed_rows_are_those_of_the_live_network(self, kind: str, tmp_path: Path, seed: int) -> None:
        task: Task = TASKS.load(kind)()
        net = planted(seed, knows=True)
        path = tagged(tmp_path / "data", 12)
        if kind == "question-answering":
            net, path = for_pairs(net), asked(tmp_path / "asked.json", 20)
        data = task.read(str(path))
        labels = task.labels(data)
        examples = Examples(data.train, net.preprocess, task=task)
        everything = np.arange(len(examples))
        (live,) = gather(net, task, Feed(examples), labels, everything, [1])
        cut = find_cut(net, 2, examples.raw(everything[:3]), examples.raw(everything[:2], tokens=40))
        recorded = Recorded(net, Store(tmp_path / "store"), {2: cut}, examples, engine="eager")
        (replayed,) = gather(net, task, Feed(examples, recorded, 2), labels, everything, [1])
        assert live is not None
        assert replayed is not None
        assert len(live) > 50
        for name in ("targets", "of", "within", "places"):
            assert np.array_equal(getattr(live, name), getattr(replayed, name))
        assert np.abs(live.features - replayed.features).max() < 1e-6
        first, _ = gather(net, task, Feed(examples), labels, everything, [0, 1])
        assert first is not None
        assert np.abs(first.features - live.features).max() > 1e-3  # another stage says something else
        if kind == "question-answering":
            assert live.targets.sum(0).tolist() == [len(data.train)] * 2

    def test_a_word_is_taken_at_its_first_piece(self, tmp_path: Path, seed: int) -> None:
        net = planted(seed, knows=True)
        module: Any = net.module
        data = TAGGED.read(str(tagged(tmp_path, 6)))
        examples = Examples(data.train, net.preprocess, task=TAGGED)
        labels = TAGGED.labels(data)
        (found,) = gather(net, TAGGED, Feed(examples), labels, np.arange(len(examples)), [0])
        assert found is not None
        preprocess: Any = net.preprocess
        for row in range(len(found)):
            letter = data.train["item"][int(found.of[row])][int(found.places[row])]
            vector = module.embed.weight[preprocess.tokenizer.convert_tokens_to_ids(letter)]
            assert np.array_equal(found.features[row], vector.detach().numpy())

    def test_whole_examples_are_taken_until_their_tokens_are_many(self, tmp_path: Path) -> None:
        net = planted(0, knows=False)
        data = TAGGED.read(str(tagged(tmp_path, 30)))
        examples = Examples(data.train, net.preprocess, task=TAGGED)
        assert examples.lengths is not None
        some = windows_within(examples, 200, seed=1)
        assert 2 < len(some) < 30
        assert examples.lengths[some].sum() <= 200
        assert np.array_equal(some, windows_within(examples, 200, seed=1))
        assert not np.array_equal(some, windows_within(examples, 200, seed=2))
        assert len(windows_within(examples, 1, seed=1)) == 2
        assert len(windows_within(examples, seed=1)) == 30


class TestRank:
    def test_of_tagged_words_random_weights_are_last(self, tmp_path: Path, seed: int) -> None:
        data = tagged(tmp_path / "data", 40)
        ranking = ts.rank(data, models=[planted(1, knows=False), planted(0, knows=True)], **OPTIONS)
        assert [row.model for row in ranking.rows] == ["knows@0", "random@1"]
        best, last = ranking.rows
        assert best.accuracy.value > 0.9
        assert last.accuracy.value < best.accuracy.value - 0.1
        assert not last.within_noise
        assert "by 40 of 40 training examples with parts, probed by macro-F1" in str(ranking)
        assert {"ridge_loo", "ridge_mse", "logme", "h_score", "h_score_shrunk"} == set(best.scores)
        again = ts.rank(data, models=[planted(1, knows=False), planted(0, knows=True)], **OPTIONS)
        assert json.loads(again.to_json())["rows"][0]["score"] == best.score

    def test_of_questions_random_weights_are_last(self, tmp_path: Path, seed: int) -> None:
        data = asked(tmp_path / "asked.json", 80)
        models = [for_pairs(planted(1, knows=False)), for_pairs(planted(0, knows=True))]
        ranking = ts.rank(data, models=models, **OPTIONS)
        assert [row.model for row in ranking.rows] == ["knows@0", "random@1"]
        assert ranking.best.accuracy.value > 0.9
        assert not ranking.rows[1].within_noise
        assert "probed by hit@1" in str(ranking)
        assert ranking.prior_weight >= 0.5

    def test_a_second_ranking_computes_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("tunesmith.training.replaying.MACS_A_SECOND", 1.0)  # work that is worth storing
        data = tagged(tmp_path / "data", 12)
        computed = []
        compute = Recorded._compute

        def counted(self: Any, *args: Any) -> int:
            computed.append(len(args[1]))
            return compute(self, *args)

        monkeypatch.setattr(Recorded, "_compute", counted)
        first = ts.rank(data, models=[planted(0, knows=True)], **OPTIONS)
        assert sum(computed) == 12
        second = ts.rank(data, models=[planted(0, knows=True)], **OPTIONS)
        assert sum(computed) == 12
        assert first.best.accuracy == second.best.accuracy

    def test_a_network_that_says_nothing_is_named_and_the_others_are_ranked(self, tmp_path: Path) -> None:
        models = [
            planted(2, knows=False, finite=False),
            planted(3, knows=False, constant=True),
            planted(0, knows=True),
        ]
        ranking = ts.rank(tagged(tmp_path, 12), models=models, **OPTIONS)
        assert [row.model for row in ranking.rows] == ["knows@0"]
        assert "the features of all 72 words are the same" in ranking.failed[1].reason
        assert len(ranking.failed) == 2

    def test_one_sentence_is_refused_before_a_network_loads(self, tmp_path: Path) -> None:
        path = tagged(tmp_path, 4) / "train.txt"
        first, *_ = path.read_text().split("\n\n")
        path.write_text(f"{first}\n\n" * 4)
        with pytest.raises(BadData, match="holds one sentence alone, or copies of it"):
            ts.rank(tmp_path, models="hf/nowhere", **OPTIONS)

    def test_few_sentences_are_warned_of(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        warned: list[str] = []
        monkeypatch.setattr(Silent, "warn", lambda _, text: warned.append(text))
        ts.rank(tagged(tmp_path, 5), models=[planted(0, knows=True)], **OPTIONS)
        assert "only 5 sentences to train on: the ranking says little" in warned

    def test_sentences_without_a_tag_are_refused(self, tmp_path: Path) -> None:
        for split in ("train", "dev", "test"):
            (tmp_path / f"{split}.txt").write_text("\n".join(["one\tO", "two\tO", ""] * 6))
        with pytest.raises(BadData, match="no word of the training split has a tag but O"):
            ts.rank(tmp_path, task="token-classification", models="hf/nowhere", **OPTIONS)

    def test_a_task_that_has_no_rows_is_refused_by_name(self, tmp_path: Path) -> None:
        from tunesmith.verbs.rank import rankable

        with pytest.raises(BadOption, match=r"networks for token-classification are not ranked.*Task\.rows"):
            rankable(replace(TAGGED, parts=""))


class TestStages:
    def test_every_stage_is_probed_and_the_one_that_knows_is_found(self, tmp_path: Path) -> None:
        """What the first stage hands on tells the words; the second throws it away."""
        net = planted(0, knows=True)
        module: Any = net.module
        with torch.no_grad():
            module.mix.weight[:6] *= 1e-9
        data = TAGGED.read(str(tagged(tmp_path, 30)))
        labels = TAGGED.labels(data)
        examples = Examples(data.train, net.preprocess, task=TAGGED)
        before = digest(module.state_dict())
        first, second, head = evidence_by_parts(net, TAGGED, labels, examples)
        assert digest(module.state_dict()) == before
        assert first.probe is not None
        assert second.probe is not None
        assert first.probe > 0.9
        assert second.probe < first.probe - 0.2
        assert head.probe is None
        assert 0 < (second.error or 0.0) < 0.2
        assert min(first.gradient, second.gradient, head.gradient) > 0
        told = said((first, second, head), None, solver=None, parts="words")
        assert "What embed hands on answers better" in told[0]
        silent = replace(first, probe=0.01, error=0.01), replace(second, probe=0.0, error=0.01), head
        assert (
            "tell the words apart (0.010 ± 0.010): stages have to train"
            in said(silent, None, parts="words")[0]
        )
        good = replace(first, probe=0.8), replace(second, probe=0.9), head
        assert said(good, None, solver=None, parts="words")[0].endswith("(--strategy linear_probe).")

    def test_plan_shows_them(self, tmp_path: Path, tiny_text: Any, tunesmith: Any) -> None:
        known = ("--model", f"hf/{tiny_text('bert')}", "--device", "cpu", "--json")
        answer = tunesmith("plan", tagged(tmp_path, 30), *known)
        assert answer.code == 0, answer.err
        stages = json.loads(answer.out)["stages"]
        assert [row["probe"] is None for row in stages] == [False] * (len(stages) - 1) + [True]
