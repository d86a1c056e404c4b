"""docs/numbers.md, written from what lies in bench/results."""

from __future__ import annotations

import errno
import json
import os
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import auto_table
from keras_page import keras
from pairs_page import beside_the_trainer
from questions_page import questions
from verdict_page import verdicts

DATA = Path(os.environ.get("TUNESMITH_REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
TRAIN, VALID = 7464, 1600  # sentences

# What was to be reached: (step, measure) -> words that stand beside the number, kept or missed.
TARGETS: Mapping[tuple[str, str], tuple[str, float]] = {
    ("last_block", "share of the bound"): ("at least", 0.9),
    ("full", "against the plain loop"): ("at least", 1.0),
    ("growth", "slope"): ("at most", 1.05),
}
HARM = {
    "traceback": "tracebacks",
    "hang": "hangs",
    "memory": "times too much memory",
    "code": "times code ran or a file was written elsewhere",
    "noise": "words on standard error",
    "crash": "crashes",
}


def write_numbers(folder: Path, page: Path) -> None:
    """Write the page from the results in a folder."""
    found = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.json"))}
    results = {name: r for name, r in found.items() if not name.startswith("replay_")}
    replay = {name.removeprefix("replay_"): r for name, r in found.items() if name.startswith("replay_")}
    lines = [HEADING + (TIMED if replay else UNTIMED)]
    if {"trashnet_probe", "trashnet_logistic"} <= results.keys():
        r, logistic = results["trashnet_probe"], results["trashnet_logistic"]
        chosen = logistic["chosen"]
        others = ", ".join(f"{row['test']:.3f} at {row['C']:g}" for row in logistic["tried"])
        lines += [
            "## trashnet, MobileNetV2 (1.0, Keras' weights), linear probe, 10 epochs, 224 pixels\n",
            "| head | test accuracy |\n|---|---|",
            f"| tunesmith, AdamW 3e-3, 10 epochs | {_score(r)} |",
            f"| scikit-learn LogisticRegression, same features, C = {chosen['C']:g} by validation log-loss | "
            f"{chosen['test']:.3f} |",
            f"| closed-form ridge probe | {_score(r['baselines']['linear probe'], inner=False)} |",
            f"\nLogisticRegression's test accuracy at every C tried: {others}.",
            f"Of the run itself: {r['verdict']} `python bench/spine.py trashnet`\n",
        ]
    shown = [n for n in ("clothing_top", "clothing_gradual") if n in results]
    if shown:
        lines += [
            "## clothing-small, the same network, 3 epochs, 96 pixels\n",
            "| strategy | test accuracy | macro-F1 | probe's macro-F1 | difference, paired |",
            "|---|---|---|---|---|",
        ]
        for name in shown:
            r = results[name]
            gap = r["difference"]
            lines.append(
                f"| {name.removeprefix('clothing_')} | {_score(r)} | {_score(r, 'macro_f1')} | "
                f"{r['baselines']['linear probe']['macro_f1']['value']:.3f} | "
                f"{gap['value']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}] |"
            )
        lines.append("\n`python bench/spine.py clothing`\n")
    if any(n.startswith("polarity") for n in results):
        lines += polarity(results)
    lines += tags({n: r for n, r in results.items() if n.startswith("tags_")}, results.get("weibo", {}))
    lines += auto_table.section(results)
    if "questions" in results:
        lines += questions(results["questions"])
    if "keras_fits" in results:
        lines += keras(results["keras_fits"])
    if "hostile" in results:
        lines += hostile(results["hostile"])
    if "health" in results:
        lines += checked_data(results["health"])
    if results.get("truth", {}).get("truth"):
        lines += which_network(results["truth"])
    if "predicting" in results:
        lines += predicting(results["predicting"])
    lines += verdicts(results)
    lines += beside_the_trainer(results)
    lines += sturdy(folder)
    for step, section in SECTIONS.items():
        if replay.get(step, {}).get("runs"):
            lines += [*section(replay[step]), _foot(replay[step]), *_failures(replay[step])]
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def predicting(found: Mapping[str, Any]) -> list[str]:
    """The section of photos predicted in three ways."""
    lines = [
        "## Predicting photos\n",
        f"{found['photos']:,} photos as files, MobileNetV2 at 224 pixels, batches of 32, one thread; the "
        f"three take the same {found['turns'][0]['photos']} photos in turns. Times: the median over turns of "
        f"processor seconds over tunesmith's.\n",
        "| | photos a second | a second of the processor | times | same answer |",
        "|---|---|---|---|---|",
    ]
    for name, row in found["told"].items():
        cells = [f"{row['a second']:.1f}", f"{row['a second of the processor']:.1f}"]
        cells += [f"{row['times']:.2f}", f"{row['equal answers']:,}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, f"\n`{found['command']}`\n"]


def which_network(found: Mapping[str, Any]) -> list[str]:
    """The section of rankers beside the table of truth."""
    known, judged = found["truth"], found["rankers"]
    networks = list(next(iter(known.values())))
    most = found["most"]
    lines = [
        "## Which network\n",
        f"Balanced accuracy on test photos of the best of nine fits by validation (the head, the last stage "
        f"or all; three rates), at {found['size']} pixels, {most['train']} training photos at most.\n",
        f"| network | {' | '.join(known)} |",
        "|---|" + "---|" * len(known),
    ]
    for network in networks:
        cells = []
        for scores in known.values():
            best = scores[network] == max(scores.values())
            cells.append(f"**{scores[network]:.3f}**" if best else f"{scores[network]:.3f}")
        lines.append(f"| {network} | {' | '.join(cells)} |")
    lines += [
        "\nRegret: points lost by taking a ranker's first network, the mean over data sets; weighted tau: "
        "agreement with the whole order. Intervals of 95 % by drawing data sets again; the last column is "
        "paired, and below 0 the ranker loses less than chance.\n",
        "| ranker | regret | weighted tau | regret less that of random choice |",
        "|---|---|---|---|",
    ]
    for name, row in sorted(judged.items(), key=lambda item: item[1]["regret"]["value"]):
        gap = row["against"].get("random")
        cells = [_points(row["regret"]), _points(row["tau"], 2), "" if gap is None else _points(gap)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append("")
    for ranker, where in (
        ("default ranker with the list", "as it ranks networks that are in its list"),
        ("default ranker", "as it ranks others, by evidence alone"),
    ):
        gap = judged[ranker]["against"].get("static list of the other data sets")
        if gap is not None:
            lines.append(f"- {ranker}, {where}: its regret less the static list's is {_points(gap)} points.")
    lines.append(f"\n`{found['command']}`\n")
    return lines


def _points(score: Mapping[str, float], digits: int = 1) -> str:
    return f"{score['value']:.{digits}f} [{score['low']:.{digits}f}, {score['high']:.{digits}f}]"


def hostile(found: dict[str, Any]) -> list[str]:
    """What mutated inputs did."""
    counts, limits = found["all"], found["limits"]
    harm = ", ".join(f"{counts[kind]} {what}" for kind, what in HARM.items())
    slowest = max(row["slowest_seconds"] for row in found["readers"].values())
    most = max(row["most_growth_mib"] for row in found["readers"].values())
    return [
        "## Bad input\n",
        f"{counts['inputs']:,} inputs mutated at random, over {len(found['readers'])} readers: "
        f"{counts['read']:,} were read, {counts['refused']:,} refused in one sentence; {harm}. The slowest "
        f"took {slowest:.1f} s of the processor (a hang: {limits['hang_seconds']:g} s), and no process grew "
        f"by more than {most:.0f} MiB (the limit: {limits['growth_mib']}). `{found['command']}`\n",
    ]


def checked_data(kept: Mapping[str, Any]) -> list[str]:
    """The section of planted label errors and of what checks find."""
    lines = [
        "## Checked data\n",
        "5 % of all labels were flipped at random; a label check ranks all of them by doubt, and the share "
        "of the flips that stands in the first tenth is counted (at least 60 % were to be). Features are of "
        "MobileNetV2 (Keras' weights, 128 pixels) for images and of all-MiniLM-L6-v2 for texts.\n",
        "| data | examples, classes | flips in the first tenth | suspected, flips of them | findings |",
        "|---|---|---|---|---|",
    ]
    for name, row in kept.items():
        found = ", ".join(f"{kind} {count:,}" for kind, count in row["found"].items())
        share = row["in the first tenth"]
        shown = f"{share:.0%}" if share >= 0.6 else f"{share:.0%} (target: at least 60 %)"
        lines.append(
            f"| {name} | {row['examples']:,}, {row['classes']} | {shown} | {row['suspected']:,}, "
            f"{row['flipped among suspected']:,} of {row['flipped']:,} | {found} |"
        )
    return [*lines, "\n`python bench/health.py`\n"]


def sturdy(folder: Path) -> list[str]:
    """The section of what a run survives."""
    kills, disks = (_lines(folder / f"{name}.jsonl") for name in ("kills", "disks"))
    said = []
    if kills:
        cases = len({str(row["case"]) for row in kills})
        died, deaths = sum(row["died"] > 0 for row in kills), sum(row["died"] for row in kills)
        said.append(
            f"- **Killed**: {len(kills)} runs over {cases} cases (a strategy, pictures or texts, with the "
            f"store or without), stopped by SIGKILL at a drawn moment: between backward and the "
            f"optimizer's step, at an fsync or a rename, at a phase change, during evaluation. {died} of "
            f"them died, some again while they resumed, {deaths} deaths in all. "
            f"{sum(row['same'] for row in kills)} of {len(kills)} ended with the bits of the run that was "
            f"left alone. `python bench/sturdy.py kills`"
        )
    if disks:
        names = ", ".join(
            f"{sum(row['code'] == code for row in disks)} by {errno.errorcode[code]}"
            for code in sorted({row["code"] for row in disks})
        )
        refused = sum(row["became"] == "refused" for row in disks)
        said.append(
            f"- **A disk that refuses**: each of the {max(row['of'] for row in disks)} writes of a small "
            f"run, once ({names}): {refused} times the run ended in one sentence that names the file and "
            f"the disk's reason, and `resume` went on to the same bits; {len(disks) - refused} times it "
            f"went on without the store, to the same bits. `python bench/sturdy.py disks`"
        )
    if (folder / "flips.json").exists():
        flips = json.loads((folder / "flips.json").read_text(encoding="utf-8"))
        fates = "; ".join(f"{what} {count}" for what, count in flips["fates"].items())
        said.append(
            f"- **Changed bytes**: {flips['flips']:,} in the files of a finished and of an unfinished run, "
            f"{flips['silent']} of them read without a word ({fates}). `python bench/sturdy.py flips`"
        )
    return ["## What a run survives\n", *said, ""] if said else []


def _lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a ledger; none if there is no ledger."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def polarity(results: dict[str, Any]) -> list[str]:
    """The table of sentence-polarity: tunesmith beside the Trainer, on the same test sentences."""
    from tunesmith.data.read import read

    truth = np.asarray(read(str(DATA / "sentence-polarity"), takes="text").test["label"])
    lines = [
        "## sentence-polarity, all-MiniLM-L6-v2, batches of 32, linear schedule\n",
        "The Trainer reads the network through transformers' own class (CLS and pooler); tunesmith reads a "
        "sentence encoder by its own pooling, the mean, or with `?pooling=own` as the Trainer does. Three "
        "epochs; where everything trains, on 2,000 of the 7,463 training sentences.\n",
        "| what | rates (stages, head) | test accuracy | against the Trainer, paired |",
        "|---|---|---|---|",
    ]
    rows = (
        ("polarity_probe", "linear_probe", "0, 1e-3", "polarity_trainer_probe"),
        ("polarity_probe_default", "linear_probe, default rate", "0, 1e-2", "polarity_trainer_probe"),
        ("polarity_trainer_probe", "Trainer, base frozen", "0, 1e-3", None),
        ("polarity_full", "full", "5e-5, 5e-5", "polarity_trainer_full"),
        ("polarity_full_own", "full, `?pooling=own`", "5e-5, 5e-5", "polarity_trainer_full"),
        ("polarity_gradual", "gradual", "5e-5, 1e-3", "polarity_trainer_full"),
        ("polarity_trainer_full", "Trainer, everything", "5e-5, 5e-5", None),
    )
    for name, what, rates, other in rows:
        if name not in results:
            continue
        r = results[name]
        against = ""
        if other in results:
            middle, low, high = _paired(r["predictions"], results[str(other)]["predictions"], truth)
            against = f"{middle:+.3f} [{low:+.3f}, {high:+.3f}]"
        lines.append(f"| {what} | {rates} | {_score(r)} | {against} |")
    lines.append("\n`python bench/spine.py polarity`\n")
    return lines


def tags(found: Mapping[str, Any], chinese: Mapping[str, Any]) -> list[str]:
    """The table of named entities: tunesmith beside the Trainer, on the same test sentences."""
    if not found:
        return []
    lines = [
        "## Named entities, all-MiniLM-L6-v2, every stage, beside the transformers Trainer\n",
        "The same sentences, epochs, rates and batches; F1 over spans, the interval paired over sentences; "
        "seconds of the processor, one core, from start to exit with the test split answered. What another "
        "seed would change is not in the intervals; where several were tried, their means stand below "
        "(btc-ner has no splits of its own: another seed splits it otherwise). tunesmith keeps the epoch of "
        "the best F1 on validation, the Trainer that of the least loss, as load_best_model_at_end does.\n",
        "| data | train / valid / test | epochs | F1 | Trainer's | difference, paired | seconds | its |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, r in found.items():
        sizes = " / ".join(f"{r['sizes'][split]:,}" for split in ("train", "valid", "test"))
        middle, low, high = r["gap"]
        lines.append(
            f"| {name.removeprefix('tags_')} | {sizes} | {r['epochs']} | {r['f1']:.3f} | "
            f"{r['trainer_f1']:.3f} | {middle:+.3f} [{low:+.3f}, {high:+.3f}] | {r['seconds']:,} | "
            f"{r['trainer_seconds']:,} |"
        )
    for name in dict.fromkeys(key.partition("_seed_")[0] for key in found):
        own = [r for key, r in found.items() if key.partition("_seed_")[0] == name]
        if len(own) > 1:
            ours, theirs = (statistics.mean(r[key] for r in own) for key in ("f1", "trainer_f1"))
            gaps = ", ".join(f"{r['gap'][0]:+.3f}" for r in own)
            lines.append(
                f"\n{name.removeprefix('tags_')}, mean of {len(own)} seeds: {ours:.3f} and {theirs:.3f}, "
                f"{ours - theirs:+.3f} ({gaps})."
            )
    if chinese:
        own = chinese["f1"]
        plain = ", ".join(f"{name} {value:.3f}" for name, value in chinese["baselines"].items())
        score = f"{own['value']:.3f} [{own['low']:.3f}, {own['high']:.3f}]"
        lines.append(
            "\nweibo-ner-zh, end to end with a random BERT of two blocks over characters, ten epochs, rare "
            f"tags weighed: F1 {score} on {chinese['count']} posts ({plain})."
        )
    return [*lines, "\n`python bench/tags.py`\n"]


def _paired(ours: list[str], theirs: list[str], truth: Any) -> tuple[float, float, float]:
    gap = (np.asarray(ours) == truth).astype(float) - (np.asarray(theirs) == truth).astype(float)
    random = np.random.default_rng(0)
    drawn = [gap[random.integers(0, len(gap), len(gap))].mean() for _ in range(2000)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(gap.mean()), float(low), float(high)


def _score(result: dict[str, Any], metric: str = "accuracy", *, inner: bool = True) -> str:
    score = (result["test"] if inner else result)[metric]
    if "low" not in score:
        return f"{score['value']:.3f}"
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"


def extrapolated(row: Mapping[str, Any], epochs: int) -> float:
    """Seconds that a peer's run would take with so many epochs, each further one as the last measured."""
    return float(row["seconds"] + (epochs - len(row["epochs"])) * row["epochs"][-1])


def photos(kept: Mapping[str, Any]) -> list[str]:
    """The section of the photos."""
    workers = ", ".join(f"{name} {n}" for name, n in kept["facts"].get("workers", {}).items())
    checked = kept["runs"].get("keras: converted weights", {}).get("largest_difference")
    lines = _probe(kept, "trashnet, MobileNetV2 (1.0, Keras' weights), 224 pixels", least=10)
    lines.append(f"\nLoader processes, the better of 0 and 2 in an epoch of each: {workers}.")
    if checked is not None:
        lines.append(
            f"Keras has the same weights, converted; its features of eight photos differ by at most "
            f"{checked:.0e}."
        )
    return lines


def texts(kept: Mapping[str, Any]) -> list[str]:
    """The section of the sentences."""
    return _probe(kept, "sentence-polarity, all-MiniLM-L6-v2, mean of the tokens", least=6)


def _probe(kept: Mapping[str, Any], what: str, *, least: float) -> list[str]:
    """least: how many times faster than the fastest peer a cold run is to be."""
    epochs, runs = kept["facts"].get("epochs", 10), kept["runs"]
    names = list(dict.fromkeys(k.partition(": ")[2] for k in runs if k.startswith("round ")))
    rows = {name: _rounds(kept, name) for name in names}
    cold = rows.get("tunesmith", [])
    if not cold:
        return [f"## {what}: a frozen backbone\n", "tunesmith has no run that went through."]
    ours = {
        "tunesmith, cold": [r["seconds"] for r in cold],
        "tunesmith, second run": [r["second"]["seconds"] for r in cold],
    }
    middle = {name: statistics.median(all_) for name, all_ in ours.items()}
    lines = [
        f"## {what}: a frozen backbone, a linear head, {epochs} epochs, batches of 32\n",
        "From the start of the process to its exit: imports, data, training, a validation after each epoch, "
        "the saved model, the answers to the test split. Peers ran two epochs a round, the rest is "
        "extrapolated from the second; `a` beside an accuracy: after those two.\n",
        "| what | seconds, median | all rounds | over tunesmith cold | over second run | test accuracy |",
        "|---|---|---|---|---|---|",
    ]
    for name, all_ in ours.items():
        lines.append(f"| {name} | {middle[name]:.1f} | {_all(all_)} | | | {cold[0]['accuracy']:.3f} |")
    for name, its in rows.items():
        if name == "tunesmith":
            continue
        if not its:
            lines.append(f"| {name} | failed | | | | |")
            continue
        whole = name == "encode once"
        all_ = [r["seconds"] if whole else extrapolated(r, epochs) for r in its]
        median = statistics.median(all_)
        gains = " | ".join(f"{median / m:.1f}×" for m in middle.values())
        score = f"{its[0]['accuracy']:.3f}{'' if whole else ' a'}"
        full = runs.get(f"all epochs: {name}", {})
        if "accuracy" in full:
            score = f"{full['accuracy']:.3f}"
        shown = f"{name}{' + LogisticRegression' if whole else ''}"
        lines.append(f"| {shown} | {median:.1f} | {_all(all_)} | {gains} | {score} |")
    lines.append("")
    peers = {
        name: statistics.median([extrapolated(r, epochs) for r in its])
        for name, its in rows.items()
        if its and name not in ("tunesmith", "encode once")
    }
    if peers:
        fastest = min(peers, key=lambda name: peers[name])
        gain = peers[fastest] / middle["tunesmith, cold"]
        lines.append(
            f"Against the fastest peer, {fastest}: {gain:.1f} times faster cold; to reach were {least:g}: "
            f"{'reached' if gain >= least else 'not reached'}."
        )
    for name in rows:
        full = runs.get(f"all epochs: {name}", {})
        if "seconds" in full and rows[name]:
            guess = statistics.median([extrapolated(r, epochs) for r in rows[name]])
            lines.append(
                f"All {epochs} epochs of {name}, run once: {full['seconds']:.1f} s where {guess:.1f} were "
                f"extrapolated."
            )
    imports = runs.get("tunesmith, imports only", {})
    if "seconds" in imports and "failed" not in imports:
        second = middle["tunesmith, second run"]
        lines.append(
            f"Of the second run, {imports['seconds']:.1f} s are imports (a process that does nothing but "
            f"import the same modules); {second - imports['seconds']:.1f} s are not; at most 3 were to be."
        )
    engine = (cold[0].get("replay") or {}).get("engine", "none")
    lines.append(
        f"Engine of the cold run: {engine}; the store holds {cold[0]['stored_mib']:.1f} MiB after it."
    )
    usual = runs.get("tunesmith, cold, with a verdict", {})
    if "seconds" in usual and "failed" not in usual:
        lines.append(
            f"These runs end as the others' do (`--baselines none --keep trained`). With the random twin, "
            f"the simple baseline and the choice of what is kept, as a fit usually ends, a cold run takes "
            f"{usual['seconds']:.1f} s."
        )
    eager, once = runs.get("tunesmith, cold, eager", {}), rows.get("encode once", [])
    if "seconds" in eager and "failed" not in eager and once:
        passes = statistics.median(
            [r["start_up"] + sum(r[f"encode_{s}"] for s in ("train", "valid", "test")) for r in once]
        )
        lines.append(
            f"At the same precision and layout (`--engine eager`) the cold run takes {eager['seconds']:.1f} "
            f"s; start-up and one pass over the three splits by hand, the bound, take {passes:.1f} s: "
            f"{passes / eager['seconds']:.0%} of the bound is reached; 75% were to be."
        )
    return lines


def last_block(kept: Mapping[str, Any]) -> list[str]:
    """The section of the last block."""
    epochs = kept["facts"].get("epochs", 5)
    lines = [
        f"## sentence-polarity, all-MiniLM-L6-v2: the last block and the head train, {epochs} epochs\n",
        "The law's bound is what the plain loop's epochs cost, over what they cost when the prefix is "
        "computed once, in measured seconds: p an example for the prefix forward, s for the suffix forward "
        "and backward, a for its answer. Of the process: the plain loop's start-up and end beside it. "
        "Seconds are of whole processes.\n",
        "| readout | plain loop, s | tunesmith cold, s | gain | bound by the law | "
        "bound of the process | share of it | accuracy, plain (2 epochs) / tunesmith |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for pooling in ("mean", "cls"):
        plain, ours, parts = (_rounds(kept, f"{n}, {pooling}") for n in ("plain loop", "tunesmith", "parts"))
        if not (plain and ours and parts):
            lines.append(f"| {pooling} | failed | | | | | | |")
            continue
        theirs = statistics.median([extrapolated(r, epochs) for r in plain])
        cold = statistics.median([r["seconds"] for r in ours])
        alone = pooling == "cls"  # then the last block may compute CLS alone, and must stand that comparison
        law = statistics.median([_bound(r, epochs, alone=alone) for r in parts])
        around = statistics.median([r["seconds"] - sum(r["epochs"]) for r in plain])
        bound = theirs / (around + (theirs - around) / law)
        share = theirs / cold / bound
        lines.append(
            f"| {pooling} | {theirs:.1f} | {cold:.1f} | {theirs / cold:.2f}× | {law:.2f}× | "
            f"{bound:.2f}× | {_aimed('last_block', 'share of the bound', share, f'{share:.0%}')} | "
            f"{plain[0]['accuracy']:.3f} / {ours[0]['accuracy']:.3f} |"
        )
    lines.append("")
    for pooling in ("mean", "cls"):
        for r in _rounds(kept, f"parts, {pooling}")[:1]:
            ms = {k: 1000 * r[k] for k in ("prefix", "suffix", "answer")}
            line = (
                f"{pooling}: p {ms['prefix']:.2f}, s {ms['suffix']:.2f}, a {ms['answer']:.2f} ms an example"
            )
            if "suffix_cls" in r:
                line += (
                    f"; with CLS alone computed in the last block s {1000 * r['suffix_cls']:.2f}, a "
                    f"{1000 * r['answer_cls']:.2f}, the bound above; with the whole block it were "
                    f"{_bound(r, epochs):.2f}×"
                )
            lines.append(f"{line}.")
    return lines


def _bound(parts: Mapping[str, Any], epochs: int, *, alone: bool = False) -> float:
    """How much faster the training of a last block can be, its prefix computed once (methods 6.5).

    alone: where the suffix that is left computes CLS alone, against the plain loop that does not.
    """
    each = parts["prefix"] * (TRAIN + VALID)
    left = "_cls" if alone else ""
    plain = epochs * (each + parts["suffix"] * TRAIN + parts["answer"] * VALID)
    once = each + epochs * (parts[f"suffix{left}"] * TRAIN + parts[f"answer{left}"] * VALID)
    return float(plain / once)


def full(kept: Mapping[str, Any]) -> list[str]:
    """The section of full fine-tuning."""
    lines = [
        "## Full fine-tuning: examples per second, float32, batches of 32\n",
        "Training examples over the seconds of the epochs after the first, 32 steps a round, each epoch "
        "with a validation on 32 examples; alternating rounds. Precision is equal; tunesmith lays "
        "convolutions out in channels_last, steps with a fused optimizer and keeps freed memory.\n",
        "| task | what | examples/s, median | all rounds | of the plain loop |",
        "|---|---|---|---|---|",
    ]
    for task in ("photos", "texts"):
        facts = kept["facts"].get(task)
        names = [k for k in kept["runs"] if k.startswith("round 0: ") and k.endswith(f", {task}")]
        speeds = {}
        for name in (k.removeprefix("round 0: ") for k in names):
            rows = [r["epochs"][1:] for r in _rounds(kept, name)]
            speeds[name] = [facts["examples"] * len(later) / sum(later) for later in rows]
        plain = speeds.get(f"plain loop, {task}")
        for name, all_ in speeds.items():
            what = name.removesuffix(f", {task}")
            if not all_:
                lines.append(f"| {task} | {what} | failed | | |")
                continue
            median = statistics.median(all_)
            ratio = ""
            if plain and what != "plain loop":
                value = median / statistics.median(plain)
                ratio = f"{value:.2f}×"
                if what == "tunesmith":
                    ratio = _aimed("full", "against the plain loop", value, ratio)
            lines.append(f"| {task} | {what} | {median:.1f} | {_all(all_)} | {ratio} |")
    return lines


def growth(kept: Mapping[str, Any]) -> list[str]:
    """The section of growing data."""
    facts = kept["facts"]
    lines = ["## Growth: one epoch of a linear probe over images of 32 × 32 pixels (test_efficientnet)\n"]
    if "slope" not in facts:
        return [
            *lines,
            "No slope: a size has no run that went through, or took no longer than the start-up.\n",
        ]
    lines += ["| images | seconds | less start-up | peak anonymous memory, MiB |", "|---|---|---|---|"]
    for size, seconds, memory in zip(facts["sizes"], facts["seconds"], facts["rss_anon_mib"], strict=True):
        lines.append(f"| {size:,} | {seconds:.1f} | {seconds - facts['start_up']:.1f} | {memory:,.0f} |")
    slope = _aimed("growth", "slope", facts["slope"], f"{facts['slope']:.3f}")
    lines += [
        f"\nExponent, from the seconds that each fourfold step adds (free of the start-up): {slope}. Less "
        f"the {facts['start_up']:.1f} s of a fit of 24 images: {facts['slope_less_start']:.3f}, and raw "
        f"{facts['slope_raw']:.3f}: the smallest size is mostly start-up, and 0.3 s of noise in it are a "
        f"third of what is left. Medians of the rounds.",
        "\n![Seconds and memory over images](growth.png)",
    ]
    return lines


def exact(kept: Mapping[str, Any]) -> list[str]:
    """The section of replay against the live network."""
    rows = [line.split() for line in kept["runs"].get("every cut", {}).get("wrote", "").splitlines()]
    if not rows:
        return []
    found = {name: (int(right), int(live)) for name, right, live in rows}
    cuts = sum(right for right, _ in found.values())
    partly = [f"{name} {live} of {right + live}" for name, (right, live) in sorted(found.items()) if live]
    return [
        "## Replay is exact\n",
        f"{len(found)} networks of torchvision, timm and transformers, random weights, float32, one thread: "
        f"at {cuts:,} cuts outputs and gradients of the replayed network are those of the live one, bit for "
        f"bit, twice, and differ when something else is replayed. "
        f"Cuts that are refused, and run live: {', '.join(partly) or 'none'}.",
    ]


def fire(kept: Mapping[str, Any]) -> list[str]:
    """The section of the store under fire."""
    wrote = kept["runs"].get("under fire", {}).get("wrote", "").strip()
    toll = json.loads(wrote) if wrote else {}
    lines = ["## The store under fire\n"]
    if toll:
        lines.append(
            f"{toll['kills']} writers killed by SIGKILL, {toll['mid_write']} of them within a write. Of "
            f"{toll['committed']:,} records that they had committed {toll['lost']} were lost; of "
            f"{toll['read']:,} that were read afterwards {toll['wrong']} were wrong."
        )
    return lines


def _rounds(kept: Mapping[str, Any], name: str) -> list[Any]:
    """The runs of a contender that went through, in the order of the rounds."""
    rows = [
        r for key, r in kept["runs"].items() if key.startswith("round ") and key.partition(": ")[2] == name
    ]
    return [row for row in rows if "failed" not in row]


def _all(seconds: list[float]) -> str:
    return ", ".join(f"{s:.1f}" for s in seconds)


def _aimed(step: str, measure: str, value: float, shown: str) -> str:
    """A number as it is; where it misses what was aimed at, that beside it."""
    words, number = TARGETS[step, measure]
    kept = value >= number if words == "at least" else value <= number
    return shown if kept else f"{shown} (target: {words} {number:g})"


def _foot(kept: Mapping[str, Any]) -> str:
    on, loads = kept["machine"], [r["load_before"] for r in kept["runs"].values()]
    versions = ", ".join(f"{n} {v}" for n, v in on["versions"].items() if v != "not installed")
    theirs = {n: v for r in kept["runs"].values() for n, v in r.get("versions", {}).items()}
    versions += "".join(f", {n} {v}" for n, v in sorted(theirs.items()) if n not in on["versions"])
    return (
        f"\nOn {on['processor']}, {on['cores']} cores, {on['memory_gib']} GiB; load average before a run "
        f"{min(loads):.2f} to {max(loads):.2f}. {versions}. `{kept['command']}`\n"
    )


def _failures(kept: Mapping[str, Any]) -> list[str]:
    failed = {key: row["failed"] for key, row in kept["runs"].items() if "failed" in row}
    return [f"Failed: {key}: {why.strip().splitlines()[-1].strip()[:200]}\n" for key, why in failed.items()]


HEADING = """# Numbers

What is claimed, measured; each with the command that measures it again. Written by `make bench` from
bench/results. Accuracies are of the test split, with 95 % bootstrap intervals; differences are paired, on the
same examples. """
UNTIMED = "No times yet: these runs shared two cores with other work, so their seconds mean nothing.\n"
TIMED = """Seconds are of one machine, named with its load before each
run; runs without seconds shared it with other work.
"""
SECTIONS = {
    "photos": photos,
    "texts": texts,
    "last_block": last_block,
    "full": full,
    "growth": growth,
    "exact": exact,
    "fire": fire,
}
