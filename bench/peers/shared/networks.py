"""The networks, in plain PyTorch: a pretrained backbone, a new linear head, and what of it is frozen."""

import json
import os
from contextlib import nullcontext

import torch
from torch import nn


class Classifier(nn.Module):
    """backbone -> features [B, D] -> head -> logits [B, K]; frozen parts stay in eval mode."""

    def __init__(self, backbone, width, classes, pooling=None):
        super().__init__()
        self.backbone, self.pooling = backbone, pooling
        self.head = nn.Linear(width, classes)
        self.frozen = []

    def freeze(self, train):
        """train: "frozen" (the head alone), "last_block" (of a transformer, and the head), "full"."""
        if train == "frozen":
            self.frozen = [self.backbone]
        elif train == "last_block":
            self.frozen = [self.backbone.embeddings, *self.backbone.encoder.layer[:-1]]
        for module in self.frozen:
            module.requires_grad_(False)
        return self

    def train(self, mode=True):
        """As always, but BatchNorm and dropout of what is frozen stand still."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def features(self, **inputs):
        """Pooled features [B, D]; no graph is kept of a backbone that is frozen altogether."""
        with torch.no_grad() if self.backbone in self.frozen else nullcontext():
            if self.pooling is None:
                return self.backbone(inputs["pixels"])
            states = self.backbone(**inputs).last_hidden_state
        return pooled(states, inputs["attention_mask"], self.pooling)

    def forward(self, **inputs):
        """Logits [B, K] for {"pixels": [B, 3, H, W]} or token tensors [B, T]."""
        return self.head(self.features(**inputs))


def pooled(states, mask, pooling):
    """One vector per text: the mean of its tokens, or its first."""
    if pooling == "cls":
        return states[:, 0]
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


def photo_network(weights, classes):
    """A timm network built as the header of its weights says, and its input size, mean and std."""
    import timm
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(weights, "pt") as file:
        header = file.metadata()
    name = header["model"].removeprefix("timm/")
    backbone = timm.create_model(name, num_classes=0, **json.loads(header["model_args"]))
    tensors = {k: v.float() if v.is_floating_point() else v for k, v in load_file(weights).items()}
    loaded = backbone.load_state_dict(tensors, strict=False)
    strange = [k for k in loaded.unexpected_keys if not k.startswith("classifier.")]
    if loaded.missing_keys or strange:
        raise SystemExit(f"weights do not fit: missing {loaded.missing_keys}, unexpected {strange}")
    size = int(os.environ.get("BENCH_SIDE", header["input_size"]))
    form = size, json.loads(header["mean"]), json.loads(header["std"])
    return Classifier(backbone, backbone.num_features, classes), form


def text_network(folder, classes, pooling):
    """A transformers encoder read by pooling, and its tokenizer."""
    import transformers

    backbone = transformers.AutoModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return Classifier(backbone, backbone.config.hidden_size, classes, pooling), tokenizer


def photo_transform(size, mean, std):
    """PIL image to float32 [3, size, size]: the resize and crop that timm's recipe states."""
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.Resize(int(size / 0.875), v2.InterpolationMode.BICUBIC, antialias=True),
            v2.CenterCrop(size),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean, std),
        ]
    )


class Photos(torch.utils.data.Dataset):
    """Photos that are decoded each time they are asked for."""

    def __init__(self, rows, transform):
        self.rows, self.transform = rows, transform

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        from PIL import Image

        path, label = self.rows[i]
        with Image.open(path) as image:
            return self.transform(image.convert("RGB")), label


class Texts(torch.utils.data.Dataset):
    """Texts, tokenized once."""

    def __init__(self, rows, tokenizer):
        self.tokens = tokenizer([text for text, _ in rows], truncation=True, max_length=256)["input_ids"]
        self.labels = [label for _, label in rows]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.tokens[i], self.labels[i]


def stacked(rows):
    """Photos to one batch: {"pixels"} and labels."""
    pixels, labels = zip(*rows, strict=True)
    return {"pixels": torch.stack(pixels)}, torch.tensor(labels)


def padded(rows):
    """Texts to one batch, padded to the longest: {"input_ids", "attention_mask"} and labels."""
    tokens, labels = zip(*rows, strict=True)
    longest = max(map(len, tokens))
    ids = torch.zeros(len(tokens), longest, dtype=torch.long)  # 0 is BERT's [PAD]
    mask = torch.zeros_like(ids)
    for row, its in enumerate(tokens):
        ids[row, : len(its)] = torch.tensor(its)
        mask[row, : len(its)] = 1
    return {"input_ids": ids, "attention_mask": mask}, torch.tensor(labels)


def prepared(asked, found, names):
    """The network, frozen as asked, a data set per split, and how its rows become a batch."""
    if asked.task == "photos":
        network, form = photo_network(asked.weights, len(names))
        transform = photo_transform(*form)
        return network.freeze(asked.train), {s: Photos(r, transform) for s, r in found.items()}, stacked
    network, tokenizer = text_network(asked.weights, len(names), asked.pooling)
    return network.freeze(asked.train), {s: Texts(r, tokenizer) for s, r in found.items()}, padded


def groups(network, asked):
    """Parameter groups of what trains: the head at its rate, the rest at its own."""
    rest = [p for p in network.backbone.parameters() if p.requires_grad]
    made = [{"params": list(network.head.parameters()), "lr": asked.head_lr}]
    return [*made, {"params": rest, "lr": asked.lr}] if rest else made
