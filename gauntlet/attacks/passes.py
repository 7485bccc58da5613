"""A network's passes forward and back, written out for the networks that can be taken apart.

The same logits and gradients as torch's own, bit by bit, in less time: what autograd would keep, allocate and ask of
each layer is left out, a ReLU in front of a pooling layer goes back through a quarter of the places, and a point whose
logits were asked for just before is not passed forward again for its gradient. Measurements: docs/speed.md,
"Speed of AutoAttack".
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gauntlet.attacks.convolutions import Convolution
from gauntlet.attacks.known_layers import border, stack_of
from gauntlet.attacks.slices import Sliced, slice_sizes, sliced
from gauntlet.models.architectures import Normalise

# What is remembered takes some 300 KB for an image of 32 × 32 pixels in the paper's network: at most 40 MB.
_MOST_PIXELS = 128 * 32 * 32
# Convolutions of a single image differ in their last bits from those of several.
_FEWEST_IMAGES = 2

_aten = torch.ops.aten


@dataclass(frozen=True)
class _Step:
    """A layer, and the ReLU after it as a part of it: `rectified`."""

    layer: Convolution | nn.MaxPool2d | Normalise
    rectified: bool = False


@dataclass(frozen=True)
class _Seen:
    """Points [n, c, h, w], their features, and for each step the tensors [n, …] that lead back through it.

    `given` are an image's shape and the strides of what each step got: with one channel a kernel is chosen by them.
    """

    points: Tensor
    features: Tensor
    kept: tuple[tuple[Tensor, ...], ...]
    given: tuple[tuple[torch.Size, tuple[int, ...]], ...]

    def take(self, which: Tensor) -> "_Seen":
        """Those of some images, int64 [m]."""
        kept = tuple(tuple(_rows(each, which) for each in of_step) for of_step in self.kept)
        return _Seen(self.points[which], self.features[which], kept, self.given)


class Passes(nn.Module):
    """A network in eval mode, its layers given slices of a batch and its head, from what flattens on, the whole.

    Gradients are for the images alone. If it `remembers`, the logits asked for last are not computed again for the
    gradient at the same points, until it is told to forget them.
    """

    def __init__(self, steps: list[_Step], head: list[nn.Module], *, remembers: bool) -> None:
        super().__init__()
        self._steps, self.head, self._remembers = steps, nn.Sequential(*head), remembers
        self._last: list[_Seen] = []

    def forward(self, images: Tensor) -> Tensor:
        """From float32 [n, c, h, w] to logits [n, classes]."""
        logits: Tensor
        if images.requires_grad and torch.is_grad_enabled():
            logits = _Pass.apply(images, self)  # type: ignore[no-untyped-call]  # torch has no type for it
            return logits
        with torch.no_grad():
            seen = [_seen(self._steps, images[of]) for of in _slices(torch.arange(len(images)))]
            self._last = seen if self._remembers and images[:, 0].numel() <= _MOST_PIXELS else []
            logits = self.head(torch.cat([part.features for part in seen]))
        return logits

    def look(self, points: Tensor) -> list[tuple[Tensor, _Seen]]:
        """What the layers make of the points, in parts, each with its places in the batch, int64 [m]."""
        last, self._last = self._last, []
        same = torch.zeros(len(points), dtype=torch.bool)
        found = []
        if sum(len(part.points) for part in last) == len(points):
            for of, part in zip(_slices(torch.arange(len(points))), last, strict=True):
                again = (part.points == points[of]).flatten(1).all(dim=1).nonzero().flatten()
                if len(again) >= _FEWEST_IMAGES:
                    found.append((of[again], part.take(again)))
                    same[of[again]] = True
        new = (~same).nonzero().flatten()
        if 0 < len(new) < _FEWEST_IMAGES:
            found, new = [], torch.arange(len(points))
        return found + [(of, _seen(self._steps, points[of])) for of in _slices(new)]

    def forget(self) -> None:
        """Let go of what is remembered."""
        self._last = []

    def back(self, seen: _Seen, gradient: Tensor) -> Tensor:
        """From the gradient to the features, [n, c, h, w], which may be overwritten, that to the points."""
        for step, kept, given in zip(reversed(self._steps), reversed(seen.kept), reversed(seen.given), strict=True):
            gradient = _back(step, gradient, kept, *given)
        return gradient


class _Pass(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, passes: Passes) -> Tensor:
        ctx.passes, ctx.parts = passes, passes.look(images.detach())
        order = torch.cat([of for of, _ in ctx.parts]).argsort()
        features = torch.cat([seen.features for _, seen in ctx.parts])[order]
        with torch.enable_grad():
            ctx.features = features.requires_grad_()
            # The head may work in place, which no leaf allows.
            ctx.logits = passes.head(ctx.features.clone())
        logits: Tensor = ctx.logits.detach()
        return logits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = torch.autograd.grad(ctx.logits, ctx.features, upstream, retain_graph=True)
        found = gradient.new_empty(len(gradient), *ctx.parts[0][1].points.shape[1:])
        for of, seen in ctx.parts:
            found[of] = ctx.passes.back(seen, gradient[of])
        return found, None


def passes_of(model: nn.Module, device: torch.device, *, remembers: bool = False) -> nn.Module:
    """The model as it is fastest for attacks along a gradient; its parameters get none."""
    in_slices = sliced(model, device)
    stack = stack_of(model) if isinstance(in_slices, Sliced) else None
    steps = None if stack is None else _steps(stack.spatial)
    return in_slices if stack is None or steps is None else Passes(steps, stack.head, remembers=remembers)


def _steps(layers: list[nn.Module]) -> list[_Step] | None:
    """None where a ReLU follows one or a normalisation, or a convolution has more zeros at one end."""
    steps: list[_Step] = []
    for layer in layers:
        match layer:
            case nn.ReLU():
                if not steps or isinstance(steps[-1].layer, Normalise) or steps[-1].rectified:
                    return None
                steps[-1] = replace(steps[-1], rectified=True)
            case nn.Conv2d():
                top, left, bottom, right = border(layer)
                if (top, left) != (bottom, right):
                    return None
                steps.append(_Step(Convolution(layer)))
            case nn.MaxPool2d():
                steps.append(_Step(layer))
            case Normalise():
                steps.append(_Step(layer))
            case _:
                return None
    return steps


def _slices(places: Tensor) -> list[Tensor]:
    return list(places.split(slice_sizes(len(places)))) if len(places) else []


def _seen(steps: list[_Step], points: Tensor) -> _Seen:
    values, given = points, []
    kept: list[tuple[Tensor, ...]] = []
    for step in steps:
        given.append((values.shape[1:], values.stride()))
        match step.layer:
            case Convolution(layer=layer):
                values = F.conv2d(values, layer.weight, layer.bias, padding=border(layer)[:2], groups=layer.groups)
                kept.append((values.relu_(),) if step.rectified else ())
            case nn.MaxPool2d():
                values, chosen = _aten.max_pool2d_with_indices(values, [2, 2], [2, 2])
                kept.append((values.relu_() if step.rectified else values, chosen))
            case layer:
                values = layer(values)
                kept.append(())
    return _Seen(points, values, tuple(kept), tuple(given))


def _back(
    step: _Step, gradient: Tensor, kept: tuple[Tensor, ...], size: torch.Size, strides: tuple[int, ...]
) -> Tensor:
    if step.rectified and kept:
        # Nobody else has it, and in its place takes two thirds of the time.
        gradient = _aten.threshold_backward.grad_input(gradient, kept[0], 0, grad_input=gradient)
    found: Tensor
    match step.layer:
        case Convolution():
            found = step.layer.back(gradient, size, strides)
        case nn.MaxPool2d():
            found = _aten.max_pool2d_with_indices_backward(
                gradient, _like(gradient, size, strides), [2, 2], [2, 2], [0, 0], [1, 1], False, kept[1]
            )
        case layer:
            found = gradient / layer.std
    return found


def _rows(values: Tensor, which: Tensor) -> Tensor:
    """Some of what a layer kept, which lies image by image whatever its order: copied by image and not by pixel."""
    if not values.is_contiguous(memory_format=torch.channels_last):
        return values.index_select(0, which)
    return values.permute(0, 2, 3, 1).index_select(0, which).permute(0, 3, 1, 2)


def _like(gradient: Tensor, size: torch.Size, strides: tuple[int, ...]) -> Tensor:
    """What stands for what a layer was given, of which nothing but its form is asked."""
    return gradient.new_empty_strided((len(gradient), *size), strides)
