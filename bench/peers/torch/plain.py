"""The plain PyTorch loop, as a person who knows PyTorch writes it: float32, frozen parts left alone."""

import torch
from common import Clock, examples, options
from torch.utils.data import DataLoader

from networks import groups, prepared


def accuracy(network, batches):
    """Share of right answers."""
    network.eval()
    right = total = 0
    with torch.inference_mode():
        for inputs, labels in batches:
            right += int((network(**inputs).argmax(1) == labels).sum())
            total += len(labels)
    return right / total


def main():
    """Train, save, test."""
    asked, clock = options(), Clock()
    torch.manual_seed(0)
    network, sets, collate = prepared(asked, *examples(asked))
    form = {"batch_size": asked.batch, "num_workers": asked.workers, "collate_fn": collate}
    batches = {
        s: DataLoader(its, shuffle=s == "train", persistent_workers=asked.workers > 0, **form)
        for s, its in sets.items()
    }
    optimizer = torch.optim.AdamW(groups(network, asked))
    loss_of = torch.nn.CrossEntropyLoss()
    clock.ready()
    for _ in range(asked.epochs):
        network.train()
        for inputs, labels in batches["train"]:
            loss = loss_of(network(**inputs), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        clock.epoch(accuracy(network, batches["valid"]))
    path = asked.out / "model.pt"
    torch.save(network.state_dict(), path)
    clock.saved(path)
    clock.tested(accuracy(network, batches["test"]))
    clock.report("torch", "torchvision", "timm", "transformers")


if __name__ == "__main__":
    main()
