"""A model card: Markdown with the front matter that the Hugging Face hub reads, from what a run knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tunesmith.evaluation import Score, figure

CARD: Final = "README.md"
LIBRARIES: Final = ("transformers", "timm", "keras", "onnx", "openvino")  # whose names the hub knows
MOST: Final = 40  # classes in a table
WINDOWED: Final = (
    "The run reads long texts in windows and joins their answers, which an export leaves to its caller."
)
UNKNOWN: Final = "not known; ask whoever gave them to you"


@dataclass(frozen=True)
class Facts:
    """What a card is made of.

    name: of the run. data: how they are called. described: what the model says of itself. network: where it
    comes from. seed, packages: of the run. plan: as text. scores: as in scores.json. licences: of weights and
    data, where known. answers: of the task, "classes", "numbers" or "parts". format, proof, use: of an export
    its format, how it was proven and how it is opened; empty for a run.
    """

    name: str
    data: str
    described: Mapping[str, Any]
    network: str
    seed: int
    packages: Mapping[str, Any]
    plan: str
    scores: Mapping[str, Any]
    licences: Mapping[str, str | None]
    answers: str = "classes"
    format: str | None = None
    proof: Sequence[str] = ()
    use: str = ""


def card(facts: Facts) -> str:
    """The text of the card."""
    parts = [
        f"---\n{_front(facts)}---\n",
        f"# {facts.name}\n",
        _introduction(facts),
        "## How good it is\n",
        _scores(facts),
        facts.scores["verdict"] + "\n",
        *([facts.scores["kept"]["sentence"] + "\n"] if "sentence" in facts.scores.get("kept", {}) else []),
        "## Limits\n",
        "\n".join(f"- {line}" for line in limits(facts)) + "\n",
        "## How to use it\n",
        facts.use or _own_use(facts),
        *(["## Proof\n", "\n".join(f"- {line}" for line in facts.proof) + "\n"] if facts.proof else []),
        "## Data\n",
        _data(facts),
        "## How it was made\n",
        _made(facts),
    ]
    return "\n".join(parts)


def limits(facts: Facts) -> list[str]:
    """What a user should not expect, from the run's numbers alone."""
    scores, want = facts.scores, facts.described["want"]
    metric, count = scores["metric"], int(scores["test"]["count"])
    own = Score(**scores["test"]["metrics"][metric])
    said = [
        f"Scored on {count:,} held-out examples of the same data: {_word(metric)} lies between "
        f"{figure(own.low, metric)} and {figure(own.high, metric)} (95 %). On data from elsewhere it may be "
        f"worse."
    ]
    if facts.answers == "classes":
        said.append(
            f"It answers with one of {len(want['labels'])} labels whatever it is given, also where none fits."
        )
        counts = dict(zip(want["labels"], facts.described["labels"]["counts"], strict=False))
        if counts and max(counts.values()) > 3 * min(counts.values()):
            least = min(counts, key=lambda name: counts[name])
            said.append(
                f"The classes were unequal in training: {least} had {counts[least]:,} examples, the largest "
                f"{max(counts.values()):,}."
            )
    said += [alarm["sentence"] for alarm in scores.get("alarms", ())]
    fewer = scores.get("without_duplicates")
    if fewer:
        said.append(
            f"{fewer['count_left_out']:,} test examples have near-duplicates among those that it learned from"
            + (
                f"; without them {_word(metric)} is {figure(fewer['metrics'][metric]['value'], metric)}."
                if fewer["count"]
                else ", and no others are left: the score says nothing of new examples."
            )
        )
    length = facts.described["preprocess"].get("max_length")
    if length and facts.answers != "parts":  # which are read in windows
        said.append(_of_long_texts(facts, length))
    return said


def _of_long_texts(facts: Facts, length: int) -> str:
    """What becomes of texts that are longer than the network's window."""
    if facts.described["preprocess"].get("long_texts") != "windows":
        return f"Texts are cut after {length} tokens."
    if facts.format is None:
        return f"Texts of over {length} tokens are read in windows that overlap, and answers are joined."
    return (
        f"{WINDOWED} Here texts are cut after {length} tokens, so the answers to longer ones differ from "
        f"those that were scored."
    )


def _front(facts: Facts) -> str:
    import yaml

    want, scores = facts.described["want"], facts.scores
    task = {"type": want["kind"], "name": facts.described["task"].replace("-", " ").capitalize()}
    metrics = [
        {"type": name, "name": _word(name), "value": round(float(own["value"]), 6)}
        for name, own in scores["test"]["metrics"].items()
        if "/" not in name
    ]
    data = {"name": facts.data, "type": _slug(facts.data), "split": "test"}
    weights = facts.licences.get("weights")
    told = {
        "license": weights.lower() if weights and " " not in weights else "unknown",
        **({"library_name": facts.format} if facts.format in LIBRARIES else {}),
        **({"pipeline_tag": want["kind"]} if facts.answers != "numbers" else {}),
        **({"base_model": _hub_name(facts)} if _hub_name(facts) else {}),
        "tags": ["tunesmith", facts.described["task"], *([facts.format] if facts.format else [])],
        "metrics": [scores["metric"]],
        "model-index": [
            {"name": facts.name, "results": [{"task": task, "dataset": data, "metrics": metrics}]}
        ],
    }
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True)


def _introduction(facts: Facts) -> str:
    names, takes = facts.described["labels"]["names"], facts.described["preprocess"].get("takes", "input")
    first = ", ".join(map(_plain, names[:MOST]))
    first += f" and {len(names) - MOST} more" if len(names) > MOST else ""
    answers = {
        "classes": f"gives one of {len(names)} labels ({first})",
        "numbers": f"gives {first}",
    }.get(facts.answers, f"says what its parts are, among {first}" if first else "gives a part of it")
    thing = {"image": "a picture", "text": "a text"}.get(takes, f"an {takes}")
    if facts.described["preprocess"].get("pairs"):
        thing = "a question and its context" if facts.answers == "parts" else "a pair of texts"
    return f"For {thing} it {answers}. Fine-tuned by tunesmith from {facts.network}.\n"


def _scores(facts: Facts) -> str:
    """The run's score beside its baselines, and each class's own."""
    scores, metric = facts.scores, facts.scores["metric"]
    rows = [
        f"| on {int(scores['test']['count']):,} test examples | {_word(metric)} | 95 % interval |",
        "|---|---|---|",
    ]
    for name, part in {"this model": scores["test"], **scores["baselines"]}.items():
        own = part["metrics"][metric]
        value, low, high = (figure(own[k], metric) for k in ("value", "low", "high"))
        rows.append(f"| {name} | {value} | {low} to {high} |")
    others = ", ".join(
        f"{_word(name)} {Score(**own).told(name)}"
        for name, own in scores["test"]["metrics"].items()
        if "/" not in name and name != metric
    )
    return "\n".join(rows) + f"\n\n{others[:1].upper()}{others[1:]}.\n"


def _data(facts: Facts) -> str:
    labels, scores = facts.described["labels"], facts.scores
    said = [f"{facts.data}. Licence of the data: {facts.licences.get('data') or UNKNOWN}.\n"]
    if labels.get("counts"):
        own = scores["test"]["metrics"]
        said += ["| label | training examples | recall on the test split |", "|---|---|---|"]
        for name, count in list(zip(labels["names"], labels["counts"], strict=True))[:MOST]:
            recall = own.get(f"recall/{name}")
            told = Score(**recall).told("recall") if recall else ""
            said.append(f"| {_cell(name)} | {count:,} | {told} |")
        said.append("")
    elif labels.get("means") and labels.get("spreads"):
        for name, mean, spread in zip(labels["names"], labels["means"], labels["spreads"], strict=True):
            said.append(f"- {name}: mean {mean:.4g}, standard deviation {spread:.4g} in training")
        said.append("")
    return "\n".join(said)


def _made(facts: Facts) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in facts.packages.items() if version)
    weights = facts.licences.get("weights") or UNKNOWN
    return (
        f"From {facts.network}, seed {facts.seed}. Licence of these weights: {weights}. A column for each "
        f"stage, a row for each phase, a learning rate in each cell; a point is frozen:\n\n"
        f"```\n{facts.plan}\n```\n\nWith {packages}.\n"
    )


def _own_use(facts: Facts) -> str:
    item = '"a text"' if facts.described["preprocess"].get("takes") == "text" else '"picture.jpg"'
    return (
        "```python\nimport tunesmith as ts\n\n"
        f'ts.predict("{facts.name}", [{item}])\n```\n\n'
        f"`{facts.name}` is the folder of the run, of which this folder is a part.\n"
    )


def _hub_name(facts: Facts) -> str | None:
    """The name on the hub of what was fine-tuned, where it came from there."""
    recipe = facts.described.get("recipe") or {}
    model, weights = str(recipe.get("model", "")), facts.network.rpartition("@")[2]
    if weights == "none" or model.startswith((".", "/", "~")):
        return None
    if recipe.get("source") == "hf":
        return model
    return f"timm/{model}" if recipe.get("source") == "timm" and "." in model else None


def _word(metric: str) -> str:
    return metric.replace("_", " ").replace("f1", "F1")


def _slug(name: str) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in name.lower()).strip("-") or "data"


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """On one line, and no tag of HTML."""
    return " ".join(text.split()).replace("<", "&lt;")
