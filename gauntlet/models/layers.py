"""Two layers that compute what torch's own do, faster on a CPU. Measurements: docs/speed.md, "Training speed"."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaxPool2x2(nn.MaxPool2d):
    """`nn.MaxPool2d(2)`; where it is compiled its backward pass is a gather, which the compiler can fuse.

    Torch's own backward scatters, and compiled for a CPU that takes 3 to 9 times as long. Values and gradients are
    equal bit by bit, ties too: the first greatest value of a window takes the gradient.
    """

    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, images: Tensor) -> Tensor:
        """From float [n, c, h, w] to [n, c, h // 2, w // 2]."""
        if torch.compiler.is_compiling() and images.device.type == "cpu":
            pooled: Tensor = _GatheringMaxPool.apply(images)  # type: ignore[no-untyped-call]  # torch has no type for it
        else:
            pooled = super().forward(images)
        return pooled


def drawn_words(count: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu") -> Tensor:
    """Random words of 64 bits, int64, two elements to each, for so many elements.

    From the generator and on its device, or from torch's own of `device`.
    """
    device = device if generator is None else generator.device
    return torch.randint(-(2**63), 2**63 - 1, ((count + 1) // 2,), generator=generator, device=device)


def kept_of(words: Tensor, rate: float) -> Tensor:
    """Which elements are not dropped, boolean: [..., words] to [..., 2 · words]."""
    return words.view(torch.int32) >= int(rate * 2**32) - 2**31


class _GatheringMaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        a, b, c, d = _corners(images)
        greatest = torch.maximum(torch.maximum(a, b), torch.maximum(c, d))
        ctx.save_for_backward(images, greatest)
        return greatest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        images, greatest = ctx.saved_tensors
        a, b, c, _ = _corners(images)
        winner = torch.where(a == greatest, 0.0, torch.where(b == greatest, 1.0, torch.where(c == greatest, 2.0, 3.0)))
        corner = torch.arange(4.0, device=images.device).view(1, 1, 1, 2, 1, 2)
        n, channels, height, width = gradient.shape
        spread = torch.where(_enlarged(winner) == corner, _enlarged(gradient), 0)
        whole = spread.reshape(n, channels, 2 * height, 2 * width)
        # An odd last row or column is in no window.
        return F.pad(whole, (0, images.shape[3] - 2 * width, 0, images.shape[2] - 2 * height))


def _corners(images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    height, width = images.shape[2] // 2 * 2, images.shape[3] // 2 * 2
    even, odd = images[:, :, 0:height:2], images[:, :, 1:height:2]
    return even[..., 0:width:2], even[..., 1:width:2], odd[..., 0:width:2], odd[..., 1:width:2]


def _enlarged(pooled: Tensor) -> Tensor:
    n, channels, height, width = pooled.shape
    return pooled[:, :, :, None, :, None].expand(n, channels, height, 2, width, 2)


class Dropout(nn.Dropout):
    """`nn.Dropout` whose mask on a CPU is made of random 32-bit words, two to a draw of torch's generator.

    Five times as fast as a Bernoulli draw per element, and the same mask whether compiled or not. An element is
    dropped with probability p to within 2⁻³².

    Where `part` is set, the values are those of `whole` images: their masks are drawn as those of all, on a GPU too.
    """

    part: slice | None = None
    whole = 0

    def forward(self, values: Tensor) -> Tensor:
        """Any shape; 4-d values are taken to be channels-last, so that mask and values lie alike in memory."""
        if not self.training or (values.device.type != "cpu" and self.part is None):
            return super().forward(values)
        n = len(values) if self.part is None else self.whole
        count = n * math.prod(values.shape[1:])
        kept = kept_of(drawn_words(count, device=values.device), self.p)[:count]
        scaled = values * (1 / (1 - self.p))
        if values.dim() == 4:  # noqa: PLR2004  # images: n, c, h, w
            _, channels, height, width = values.shape
            kept = kept.view(n, height, width, channels).permute(0, 3, 1, 2)
        else:
            kept = kept.view(n, *values.shape[1:])
        return torch.where(kept if self.part is None else kept[self.part], scaled, 0)
