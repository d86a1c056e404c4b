"""A language model of transformers that is read by pooling its tokens. Made by tunesmith; needs it not.

transformers has no class of its own for this, so this file travels with the weights and is named in
config.json; `from_pretrained(FOLDER, trust_remote_code=True)` runs it.
"""

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class PooledConfig(PretrainedConfig):
    """The configuration of the language model, and how its tokens are pooled: mean, cls, last or max."""

    model_type = "tunesmith_pooled"

    def __init__(self, backbone=None, pooling="mean", **more):
        self.backbone, self.pooling = backbone or {}, pooling
        super().__init__(**more)


class PooledForSequenceClassification(PreTrainedModel):
    """Backbone, one vector a text, linear head."""

    config_class = PooledConfig
    base_model_prefix = "backbone"

    def __init__(self, config):
        super().__init__(config)
        values = dict(config.backbone)
        arguments = values.pop("arguments", {})
        inner = AutoConfig.for_model(values.pop("model_type"), **values)
        self.backbone = AutoModel.from_config(inner, **arguments)
        self.head = nn.Linear(inner.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, labels=None, **inputs):
        """Tokens [N, T] to logits [N, K]."""
        inputs = {name: inputs[name] for name in ("token_type_ids", "position_ids") if name in inputs}
        states = self.backbone(input_ids=input_ids, attention_mask=attention_mask, **inputs).last_hidden_state
        if attention_mask is None:
            attention_mask = torch.ones(states.shape[:2], dtype=torch.long, device=states.device)
        logits = self.head(self.pooled(states, attention_mask))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def pooled(self, states, mask):
        """States [N, T, D] and mask [N, T], 1 for tokens and 0 for padding, to [N, D]."""
        if self.config.pooling == "cls":
            return states[:, 0]
        if self.config.pooling == "last":
            return states[torch.arange(states.shape[0], device=states.device), mask.sum(1) - 1]
        weights = mask.unsqueeze(-1).to(states.dtype)
        if self.config.pooling == "max":
            return states.masked_fill(weights == 0, -torch.inf).amax(1)
        return (states * weights).sum(1) / weights.sum(1).clamp(min=1)
