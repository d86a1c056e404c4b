"""The same network without its pretraining, trained for as long: what fine-tuning has to beat, on wish."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tunesmith.choosing.which_lr import DEFAULTS
from tunesmith.errors import Diverged
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Plan
from tunesmith.training.events import EpochEnd
from tunesmith.training.feeds import Feed
from tunesmith.training.loop import Training
from tunesmith.training.predicting import predict
from tunesmith.verbs.reporting import Reporter
from tunesmith.verbs.started import Started
from tunesmith.verbs.twin import random_network

SHARE: Final = 0.2  # of the highest rate that networks of the family are pretrained with
STEP: Final = 3  # forward passes that a trained one costs: its backward pass counts as two


def from_scratch(started: Started, say: Reporter) -> list[Any] | str:
    """Predictions for the test split of the network as trained from random weights, or why there are none.

    It trains whole, for as many multiply-accumulates as the run's plan asks for where nothing is stored:
    equal work instead of equal seconds, so that the same command gives the same bits. The epoch of the
    best validation answers.
    """
    try:
        network = random_network(started)
    except Exception as error:  # noqa: BLE001  # whatever a person's own module does when it is copied
        return f"the network cannot be copied with random weights ({type(error).__name__}: {error})."
    plan = plan_from_scratch(started.plan, network)
    training = Training(
        network,
        started.task,
        started.data,
        plan,
        labels=started.labels,
        device=started.asked["device"],
        examples=started.examples,
    )
    with say.work(f"baseline: from scratch, {plan.epochs:.3g} epochs", len(started.data.train)):
        try:
            for event in training:
                if isinstance(event, EpochEnd):
                    value = event.row.get(training.metric, float("nan"))
                    say.say(f"from scratch: epoch {event.row['epoch']}, {training.metric} {value:.4f}")
        except Diverged as reason:
            if not training.keep_best("diverged"):
                return f"{reason}"
        return predict(
            network,
            started.task,
            Feed(started.examples["test"]),
            started.labels,
            batch=2 * plan.settings.batch,
            autocast=training.accelerator.autocast,
            shared=True,
        )


def plan_from_scratch(plan: Plan, network: Network) -> Plan:
    """A plan of one phase in which everything trains, for the work of another plan."""
    macs = [part.macs for part in network.parts]
    total, work = sum(macs), 0.0
    for phase in plan.phases:
        frozen = sum(macs[: phase.frozen_prefix]) / total if total else 0.0
        work += phase.epochs * (frozen + STEP * (1 - frozen))
    settings = replace(plan.settings, optimizer="adamw", views=0, engine="auto")
    settings = replace(settings, augment="none") if settings.augment == "features" else settings
    lr = SHARE * DEFAULTS[network.family].pretraining_lr["adamw"]
    phase = Phase("from scratch", max(work / STEP, 1.0), (lr,) * len(network.parts))
    return Plan("from scratch", (phase,), settings)
