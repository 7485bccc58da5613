"""The convolutions of the paper's network for all runs, by Triton's kernels: features and their gradients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from gauntlet.training.fused import kernels

# About twice as many programs as an H100 has multiprocessors: what a gradient of few runs is divided into.
_WAVES: Final = 2 * 132
# Images of fewer channels are multiplied as whole windows, 9 · channels long, of which a kernel takes 32.
_FEW: Final = 16
MOST_FEW: Final = 3
# Of so many channels a window's row is three quarters of a tile of 128.
_WIDE: Final = 32
_INTERPRETED: Final = 1024


@dataclass(frozen=True)
class Layer:
    """A 3 × 3 convolution with its bias and ReLU, of images of that height and width; `pooled` by 2 × 2 afterwards."""

    height: int
    width: int
    pad: int
    ins: int
    outs: int
    pooled: bool

    @property
    def convolved(self) -> tuple[int, int]:
        """Height and width of what the convolution gives."""
        return self.height + 2 * self.pad - 2, self.width + 2 * self.pad - 2

    @property
    def kept(self) -> tuple[int, int]:
        """Height and width of what the layer gives."""
        height, width = self.convolved
        return (height // 2, width // 2) if self.pooled else (height, width)


def layers_of(image_shape: tuple[int, int, int], channels: Sequence[int]) -> tuple[Layer, ...]:
    """Those of images (channels, height, width): padded and not by turns, and each that is not is pooled."""
    ins, height, width = image_shape
    found: list[Layer] = []
    for number, outs in enumerate(channels):
        found.append(Layer(height, width, 1 - number % 2, ins, outs, bool(number % 2)))
        ins, (height, width) = outs, found[-1].kept
    return tuple(found)


@dataclass(frozen=True)
class Dropping:
    """Dropout of one pass: `words` int32 [runs, …], and of each layer that is pooled where its own begin."""

    words: Tensor
    firsts: tuple[int, ...]
    rate: float

    @property
    def scale(self) -> float:
        """What is kept is multiplied by it."""
        return 1 / (1 - self.rate)


@dataclass(frozen=True)
class Plan:
    """How features are computed: what is multiplied, the layers' weights [runs, 3, 3, in, out] in its type, dropout."""

    layers: tuple[Layer, ...]
    weights: tuple[Tensor, ...]
    precision: str
    dropping: Dropping | None

    @property
    def dtype(self) -> torch.dtype:
        """What is multiplied."""
        return self.weights[0].dtype


def multiplied(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """A convolution's weights [runs, out, in, 3, 3] as the kernels take them, [runs, 3, 3, in, out]."""
    return weight.detach().permute(0, 3, 4, 2, 1).to(dtype, memory_format=torch.contiguous_format).contiguous()


class Features(torch.autograd.Function):
    """From images float32 [runs · n, c, h, w] to features [runs, n, channels · h' · w'] in the type of the plan.

    Weights [runs, out, in, 3, 3] and biases [runs, out], float32, follow the plan in turns. What is multiplied is the
    plan's copies of the weights; gradients come for the weights themselves, float32, channels-last as they lie, and for
    the images, channels-last. Those of all weights are computed where one of them wants its gradient.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, plan: Plan, *parameters: Tensor) -> Tensor:
        runs = len(parameters[0])
        x = images.unflatten(0, (runs, -1)).permute(0, 1, 3, 4, 2)
        x = x.to(plan.dtype, memory_format=torch.contiguous_format).contiguous()
        inputs, codes = [x], []
        for number, (layer, bias) in enumerate(zip(plan.layers, parameters[1::2], strict=True)):
            y, code = convolved(plan, layer, number, inputs[-1], bias.detach())
            inputs.append(y)
            codes.append(code)
        ctx.plan = plan
        ctx.save_for_backward(*inputs[:-1], *codes)
        features: Tensor = inputs[-1].permute(0, 1, 4, 2, 3).flatten(2)
        return features

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        plan: Plan = ctx.plan
        count = len(plan.layers)
        inputs, codes = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        scale = 1.0 if plan.dropping is None else plan.dropping.scale
        last = plan.layers[-1]
        g = (gradients[0] * scale).unflatten(2, (last.outs, *last.kept)).permute(0, 1, 3, 4, 2).contiguous()
        of_images: Tensor | None = None
        of_weights: list[Tensor | None] = [None] * (2 * count)
        for number in reversed(range(count)):
            x, code = inputs[number], codes[number]
            if any(ctx.needs_input_grad[2:]):
                of_weights[2 * number : 2 * number + 2] = weight_gradient(plan, number, x, g, code)
            if number:
                # A pooled layer's codes say where ReLU and dropout let nothing pass.
                g = input_gradient(plan, number, x, g, code, scale=None if plan.layers[number].pooled else scale)
            elif ctx.needs_input_grad[0]:
                found = input_gradient(plan, number, x, g, code, scale=1.0)
                of_images = found.flatten(0, 1).permute(0, 3, 1, 2)
        return of_images, None, *of_weights


def _geometry(plan: Plan, layer: Layer, images: int) -> dict[str, Any]:
    return {
        "images": images,
        "HEIGHT": layer.height,
        "WIDTH": layer.width,
        "PAD": layer.pad,
        "IN": layer.ins,
        "OUT": layer.outs,
        "POOLED": layer.pooled,
        "PRECISION": plan.precision,
    }


def convolved(plan: Plan, layer: Layer, number: int, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The layer's output [runs, n, h', w', out], and its codes where it is pooled."""
    runs, images = x.shape[:2]
    y = x.new_empty(runs, images, *layer.kept, layer.outs)
    code = torch.empty_like(y, dtype=torch.int8) if layer.pooled else y
    dropping = plan.dropping if layer.pooled else None
    words = code if dropping is None else dropping.words
    rows = images * (4 * math.prod(layer.kept) if layer.pooled else math.prod(layer.convolved))
    tile = tiled("forward", layer, plan.dtype, plan.precision)
    kernels.conv_forward[-(-rows // tile["BLOCK"]), runs](
        x,
        plan.weights[number],
        bias,
        y,
        code,
        words,
        0 if dropping is None else dropping.firsts[number // 2],
        words[0].numel(),
        DROPPED=0.0 if dropping is None else dropping.rate,
        LEAST_KEPT=0 if dropping is None else int(dropping.rate * 2**32) - 2**31,
        **_geometry(plan, layer, images),
        **tile,
    )
    return y, code


def input_gradient(plan: Plan, number: int, x: Tensor, g: Tensor, code: Tensor, *, scale: float | None) -> Tensor:
    """From the gradient of the layer's output: that before the ReLU whose output is `x`, or, with `scale`, its product.

    That of images is float32.
    """
    layer = plan.layers[number]
    runs, images = x.shape[:2]
    out = torch.empty_like(x) if number else torch.empty_like(x, dtype=torch.float32)
    tile = tiled("input", layer, plan.dtype, plan.precision)
    kernels.conv_input_gradient[-(-images * layer.height * layer.width // tile["BLOCK"]), runs](
        g,
        code,
        plan.weights[number],
        x,
        out,
        1.0 if scale is None else scale,
        RELU=scale is None,
        **_geometry(plan, layer, images),
        **tile,
    )
    return out


def weight_gradient(
    plan: Plan, number: int, x: Tensor, g: Tensor, code: Tensor, tile: dict[str, Any] | None = None
) -> tuple[Tensor, Tensor]:
    """Of weights [runs, out, in, 3, 3] and bias [runs, out], float32, from that of the output.

    `tile` is one of one's own, as `tiled` has them.
    """
    layer = plan.layers[number]
    runs, images = x.shape[:2]
    tile = tile or tiled("weight", layer, plan.dtype, plan.precision)
    rows = 3 if layer.ins >= _FEW else 1
    blocks = -(-images * math.prod(layer.convolved) // tile["BLOCK"])
    splits = max(1, min(-(-_WAVES // (rows * runs)), blocks))
    parts = x.new_empty(runs, splits, layer.outs, 9 * layer.ins, dtype=torch.float32)
    bias_parts = x.new_empty(runs, splits, layer.outs, dtype=torch.float32)
    kernels.conv_weight_gradient[splits, rows, runs](
        x, g, code, parts, bias_parts, **_geometry(plan, layer, images), **tile
    )
    weight = parts.sum(1).unflatten(2, (3, 3, layer.ins)).permute(0, 1, 4, 2, 3)
    return weight, bias_parts.sum(1)


def tiled(kind: str, layer: Layer, dtype: torch.dtype, precision: str) -> dict[str, Any]:
    """Rows of a tile, stages of the pipeline, warps.

    In bfloat16 and TF32 what was fastest on an H200 (`fused_layers_h200.json`), but for wide weight gradients, which
    are not timed yet: they take half of the registers and wgmma, which 32 × 32 products cannot. In full float32, where
    each product is written out, tiles are small, or ptxas takes minutes.
    """
    short, exact = dtype == torch.bfloat16, precision == "ieee" and dtype == torch.float32
    if kind == "weight":
        wide = short and layer.ins == _WIDE
        block, stages = (64, 3) if not short or wide or (layer.ins, layer.pooled) == (64, True) else (128, 2)
        tile = {"BLOCK": block, "STAGES": stages, "WIDE": wide}
    else:
        halved = short and layer.ins >= _FEW and (layer.pooled or kind == "input")
        tile = {"BLOCK": 64 if halved else 128, "STAGES": 3}
    if exact:
        tile |= {"BLOCK": 32, "STAGES": 2}
    if kernels.INTERPRETED:
        # There a program takes about as long whatever its size.
        tile |= {"BLOCK": _INTERPRETED}
    return tile | {"num_warps": 8 if exact and kind == "weight" else 4}
