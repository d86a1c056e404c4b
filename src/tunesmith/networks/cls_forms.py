"""The blocks whose first token is known to be computable alone, and how each one computes it.

The first token's query needs neither the other tokens' queries nor their MLP, so those are never computed.
Nor are keys and values: with one query, q · (K x) = (Kᵀ q) · x and Σ a (V x) = V (Σ a x), so both
projections act on one vector per head instead of on every token (the absorption of DeepSeek-V2,
arXiv:2405.04434, 2.1.2). The same numbers up to the order of summation. Dropout in training is drawn for one
token instead of for all of them: other random numbers of the same distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


@dataclass(frozen=True)
class Form:
    """A kind of block.

    parts: which class may hold which children, by name; others treat each token by itself (TOKENWISE).
    attention: path of the part that is not called, its weights being used directly.
    odd: why this block, though of known parts, is not served; None if it is.
    first: the block's `forward` for its first token, [B, 1, D]; None for a call that it does not serve.
    """

    parts: Mapping[str, tuple[frozenset[str], ...]]
    attention: str
    odd: Callable[[nn.Module], str | None]
    first: Callable[..., Tensor | None]


# Modules that treat each token by itself, whatever the others are; activations are named by where they live.
TOKENWISE: Final = frozenset(
    {
        "torch.nn.modules.linear.Linear",
        "torch.nn.modules.linear.Identity",
        "torch.nn.modules.dropout.Dropout",
        "torch.nn.modules.normalization.LayerNorm",
        "torch.nn.modules.normalization.RMSNorm",
        "timm.layers.norm.LayerNorm",
        "timm.layers.norm.LayerNormFp32",
        "timm.layers.norm.RmsNorm",
        "timm.layers.norm.SimpleNorm",
        "timm.layers.drop.DropPath",
        "timm.layers.layer_scale.LayerScale",
    }
)
ACTIVATIONS: Final = ("torch.nn.modules.activation.", "timm.layers.activations.", "transformers.activations.")


def class_name(module: nn.Module) -> str:
    """Where a module's class is defined: a subclass, a wrapper or an adapter has another name."""
    return f"{type(module).__module__}.{type(module).__qualname__}"


def attended(
    query: Tensor,
    tokens: Tensor,
    key: tuple[Tensor, Tensor | None],
    value: tuple[Tensor, Tensor | None],
    *,
    scale: float,
    mask: Tensor | None,
    dropout: float = 0.0,
    k_norm: nn.Module | None = None,
) -> Tensor:
    """What one query per example finds among its tokens: [B, 1, A].

    query: [B, H, A / H]. tokens: [B, T, D]. key, value: weight [A, D] and bias [A] of a projection.
    mask: of a shape that spreads over [B, H, T, T]; False, or very negative, for what a query (a row)
        must not see. Its first row counts.
    dropout: share of the attention that is dropped, drawn for this one query.
    k_norm: a norm of the keys [B, H, T, A / H]; they are computed then, for it cannot be moved to the query.
    """
    B, H, width = query.shape
    weight, bias = key
    if k_norm is None:
        probe = torch.einsum("bhw,hwd->bhd", query, weight.view(H, width, -1))
        scores = torch.bmm(probe, tokens.transpose(1, 2))
        if bias is not None:  # without effect, being the same for all; but its gradient is zero, not None
            scores = scores + torch.einsum("bhw,hw->bh", query, bias.view(H, width)).unsqueeze(-1)
    else:
        keys = k_norm(linear(tokens, weight, bias).view(B, -1, H, width).transpose(1, 2))
        scores = (query.unsqueeze(2) @ keys.transpose(2, 3)).squeeze(2)
    scores = scores * scale
    if mask is not None:
        row = mask[..., 0, :]
        scores = scores.masked_fill(~row, -torch.inf) if row.dtype == torch.bool else scores + row
    shares = torch.nn.functional.dropout(scores.softmax(-1).to(tokens.dtype), dropout, dropout > 0)
    mixed = torch.bmm(shares, tokens)
    weight, bias = value
    found = torch.einsum("bhd,hwd->bhw", mixed, weight.view(H, width, -1))
    if bias is not None:  # with dropout the shares do not add up to 1
        found = found + bias.view(H, width) * shares.sum(-1, keepdim=True)
    return found.reshape(B, 1, H * width)


# -- timm ---------------------------------------------------------------------------------------


def _timm_first(
    block: Any, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
) -> Tensor | None:
    if is_causal:
        return None
    attn = block.attn
    tokens, cls = block.norm1(x), x[:, :1]
    own = tokens[:, :1]
    H = attn.num_heads
    A = attn.qkv.out_features // 3
    weights = attn.qkv.weight.split(A)
    biases = (None,) * 3 if attn.qkv.bias is None else attn.qkv.bias.split(A)
    query = attn.q_norm(linear(own, weights[0], biases[0]).view(-1, 1, H, A // H).transpose(1, 2))
    found = attended(
        query.squeeze(2),
        tokens,
        (weights[1], biases[1]),
        (weights[2], biases[2]),
        scale=(A // H) ** -0.5 if attn.fused_attn else attn.scale,
        mask=attn_mask,
        dropout=attn.attn_drop.p if attn.training else 0.0,
        k_norm=None if type(attn.k_norm) is nn.Identity else attn.k_norm,
    )
    found = getattr(attn, "norm", nn.Identity())(found)
    if getattr(attn, "gate", None) is not None:
        found = found * attn.gate(own).sigmoid()
    cls = cls + block.drop_path1(block.ls1(attn.proj_drop(attn.proj(found))))
    return cls + block.drop_path2(block.ls2(block.mlp(block.norm2(cls))))  # type: ignore[no-any-return]


def _timm() -> dict[str, Form]:
    block = frozenset({"norm1", "attn", "ls1", "drop_path1", "norm2", "mlp", "ls2", "drop_path2"})
    core = frozenset({"qkv", "q_norm", "k_norm", "attn_drop", "proj", "proj_drop"})
    attention = (core, core | {"norm"}, core | {"gate"}, core | {"norm", "gate"})
    dense = frozenset({"fc1", "act", "drop1", "norm", "fc2", "drop2"})
    gated = (dense | {"fc1_g", "fc1_x"}) - {"fc1"}
    parts = {
        "timm.models.vision_transformer.Block": (block,),
        "timm.models.vision_transformer.Attention": attention,
        "timm.layers.attention.Attention": attention,
        "timm.layers.mlp.Mlp": (dense,),
        "timm.layers.mlp.GluMlp": (dense,),
        "timm.layers.mlp.SwiGLU": (gated,),
    }
    form = Form(parts, "attn", lambda _: None, _timm_first)
    return {"timm.models.vision_transformer.Block": form}


# -- transformers -------------------------------------------------------------------------------


def _single_query(
    attention: Any,
    names: tuple[str, str, str],
    heads: int,
    tokens: Tensor,
    mask: Tensor | None,
    dropout: float,
) -> Tensor:
    query, key, value = (getattr(attention, name) for name in names)
    return attended(
        query(tokens[:, 0]).view(len(tokens), heads, -1),
        tokens,
        (key.weight, key.bias),
        (value.weight, value.bias),
        scale=attention.scaling,
        mask=mask,
        dropout=dropout if attention.training else 0.0,
    )


def _bert_first(
    block: Any,
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    encoder_hidden_states: Tensor | None = None,
    encoder_attention_mask: Tensor | None = None,  # noqa: ARG001 (the layer's own signature)
    past_key_values: Any = None,
    **asked: Any,
) -> Tensor | None:
    if encoder_hidden_states is not None or past_key_values is not None or _more(asked):
        return None
    attention = block.attention.self
    names = ("query", "key", "value")
    heads, dropout = attention.num_attention_heads, attention.dropout.p
    found = _single_query(attention, names, heads, hidden_states, attention_mask, dropout)
    cls = block.attention.output(found, hidden_states[:, :1])
    return block.output(block.intermediate(cls), cls)  # type: ignore[no-any-return]


def _bert_odd(block: Any) -> str | None:
    attention = block.attention.self
    if block.is_decoder or block.add_cross_attention or attention.is_causal:
        return "it is a decoder's"
    if block.chunk_size_feed_forward:
        return "its MLP goes over the tokens in chunks (chunk_size_feed_forward)"
    return _odd_attention(attention)


def _bert(folder: str, name: str) -> dict[str, Form]:
    home = f"transformers.models.{folder}.modeling_{folder}.{name}"
    parts = {
        f"{home}Layer": (frozenset({"attention", "intermediate", "output"}),),
        f"{home}Attention": (frozenset({"self", "output"}),),
        f"{home}SelfAttention": (frozenset({"query", "key", "value", "dropout"}),),
        f"{home}SelfOutput": (frozenset({"dense", "LayerNorm", "dropout"}),),
        f"{home}Intermediate": (frozenset({"dense", "intermediate_act_fn"}), frozenset({"dense"})),
        f"{home}Output": (frozenset({"dense", "LayerNorm", "dropout"}),),
    }
    return {f"{home}Layer": Form(parts, "attention", _bert_odd, _bert_first)}


def _vit_first(
    block: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, **asked: Any
) -> Tensor | None:
    if _more(asked):
        return None
    attention = block.attention
    names = ("q_proj", "k_proj", "v_proj")
    tokens = block.layernorm_before(hidden_states)
    heads, dropout = attention.num_attention_heads, attention.attention_dropout
    found = _single_query(attention, names, heads, tokens, attention_mask, dropout)
    cls = block.dropout(attention.o_proj(found)) + hidden_states[:, :1]
    return block.dropout(block.mlp(block.layernorm_after(cls))) + cls  # type: ignore[no-any-return]


def _vit_odd(block: Any) -> str | None:
    return _odd_attention(block.attention)


def _vit(folder: str, name: str) -> dict[str, Form]:
    home = f"transformers.models.{folder}.modeling_{folder}.{name}"
    parts = {
        f"{home}Layer": (frozenset({"attention", "layernorm_before", "layernorm_after", "mlp", "dropout"}),),
        f"{home}Attention": (frozenset({"q_proj", "k_proj", "v_proj", "o_proj"}),),
        f"{home}MLP": (frozenset({"activation_fn", "fc1", "fc2"}),),
    }
    return {f"{home}Layer": Form(parts, "attention", _vit_odd, _vit_first)}


def _distilbert_first(
    block: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, **asked: Any
) -> Tensor | None:
    if _more(asked):
        return None
    attention = block.attention
    names = ("q_lin", "k_lin", "v_lin")
    dropout = attention.dropout.p
    found = _single_query(attention, names, attention.n_heads, hidden_states, attention_mask, dropout)
    cls = block.sa_layer_norm(attention.out_lin(found) + hidden_states[:, :1])
    return block.output_layer_norm(block.ffn(cls) + cls)  # type: ignore[no-any-return]


def _distilbert_odd(block: Any) -> str | None:
    if block.ffn.chunk_size_feed_forward:
        return "its MLP goes over the tokens in chunks (chunk_size_feed_forward)"
    return _odd_attention(block.attention)


def _distilbert() -> dict[str, Form]:
    home = "transformers.models.distilbert.modeling_distilbert."
    block = frozenset({"attention", "sa_layer_norm", "ffn", "output_layer_norm"})
    parts = {
        f"{home}TransformerBlock": (block,),
        f"{home}DistilBertSelfAttention": (frozenset({"q_lin", "k_lin", "v_lin", "out_lin", "dropout"}),),
        f"{home}FFN": (frozenset({"dropout", "lin1", "lin2", "activation"}),),
    }
    return {f"{home}TransformerBlock": Form(parts, "attention", _distilbert_odd, _distilbert_first)}


def _odd_attention(attention: Any) -> str | None:
    kind = attention.config._attn_implementation
    if kind not in (None, "eager", "sdpa"):
        return f"its attention runs as {kind!r}, not as eager or sdpa"
    return "its attention is causal" if attention.is_causal else None


def _more(asked: dict[str, Any]) -> bool:
    """Whether more is asked of a layer (attention weights, a cache) than its output."""
    return any(value is not None and value is not False for value in asked.values())


FORMS: Final[dict[str, Form]] = {
    **_timm(),
    **_bert("bert", "Bert"),
    **_bert("roberta", "Roberta"),
    **_bert("xlm_roberta", "XLMRoberta"),
    **_bert("camembert", "Camembert"),
    **_bert("electra", "Electra"),
    **_vit("vit", "ViT"),
    **_vit("deit", "DeiT"),
    **_distilbert(),
}
