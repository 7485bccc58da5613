"""What natural images tell of a model besides their class: its margins, and where attacks find no gradient."""

import math

import torch
from torch import Tensor

from gauntlet.attacks.gradient import margin, summed, without_direction
from gauntlet.models.precision import Model
from gauntlet.results.margins import ImageMargin, rounded

_LARGEST = torch.finfo(torch.float32).max


def looked_at(model: Model, images: Tensor, labels: Tensor) -> tuple[Tensor, tuple[ImageMargin, ...]]:
    """Where the gradient of cross-entropy is zero or no number at every pixel, bool [n], and each image's margin.

    `images` float32 [n, c, h, w], `labels` int64 [n], both where the model is; its parameters need no gradient. Attacks
    that follow cross-entropy stand still there.
    """
    inputs = images.detach().requires_grad_()
    with torch.enable_grad():
        logits = model(inputs)
        loss = summed("cross_entropy", logits, labels)
        # Negative where an attack wants it, and positive here where the model is right.
        margins = -margin(logits, labels)
        # A model that cuts its graph, by rounding outside autograd for example, has no gradient to ask for.
        without = torch.zeros_like(inputs)
        of_loss = torch.autograd.grad(loss, inputs, retain_graph=True)[0] if loss.requires_grad else without
        of_margin = torch.autograd.grad(margins.sum(), inputs)[0] if margins.requires_grad else without
    probabilities = logits.detach().float().softmax(dim=1)
    slopes = of_margin.flatten(1)
    columns = (
        probabilities.gather(1, labels[:, None]).squeeze(1),
        probabilities.amax(dim=1),
        margins.detach(),
        slopes.norm(1, dim=1),
        slopes.norm(2, dim=1),
    )
    rows = torch.stack([column.float() for column in columns], dim=1).tolist()
    return without_direction(of_loss), tuple(_image(*row) for row in rows)


def _image(probability: float, confidence: float, difference: float, l1: float, l2: float) -> ImageMargin:
    norms = (rounded(norm) if math.isfinite(norm) else None for norm in (l1, l2))
    # The difference of two finite logits may be too large for fp32.
    finite = max(-_LARGEST, min(_LARGEST, difference))
    return ImageMargin(rounded(probability), rounded(confidence), rounded(finite), *norms)
