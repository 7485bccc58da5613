"""A convolutional network's logits where images differ in one window only from those that it has seen.

Square Attack asks for the scores of thousands of images, each of which is the best one so far but for one square. A
layer's output changes only where its input does, and a kernel's reach around it: only there is it computed, and the
rest is what it was. Measurements: docs/speed.md, "Speed of AutoAttack".
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.attacks.known_layers import Stack, border

# Convolutions of a single image differ in their last bits between a part of it and the whole.
_FEWEST_IMAGES = 2


class Window(NamedTuple):
    """`height` rows from `top` and `width` columns from `left`."""

    top: int
    left: int
    height: int
    width: int

    def of(self, values: Tensor) -> Tensor:
        """The view of values [n, c, h, w] in this window."""
        return values[:, :, self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class _Step:
    """A layer that looks at a pixel's neighbours, and those that follow it and do not."""

    layer: nn.Conv2d | nn.MaxPool2d
    after: list[nn.Module] = field(default_factory=list)

    def bordered(self, values: Tensor) -> Tensor:
        """What the layer is given, with a convolution's zeros around it."""
        if isinstance(self.layer, nn.MaxPool2d):
            return values
        top, left, bottom, right = border(self.layer)
        return F.pad(values, (left, right, top, bottom)).contiguous(memory_format=torch.channels_last)

    def reach(self, window: Window, rows: int, columns: int) -> tuple[Window, Window]:
        """Where the output changes with the bordered input in `window`, of so many rows and columns; what it is of."""
        if isinstance(self.layer, nn.MaxPool2d):
            top, height = _span(window.top // 2, (window.top + window.height + 1) // 2, rows)
            left, width = _span(window.left // 2, (window.left + window.width + 1) // 2, columns)
            return Window(top, left, height, width), Window(2 * top, 2 * left, 2 * height, 2 * width)
        down, right = (size - 1 for size in self.layer.kernel_size)
        top, height = _span(window.top - down, window.top + window.height, rows)
        left, width = _span(window.left - right, window.left + window.width, columns)
        return Window(top, left, height, width), Window(top, left, height + down, width + right)

    def computed(self, seen: Tensor) -> Tensor:
        """The outputs of a part of the bordered input, or of all of it."""
        if isinstance(self.layer, nn.MaxPool2d):
            values = F.max_pool2d(seen, 2)
        else:
            values = F.conv2d(seen, self.layer.weight, self.layer.bias, groups=self.layer.groups)
        return _through(self.after, values)


class Windowed:
    """A network in eval mode, and what its layers were given for the images in hand, which change window by window.

    The logits are the network's own, in their last bits where torch's kernels add a window up as they do the whole.
    There are no gradients.
    """

    def __init__(self, model: nn.Module, stack: Stack) -> None:
        self._model, self._head = model, stack.head
        self._before: list[nn.Module] = []
        self._steps: list[_Step] = []
        for layer in stack.spatial:
            if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
                self._steps.append(_Step(layer))
            else:
                (self._steps[-1].after if self._steps else self._before).append(layer)
        self.images = torch.empty(0)
        # The bordered input of each step, and the head's; how many rows and columns are used of each step's output.
        self._known: list[Tensor] = []
        self._used: list[tuple[int, int]] = []
        self._tried: list[tuple[Window, Tensor]] = []

    @torch.no_grad()
    def start(self, images: Tensor) -> Tensor:
        """Take images in hand, float32 [n, c, h, w]; their logits, [n, classes]."""
        self.images, self._known, self._used = images.clone(), [], []
        values = _through(self._before, self.images)
        for step in self._steps:
            self._known.append(step.bordered(values))
            values = step.computed(self._known[-1])
            self._used.append((values.shape[2], values.shape[3]))
        self._known.append(values)
        for number, step in enumerate(self._steps[1:]):
            if isinstance(step.layer, nn.MaxPool2d):
                # An odd last row or column is in none of its squares.
                rows, columns = self._used[number]
                self._used[number] = rows // 2 * 2, columns // 2 * 2
        # The head may work in place.
        return _through(self._head, values.clone())

    @torch.no_grad()
    def look(self, window: Window, values: Tensor) -> Tensor:
        """The logits [n, classes] that the images have with these values, [n, c, height, width], in the window."""
        self._tried = [(window, values)]
        if len(self.images) < _FEWEST_IMAGES:
            changed = self.images.clone()
            window.of(changed).copy_(values)
            logits: Tensor = self._model(changed)
            return logits
        values = _through(self._before, values)
        for step, known, (rows, columns) in zip(self._steps, self._known, self._used, strict=False):
            top, left, *_ = border(step.layer)
            window = window._replace(top=window.top + top, left=window.left + left)
            self._tried.append((window, values))
            window, reach = step.reach(window, rows, columns)
            seen = reach.of(known).clone(memory_format=torch.channels_last)
            _put(seen, reach, *self._tried[-1])
            values = step.computed(seen)
        self._tried.append((window, values))
        whole = self._known[-1].clone()
        window.of(whole).copy_(values)
        return _through(self._head, whole)

    def keep(self, which: Tensor) -> None:
        """Of these images, positions int64 [m], what was looked at last is what is in hand."""
        for known, (window, values) in zip([self.images, *self._known], self._tried, strict=False):
            _put(known, Window(0, 0, *known.shape[2:]), window, values, which)

    def go_on_with(self, which: Tensor) -> None:
        """Have these images alone in hand, positions int64 [m]."""
        self.images = self.images[which]
        self._known = [known[which] for known in self._known]
        self._tried = []


def _through(layers: list[nn.Module], values: Tensor) -> Tensor:
    for layer in layers:
        values = layer(values)
    return values


def _span(start: int, end: int, size: int) -> tuple[int, int]:
    """Where a span begins that lies within 0 and `size`, and its length: one at least."""
    start = min(max(start, 0), size - 1)
    return start, max(min(end, size) - start, 1)


def _put(target: Tensor, there: Window, here: Window, source: Tensor, which: Tensor | None = None) -> None:
    """Copy what two windows share from the values of one, `here`, to those of the other; of some images, or of all."""
    top, left = max(there.top, here.top), max(there.left, here.left)
    height = min(there.top + there.height, here.top + here.height) - top
    width = min(there.left + there.width, here.left + here.width) - left
    if height <= 0 or width <= 0:
        return
    part = Window(top - here.top, left - here.left, height, width).of(source)
    place = Window(top - there.top, left - there.left, height, width).of(target)
    if which is None:
        place.copy_(part)
    else:
        # By image, as they lie, and not by pixel.
        place.permute(0, 2, 3, 1).index_copy_(0, which, part.permute(0, 2, 3, 1).index_select(0, which))
