"""A run is a folder. The object is a view of it; whatever is reported can be read again by a person.

asked.yaml        what was asked, resolved; `tunesmith fit --config` runs it again
manifest.json     hashes of data and weights, versions, hardware, seed, command
plan.txt, .json   what trained when, and at what rate
ranking.json      of networks on these data: the one that chose this network, or the latest that was made
ladder.json       of strategy auto: the rungs, their gains, and why each was taken or left
history.jsonl     one line an epoch; log.txt the same in plain lines
examples.parquet  which example was in which split, its label, and a hash of its content
checkpoint/       while it trains: weights that moved, the best ones, optimizer, random state
model/            the result: weights, labels, preprocessing, a model card
golden.safetensors    some of the test split, by which an export is proven
scores.json       with intervals, beside the baselines
predictions.parquet   of the test split; predictions-valid.parquet of validation
facts.json        seconds in all, how far each stage moved from its pretrained weights
report.html       a page of all this, where one was made
files.sha256      what every file was written with, compared when one is read; model/ has its own
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tunesmith import markup
from tunesmith.data.cache import cache_folder
from tunesmith.data.data import Finding
from tunesmith.data.images import unreadable
from tunesmith.data.numbers import numbers_in
from tunesmith.data.pairs import apart
from tunesmith.data.read import read_items
from tunesmith.data.rows import counted
from tunesmith.data.sides import empty_sides
from tunesmith.data.stored import OTHER
from tunesmith.data.tags import marked
from tunesmith.data.texts import empty_texts
from tunesmith.engines.engine import Engine, known
from tunesmith.errors import BadData, BadOption, BadRun, TunesmithError
from tunesmith.evaluation import Scores, evaluate
from tunesmith.files import whole_folder, write_whole
from tunesmith.networks.network import Network, Stage, Want
from tunesmith.networks.weights import fill
from tunesmith.plan import Plan
from tunesmith.registry import did_you_mean
from tunesmith.seals import check, check_all, read_sealed, seal, seals
from tunesmith.store import Store
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels, Task
from tunesmith.training.answering import engine_for
from tunesmith.training.devices import device_for
from tunesmith.training.examples import Examples, truncation
from tunesmith.training.feeds import Feed
from tunesmith.training.predicting import predict, predict_by

if TYPE_CHECKING:
    from torch import nn

FACTS: Final = "facts.json"
NETWORK: Final = "network.json"
WEIGHTS: Final = "weights.safetensors"


@dataclass(frozen=True)
class Run:
    """What came of one `fit`.

    module: of a network that was the person's own (or the Network around it); a folder cannot hold its code.
    """

    folder: Path
    module: nn.Module | None = None

    @staticmethod
    def open(folder: str | Path, *, module: nn.Module | None = None) -> Run:
        """The run in a folder; "runs/latest" is the newest one.

        Raises BadRun if there is none.
        """
        path = Path(folder).expanduser()
        named = path.with_name("latest.txt")
        if path.name == "latest" and not path.exists() and named.is_file():
            path = path.with_name(named.read_text(encoding="utf-8").strip())
        if not (path / "manifest.json").is_file():
            guess = did_you_mean(path.name, [p.parent.name for p in path.parent.glob("*/manifest.json")])
            raise BadRun(
                f"no run at {path}: no manifest.json there"
                f"{guess or '; name a folder that `tunesmith fit` made, or runs/latest.'}"
            )
        return Run(path.resolve(), module)

    @property
    def finished(self) -> bool:
        """Whether it was trained and scored to the end."""
        return (self.folder / "scores.json").is_file()

    def _repr_html_(self) -> str:
        """The verdict, scores beside the baselines, and the plan, in a notebook."""
        title, plan = f"run {self.folder.name}", self.plan._repr_html_()
        if not self.finished:
            said = f"unfinished; go on with: tunesmith resume {self.folder}"
            return markup.box(title, markup.lines(said), plan)
        scores = self.scores
        metric = scores["metric"]
        rows = []
        for name, part in {"this run": scores["test"], **scores["baselines"]}.items():
            own = part["metrics"][metric]
            rows.append((name, f"{own['value']:.3f}", f"{own['low']:.3f} to {own['high']:.3f}"))
        told = markup.table(("", metric.replace("_", " "), "95 % interval"), rows, numbers=(1, 2))
        return markup.box(title, markup.lines(scores["verdict"]), told, plan)

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked, resolved."""
        import yaml

        try:
            return dict(yaml.safe_load(read_sealed(self.folder, "asked.yaml").decode("utf-8")))
        except BadRun:
            raise
        except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
            path = self.folder / "asked.yaml"
            raise BadRun(f"{path} is missing or damaged ({type(error).__name__}).") from error

    @property
    def manifest(self) -> dict[str, Any]:
        """Hashes, versions, hardware."""
        path = self.folder / "manifest.json"
        manifest = _json(self.folder, "manifest.json")
        if not {"data", "network", "seed"} <= manifest.keys():
            raise BadRun(f"{path} is incomplete: it does not say which data and network the run is of.")
        return manifest

    @property
    def plan(self) -> Plan:
        """What trained when."""
        text = read_sealed(self.folder, "plan.json").decode("utf-8", "replace")
        return Plan.from_json(text, where=str(self.folder / "plan.json"))

    @property
    def scores(self) -> dict[str, Any]:
        """Scores with intervals, of the kept network and of its baselines.

        Raises BadRun while the run is unfinished.
        """
        if not self.finished:
            raise BadRun(f"{self.folder} is unfinished; go on with: tunesmith resume {self.folder}")
        return _json(self.folder, "scores.json")

    @property
    def verdict(self) -> str:
        """Whether fine-tuning helped, in one sentence."""
        return str(self.scores["verdict"])

    @property
    def replay(self) -> dict[str, Any]:
        """Which engine ran frozen stages, how far it is from the network, what was computed and replayed."""
        return _json(self.folder, "replay.json")

    @property
    def ladder(self) -> list[dict[str, Any]]:
        """The rungs that strategy auto climbed or left, with gains, costs and why; empty for others."""
        if not (self.folder / "ladder.json").is_file():
            return []
        rungs: list[dict[str, Any]] = _json(self.folder, "ladder.json")["rungs"]
        return rungs

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row per epoch."""
        if not self.finished and not (self.folder / "history.jsonl").is_file():
            return []
        rows = read_sealed(self.folder, "history.jsonl").splitlines()
        return [_object(row, f"{self.folder / 'history.jsonl'}:{i}") for i, row in enumerate(rows, start=1)]

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """A row for each example of the test split: id, truth, label, and the probability of every class.

        Raises BadRun while the run is unfinished.
        """
        import io

        import pyarrow.parquet as pq

        _ = self.scores
        table = pq.read_table(io.BytesIO(read_sealed(self.folder, "predictions.parquet")))
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows

    def damage(self) -> list[str]:
        """What is wrong with the run's files, a sentence for each; empty if all are as they were written."""
        found = []
        folders = [self.folder, *(p for p in (self.folder / "model",) if self.finished or p.is_dir())]
        for folder in folders:
            try:
                known = seals(folder)
            except BadRun as error:
                found.append(str(error))
                continue
            for name in known:
                try:
                    check(folder, name, known)
                except BadRun as error:
                    found.append(str(error))
        return found

    @property
    def facts(self) -> dict[str, Any]:
        """Seconds in all and how far each stage moved; empty for a run that did not keep them."""
        return _json(self.folder, FACTS) if (self.folder / FACTS).is_file() else {}

    @property
    def described(self) -> dict[str, Any]:
        """What is known of the kept network without loading it: task, labels, parts."""
        described = _json(self.folder / "model", NETWORK)
        if not {"task", "labels", "parts"} <= described.keys():
            raise BadRun(f"{self.folder / 'model' / NETWORK} is incomplete.")
        return described

    @cached_property
    def model(self) -> tuple[Network, Task, Labels]:
        """The kept network, ready to predict, its task and its labels."""
        if not (self.folder / "model" / NETWORK).is_file():
            raise BadRun(f"{self.folder} holds no model yet; go on with: tunesmith resume {self.folder}")
        return load_model(self.folder / "model", module=getattr(self.module, "module", self.module))

    def holding(self, network: Network, task: Task, labels: Labels) -> Run:
        """The same run with its network at hand, as `fit` returns it: nothing is loaded again."""
        self.__dict__["model"] = network, task, labels
        return self

    def predict(
        self,
        items: Any,
        *,
        item: str | None = None,
        columns: str | None = None,
        split: str | None = None,
        probabilities: bool = False,
        batch: int = 32,
        engine: str = "auto",
        device: str = "auto",
        left_out: list[Finding] | None = None,
        told: Callable[[str], None] | None = None,
    ) -> list[dict[str, Any]]:
        """Answers for new items, a row each; options as `tunesmith.predict` explains them.

        A row says which item it is of; of a pair both texts.

        left_out: where a finding goes for every item that cannot be read; None stops at the first.
        told: where a line goes that says which engine answered, and how many texts were cut or are empty.
        """
        known(engine, "auto")
        _, task, labels = self.model
        asked = {"item": item, "columns": columns, "split": split}
        pairs = _are_pairs(task, labels)
        dataset = self._read(items, left_out, **_kind_of(task), pairs=pairs, others=True, **asked)
        if left_out is not None and task.takes == "image":
            dataset = _readable(dataset, left_out)
        if told is not None and task.takes == "text" and (said := _without_words(dataset, pairs=pairs)):
            told(said)
        names = _names(dataset, task, pairs=pairs)
        try:
            given = dataset.select_columns(["id", "item", *_given(dataset, task)])
            answers = self._answers(given, batch, engine, device, told)
        except BadData as error:
            cure = "mend or remove it, or pass --skip-bad (skip_bad=True) to leave it out"
            raise BadData(f"{str(error).rstrip('.')}; {cure}.") from error
        rows = task.table(answers, labels, full=probabilities and task.answers == "classes")
        found = [name | row | _marked(name, row) for name, row in zip(names, rows, strict=True)]
        for column in (name for name in dataset.column_names if name.startswith(OTHER)):
            name = column.removeprefix(OTHER)
            name += " given" if found and name in found[0] else ""
            for row, cell in zip(found, dataset[column], strict=True):
                row[name] = cell
        return found

    def evaluate(
        self,
        data: Any,
        *,
        item: str | None = None,
        target: str | None = None,
        columns: str | None = None,
        split: str | None = None,
        batch: int = 32,
        engine: str = "auto",
        device: str = "auto",
        left_out: list[Finding] | None = None,
        told: Callable[[str], None] | None = None,
    ) -> Scores:
        """Scores on labelled data; options as `tunesmith.evaluate` explains them.

        left_out: where a finding goes for every item that cannot be read or has no label; None stops at the
            first.
        told: where a line goes that says which engine answered, and how many texts were cut.
        Raises BadData for an example without a label, or with one that the run has not learned.
        """
        known(engine, "auto")
        _, task, labels = self.model
        asked = {"item": item, "target": target, "columns": columns, "split": split}
        dataset = self._read(data, left_out, **_kind_of(task), pairs=_are_pairs(task, labels), **asked)
        number = f"number for {' and '.join(labels.names)}"
        what = {"classes": "label", "numbers": number}.get(task.answers, "answer")
        labelled = []
        for row, (where, label) in enumerate(zip(dataset["id"], dataset["label"], strict=True)):
            if label is not None:
                self._refuse_unknown(where, label, task, labels)
                labelled.append(row)
            elif left_out is None:
                raise BadData(f"{where} has no {what}, and without it nothing can be scored; use predict.")
            else:
                left_out.append(Finding("no_label", where, f"{where} has no {what}."))
        if left_out is not None:
            if not labelled:
                raise BadData(f"nothing is left to score: {left_out[0].message}")
            dataset = dataset.select(labelled)
            if task.takes == "image":
                dataset = _readable(dataset, left_out)
        answers = self._answers(dataset, batch, engine, device, told)
        return evaluate(task, answers, task.targets(dataset, labels), labels)

    def _refuse_unknown(self, where: str, label: str, task: Task, labels: Labels) -> None:
        if task.answers == "classes" and label not in labels.names:
            raise BadData(
                f"{where} has the label {label!r}, which {self.folder.name} has not learned"
                f"{did_you_mean(label, labels.names) or ';'} it knows {', '.join(labels.names[:20])}."
            )
        if task.answers == "numbers" and numbers_in([label]).shape[1] != len(labels.names):
            raise BadData(
                f"{where} has {counted(numbers_in([label]).shape[1], 'number')}, and {self.folder.name} "
                f"answers {' and '.join(labels.names)}; name these columns with --target."
            )

    def report(
        self,
        *,
        out: str | Path | None = None,
        lang: str = "en",
        open: bool = False,  # noqa: A002 (the command line's name for it)
        data: Any = None,
    ) -> Path:
        """The run as one page; options as `tunesmith.report` explains them."""
        import tunesmith

        return tunesmith.report(self, out=out, lang=lang, open=open, data=data)

    def export(
        self,
        *,
        to: str,
        quantize: str | None = None,
        pixels: bool = False,
        out: str | Path | None = None,
        data: Any = None,
    ) -> Path:
        """The network for other tools, proven; options as `tunesmith.export` explains them."""
        import tunesmith

        return tunesmith.export(self, to=to, quantize=quantize, pixels=pixels, out=out, data=data)

    def _read(self, source: Any, left_out: list[Finding] | None = None, /, **options: Any) -> Any:
        """New items; in a table that has the columns that the run was begun with, those are read."""
        remembered = {name: self.asked.get(name) for name in ("item", "target")}
        named = any(options.get(name) for name in ("item", "target", "columns"))
        if not named and any(remembered.values()):
            with suppress(BadData, BadOption):
                return read_items(source, left_out=left_out, **{**options, **remembered})
        return read_items(source, left_out=left_out, **options)

    @cached_property
    def _held(self) -> dict[str, Engine]:
        """The engine that answered last, by what decides it: it is not built again in the same process."""
        return {}

    def _answers(
        self, dataset: Any, batch: int, engine: str, device: str, told: Callable[[str], None] | None
    ) -> list[Any]:
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise BadOption(f"batch is how many items go at a time, from 1; found {batch!r}.")
        network, task, labels = self.model
        network.module.to(device_for(device))
        examples = Examples(dataset, network.preprocess, task=task)
        if told is not None and (said := truncation({"": examples})):
            told(said)
        folder = Store(cache_folder() / "store").folder
        runner, why = engine_for(network, examples, asked=engine, folder=folder, held=self._held)
        if why and told is not None:
            told(f"engine: {why}")
        if runner is not None:
            return predict_by(runner, task, labels)
        return predict(network, task, Feed(examples), labels, batch=batch)


def _kind_of(task: Task) -> dict[str, Any]:
    """What its data are read as."""
    only = {"task": task.name} if task.answers == "parts" else {}
    return {"takes": task.takes, "answers": task.answers, **only}


def _are_pairs(task: Task, labels: Labels) -> bool:
    """Whether an item is a pair of texts with an answer for both; tasks of parts read theirs themselves."""
    return task.answers != "parts" and task.want(labels).pairs


def _without_words(dataset: Any, *, pairs: bool) -> str:
    """That texts are empty, or pairs lack one of theirs; empty where that is of none."""
    lacking = len(empty_sides(dataset) if pairs else empty_texts(dataset))
    what = "pairs lack one of their texts" if pairs else "texts are empty"
    return f"{lacking:,} of {len(dataset):,} {what}; answers to these mean nothing" if lacking else ""


def _names(dataset: Any, task: Task, *, pairs: bool) -> list[dict[str, Any]]:
    """What a row of answers begins with: the text, both texts, the question, or the path of the image."""
    if pairs:
        return [dict(zip(("first", "second"), apart(item), strict=True)) for item in dataset["item"][:]]
    items = dataset["item" if task.takes == "text" else "id"][:]
    return [{"item": apart(name)[0]} for name in items]


def _marked(name: dict[str, Any], row: dict[str, Any]) -> dict[str, str]:
    """The text with its spans in it, of a row that has spans."""
    spans = row.get("spans")
    return {"marked": marked(name["item"], spans)} if isinstance(spans, list) else {}


def _given(dataset: Any, task: Task) -> list[str]:
    """The column of labels, where answers have parts of which they tell some: the words of a text."""
    whole = task.answers == "parts" and all(label is not None for label in dataset["label"][:])
    return ["label"] if whole else []


def _readable(dataset: Any, left_out: list[Finding]) -> Any:
    """The images that can be decoded; a finding for each of the others."""
    found = unreadable(dataset)
    left_out.extend(found)
    bad = {finding.where for finding in found}
    keep = [place for place, where in enumerate(dataset["id"]) if where not in bad]
    if not keep:
        raise BadData(f"none of the {len(dataset):,} images can be read: {found[0].message}")
    return dataset.select(keep) if bad else dataset


def save_model(network: Network, want: Want, task: Task, labels: Labels, folder: Path) -> None:
    """Write a network so that it loads from its folder alone; the folder appears whole or not at all."""
    from safetensors.torch import save_file

    with whole_folder(folder) as temporary:
        owned = {name for part in network.parts for name in part.weights}
        state = {
            n: t.detach().cpu().contiguous().clone()
            for n, t in network.module.state_dict().items()
            if n in owned
        }
        # One key alone: safetensors writes several in an order that changes from file to file.
        told = json.dumps({"origin": network.origin, "labels": labels.names})
        save_file(state, temporary / WEIGHTS, metadata={"tunesmith": told})
        network.preprocess.save(temporary)
        description = {
            "task": task.name,
            "labels": asdict(labels),
            "want": asdict(want),
            "recipe": None if network.recipe is None else {**network.recipe, "origin": network.origin},
            "preprocess": network.preprocess.spec(),
            "parts": [asdict(part) for part in network.parts],
        }
        (temporary / NETWORK).write_text(json.dumps(description, indent=1), encoding="utf-8")
        seal(temporary)


def load_model(folder: Path, *, module: nn.Module | None = None) -> tuple[Network, Task, Labels]:
    """The network that `save_model` wrote.

    module: the person's own, where the network was one.
    Raises BadRun when something is missing or its bytes are not those that were written.
    """
    from safetensors.torch import load_file

    check_all(folder, needed=(NETWORK, WEIGHTS))
    described = _json(folder, NETWORK)
    try:
        want = Want(**{**described["want"], "labels": tuple(described["want"]["labels"])})
        labels = Labels.from_json(described["labels"])
        parts = [
            Stage(p["name"], tuple(p["modules"]), tuple(p["weights"]), p["macs"]) for p in described["parts"]
        ]
        task: Task = TASKS.load(described["task"])()
        recipe = described["recipe"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRun(f"{folder / NETWORK} is incomplete: {error}") from error
    try:
        network = _rebuilt(recipe, described, folder, want, parts, module)
        fill(network.module, load_file(folder / WEIGHTS))
    except TunesmithError:
        raise
    except Exception as error:  # whatever a library says of a network that was described by hand
        line = next(iter(str(error).splitlines()), "")[:200]
        raise BadRun(
            f"{folder / NETWORK} describes no network that the weights beside it fit "
            f"({type(error).__name__}: {line}); copy the run again from where it is whole."
        ) from error
    network.module.eval()
    return network, task, labels


def _rebuilt(
    recipe: Mapping[str, Any] | None,
    described: Mapping[str, Any],
    folder: Path,
    want: Want,
    parts: list[Stage],
    module: nn.Module | None,
) -> Network:
    if recipe is None:
        from tunesmith.sources.module import rebuild

        if module is None:
            raise BadRun(
                f"{folder.parent} was made from a network of your own, whose code a folder cannot hold; "
                f"pass it: Run.open({str(folder.parent)!r}, module=YourNetwork())."
            )
        return rebuild(module, described["preprocess"], folder, want, parts)
    from tunesmith.sources import SOURCES

    source = SOURCES.load(recipe["source"])()
    rebuilt: Network = source.rebuild({**recipe, "preprocess": described["preprocess"]}, folder, want, parts)
    return rebuilt


def point_latest(folder: Path) -> None:
    """Let `latest`, beside the run, lead to it; where links are not allowed, a file with its name."""
    link = folder.parent / "latest"
    temporary = folder.parent / f".latest.{os.getpid()}"
    try:
        temporary.symlink_to(folder.name, target_is_directory=True)
        temporary.replace(link)
    except OSError:
        temporary.unlink(missing_ok=True)
        write_whole(folder.parent / "latest.txt", folder.name + "\n")


def _json(folder: Path, name: str) -> dict[str, Any]:
    return _object(read_sealed(folder, name), str(folder / name))


def _object(text: bytes, where: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise BadRun(f"{where} is damaged: {error}") from error
