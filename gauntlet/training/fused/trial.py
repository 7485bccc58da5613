"""Whether Triton's kernels do here what torch's do: asked once of every program before it learns by them."""

from collections.abc import Iterator
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from gauntlet.attacks.gradient import mode
from gauntlet.models.precision import fp32_products, in_precision
from gauntlet.spec.runs.training import Precision
from gauntlet.training.fused.network import StackedCnn

# How far logits and gradients may be from torch's in float32, in shares of their length, beyond what rounding explains:
# where what is multiplied is rounded, torch's own kernels are as far from there as they are (gradients of an untrained
# network in bfloat16 20 %), and another right way may be twice as far.
_FURTHEST: Final[dict[Precision, tuple[float, float]]] = {
    "fp32": (1e-4, 1e-3),
    "tf32": (0.02, 0.02),
    "bf16": (0.02, 0.02),
}
_AS_ROUNDED: Final = 2


def disagreement(
    network: StackedCnn, precision: Precision, images: Tensor, labels: Tensor, words: Tensor
) -> str | None:
    """How far Triton's kernels are from torch's on these images, as part of a sentence; None where they agree.

    Logits and gradients are compared, of images and of each weight, run by run, with dropout and without:
    ‖Triton's − t‖ ≤ 2 · ‖torch's − t‖ + a share of ‖t‖, where t is torch's in float32.

    Args:
        images: float32 [runs · n, c, h, w].
        labels: int64 [runs, n].
        words: what a step begins with.
    """
    # The same for all.
    words = network.drawn(words, images)
    network.by_triton = True
    found = list(_computed(network, precision, images, labels, words))
    network.by_triton = False
    rounded = list(_computed(network, precision, images, labels, words))
    with fp32_products("fp32"):
        exact = rounded if precision == "fp32" else list(_computed(network, "fp32", images, labels, words))
    for (name, its), (_, torchs), (_, true) in zip(found, rounded, exact, strict=True):
        share = _FURTHEST[precision][name != "logits"]
        (apart, furthest), *_ = sorted(
            _apart(its, torchs, true, share, len(labels)), key=lambda pair: pair[1] - pair[0]
        )
        if not apart <= furthest:
            return f"{name} are {apart:.2g} of their length from torch's in fp32, more than {furthest:.2g}"
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


def _apart(found: Tensor, rounded: Tensor, exact: Tensor, share: float, runs: int) -> list[tuple[float, float]]:
    """How far each run's are from the exact, and how far they may be, in lengths of the exact.

    A run that has diverged, or learns nothing, says none: (0, 0).
    """
    its, torchs, true = (tensor.reshape(runs, -1).float() for tensor in (found, rounded, exact))
    length, by_rounding = true.norm(dim=1), (torchs - true).norm(dim=1)
    tells = length.isfinite() & (length > 0) & by_rounding.isfinite()
    apart = torch.where(tells, (its - true).norm(dim=1) / length, 0)
    furthest = torch.where(tells, _AS_ROUNDED * by_rounding / length + share, 0)
    return list(zip(apart.nan_to_num(nan=torch.inf).tolist(), furthest.tolist(), strict=True))
