"""fastai's `fine_tune` at its defaults: one epoch of the head, then so many of everything, one-cycle."""

import torch
from common import Clock, examples, options
from fastai.callback import schedule  # noqa: F401  # gives Learner its fine_tune
from fastai.learner import Learner
from fastai.metrics import accuracy
from fastai.torch_core import params
from learner import Marks, Positional, photos, texts
from torch import nn


def main():
    """Train, save, answer the test split."""
    asked, clock = options(), Clock()
    torch.manual_seed(0)
    found, names = examples(asked)
    asked.train = "full"  # nothing is frozen but by fine_tune itself
    network, loaders = (photos if asked.task == "photos" else texts)(asked, found, names)
    learner = Learner(
        loaders,
        Positional(network),
        loss_func=nn.CrossEntropyLoss(),
        splitter=lambda m: [params(m.network.backbone), params(m.network.head)],
        metrics=accuracy,
        cbs=[Marks(clock)],
    )
    with learner.no_bar(), learner.no_logging():
        clock.ready()
        learner.fine_tune(asked.epochs)
        path = asked.out / "model.pth"
        torch.save(learner.model.state_dict(), path)
        clock.saved(path)
        learner.remove_cb(Marks)
        labels = torch.tensor([label for _, label in found["test"]])
        if asked.task == "photos":
            loader = loaders.test_dl([path for path, _ in found["test"]], bs=asked.batch)
            answers = learner.get_preds(dl=loader)[0].argmax(1)
        else:
            answers = answered(learner, asked, found, names)
        clock.note("answers", answers.tolist())
        clock.tested(float((answers == labels).float().mean()))
    clock.report("fastai", "torch", "timm")


def answered(learner, asked, found, names):
    """Classes of the test texts."""
    from networks import padded, prepared

    _, sets, _ = prepared(asked, found, names)
    loader = torch.utils.data.DataLoader(sets["test"], batch_size=asked.batch, collate_fn=padded)
    learner.model.eval()
    with torch.inference_mode():
        return torch.cat([learner.model(inputs).argmax(1) for inputs, _ in loader])


if __name__ == "__main__":
    main()
