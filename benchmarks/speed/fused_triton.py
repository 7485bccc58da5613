"""The paper's network, many runs at once, by the kernels that `train_together` takes on a GPU; and each by itself."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.speed.fused_candidates import AutogradProgram
from gauntlet.spec.runs.optimizers import RmsProp
from gauntlet.spec.runs.training import Precision
from gauntlet.training.fused import features
from gauntlet.training.fused.rmsprop import StackedRmsProp
from gauntlet.training.fused.triton_network import TritonNetwork, drawn

_EPS = 8 / 255
# Of weights' gradients: rows of a tile, stages, warps, and whether a window's row is multiplied at once.
_TILES = ((128, 2, 4, False), (64, 3, 4, False), (64, 3, 4, True), (128, 2, 4, True), (64, 3, 8, True))
_FEW = 16


class ByTriton(AutogradProgram):
    """Weights [runs, …] as torch has them for one run."""

    def __init__(self, weights: list[Tensor], dtype: torch.dtype) -> None:
        super().__init__(weights, dtype)
        tf32 = "tf32" if weights[0].is_cuda else "fp32"
        self._precision: Precision = "bf16" if dtype == torch.bfloat16 else tf32  # type: ignore[assignment]  # one of three
        self._seeds = torch.arange(len(weights[0]), device=weights[0].device)
        detached = [weight.detach() for weight in self.weights]
        squares = [torch.zeros_like(weight) for weight in detached]
        for weight, square in zip(self.weights, squares, strict=True):
            self.optimizer.state[weight] = {"step": torch.zeros((), device=weight.device), "square_avg": square}
        self._update = StackedRmsProp([RmsProp()], [slice(None)], [self.optimizer], detached, squares)

    def _network(self) -> TritonNetwork:
        return TritonNetwork([weight.detach() for weight in self.weights], self._precision)

    def by_images(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return self._by_images(self._network(), images, labels)

    def by_weights(self, images: Tensor, labels: Tensor, *, dropped: bool) -> tuple[Tensor, ...]:
        return self._by_weights(self._network(), images, labels, dropped=dropped)

    def _by_images(self, network: TritonNetwork, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        flat = images.detach().flatten(0, 1).requires_grad_()
        logits = network.logits(flat, None, (0.0, 0.0), learns=False).float()
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels.flatten(), reduction="sum"), flat)
        return logits.detach().unflatten(0, labels.shape), gradient.unflatten(0, labels.shape)

    def _by_weights(
        self, network: TritonNetwork, images: Tensor, labels: Tensor, *, dropped: bool
    ) -> tuple[Tensor, ...]:
        # As many as an image has values at most, which is more than layers after pooling have.
        words = drawn(self._seeds, 16 * images[0].numel()) if dropped else None
        logits = network.logits(images.flatten(0, 1), words, (0.25, 0.5), learns=True).float()
        loss = F.cross_entropy(logits, labels.flatten(), reduction="sum") / labels.shape[1]
        return torch.autograd.grad(loss, network.leaves)

    def step(self, images: Tensor, labels: Tensor) -> None:
        network = self._network()
        _, gradient = self._by_images(network, images, labels)
        attacked = (images + _EPS * gradient.sign()).clamp(0, 1)
        self._update.step(self._by_weights(network, attacked, labels, dropped=True))


def operations(runs: int, batch: int, side: int, device: torch.device) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every kernel of the convolutions by itself, in bfloat16, and gradients of weights in other tiles."""
    layers = features.layers_of((3, side, side), (32, 32, 64, 64))
    weights = [torch.randn(runs, layer.outs, layer.ins, 3, 3, device=device) for layer in layers]
    own = tuple(features.multiplied(weight, torch.bfloat16) for weight in weights)
    plan = features.Plan(layers, own, "ieee", None)
    for number, layer in enumerate(layers):
        x = torch.rand(runs, batch, layer.height, layer.width, layer.ins, device=device).to(torch.bfloat16)
        bias = torch.zeros(runs, layer.outs, device=device)
        y, code = features.convolved(plan, layer, number, x, bias)
        yield f"forward {number}", partial(features.convolved, plan, layer, number, x, bias)
        yield f"input {number}", partial(features.input_gradient, plan, number, x, y, code, scale=1.0)
        for block, stages, warps, wide in _TILES:
            if wide and layer.ins < _FEW:
                continue
            tile = {"BLOCK": block, "STAGES": stages, "num_warps": warps, "WIDE": wide}
            yield (
                f"weight {number}, {(block, stages, warps)}{', wide' if wide else ''}",
                partial(features.weight_gradient, plan, number, x, y, code, tile),
            )
