"""The way back through a convolution, taken as a convolution forward.

The gradient for what a convolution was given is a convolution of the gradient with the kernels turned around. torch's
kernels for the way back take up to 1.4 times as long as those forward. Where a layer was given few channels, as the
first one is given three colours, they fill three of a register's sixteen lanes; there a square of 2 × 2 pixels is
computed at once, by kernels that are larger by one, have zeros in them and go in steps of two.

Both add the same products in the same order, but no documentation says so. Each is therefore tried on random gradients
first, for each form of a layer's input, and is taken only where its bits are those of torch's way back.
Measurements: docs/speed.md, "Speed of AutoAttack".
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.attacks.known_layers import border

# A register of 512 bits has so many lanes of fp32.
_LANES = 16
# Convolutions of a single image differ in their last bits from those of several.
_FEWEST_IMAGES = 2

_Way = Callable[[Tensor], Tensor]


class Convolution:
    """A layer without stride and dilation, and the quickest way back through it."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self.layer = layer
        self._weight: Tensor | None = None
        self._ways: dict[tuple[torch.Size, tuple[int, ...]], _Way | None] = {}

    def back(self, gradient: Tensor, size: torch.Size, strides: tuple[int, ...]) -> Tensor:
        """From the gradient for the outputs, [n, channels, h, w], to that for the inputs, [n, *size].

        Bit by bit what torch's own way back gives. `strides` are those of what the layer was given.
        """
        if len(gradient) < _FEWEST_IMAGES or self.layer.groups > 1:
            return self._by_torch(gradient, size, strides)
        weight = self.layer.weight.detach()
        # What is written to a weight's `data`, or to one that was made in inference mode, torch does not count.
        if self._weight is None or not torch.equal(self._weight, weight):
            self._weight, self._ways = weight.clone(), {}
        if (size, strides) not in self._ways:
            self._ways[size, strides] = self._fastest(gradient, size, strides)
        way = self._ways[size, strides]
        return self._by_torch(gradient, size, strides) if way is None else way(gradient)

    def _fastest(self, like: Tensor, size: torch.Size, strides: tuple[int, ...]) -> _Way | None:
        """The first of the ways that give torch's bits; None if none does."""
        random = torch.Generator(like.device).manual_seed(0)
        tried = torch.empty_like(like).normal_(generator=random)
        wanted = self._by_torch(tried, size, strides)
        return next((way for way in self._ways_forward(size) if torch.equal(way(tried), wanted)), None)

    def _ways_forward(self, size: torch.Size) -> list[_Way]:
        layer = self.layer
        height, width = layer.kernel_size
        down, right = border(layer)[:2]
        around = height - 1 - down, width - 1 - right
        if min(around) < 0:
            return []
        turned = _laid_out_like(layer.weight, layer.weight.detach().flip(2, 3).transpose(0, 1))
        ways: list[_Way] = [lambda gradient: F.conv2d(gradient, turned, padding=around)]
        channels, rows, columns = size
        if 4 * channels <= _LANES and rows % 2 == columns % 2 == 0:
            squares = turned.new_zeros(channels, 2, 2, turned.shape[1], height + 1, width + 1)
            for y in range(2):
                for x in range(2):
                    squares[:, y, x, :, y : y + height, x : x + width] = turned
            kernels = _laid_out_like(layer.weight, squares.flatten(0, 2))
            ways.insert(0, lambda gradient: F.pixel_shuffle(F.conv2d(gradient, kernels, stride=2, padding=around), 2))
        return ways

    def _by_torch(self, gradient: Tensor, size: torch.Size, strides: tuple[int, ...]) -> Tensor:
        layer = self.layer
        # Of what stands for the layer's input nothing but its form is asked.
        given = gradient.new_empty_strided((len(gradient), *size), strides)
        found: Tensor
        found, *_ = torch.ops.aten.convolution_backward(
            gradient,
            given,
            layer.weight,
            None,
            [1, 1],
            border(layer)[:2],
            [1, 1],
            False,
            [0, 0],
            layer.groups,
            [True, False, False],
        )
        return found


def _laid_out_like(weight: Tensor, values: Tensor) -> Tensor:
    last = weight.is_contiguous(memory_format=torch.channels_last)
    return values.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
