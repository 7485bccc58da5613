"""A network over several processes: each computes a part of a batch, and all have the logits of the whole.

Whoever calls it computes with whole batches, as one process does, and every process computes the same: what is drawn,
attacks, losses and accuracies need know nothing of it. A gradient of the images is whole too. Gradients of the weights
are those of a process's own part, and are to be summed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gauntlet.models.layers import Dropout


@dataclass(frozen=True)
class Ranks:
    """Which process this one is, `number` from 0, of the `count` that compute a run in torch's process group."""

    number: int
    count: int

    def part(self, images: int) -> slice:
        """Which of so many images are this process's: as many as every other's, or one more."""
        each, more = divmod(images, self.count)
        start = self.number * each + min(self.number, more)
        return slice(start, start + each + (self.number < more))

    def summed(self, gradients: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The sums over all processes."""
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        # Each lies in memory as it did, that is as its weights do: fused optimisers take that for granted.
        return tuple(
            torch.empty_like(gradient).copy_(part.view(gradient.shape))
            for part, gradient in zip(parts, gradients, strict=True)
        )


class Sharded(nn.Module):
    """A network whose passes are computed by all processes, each with its part of the images.

    Every process calls it with the same whole batch, float32 [n, c, h, w], and has the whole logits, float32
    [n, classes]. The network's dropout draws whole masks, and its batch normalisation takes whole batches' statistics.
    """

    def __init__(self, network: nn.Module, ranks: Ranks) -> None:
        super().__init__()
        self.network = network
        self.ranks = ranks
        self._aware = [layer for layer in network.modules() if isinstance(layer, Dropout | WholeBatchNorm)]

    def forward(self, images: Tensor) -> Tensor:
        """Logits, as said above."""
        part = self.ranks.part(len(images))
        for layer in self._aware:
            layer.part, layer.whole = part, len(images)
        try:
            logits = self.network(_Own.apply(images, part)).float()  # type: ignore[no-untyped-call]  # torch has no type for it
            whole: Tensor = _Gathered.apply(logits, part, len(images))  # type: ignore[no-untyped-call]  # likewise
        finally:
            for layer in self._aware:
                layer.part = None
        return whole


class WholeBatchNorm(nn.BatchNorm2d):
    """Batch normalisation in which, in train mode, mean and variance are those of all processes' images together.

    Torch's own layer for that runs on GPUs alone.
    """

    part: slice | None = None
    whole = 0

    def forward(self, values: Tensor) -> Tensor:
        """From [n, c, h, w] to the same shape."""
        if not self.training or self.part is None:
            return super().forward(values)
        exact = values.float()
        count = self.whole * values.shape[2] * values.shape[3]
        mean = _total(exact.sum(dim=(0, 2, 3))) / count
        centred = exact - mean[:, None, None]
        variance = _total(centred.square().sum(dim=(0, 2, 3))) / count
        self._remember(mean.detach(), variance.detach() * count / max(count - 1, 1))
        scaled = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        return (scaled * self.weight[:, None, None] + self.bias[:, None, None]).to(values.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, torch.as_tensor(share, device=mean.device))
        self.running_var.lerp_(variance, torch.as_tensor(share, device=mean.device))


def with_whole_batch_norms(network: nn.Module) -> nn.Module:
    """The network with such layers in the place of torch's, of the same names and with the same tensors."""
    for name, layer in network.named_children():
        if type(layer) is nn.BatchNorm2d:
            momentum, affine, tracked = layer.momentum, layer.affine, layer.track_running_stats
            taken = WholeBatchNorm(layer.num_features, layer.eps, momentum, affine, tracked)
            taken.weight, taken.bias = layer.weight, layer.bias
            taken.running_mean, taken.running_var = layer.running_mean, layer.running_var
            taken.num_batches_tracked = layer.num_batches_tracked
            setattr(network, name, taken.train(layer.training))
        else:
            with_whole_batch_norms(layer)
    return network


def is_divisible(network: nn.Module) -> bool:
    """Whether all that looks at a batch as a whole, or draws for it, is known here how to divide."""
    for layer in network.modules():
        drawn = isinstance(layer, nn.modules.dropout._DropoutNd) and type(layer) is not Dropout and layer.p > 0  # noqa: SLF001  # what torch's own share
        statistics = isinstance(layer, nn.modules.batchnorm._BatchNorm) and not (  # noqa: SLF001  # likewise
            type(layer) is nn.BatchNorm2d and layer.affine
        )
        attention = isinstance(layer, nn.MultiheadAttention) and layer.dropout > 0
        depth = type(layer).__name__ == "StochasticDepth"
        if drawn or statistics or attention or depth:
            return False
    return True


class _Own(torch.autograd.Function):
    """A process's part of the whole; its gradient is whole again."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor, part: slice) -> Tensor:
        ctx.part, ctx.shape = part, whole.shape
        return whole[part].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _placed(gradients[0], ctx.part, ctx.shape[0]), None


class _Gathered(torch.autograd.Function):
    """The whole of which a process has a part; its gradient is that part's."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, part: slice, whole: int) -> Tensor:
        ctx.part = part
        return _placed(own, part, whole)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0][ctx.part], None, None


class _Total(torch.autograd.Function):
    """The sum over all processes, of which each process's share has the gradient that all of them have together."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:  # noqa: ARG004  # torch's form
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004  # torch's form
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _total(own: Tensor) -> Tensor:
    total: Tensor = _Total.apply(own)  # type: ignore[no-untyped-call]  # torch has no type for it
    return total


def _placed(own: Tensor, part: slice, whole: int) -> Tensor:
    """All processes' parts, of which none overlap: the sum of tensors that are 0 elsewhere, whatever their sizes."""
    placed = own.new_zeros(whole, *own.shape[1:])
    placed[part] = own
    dist.all_reduce(placed)
    return placed
