"""What pages say in English, by key; words_zh.py has the same keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ENGLISH: Final[Mapping[str, str]] = {
    # The frame of every page
    "page.skip": "Skip to the content",
    "page.contents": "Contents",
    "page.light": "Light",
    "page.dark": "Dark",
    "page.auto": "As the system",
    "page.colours": "Colours",
    "page.made": "Made by tunesmith {version}. This page is one file and loads nothing from anywhere.",
    "page.numbers": "The same as a table",
    "page.scroll": "table, scrolls sideways",
    "comma": ", ",
    "more": "{names} and {n} more",
    "missing": "Not shown: {reason}",
    "interval": "{low} to {high}",
    "count": "Count",
    "hero": "{metric}, {low} to {high}",
    # Numbers with nouns
    "many.images": "{n} picture|{n} pictures",
    "many.texts": "{n} text|{n} texts",
    "many.pairs": "{n} pair of texts|{n} pairs of texts",
    "many.questions": "{n} question|{n} questions",
    "many.sentences": "{n} sentence|{n} sentences",
    "many.epochs": "{n} epoch|{n} epochs",
    "many.classes": "{n} class|{n} classes",
    "many.runs": "{n} run|{n} runs",
    "many.errors": "{n} thing to mend|{n} things to mend",
    "many.warnings": "{n} thing to look at|{n} things to look at",
    "many.notes": "{n} thing to know|{n} things to know",
    "time.hours": "{h} h {m} min",
    "time.minutes": "{m} min {s} s",
    "time.seconds": "{s} s",
    # Names
    "metric.accuracy": "accuracy",
    "metric.balanced_accuracy": "balanced accuracy",
    "metric.macro_f1": "macro F1",
    "metric.log_loss": "log loss",
    "metric.precision": "precision",
    "metric.recall": "recall",
    "metric.f1": "F1",
    "baseline.linear probe": "linear probe",
    "baseline.majority class": "majority class",
    "baseline.random twin": "random weights, frozen",
    "baseline.first text alone": "TF-IDF of the first text alone",
    "baseline.second text alone": "TF-IDF of the second text alone",
    "baseline.TF-IDF": "TF-IDF and a linear model",
    "baseline.colour histogram": "colours and edges",
    "baseline.fine-tuned network": "fine-tuned network",
    "baseline.from scratch": "from scratch",
    "split.train": "training",
    "split.valid": "validation",
    "split.test": "test",
    "part.head": "head",
    # Section headings of a run's page
    "run.kind": "Fine-tuning report",
    "run.scores": "How good it is",
    "run.learning": "What more labels would bring",
    "run.data": "What it learned from",
    "run.plan": "What trained when",
    "run.ladder": "How far it climbed",
    "run.curves": "How it learned",
    "run.confusion": "What it takes for what",
    "run.classes": "Class by class",
    "run.calibration": "Can its confidence be believed?",
    "run.mistakes": "Where it is most confidently wrong",
    "run.moved": "How far each stage moved",
    "run.health": "Health of the data",
    "run.next": "What to try next",
    "run.again": "Run it again",
    # In short
    "short.image": "{model}, a network pretrained on other pictures, was fine-tuned on {train} with labels "
    "to tell {classes} apart: {labels}.",
    "short.text": "{model}, a network pretrained on other texts, was fine-tuned on {train} with labels to "
    "tell {classes} apart: {labels}.",
    "short.hundred": "Of {hundred} that are new to it, it can be expected to get {value} right: between "
    "{low} and {high}, judging by the {count} of the test split, which it had never seen.",
    "short.score": "On {count} test examples that it had never seen, its {metric} is {value} "
    "(95 % interval {low} to {high}).",
    "short.better": "Fine-tuning helped: the {baseline}, which leaves the network as it was, reaches "
    "{theirs}, "
    "and the difference of {gap} [{low}, {high}] is more than chance.",
    "short.worse": "Fine-tuning did harm: the {baseline}, which leaves the network as it was, reaches "
    "{theirs}, "
    "and the difference of {gap} [{low}, {high}] is more than chance.",
    "short.same": "Whether fine-tuning helped is not proven: the {baseline}, which leaves the network "
    "as it "
    "was, reaches {theirs}, and the difference of {gap} [{low}, {high}] may be chance.",
    "short.probe.better": "What is kept is a linear probe, which leaves the network as it was: fine-tuned, "
    "it reaches {theirs} on the same examples, and the difference of {gap} [{low}, {high}] is more than "
    "chance.",
    "short.probe.worse": "What is kept is a linear probe, which leaves the network as it was, because "
    "validation spoke for it; on the test split the fine-tuned network reaches {theirs}, and the difference "
    "of {gap} [{low}, {high}] is more than chance.",
    "short.probe.same": "What is kept is a linear probe, which leaves the network as it was: fine-tuned, "
    "it reaches {theirs} on the same examples, and the difference of {gap} [{low}, {high}] may be chance.",
    "short.simple.better": "It beats the {baseline}, which reaches {theirs}: the difference of {gap} "
    "[{low}, {high}] is more than chance.",
    "short.simple.worse": "It does worse than the {baseline}, which reaches {theirs}: the difference of "
    "{gap} [{low}, {high}] is more than chance.",
    "short.simple.same": "That it beats the {baseline} is not proven: that one reaches {theirs}, and the "
    "difference of {gap} [{low}, {high}] may be chance.",
    "short.image.parts": "{model}, a network pretrained on other pictures, was fine-tuned on {train} with "
    "labels.",
    "short.text.parts": "{model}, a network pretrained on other texts, was fine-tuned on {train} with "
    "labels.",
    "short.between": "What is kept lies {share} of the way from the pretrained network with its linear "
    "probe to the fine-tuned one: on validation that was better than either end, or as good and simpler.",
    "short.shallower": "Of what is kept the lower half of the stages that training moved is as it was "
    "pretrained: on validation that was better than to leave them as trained, or as good and simpler.",
    "short.leak": "Without test examples that have a twin in training or validation ({count}), {metric} is "
    "{value} instead of {before}.",
    "short.facts": "{strategy}, {epochs}, {seconds}, {created}",
    "short.untimed": "{strategy}, {epochs}, {created}",
    # Alarms
    "alarm.below_probe": "Training did damage: it left the network below its own linear probe, by {gap}.",
    "alarm.harmed_classes": "Training harmed classes, of which the network now finds fewer than its linear "
    "probe: {classes}.",
    "alarm.harmed.class": "{label} ({found} of {count} instead of {before})",
    "alarm.below_twin": "Negative transfer: for these data the pretrained features are worse than those of "
    "random weights, by {gap}.",
    "alarm.below_scratch": "Negative transfer: the network is worse than one that was trained from random "
    "weights, by {gap}.",
    "alarm.better_start": "A better start was at hand: {against} has better features for these data, by "
    "{gap}.",
    "alarm.no_gain": "Pretraining brought no gain worth having: its features are hardly better than those of "
    "random weights, by {gap}.",
    # Scores
    "scores.lead": "Each line reaches over the 95 % interval of the {metric} {where}; the dot is the "
    "value. "
    "The gap below is paired: both answered the same examples.",
    "figure.test": "on the test split ({count})",
    "scores.own": "this run",
    "scores.gap": "gain over the {baseline}",
    "scores.alt": "Intervals of the {metric} on one axis. {rows}.",
    "scores.gap.alt": "Difference to the {baseline}: {value}, 95 % interval {low} to {high}.",
    "scores.metric": "Metric",
    "scores.value": "Value",
    "scores.interval": "95 % interval",
    "scores.less": "{metric} (less is better)",
    # Labels
    "learning.lead": "The {metric} of a linear head on the network's features, on the same test examples, "
    "by the number of labelled examples that it learned from.",
    "learning.alt": "{metric} by number of labels. {rows}.",
    "learning.axis": "labels",
    "learning.pretrained": "pretrained",
    "learning.random": "random weights",
    "learning.doubling": "From {half} to {count} labels, the {metric} of a linear head changed by {gain} "
    "[{low}, {high}]. If that goes on as it went, twice as many are worth another {forecast}.",
    # Data
    "data.lead": "{total} in {classes}: {train} to learn from, {valid} to choose by, {test} to score once.",
    "data.lead.sizes": "{total}: {train} to learn from, {valid} to choose by, {test} to score once.",
    "data.alt": "Examples by class and split. {rows}.",
    "data.class": "Class",
    "data.total": "All",
    "data.most": "The largest and the smallest classes are drawn; {n} between them are not.",
    "data.examples": "Examples",
    "data.example.alt": "Example of {label}",
    # Ladder
    "ladder.lead": "Each rung trains more of the network, from where the one below it ended. The network "
    "goes on from a rung only where the gain over the one below, on the same examples, is larger than its "
    "standard error.",
    "ladder.rung": "Rung",
    "ladder.gained": "Gain",
    "ladder.cost": "Predicted time",
    "ladder.why": "What became of it",
    "ladder.first": "the ladder begins here",
    "ladder.gain": "taken: the gain is above its error",
    "ladder.no_gain": "left: the gain is not above its error",
    "ladder.too_long": "left: it would not fit the time limit",
    "ladder.diverged": "left: it diverged",
    "ladder.passed_over": "passed over: the rung below gained nothing, so the last one is tried instead",
    "ladder.not_reached": "not reached",
    # Plan
    "plan.lead": "Rows are the network's stages, the input at the bottom and the head on top; columns are "
    "phases, wider where they last longer.",
    "plan.alt": "Learning rate of every stage in every phase. {rows}.",
    "plan.alt.row": "{phase}, {epochs}: {trained} of {parts} stages train, {frozen} are frozen",
    "plan.frozen": "frozen",
    "plan.low": "low learning rate",
    "plan.high": "high",
    "plan.phase": "Phase",
    "plan.epochs": "Epochs",
    "plan.trains": "What trains",
    "plan.rates": "Learning rates",
    "plan.all": "all stages",
    "plan.head": "the head",
    "plan.from": "from {stage} up",
    "plan.norm": "normalisation layers only",
    "plan.bias": "biases only",
    "plan.ridge": "head solved in closed form",
    "plan.lbfgs": "head solved to convergence",
    "replay.done": "What frozen stages put out was computed once for each of {computed} examples and kept; "
    "{share} of their work in training was replayed instead of computed again.",
    "replay.had": "What frozen stages put out was there from an earlier run; {share} of their work in "
    "training "
    "was replayed instead of computed again.",
    "replay.engine": "It was run by {engine} in {precision}, {speed} examples a second; its numbers lie "
    "within "
    "{agreement} of the live network's.",
    "replay.engine.slow": "It was run by {engine} in {precision}; its numbers lie within {agreement} of "
    "the "
    "live network's.",
    "replay.eager": "It was run by PyTorch itself in {precision}.",
    "replay.bound": "At equal speed of all parts that makes training at most {bound} times faster.",
    "replay.off": "Nothing was replayed: frozen stages were computed in every epoch.",
    # Curves
    "curves.loss": "Loss",
    "curves.train": "training",
    "curves.valid": "validation",
    "curves.kept": "kept",
    "curves.epoch": "epoch",
    "curves.lead": "Each phase begins with its own learning rates.",
    "curves.ring": "The ring marks the epoch whose network was kept, chosen on the validation split.",
    "curves.unkept": "The network of none of these epochs was kept: on the validation split the linear "
    "probe was as good.",
    "curves.alt": "Curves over {epochs}. Training loss from {loss0} to {loss1}; validation {metric} from "
    "{metric0} to {metric1}.",
    "curves.alt.kept": " The kept epoch has {best}.",
    # Confusion
    "confusion.lead": "Rows are what a test example is, columns what the network said; the darker, the "
    "larger "
    "the share of the row. Off the diagonal lie the mistakes.",
    "confusion.some": "Shown are the {n} of {all} classes that most mistakes involve.",
    "confusion.truth": "is",
    "confusion.said": "said",
    "confusion.most": "Most often confused: {pairs}.",
    "confusion.pair": "{truth} taken for {said} ({count})",
    "confusion.none": "No mistake on the test split.",
    "confusion.alt": "Confusion matrix of {classes}. {right} of {count} on the diagonal.",
    # Classes
    "classes.lead": "The weakest first. Precision: how many of those called so are so. Recall: how many of "
    "those that are so were found.",
    "classes.some": "The {n} weakest of {all} classes.",
    "classes.untested": "No test examples: {labels}.",
    # Calibration
    "calibration.lead": "A dot on the dashed line is honest: where the network says 90 %, it is right "
    "in 90 of "
    "100 cases. Larger dots stand for more examples.",
    "calibration.over": "On average it is surer than it should be: it states {stated} and is right in "
    "{right}.",
    "calibration.under": "On average it is less sure than it could be: it states {stated} and is right "
    "in {right}.",
    "calibration.even": "On average it is as sure as it should be: it states {stated} and is right in "
    "{right}.",
    "calibration.ece": "The expected calibration error is {ece}; with a temperature of {temperature}, "
    "chosen on "
    "the validation split, it is {after}.",
    "calibration.before": "As it is: ECE {ece}",
    "calibration.after": "Temperature {temperature}: ECE {ece}",
    "calibration.stated": "stated confidence",
    "calibration.right": "right",
    "calibration.alt": "Reliability plots. ECE {ece} as it is, {after} with a temperature of {temperature}.",
    # Mistakes
    "mistakes.lead.image": "Wrong answers on the test split, the surest first. A picture that is hard "
    "for you "
    "too may be labelled wrongly.",
    "mistakes.lead.text": "Wrong answers on the test split, the surest first. A text that is hard for "
    "you too "
    "may be labelled wrongly.",
    "mistakes.heat": "Show what the answer rests on",
    "mistakes.heat.alt": "{id}, with what the answer {guess} rests on laid over it",
    "mistakes.alt": "{id}: {truth} taken for {guess}",
    "mistakes.tokens": "Words marked {for_} speak for the answer that was given, words marked {against} "
    "against it.",
    "mistakes.for": "like this",
    "mistakes.against": "like that",
    "mistakes.said": "said",
    "mistakes.is": "is",
    "mistakes.none": "There are none.",
    # Moved
    "moved.lead": "The distance of a stage's weights from the pretrained ones, as a share of their own "
    "length. "
    "Grey stages were frozen and are the same, bit for bit.",
    "moved.none": "None did: every stage is as it was pretrained.",
    "moved.alt": "Distance of each stage from its pretrained weights. {rows}.",
    # Health
    "health.none": "Nothing was found that a person should know.",
    "health.level.error": "Mend this",
    "health.level.warning": "Look at this",
    "health.level.note": "Good to know",
    "health.page": "Health of the data",
    "health.short": "{total} in {classes}.",
    "health.found": "Found: {levels}.",
    "health.with": "Features are those of {model}.",
    "health.short.numbers": "{total} with numbers: {names}.",
    "health.short.parts": "{total}.",
    "health.counts": "Classes and splits",
    "health.splits": "Splits",
    "health.findings": "What was found",
    "health.facts": "Measured",
    "health.skipped": "Not looked for",
    "health.spread": "{least} to {most}, the middle one {middle}",
    "fact.width": "Width in pixels",
    "fact.height": "Height in pixels",
    "fact.sizes": "Different sizes",
    "fact.modes": "Forms of pixels",
    "fact.characters": "Characters a text",
    "fact.tokens": "Tokens a text",
    "fact.window": "Tokens that the network reads",
    "fact.learned": "Labels that the label check learned from",
    "health.shown": "{n} of {all} are shown.",
    "health.lost": "no picture",
    "health.alt": "{id}, labelled {label}",
    # Next and again
    "next.lead": "From this run's own numbers, the most promising first.",
    "next.none": "Nothing stands out.",
    "again.lead": "The same command on the same machine gives the same bits.",
    "again.made": "Made with",
    "again.command": "Command",
    # Comparison
    "compare.kind": "Comparison",
    "compare.title": "{runs} side by side",
    "compare.short": "All answered the same {count} test examples. {best} has the highest {metric}: {value}.",
    "compare.short.less": "All answered the same {count} test examples. {best} has the lowest {metric}: "
    "{value}.",
    "compare.proven": "{name} is better than {first} by {gap} [{low}, {high}].",
    "compare.worse": "{name} is worse than {first} by {gap} [{low}, {high}].",
    "compare.open": "Between {name} and {first} no difference is proven: {gap} [{low}, {high}].",
    "compare.scores": "Scores",
    "compare.gaps": "Against the first",
    "compare.gaps.lead": "How much better than {first}, on the same examples; a line that crosses 0 proves "
    "nothing. Also for losses, to the right is better.",
    "compare.gaps.alt": "Paired differences in {metric} to {first}. {rows}.",
    "compare.metrics": "Every metric",
    "compare.each.classes": "Class by class",
    "compare.each.numbers": "Column by column",
    "compare.each.parts": "Type by type",
    "each.classes": "Class",
    "each.numbers": "Column",
    "each.parts": "Type",
    "compare.differ": "What was done differently",
    "compare.same": "Nothing that was asked differs.",
    "compare.option": "Option",
    "compare.run": "Run",
    "compare.agree.classes": "Right alone",
    "compare.agree.classes.lead": "Test examples that only one of the two has right.",
    "compare.agree.numbers": "Nearer to the truth",
    "compare.agree.numbers.lead": "Test examples by which of the two is nearer to the true number.",
    "compare.agree.parts": "Better alone",
    "compare.agree.parts.lead": "Test examples by which of the two answers better.",
    "compare.only.first": "only the first",
    "compare.only.this": "only this one",
    "compare.model": "Network",
    "compare.strategy": "Strategy",
    "compare.epochs": "Epochs",
    "compare.time": "Time",
    "compare.created": "Made",
    "compare.plans": "What trained when",
    "compare.commands": "Run them again",
    # What is to be seen in one example; a check says the English ones
    "note.looks": "looks like {label} ({sure})",
    "note.pixels": "{width} × {height} pixels",
    "note.tokens": "{n} tokens",
    "note.words": "{n} words",
    "note.word": "word {n}",
    "note.usually": "{number}, usually {usual}",
    "note.empty": "is an empty text.",
    "note.gone": "is not there any more.",
    "note.nothing": "is empty (0 bytes).",
    "note.format": "is no image of a known format ({known}).",
    "note.damaged": "cannot be decoded as an image ({why}).",
}
