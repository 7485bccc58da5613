"""Three ways to train many runs of the paper's network at once with torch's own kernels, each a program.

A program has `step(images, labels)`, which attacks, learns and updates, and `check(images, labels)`, which gives the
logits, the images' gradient of the summed loss and the weights' gradients of each run's mean, without dropout. Images
are float32 [runs, images, 3, height, width], labels int64 [runs, images].
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

_EPS = 8 / 255
# Weights and biases of four convolutions come before those of the two linear layers.
_HEAD = 8


class AutogradProgram(ABC):
    """What the candidates share: torch finds the gradients, and its RMSprop updates stacked weights."""

    def __init__(self, weights: list[Tensor], dtype: torch.dtype) -> None:
        self.weights = [weight.clone().requires_grad_() for weight in self.own(weights)]
        self.dtype = dtype
        on_gpu = weights[0].is_cuda
        self.optimizer = torch.optim.RMSprop(
            self.weights, lr=torch.tensor(1e-4, device=weights[0].device), alpha=0.9, eps=1e-7,
            foreach=on_gpu, capturable=on_gpu,
        )  # fmt: skip
        for weight in self.weights:
            weight.grad = torch.zeros_like(weight)

    def own(self, weights: list[Tensor]) -> list[Tensor]:
        """The weights in the candidate's layout."""
        return weights

    def as_torch(self, weights: list[Tensor]) -> list[Tensor]:
        """And back."""
        return weights

    def _precision(self) -> AbstractContextManager[Any]:
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.weights[0].device.type, self.dtype, cache_enabled=False)

    @abstractmethod
    def by_images(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits without dropout, and the images' gradient of the summed loss."""

    @abstractmethod
    def by_weights(self, images: Tensor, labels: Tensor, *, dropped: bool) -> tuple[Tensor, ...]:
        """The weights' gradients of each run's mean loss."""

    def step(self, images: Tensor, labels: Tensor) -> None:
        _, gradient = self.by_images(images, labels)
        attacked = (images + _EPS * gradient.sign()).clamp(0, 1)
        for weight, found in zip(self.weights, self.by_weights(attacked, labels, dropped=True), strict=True):
            weight.grad = found
        self.optimizer.step()

    def check(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        logits, gradient = self.by_images(images, labels)
        return logits, gradient, self.as_torch(list(self.by_weights(images, labels, dropped=False)))


def head(features: Tensor, weights: list[Tensor], *, dropped: bool) -> Tensor:
    """From features [runs, images, features] to logits."""
    w1, b1, w2, b2 = weights
    hidden = F.relu(torch.bmm(features, w1.transpose(1, 2)) + b1[:, None])
    return torch.bmm(F.dropout(hidden, 0.5, dropped), w2.transpose(1, 2)) + b2[:, None]


class OnePass(AutogradProgram):
    """One that computes all runs in one pass, `forward`."""

    @abstractmethod
    def forward(self, images: Tensor, *, dropped: bool) -> Tensor:
        """Logits [runs, images, classes]."""

    def logits(self, images: Tensor, *, dropped: bool) -> Tensor:
        with self._precision():
            found = self.forward(images, dropped=dropped)
        return found.float()

    def by_images(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        images = images.detach().requires_grad_()
        logits = self.logits(images, dropped=False)
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
        return logits.detach(), torch.autograd.grad(loss, images)[0]

    def by_weights(self, images: Tensor, labels: Tensor, *, dropped: bool) -> tuple[Tensor, ...]:
        logits = self.logits(images, dropped=dropped)
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / labels.shape[1]
        return torch.autograd.grad(loss, self.weights)


class Grouped(OnePass):
    """Convolutions in groups: a run's channels are a group of one network."""

    channels_last = False

    def forward(self, images: Tensor, *, dropped: bool) -> Tensor:
        runs, n = images.shape[:2]
        x = images.transpose(0, 1).flatten(1, 2)
        x = x.contiguous(memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)
        for i in range(4):
            w, b = self.weights[2 * i].flatten(0, 1), self.weights[2 * i + 1].flatten()
            if self.channels_last:
                w = w.contiguous(memory_format=torch.channels_last)
            x = F.relu(F.conv2d(x, w, b, padding=1 - i % 2, groups=runs))
            if i % 2:
                x = F.dropout(F.max_pool2d(x, 2), 0.25, dropped)
        return head(x.reshape(n, runs, -1).transpose(0, 1), self.weights[_HEAD:], dropped=dropped)


class GroupedLast(Grouped):
    """The same, channels last in memory."""

    channels_last = True


class Unfolded(OnePass):
    """Convolutions as batched products of unfolded images, [runs, images · pixels, 9 · in] × [runs, 9 · in, out]."""

    def own(self, weights: list[Tensor]) -> list[Tensor]:
        return [
            w.permute(0, 3, 4, 2, 1).flatten(1, 3) if i < _HEAD and i % 2 == 0 else w for i, w in enumerate(weights)
        ]

    def as_torch(self, weights: list[Tensor]) -> list[Tensor]:
        convolutions = [
            w.unflatten(1, (3, 3, -1)).permute(0, 4, 3, 1, 2) if i % 2 == 0 else w
            for i, w in enumerate(weights[:_HEAD])
        ]
        return [*convolutions, *weights[_HEAD:]]

    def forward(self, images: Tensor, *, dropped: bool) -> Tensor:
        runs, n = images.shape[:2]
        x = images.permute(0, 1, 3, 4, 2)
        for i in range(4):
            w, b = self.weights[2 * i], self.weights[2 * i + 1]
            side = x.shape[2] - 2 * (i % 2)
            inputs = x.to(self.dtype), w.to(self.dtype), b.to(self.dtype), 1 - i % 2
            x = F.relu(_UnfoldedConv.apply(*inputs))  # type: ignore[no-untyped-call]  # torch has no type for it
            x = x.view(runs, n, side, side, -1)
            if i % 2:
                pooled = F.max_pool2d(x.flatten(0, 1).permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
                x = F.dropout(pooled.unflatten(0, (runs, n)), 0.25, dropped)
        return head(x.permute(0, 1, 4, 2, 3).flatten(2), self.weights[_HEAD:], dropped=dropped)


def _windows(x: Tensor, pad: int) -> Tensor:
    """Of [runs, n, h, w, c] all 3 × 3 windows, [runs, n · h' · w', 9 · c]: copies of 3 · c values that lie together."""
    x = F.pad(x, (0, 0, pad, pad, pad, pad)).contiguous()
    runs, n, height, width, channels = x.shape
    row = width * channels
    shape = (runs, n, height - 2, width - 2, 3, 3 * channels)
    strides = (n * height * row, height * row, row, channels, row, 1)
    return x.as_strided(shape, strides).reshape(runs, n * (height - 2) * (width - 2), 9 * channels)


class _UnfoldedConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, pad: int) -> Tensor:
        columns = _windows(x, pad)
        ctx.save_for_backward(columns, w)
        ctx.shape, ctx.pad = x.shape, pad
        return torch.baddbmm(b[:, None], columns, w)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        columns, w = ctx.saved_tensors
        runs, n, height, width, channels = ctx.shape
        by_x = by_w = by_b = None
        if ctx.needs_input_grad[1]:
            by_w, by_b = torch.bmm(columns.transpose(1, 2), gradient), gradient.sum(1)
        if ctx.needs_input_grad[0]:
            shrunk = 2 - 2 * ctx.pad
            image = gradient.view(runs, n, height - shrunk, width - shrunk, -1)
            turned = w.unflatten(1, (9, channels)).flip(1).transpose(2, 3).flatten(1, 2)
            by_x = torch.bmm(_windows(image, 2 - ctx.pad), turned).view(ctx.shape)
        return by_x, by_w, by_b, None


class Mapped(AutogradProgram):
    """`torch.func.vmap` over the network as a function of its weights."""

    def __init__(self, weights: list[Tensor], dtype: torch.dtype, models: tuple[nn.Module, nn.Module]) -> None:
        # One with dropout, one without.
        self.models = models
        super().__init__(weights, dtype)

    def _mapped(self, loss_of: Callable[..., Tensor], images: Tensor, labels: Tensor) -> Any:
        weights = [weight.detach() for weight in self.weights]
        return vmap(loss_of, in_dims=(0, 0, 0), randomness="different")(weights, images, labels)

    def _loss(self, weights: list[Tensor], images: Tensor, labels: Tensor, *, dropped: bool) -> tuple[Tensor, Tensor]:
        model = self.models[0 if dropped else 1]
        names = [name for name, _ in model.named_parameters()]
        with self._precision():
            logits = functional_call(model, dict(zip(names, weights, strict=True)), images)
        return F.cross_entropy(logits.float(), labels, reduction="sum"), logits.float()

    def by_images(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        found = grad(lambda w, x, y: self._loss(w, x, y, dropped=False), argnums=1, has_aux=True)
        gradient, logits = self._mapped(found, images, labels)
        return logits, gradient

    def by_weights(self, images: Tensor, labels: Tensor, *, dropped: bool) -> tuple[Tensor, ...]:
        found = grad(lambda w, x, y: self._loss(w, x, y, dropped=dropped)[0] / labels.shape[1], argnums=0)
        return tuple(self._mapped(found, images, labels))
