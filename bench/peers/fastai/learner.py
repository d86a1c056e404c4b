"""fastai's Learner with the same network: its DataLoaders, its optimizer, its fit."""

import torch
from common import Clock, examples, options
from fastai.callback.core import Callback
from fastai.callback.training import BnFreeze
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.metrics import accuracy
from fastai.torch_core import params
from fastai.vision.augment import Resize
from fastai.vision.data import ImageDataLoaders, Normalize
from torch import nn

from networks import padded, photo_network, prepared


class Marks(Callback):
    """Tells the clock when an epoch and its validation are over."""

    order = 60  # after the Recorder, which is 50

    def __init__(self, clock):
        self.clock = clock

    def after_epoch(self):
        """An epoch is validated."""
        self.clock.epoch(self.recorder.values[-1][-1])  # training loss, validation loss, accuracy


class Positional(nn.Module):
    """A classifier that takes what fastai hands it: a tensor, or a dictionary of them."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, inputs):
        """Logits."""
        return self.network(**inputs) if isinstance(inputs, dict) else self.network(pixels=inputs)


def photos(asked, found, names):
    """Network and ImageDataLoaders; each photo is decoded whenever it is asked for."""
    import pandas as pd

    network, (size, mean, std) = photo_network(asked.weights, len(names))
    rows = [
        (path, names[label], split == "valid") for split in ("train", "valid") for path, label in found[split]
    ]
    loaders = ImageDataLoaders.from_df(
        pd.DataFrame(rows, columns=["path", "label", "valid"]),
        path="/",
        valid_col="valid",
        item_tfms=Resize(size),
        batch_tfms=Normalize.from_stats(mean, std, cuda=False),
        bs=asked.batch,
        val_bs=asked.batch,
        num_workers=asked.workers,
        device=torch.device("cpu"),
    )
    return network.freeze(asked.train), loaders


def texts(asked, found, names):
    """Network and DataLoaders over texts tokenized once, padded per batch."""
    network, sets, _ = prepared(asked, found, names)
    made = [
        torch.utils.data.DataLoader(
            sets[s],
            batch_size=asked.batch,
            shuffle=s == "train",
            collate_fn=padded,
            num_workers=asked.workers,
        )
        for s in ("train", "valid")
    ]
    return network, DataLoaders(*made)


def main():
    """Train, save, test."""
    asked, clock = options(), Clock()
    torch.manual_seed(0)
    found, names = examples(asked)
    network, loaders = (photos if asked.task == "photos" else texts)(asked, found, names)
    frozen = asked.train == "frozen"
    learner = Learner(
        loaders,
        Positional(network),
        loss_func=nn.CrossEntropyLoss(),
        splitter=lambda m: [params(m.network.backbone), params(m.network.head)],
        metrics=accuracy,
        train_bn=False,
        cbs=[Marks(clock), *([BnFreeze()] if frozen else [])],
    )
    if frozen:
        learner.freeze()
    with learner.no_bar(), learner.no_logging():
        clock.ready()
        learner.fit(asked.epochs, asked.head_lr if frozen else slice(asked.lr, asked.head_lr))
        path = asked.out / "model.pth"
        torch.save(learner.model.state_dict(), path)
        clock.saved(path)
        learner.remove_cb(Marks)  # predictions end in after_epoch too
        if asked.task == "photos":
            loader = loaders.test_dl([path for path, _ in found["test"]], bs=asked.batch)
            answers = learner.get_preds(dl=loader)[0].argmax(1)
            clock.tested(
                float((answers == torch.tensor([label for _, label in found["test"]])).float().mean())
            )
    clock.report("fastai", "torch", "timm")


if __name__ == "__main__":
    main()
