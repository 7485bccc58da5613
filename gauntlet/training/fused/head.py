"""The two linear layers of the paper's network for all runs, as products of batches, with ReLU and dropout between."""

from typing import Any

import torch
from torch import Tensor

from gauntlet.models.layers import kept_of


class Head(torch.autograd.Function):
    """From features [runs, n, f] to logits [runs, n, classes] in their type, which is what is multiplied.

    Weights w1 [runs, hidden, f] and w2 [runs, classes, hidden] are of that type and have their gradients in it, as the
    weights lie; biases b1 [runs, hidden] and b2 [runs, classes] are float32. Dropout of rate `rate` goes by `words`,
    int32 [runs, at least n · hidden]; None is no dropout.
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, words: Tensor | None, rate: float, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor
    ) -> Tensor:
        before = torch.baddbmm(b1[:, None].to(w1.dtype), features, w1.transpose(1, 2))
        ctx.scale = 1.0 if words is None else 1 / (1 - rate)
        hidden = before.relu()
        if words is not None:
            kept = kept_of(words, rate)[:, : hidden[0].numel()].view_as(hidden)
            hidden = torch.where(kept, hidden * ctx.scale, 0)
        ctx.save_for_backward(features, hidden, w1, w2)
        return torch.baddbmm(b2[:, None].to(w2.dtype), hidden, w2.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        features, hidden, w1, w2 = ctx.saved_tensors
        by_logits = gradients[0].to(w2.dtype)
        # What is not above 0 was taken by ReLU or dropout.
        by_before = torch.where(hidden > 0, torch.bmm(by_logits, w2) * ctx.scale, 0)
        of_weights: tuple[Tensor | None, ...] = (None,) * 4
        if any(ctx.needs_input_grad[3:]):
            of_weights = (
                torch.bmm(by_before.transpose(1, 2), features),
                by_before.sum(1, dtype=torch.float32),
                torch.bmm(by_logits.transpose(1, 2), hidden),
                by_logits.sum(1, dtype=torch.float32),
            )
        return torch.bmm(by_before, w1), None, None, *of_weights
