"""A block computed for its first token alone gives what the whole block gives, gradients and all."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import transformers
from timm.layers import GluMlp, RmsNorm, SwiGLU
from timm.layers.grn import GlobalResponseNorm
from timm.models.vision_transformer import Block, ResPostBlock
from torch import Tensor, nn

from tunesmith.errors import BadOption
from tunesmith.networks.cls_only import cls_only, obstacle, only_cls, reads_only_cls, refusal

B, T, D, H = 3, 11, 32, 4

TIMM: dict[str, dict[str, Any]] = {
    "plain": {},
    "qkv bias": {"qkv_bias": True},
    "qk_norm": {"qkv_bias": True, "qk_norm": True},
    "layer scale": {"qkv_bias": True, "init_values": 0.3},
    "attention and MLP norms": {"qkv_bias": True, "scale_attn_norm": True, "scale_mlp_norm": True},
    "RMS norm": {"qk_norm": True, "norm_layer": RmsNorm},
    "SwiGLU": {"mlp_layer": SwiGLU},
    "GLU": {"mlp_layer": GluMlp, "mlp_ratio": 2},
}
BERT = {"hidden_size": D, "num_attention_heads": H, "intermediate_size": 64, "num_hidden_layers": 2}
TEXT: dict[str, dict[str, Any]] = {
    "bert": BERT,
    "roberta": BERT,
    "xlm-roberta": BERT,
    "camembert": BERT,
    "electra": BERT | {"embedding_size": 16},
    "distilbert": {"dim": D, "n_heads": H, "hidden_dim": 64, "n_layers": 2},
}
PICTURES = BERT | {"image_size": 16, "patch_size": 4}


def randomised(module: nn.Module) -> nn.Module:
    """Every weight away from its start, biases from zero and norms from one: nothing hides behind them."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return module


def timm_block(**made: Any) -> nn.Module:
    return randomised(Block(D, H, **made)).eval()


def network(kind: str, attention: str = "sdpa", **changed: Any) -> Any:
    """A classifier of two layers from its configuration, random, in eval mode."""
    shape = TEXT.get(kind, PICTURES)
    given = {"vocab_size": 50, "pad_token_id": 0} if kind in TEXT else {}
    config = transformers.AutoConfig.for_model(kind, **(shape | given | {"num_labels": 3} | changed))
    config._attn_implementation = attention
    if kind in TEXT:
        made: Any = transformers.AutoModelForSequenceClassification.from_config(config)
    elif kind == "vit":
        made = transformers.ViTForImageClassification(config)
    else:
        made = transformers.DeiTForImageClassification(config)
    assert made.config._attn_implementation == attention
    return randomised(made).eval()


def last(module: nn.Module) -> str:
    """Path of the last layer."""
    ends = ("Layer", "Block")
    return str([name for name, part in module.named_modules() if type(part).__name__.endswith(ends)][-1])


def text(kind: str) -> dict[str, Tensor]:
    """Token ids with padding on the right, of lengths 11, 7 and 4."""
    ids = torch.randint(5, 50, (B, T))
    mask = (torch.arange(T) < torch.tensor([11, 7, 4])[:, None]).long()
    return {"input_ids": ids, "attention_mask": mask}


def outcome(
    block: nn.Module, tokens: Tensor, forward: Callable[..., Any], *args: Any
) -> tuple[Tensor, list[Tensor]]:
    """The first token's output, and the gradients of the tokens and of all weights for a random pull."""
    tokens = tokens.clone().requires_grad_()
    block.zero_grad()
    first = forward(tokens, *args)[:, :1]
    pull = torch.randn(first.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (first * pull.to(first.dtype)).sum().backward()
    grads = [tokens.grad, *(weight.grad for weight in block.parameters())]
    assert all(grad is not None for grad in grads)
    return first.detach(), [grad.clone() for grad in grads if grad is not None]


def assert_same(block: nn.Module, tokens: Tensor, *args: Any, double: bool = True) -> None:
    """Outputs within 2e-6 and gradients within 1e-5 of their size in float32; 1e-13 and 1e-12 in float64."""
    for dtype, near, nearer in ((torch.float32, 2e-6, 1e-5), (torch.float64, 1e-13, 1e-12))[: 1 + double]:
        made = copy.deepcopy(block).to(dtype)
        given = [x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in args]
        whole, whole_grads = outcome(made, tokens.to(dtype), made.forward, *given)
        forward = cls_only(made)
        assert forward is not None
        assert forward(tokens.to(dtype), *given).shape == (B, 1, D)
        first, grads = outcome(made, tokens.to(dtype), forward, *given)
        size = max(1.0, float(whole.abs().max()))
        assert (first - whole).abs().max() <= near * size
        # The gradient of a key's bias is zero in exact arithmetic: it is measured by the largest one.
        largest = max(float(grad.norm()) for grad in whole_grads)
        for a, b in zip(grads, whole_grads, strict=True):
            assert (a - b).norm() <= nearer * max(float(b.norm()), 1e-2 * largest)
        assert (first - whole.roll(1, 0)).abs().max() > 1e3 * near * size  # the control: examples differ


@pytest.fixture
def tokens(seed: int) -> Tensor:
    torch.manual_seed(seed)
    return torch.randn(B, T, D)


# -- timm ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", TIMM)
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "unfused"])
def test_a_timm_block_gives_its_first_token(variant: str, fused: bool, tokens: Tensor) -> None:
    block = timm_block(**TIMM[variant])
    block.attn.fused_attn = fused  # type: ignore[union-attr]
    assert_same(block, tokens)
    assert_same(block.train(), tokens)


@pytest.mark.parametrize("variant", ["qkv bias", "qk_norm"])
@pytest.mark.parametrize("shape", [(B, 1, T, T), (B, 1, 1, T), (B, H, T, T), (T, T)])
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_a_timm_block_obeys_its_mask(variant: str, shape: tuple[int, ...], kind: str, tokens: Tensor) -> None:
    block = timm_block(**TIMM[variant])
    mask = torch.rand(shape) > 0.4
    mask[..., 0] = True
    given = mask if kind == "bool" else torch.zeros(shape).masked_fill(~mask, -1e4)
    assert_same(block, tokens, given)
    forward = cls_only(block)
    assert forward is not None
    assert (forward(tokens, given) - forward(tokens)).abs().max() > 1e-3  # the control: the mask is felt


def test_a_gated_timm_block_gives_its_first_token(tokens: Tensor) -> None:
    from timm.models.vision_transformer import Attention

    block = timm_block()
    block.attn = randomised(Attention(D, H, gated=True))
    assert_same(block, tokens)


def test_a_causal_call_runs_the_whole_block(tokens: Tensor) -> None:
    block = timm_block()
    forward = cls_only(block)
    assert forward is not None
    assert torch.equal(forward(tokens, is_causal=True), block(tokens, is_causal=True)[:, :1])
    assert not torch.allclose(forward(tokens, is_causal=True), forward(tokens))


def test_stochastic_depth_drops_the_same_paths(tokens: Tensor) -> None:
    block = timm_block(drop_path=0.5).train()
    forward = cls_only(block)
    assert forward is not None
    for draw in range(5):
        torch.manual_seed(draw)
        whole = block(tokens)[:, :1]
        torch.manual_seed(draw)
        assert torch.allclose(forward(tokens), whole, rtol=1e-5, atol=1e-5)
        others = [forward(tokens) for _ in range(8)]  # the control: other draws drop other paths
        assert any((other - whole).abs().max() > 1e-2 for other in others)


# -- transformers -------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", [*TEXT, "vit", "deit"])
def test_a_layer_of_transformers_gives_its_first_token(kind: str, attention: str, tokens: Tensor) -> None:
    module = network(kind, attention)
    layer = module.get_submodule(last(module))
    # The reference itself takes its softmax in float32 there, whatever the weights are.
    double = not (kind in ("vit", "deit") and attention == "eager")
    assert_same(layer, tokens, double=double)
    padding = (torch.arange(T) < torch.tensor([11, 7, 4])[:, None])[:, None, None]
    additive = torch.zeros(padding.shape).masked_fill(~padding, torch.finfo(torch.float32).min)
    for mask in (additive, additive.expand(B, 1, T, T), *([padding] if attention == "sdpa" else [])):
        assert_same(layer, tokens, mask, double=double)
    forward = cls_only(layer)
    assert forward is not None
    assert (forward(tokens, additive) - forward(tokens)).abs().max() > 1e-3


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", TEXT)
def test_a_text_classifier_says_the_same_with_padding(kind: str, attention: str, seed: int) -> None:
    torch.manual_seed(seed)
    module, inputs = network(kind, attention), text(kind)
    path = last(module)

    def run() -> Tensor:
        logits: Tensor = module(**inputs).logits
        return logits

    assert obstacle(module, path, run) is None
    live = run()
    seen: list[tuple[int, ...]] = []
    module.get_submodule(path).register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape)))
    with only_cls(module, path):
        assert torch.allclose(run(), live, atol=1e-5, rtol=1e-5)
    assert seen == [(B, 1, D)]
    inputs["attention_mask"] = torch.ones(B, T, dtype=torch.long)
    assert not torch.allclose(run(), live, atol=1e-3)  # the control: padding matters here


@pytest.mark.parametrize("kind", ["vit", "deit"])
def test_a_picture_classifier_says_the_same(kind: str, seed: int) -> None:
    torch.manual_seed(seed)
    module, pictures = network(kind), torch.randn(B, 3, 16, 16)
    assert obstacle(module, last(module), lambda: module(pictures).logits) is None


def test_a_call_with_a_cache_or_for_more_outputs_runs_the_whole_layer(tokens: Tensor) -> None:
    module = network("bert", "eager")
    layer = module.get_submodule(last(module))
    forward = cls_only(layer)
    assert forward is not None
    assert torch.equal(forward(tokens, output_attentions=True), layer(tokens)[:, :1])
    cache = transformers.DynamicCache()
    assert forward(tokens, past_key_values=cache).shape == (B, 1, D)


# -- who reads it -------------------------------------------------------------------------------


def vit(**made: Any) -> Any:
    shape = {"img_size": 16, "patch_size": 4, "embed_dim": D, "depth": 2, "num_heads": H, "num_classes": 3}
    return randomised(timm.models.VisionTransformer(**(shape | made))).eval()


def test_a_classifier_on_the_first_token_reads_it_alone(seed: int) -> None:
    torch.manual_seed(seed)
    module, pictures = vit(), torch.randn(B, 3, 16, 16)
    assert reads_only_cls(module, "blocks.1", lambda: module(pictures))
    assert obstacle(module, "blocks.1", lambda: module(pictures)) is None


@pytest.mark.parametrize("pool", ["avg", "avgmax", "max"])
def test_a_classifier_on_pooled_tokens_reads_all(pool: str, seed: int) -> None:
    torch.manual_seed(seed)
    module, pictures = vit(global_pool=pool), torch.randn(B, 3, 16, 16)
    assert not reads_only_cls(module, "blocks.1", lambda: module(pictures))
    assert (
        obstacle(module, "blocks.1", lambda: module(pictures))
        == "what follows reads more than its first token"
    )


def test_a_block_before_the_last_is_read_whole(seed: int) -> None:
    torch.manual_seed(seed)
    module, pictures = vit(), torch.randn(B, 3, 16, 16)
    assert not reads_only_cls(module, "blocks.0", lambda: module(pictures))


def test_a_block_that_nobody_reads_is_not_read_alone(seed: int) -> None:
    torch.manual_seed(seed)
    module, pictures = vit(), torch.randn(B, 3, 16, 16)
    assert not reads_only_cls(module, "blocks.1", lambda: module.head(torch.ones(B, D)))
    assert not reads_only_cls(module, "blocks.1", lambda: module(pictures) * 0 + torch.rand(B, 3))


def test_a_reader_of_the_number_of_tokens_is_found_by_its_logits(seed: int) -> None:
    """It counts the tokens: their values it never reads."""
    torch.manual_seed(seed)
    module, pictures = vit(), torch.randn(B, 3, 16, 16)
    after = nn.Linear(D, 3)

    def run() -> Tensor:
        states = module.blocks(module.patch_embed(pictures).flatten(1, -2))
        logits: Tensor = after(states[:, 0]) + states.shape[1]
        return logits

    assert reads_only_cls(module, "blocks.1", run)
    said = obstacle(module, "blocks.1", run)
    assert said is not None
    assert "logits moved by" in said


def test_a_head_that_cannot_take_one_token_is_an_obstacle(seed: int) -> None:
    torch.manual_seed(seed)
    module = vit()
    inputs = torch.randn(B, T, D)
    said = obstacle(module, "blocks.1", lambda: module.blocks(inputs).view(B, T, D)[:, 0])
    assert said is not None
    assert said.startswith("what follows cannot take one token (shape")


# -- installing ---------------------------------------------------------------------------------


def test_hooks_on_the_block_still_fire(tokens: Tensor) -> None:
    module = vit()
    block = module.blocks[1]
    fired: list[str] = []
    block.register_forward_pre_hook(lambda *_: fired.append("before"))
    block.register_forward_hook(lambda *_: fired.append("after"))
    block.mlp.register_forward_hook(lambda *_: fired.append("mlp"))
    with only_cls(module, "blocks.1"):
        assert module.blocks[1] is block
        assert block(tokens).shape == (B, 1, D)
    assert fired == ["before", "mlp", "after"]


def test_forward_is_restored_after_an_exception(tokens: Tensor) -> None:
    module = vit()
    before = module.blocks[1].forward
    seen = []

    def fail() -> None:
        with only_cls(module, "blocks.1"):
            seen.append(module.blocks[1].forward)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seen != [before]  # the control: it was replaced
    assert module.blocks[1].forward == before
    assert "forward" not in vars(module.blocks[1])
    assert module.blocks[1](tokens).shape == (B, T, D)


def test_a_forward_that_was_replaced_already_is_left_alone() -> None:
    module = vit()
    with only_cls(module, "blocks.1"):
        assert cls_only(module.blocks[1]) is None
        with pytest.raises(BadOption, match=r"'blocks\.1' .* its forward was replaced already; run it whole"):
            only_cls(module, "blocks.1").__enter__()


# -- what is refused ----------------------------------------------------------------------------


class Subclass(Block):  # type: ignore[misc]
    """A block whose forward may be anything."""


def with_part(path: str, part: nn.Module) -> nn.Module:
    block = timm_block()
    parent, _, name = path.rpartition(".")
    setattr(block.get_submodule(parent), name, part)
    return block


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nn.TransformerEncoderLayer(D, H), "TransformerEncoderLayer, is not among those"),
        (lambda: Subclass(D, H), "Subclass, is not among those"),
        (lambda: ResPostBlock(D, H), "ResPostBlock, is not among those"),
        (lambda: with_part("attn.qkv", nn.Bilinear(D, D, D)), r"attn\.qkv is a .*Bilinear"),
        (lambda: with_part("attn.lora", nn.Linear(D, D)), "attn is a .* of another make: it holds .*lora"),
        (lambda: with_part("mlp", nn.Sequential(nn.Linear(D, D))), "mlp is a .*Sequential"),
        (lambda: with_part("mlp.norm", GlobalResponseNorm(128)), r"mlp\.norm is a .*GlobalResponseNorm"),
        (lambda: with_part("norm1", nn.BatchNorm1d(T)), "norm1 is a .*BatchNorm1d"),
    ],
)
def test_a_block_of_unknown_make_is_refused_with_the_reason(make: Callable[[], nn.Module], said: str) -> None:
    block = make()
    assert cls_only(block) is None
    with pytest.raises(BadOption, match=f"{said}.*; run it whole"):
        only_cls(nn.ModuleDict({"block": block}), "block").__enter__()
    assert refusal(timm_block()) is None  # the control


def test_an_attention_with_weights_of_its_own_is_refused() -> None:
    block = timm_block()
    block.attn.register_parameter("sinks", nn.Parameter(torch.zeros(H)))  # type: ignore[union-attr]
    assert "of another make: it holds" in str(refusal(block))
    assert "sinks" in str(refusal(block))


def test_a_decoder_is_refused() -> None:
    module = network("bert", is_decoder=True)
    assert refusal(module.get_submodule(last(module))) == "it is a decoder's"


def test_chunks_over_tokens_are_refused() -> None:
    for kind in ("bert", "distilbert"):
        module = network(kind, chunk_size_feed_forward=1)
        assert "chunk_size_feed_forward" in str(refusal(module.get_submodule(last(module))))


def test_another_attention_than_eager_and_sdpa_is_refused() -> None:
    module = network("vit")
    layer = module.get_submodule(last(module))
    assert refusal(layer) is None
    module.config._attn_implementation = "flash_attention_2"
    assert "'flash_attention_2'" in str(refusal(layer))


@pytest.mark.parametrize("path", ["attn", "attn.qkv", "attn.proj"])
def test_a_hook_inside_the_attention_is_not_passed_over(path: str, tokens: Tensor) -> None:
    block = timm_block()
    forward = cls_only(block)
    assert forward is not None
    fired: list[int] = []
    handle = block.get_submodule(path).register_forward_hook(lambda *_: fired.append(1))
    assert f"a hook hangs on its {path} " in str(refusal(block))
    assert torch.equal(forward(tokens), block(tokens)[:, :1])  # the whole block runs from now on
    assert len(fired) == 2
    handle.remove()
    forward(tokens)
    assert len(fired) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda p: timm_block(proj_drop=p),
        lambda p: timm_block(attn_drop=p),
        lambda p: network("bert", hidden_dropout_prob=p, attention_probs_dropout_prob=0.0).bert.encoder.layer[
            1
        ],
        lambda p: network("vit", hidden_dropout_prob=0.0, attention_probs_dropout_prob=p).vit.layers[1],
        lambda p: network("distilbert", dropout=p, attention_dropout=p).distilbert.transformer.layer[1],
    ],
    ids=["projection", "attention", "bert", "vit", "distilbert"],
)
def test_dropout_has_the_distribution_that_the_whole_block_gives(
    make: Callable[[float], nn.Module], tokens: Tensor
) -> None:
    block = make(0.2).train()
    forward = cls_only(block)
    assert forward is not None
    many = tokens[:1].expand(8000, -1, -1)
    with torch.no_grad():
        first, whole = forward(many)[:, 0], block(many)[:, 0]
        still = block.eval()(many[:1])[:, 0]
    spread = whole.std(0)
    error = spread / len(many) ** 0.5
    assert ((first.mean(0) - whole.mean(0)).abs() < 7 * error + 1e-6).all()
    assert (first.std(0) / spread.clamp(min=1e-6) - 1).abs().max() < 0.15
    assert first.std(0).max() > 1e-3  # the control: it does drop
    assert not torch.allclose(first[0], still[0])


def test_autocast_is_obeyed(tokens: Tensor) -> None:
    block = timm_block(qkv_bias=True)
    forward = cls_only(block)
    assert forward is not None
    with torch.autocast("cpu", torch.bfloat16):
        first, whole = forward(tokens), block(tokens)[:, :1]
    assert first.dtype == whole.dtype
    exact = block(tokens)[:, :1]
    assert (first - exact).abs().max() <= 2 * (whole - exact).abs().max()
    assert not torch.equal(first, exact)
