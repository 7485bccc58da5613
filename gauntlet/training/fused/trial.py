"""Whether Triton's kernels do here what torch's do: asked once of every program before it learns by them."""

from collections.abc import Iterator
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from gauntlet.attacks.gradient import mode
from gauntlet.models.precision import in_precision
from gauntlet.spec.runs.training import Precision
from gauntlet.training.fused.network import StackedCnn

# How far logits and gradients may be from torch's, in shares of their length. Where both round what they multiply, two
# right ways are far apart: gradients of an untrained network in bfloat16 are 20 % from those in float32, and of a few
# images more. One that has nothing to do with the right one is as far as it is long, or farther.
_FURTHEST: Final[dict[Precision, tuple[float, float]]] = {
    "fp32": (1e-4, 1e-3),
    "tf32": (0.02, 0.5),
    "bf16": (0.1, 0.9),
}


def disagreement(
    network: StackedCnn, precision: Precision, images: Tensor, labels: Tensor, words: Tensor
) -> str | None:
    """How far Triton's kernels are from torch's on these images, as part of a sentence; None where they agree.

    Logits and gradients are compared, of images and of all weights, run by run, with dropout and without.

    Args:
        images: float32 [runs · n, c, h, w].
        labels: int64 [runs, n].
        words: what a step begins with.
    """
    # The same for both.
    words = network.drawn(words, images)
    passes = []
    for by_triton in (True, False):
        network.by_triton = by_triton
        passes.append(list(_computed(network, precision, images, labels, words)))
    for (name, found), (_, expected) in zip(*passes, strict=True):
        furthest, apart = _FURTHEST[precision][name != "logits"], _apart(found, expected, len(labels))
        if not apart <= furthest:
            return f"{name} are {apart:.2g} of their length from torch's, more than {furthest:g}"
    return None


def _computed(
    network: StackedCnn, precision: Precision, images: Tensor, labels: Tensor, words: Tensor
) -> Iterator[tuple[str, Tensor]]:
    forward, weights = in_precision(network, precision), network.begin(words)
    for training in (True, False):
        with mode(network, training=training):
            inputs = images.detach().requires_grad_()
            logits = forward(inputs).float()
            loss = F.cross_entropy(logits, labels.flatten(), reduction="sum")
            yield "logits", logits.detach()
            for gradient in torch.autograd.grad(loss, [inputs, *weights] if training else [inputs]):
                yield "gradients", gradient


def _apart(found: Tensor, expected: Tensor, runs: int) -> float:
    """The largest of all runs' ‖found − expected‖ / ‖expected‖; one that has diverged, or learns nothing, says none."""
    one, other = (tensor.reshape(runs, -1).float() for tensor in (found, expected))
    length = other.norm(dim=1)
    tells = length.isfinite() & (length > 0)
    return float(torch.where(tells, (one - other).norm(dim=1) / length, 0).max())
