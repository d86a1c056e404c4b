"""A run is a folder. The object is a view of it; whatever is reported can be read again by a person.

asked.yaml        what was asked, resolved; `tunesmith fit --config` runs it again
manifest.json     hashes of data and weights, versions, hardware, seed, command
plan.txt, .json   what trained when, and at what rate
history.jsonl     one line an epoch; log.txt the same in plain lines
checkpoint/       while it trains: weights that moved, the best ones, optimizer, random state
model/            the result: weights, labels, preprocessing
scores.json       with intervals, beside the baselines
predictions.parquet   of the test split; predictions-valid.parquet of validation
facts.json        seconds in all, how far each stage moved from its pretrained weights
report.html       a page of all this, where one was made
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tunesmith import markup
from tunesmith.data.read import read_items
from tunesmith.errors import BadData, BadOption, BadRun
from tunesmith.evaluation import Scores, evaluate
from tunesmith.files import whole_folder, write_whole
from tunesmith.networks.network import Network, Stage, Want
from tunesmith.networks.weights import file_digest, fill
from tunesmith.plan import Plan
from tunesmith.registry import did_you_mean
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels, Task
from tunesmith.training.devices import accelerator_for
from tunesmith.training.predicting import predict

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

        path = self.folder / "asked.yaml"
        try:
            return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
            raise BadRun(f"{path} is missing or damaged ({type(error).__name__}).") from error

    @property
    def manifest(self) -> dict[str, Any]:
        """Hashes, versions, hardware."""
        path = self.folder / "manifest.json"
        manifest = _json(path)
        if not {"data", "network", "seed"} <= manifest.keys():
            raise BadRun(f"{path} is incomplete: it does not say which data and network the run is of.")
        return manifest

    @property
    def plan(self) -> Plan:
        """What trained when."""
        path = self.folder / "plan.json"
        return Plan.from_json(path.read_text(encoding="utf-8"), where=str(path))

    @property
    def scores(self) -> dict[str, Any]:
        """Scores with intervals, of the kept network and of its baselines.

        Raises BadRun while the run is unfinished.
        """
        if not self.finished:
            raise BadRun(f"{self.folder} is unfinished; go on with: tunesmith resume {self.folder}")
        return _json(self.folder / "scores.json")

    @property
    def verdict(self) -> str:
        """Whether fine-tuning helped, in one sentence."""
        return str(self.scores["verdict"])

    @property
    def replay(self) -> dict[str, Any]:
        """Which engine ran frozen stages, how far it is from the network, what was computed and replayed."""
        return _json(self.folder / "replay.json")

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row per epoch."""
        path = self.folder / "history.jsonl"
        return (
            [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            if path.is_file()
            else []
        )

    @property
    def facts(self) -> dict[str, Any]:
        """Seconds in all and how far each stage moved; empty for a run that did not keep them."""
        path = self.folder / FACTS
        return _json(path) if path.is_file() else {}

    @property
    def described(self) -> dict[str, Any]:
        """What is known of the kept network without loading it: task, labels, parts."""
        described = _json(self.folder / "model" / NETWORK)
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
        device: str = "auto",
    ) -> list[dict[str, Any]]:
        """Answers for new items, a row each; options as `tunesmith.predict` explains them."""
        _, task, labels = self.model
        dataset = self._read(items, takes=task.takes, item=item, columns=columns, split=split)
        unlabelled = dataset.remove_columns("label") if "label" in dataset.column_names else dataset
        rows = task.table(self._answers(unlabelled, batch, device), labels, full=probabilities)
        names = dataset["item"] if task.takes == "text" else dataset["id"]
        return [{"item": name, **row} for name, row in zip(names, rows, strict=True)]

    def evaluate(
        self,
        data: Any,
        *,
        item: str | None = None,
        target: str | None = None,
        columns: str | None = None,
        split: str | None = None,
        batch: int = 32,
        device: str = "auto",
    ) -> Scores:
        """Scores on labelled data; options as `tunesmith.evaluate` explains them.

        Raises BadData for an example without a label, or with one that the run has not learned.
        """
        _, task, labels = self.model
        dataset = self._read(data, takes=task.takes, item=item, target=target, columns=columns, split=split)
        for where, label in zip(dataset["id"], dataset["label"], strict=True):
            if label is None:
                raise BadData(f"{where} has no label, and without labels nothing can be scored; use predict.")
            if label not in labels.names:
                raise BadData(
                    f"{where} has the label {label!r}, which {self.folder.name} has not learned"
                    f"{did_you_mean(label, labels.names) or ';'} it knows {', '.join(labels.names[:20])}."
                )
        answers = self._answers(dataset, batch, device)
        return evaluate(task, answers, task.targets(dataset, labels), labels)

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

    def _read(self, source: Any, **options: Any) -> Any:
        """New items; in a table that has the columns that the run was begun with, those are read."""
        remembered = {name: self.asked.get(name) for name in ("item", "target")}
        named = any(options.get(name) for name in ("item", "target", "columns"))
        if not named and any(remembered.values()):
            with suppress(BadData, BadOption):
                return read_items(source, **{**options, **remembered})
        return read_items(source, **options)

    def _answers(self, dataset: Any, batch: int, device: str) -> list[Any]:
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise BadOption(f"batch is how many items go at a time, from 1; found {batch!r}.")
        network, task, labels = self.model
        network.module.to(accelerator_for(device, "fp32").device)
        return predict(network, task, dataset, labels, batch=batch)


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
            "sha256": file_digest(temporary / WEIGHTS),
        }
        (temporary / NETWORK).write_text(json.dumps(description, indent=1), encoding="utf-8")


def load_model(folder: Path, *, module: nn.Module | None = None) -> tuple[Network, Task, Labels]:
    """The network that `save_model` wrote.

    module: the person's own, where the network was one.
    Raises BadRun when something is missing or its bytes are not those that were written.
    """
    from safetensors.torch import load_file

    described = _json(folder / NETWORK)
    weights = folder / WEIGHTS
    if not weights.is_file() or file_digest(weights) != described.get("sha256"):
        raise BadRun(
            f"{weights} is missing, was cut short or was changed since it was written; it is not loaded."
        )
    try:
        want = Want(**{**described["want"], "labels": tuple(described["want"]["labels"])})
        labels = Labels(tuple(described["labels"]["names"]), tuple(described["labels"]["counts"]))
        parts = [
            Stage(p["name"], tuple(p["modules"]), tuple(p["weights"]), p["macs"]) for p in described["parts"]
        ]
        task: Task = TASKS.load(described["task"])()
        recipe = described["recipe"]
    except (KeyError, TypeError) as error:
        raise BadRun(f"{folder / NETWORK} is incomplete: {error}") from error
    network = _rebuilt(recipe, described, folder, want, parts, module)
    fill(network.module, load_file(weights))
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


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise BadRun(f"{path} is missing or damaged: {error}") from error
