"""Whatever answers with logits, as the attacks take it."""

from typing import Any

import torch
from torch import Tensor, nn

from gauntlet.models.precision import Model


class Classifier(nn.Module):
    """A function, or a module that an attack could not use as it is.

    The logits are float32 on the images' device and nobody else's, so an attack may write to them. There is always a
    gradient to the images: zero, where the model's own graph does not reach them. Nothing else gets one, be it a
    parameter that a function closes over.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        # A module is registered as a part of this one, and follows its mode.
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """From float32 [n, c, h, w] to float32 [n, classes]."""
        logits: Tensor
        if images.requires_grad and torch.is_grad_enabled():
            logits = _Hermetic.apply(images, self.model)  # type: ignore[no-untyped-call]  # torch has no type for it
        else:
            logits = _detached(self.model(images), images)
        return logits


class _Hermetic(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, model: Model) -> Tensor:
        with torch.enable_grad():
            ctx.given = images.detach().requires_grad_()
            ctx.logits = model(ctx.given)
        return _detached(ctx.logits, images)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        given, logits, found = ctx.given, ctx.logits, None
        if logits.requires_grad:
            upstream = gradients[0].to(logits.device, logits.dtype)
            (found,) = torch.autograd.grad(logits, given, upstream, retain_graph=True, allow_unused=True)
        return torch.zeros_like(given) if found is None else found, None


def _detached(logits: Tensor, images: Tensor) -> Tensor:
    return logits.detach().to(images.device, torch.float32, copy=True)
