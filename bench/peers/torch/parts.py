"""Seconds of the parts of a transformer whose last block trains, on the same batches.

prefix: embeddings and all blocks but the last, forward. suffix: the last block, pooling and head,
forward and backward. answer: the same, forward only. Where only CLS is read, also the suffix that
computes CLS alone, after its output was seen to agree.
"""

import time

import torch
from common import Clock, examples, options
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from torch.utils.data import DataLoader

from networks import pooled, prepared

BATCHES, WARM = 40, 3


def cls_alone(layer, states, mask):
    """The last block's output at the first position [B, 1, D]: one query, all keys and values."""
    its = layer.attention.self

    def heads(x):
        return x.view(*x.shape[:2], its.num_attention_heads, -1).transpose(1, 2)

    query, key, value = heads(its.query(states[:, :1])), heads(its.key(states)), heads(its.value(states))
    dropout = its.dropout.p if layer.training else 0.0
    context = scaled_dot_product_attention(query, key, value, mask[:, None, None, :].bool(), dropout)
    seen = layer.attention.output(context.transpose(1, 2).flatten(2), states[:, :1])
    return layer.output(layer.intermediate(seen), seen)


def main():
    """Time the parts over the first batches of a shuffled epoch."""
    asked, clock = options(), Clock()
    torch.manual_seed(0)
    asked.train = "last_block"
    network, sets, collate = prepared(asked, *examples(asked))
    network.train()
    last = network.backbone.encoder.layer[-1]
    forward, given = last.forward, {}

    def passed(states, *args, **kwargs):
        given.update(states=states, args=args, kwargs=kwargs)
        return states

    def whole():
        return forward(given["states"], *given["args"], **given["kwargs"])

    def suffix(mask, labels, *, alone):
        states = cls_alone(last, given["states"], mask) if alone else whole()
        states = states[0] if isinstance(states, tuple) else states
        return cross_entropy(network.head(pooled(states, mask, asked.pooling)), labels)

    kinds = (False, True) if asked.pooling == "cls" else (False,)
    spent = dict.fromkeys(["prefix", *(f"{n}{'_cls' * a}" for n in ("suffix", "answer") for a in kinds)], 0.0)
    last.forward = passed
    clock.ready()
    seen = 0
    for number, (inputs, labels) in enumerate(
        DataLoader(sets["train"], asked.batch, shuffle=True, collate_fn=collate)
    ):
        if number == WARM + BATCHES:
            break
        laps, mask = {}, inputs["attention_mask"]
        began = time.perf_counter()
        with torch.no_grad():
            network.backbone(**inputs)
        laps["prefix"] = time.perf_counter() - began
        for alone in kinds:
            network.train()
            began = time.perf_counter()
            suffix(mask, labels, alone=alone).backward()
            laps["suffix" + "_cls" * alone] = time.perf_counter() - began
            network.zero_grad()
            network.eval()
            began = time.perf_counter()
            with torch.no_grad():
                suffix(mask, labels, alone=alone)
            laps["answer" + "_cls" * alone] = time.perf_counter() - began
        if len(kinds) == 2 and number == 0:
            with torch.no_grad():
                full = whole()
                full = full[0] if isinstance(full, tuple) else full
                gap = float((full[:, :1] - cls_alone(last, given["states"], mask)).abs().max())
            if gap > 1e-4:
                raise SystemExit(f"CLS computed alone differs by {gap:.1e}")
            clock.note("cls_gap", gap)
        if number >= min(WARM, len(sets["train"]) // asked.batch - 1):
            seen += len(labels)
            for name, lap in laps.items():
                spent[name] += lap
    for name, total in spent.items():
        clock.note(name, total / seen)  # seconds per example
    clock.report("torch", "transformers")


if __name__ == "__main__":
    main()
