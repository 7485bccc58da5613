"""A convolutional network's logits where images differ from earlier ones in a small window only.

Square Attack asks for the scores of thousands of images, each of which is the best one so far but for a square of at
most a few pixels. A layer's output changes only where its input does, and a kernel's reach around it: only there is it
computed, and the rest is what it was. Measurements: docs/experiments.md, "Speed of AutoAttack".
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from gauntlet.models.architectures import Normalise
from gauntlet.models.layers import Dropout, MaxPool2x2

# Above this side a network for small images changes nearly everywhere.
_LARGEST_SIDE = 8
# What is remembered takes up to 1.5 KB a pixel for the paper's network: at most 190 MB.
_MOST_PIXELS = 128 * 32 * 32
_DROPOUTS: set[type[nn.Module]] = {nn.Dropout, Dropout}
_LOCAL: set[type[nn.Module]] = {nn.Conv2d, nn.MaxPool2d, MaxPool2x2, nn.ReLU, Normalise}
# As they were when this was imported: a class that is patched later is another.
_KNOWN: tuple[type[nn.Module], ...] = (*_DROPOUTS, *_LOCAL, nn.Sequential)
_FORWARD = {kind: kind.forward for kind in _KNOWN}
# What is in a module's own dictionary if something was done to it.
_MARKS = (
    "forward",
    "_forward_pre_hooks",
    "_forward_hooks",
    "_backward_pre_hooks",
    "_backward_hooks",
    "_compiled_call_impl",
)
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


class Windowed(nn.Module):
    """A model in eval mode, without gradients, that remembers what it was last given.

    Whatever that was, the logits are the model's: how the images differ from the remembered ones is compared pixel by
    pixel, and where that is no small window, all is computed.
    """

    def __init__(self, model: nn.Module, spatial: list[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self._model, self._spatial, self._head = model, spatial, head
        # The input of each layer, and of the head: for the images in hand, and for those last tried in their place.
        self._known: list[Tensor] = []
        self._tried: list[tuple[Window, Tensor]] = []
        self._last = torch.empty(0)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """From float32 [n, c, h, w] to logits [n, classes]."""
        logits: Tensor
        if len(images) < _FEWEST_IMAGES or images[:, 0].numel() > _MOST_PIXELS:
            logits = self._model(images)
            return logits
        self._recall(images)
        window = _bounds(self._changed(images))
        self._last = images.clone()
        self._tried = self._computed(window, window.of(self._last))
        whole = self._known[-1].clone()
        window, values = self._tried[-1]
        window.of(whole).copy_(values)
        logits = self._head(whole)
        return logits

    def forget(self) -> None:
        """Let go of what is remembered; whatever comes next is computed whole."""
        self._known, self._tried, self._last = [], [], torch.empty(0)

    def _recall(self, images: Tensor) -> None:
        """Have something known of each image, at first itself."""
        if not self._known or self._known[0].shape[1:] != images.shape[1:]:
            self._known, self._tried, self._last = [images.clone()], [], images.clone()
            for layer in self._spatial:
                self._known.append(layer(self._known[-1]))
        elif len(self._known[0]) != len(images):
            # Square goes on with those of the images that it has not broken.
            alike = torch.stack([_count(self._known[0] == image).argmax() for image in images])
            self._known = [known[alike] for known in self._known]
            self._tried = [(window, values[alike]) for window, values in self._tried]
            self._last = self._last[alike]

    def _changed(self, images: Tensor) -> Tensor:
        """Which pixels differ from the known ones, bool [n, c, h, w], once what was tried and kept has become known."""
        differs = images != self._known[0]
        if self._tried:
            window, tried = self._tried[0]
            # Whichever it is more like; where two squares overlap that can be wrong, which what follows mends.
            kept = _count(window.of(images) != tried) < _count(window.of(differs))
            for known, (place, values) in zip(self._known, self._tried, strict=True):
                place.of(known)[kept] = values[kept]
            window.of(differs).copy_(window.of(images) != window.of(self._known[0]))
        if not _is_small(_bounds(differs)):
            # What two batches in succession have in common, and is not known, belongs to what they start from.
            lasting = differs & (images == self._last)
            window = _bounds(lasting)
            if _is_small(window):
                values = torch.where(window.of(lasting), window.of(images), window.of(self._known[0]))
                self._keep(self._computed(window, values))
                differs = differs & ~lasting
        return differs

    def _computed(self, window: Window, values: Tensor) -> list[tuple[Window, Tensor]]:
        """The inputs of the layers and of the head with the values in the known images' window, where they change."""
        found = [(window, values)]
        for layer, known in zip(self._spatial, self._known, strict=False):  # the last is the head's
            found.append(_through(layer, known, *found[-1]))
        return found

    def _keep(self, computed: list[tuple[Window, Tensor]]) -> None:
        for known, (window, values) in zip(self._known, computed, strict=True):
            window.of(known).copy_(values)


def _bounds(differs: Tensor) -> Window:
    """The least square that holds all places where it is so for any image, or all where that is no small one.

    Args:
        differs: bool [n, c, h, w].
    """
    somewhere = differs.any(dim=0).any(dim=0)
    height, width = somewhere.shape
    rows, columns = somewhere.any(dim=1).nonzero(), somewhere.any(dim=0).nonzero()
    if not len(rows):
        return Window(0, 0, 1, 1)
    top, left = int(rows[0]), int(columns[0])
    side = max(int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left)
    if side > min(_LARGEST_SIDE, height, width):
        return Window(0, 0, height, width)
    return Window(min(top, height - side), min(left, width - side), side, side)


def _is_small(window: Window) -> bool:
    return max(window.height, window.width) <= _LARGEST_SIDE


def windowed(model: nn.Module) -> Windowed | None:
    """The model for images of which each is nearly the last; None where its layers are not of the known kinds.

    They are normalisation, convolutions without stride, 2 × 2 pooling, ReLU and dropout, one after the other; then one
    that flattens; after it any. None, too, where one of them, or what holds them, does more than its class says: has a
    hook, a parametrisation or a forward of its own, or is compiled. What comes after is called as it is.
    """
    layers = list(_flat(model))
    flattens = next((number for number, layer in enumerate(layers) if isinstance(layer, nn.Flatten)), 0)
    spatial = [layer for layer in layers[:flattens] if not (type(layer) in _DROPOUTS and _is_untouched(layer))]
    if not spatial or not all(map(_is_local, spatial)):
        return None
    return Windowed(model, spatial, nn.Sequential(*layers[flattens:]))


def _flat(model: nn.Module) -> list[nn.Module]:
    if type(model) is nn.Sequential and _is_untouched(model):
        return [layer for part in model for layer in _flat(part)]
    return [model]


def _is_untouched(module: nn.Module) -> bool:
    """Whether a call of the module is nothing but its class' forward, as torch or this library define it.

    Parametrisations change a module's class; pruning and the older weight and spectral norms hook it.
    """
    marks = vars(module)
    patched = type(module).forward is not _FORWARD[type(module)]
    return not (any(marks.get(mark) for mark in _MARKS) or patched or _has_any_global_hook())


def _is_local(layer: nn.Module) -> bool:
    # What inherits from them may do something else.
    if type(layer) not in _LOCAL or not _is_untouched(layer):
        return False
    match layer:
        case nn.Conv2d():
            return layer.padding_mode == "zeros" and {*layer.stride, *layer.dilation} == {1}
        case nn.MaxPool2d():
            return (layer.kernel_size, layer.stride, layer.padding, layer.dilation) == (
                2,
                2,
                0,
                1,
            ) and not layer.ceil_mode
        case nn.ReLU():
            return not layer.inplace
        case _:
            return True


def _through(layer: nn.Module, known: Tensor, window: Window, values: Tensor) -> tuple[Window, Tensor]:
    """Where a layer's output may change, and what it is there, if `values` replace the known input in `window`.

    The outputs' window has one size for one size of the inputs', wherever that is: oneDNN prepares a kernel for every
    shape and keeps a thousand.
    """
    if values.shape == known.shape:
        whole: Tensor = layer(values)
        return Window(0, 0, *whole.shape[2:]), whole
    match layer:
        case nn.Conv2d():
            (kh, kw), (ph, pw) = layer.kernel_size, _padding(layer)
            rows, columns = known.shape[2:]
            if layer.padding != "same":  # there an even kernel has one row and one column of zeros more at the far ends
                rows, columns = rows + 2 * ph - kh + 1, columns + 2 * pw - kw + 1
            top, height = _span(window.top + ph - kh + 1, window.height + kh - 1, rows)
            left, width = _span(window.left + pw - kw + 1, window.width + kw - 1, columns)
            seen = _laid_over(known, window, values, Window(top - ph, left - pw, height + kh - 1, width + kw - 1))
            return Window(top, left, height, width), F.conv2d(seen, layer.weight, layer.bias, groups=layer.groups)
        case nn.MaxPool2d():
            top, height = _span(window.top // 2, window.height // 2 + 1, known.shape[2] // 2)
            left, width = _span(window.left // 2, window.width // 2 + 1, known.shape[3] // 2)
            seen = _laid_over(known, window, values, Window(2 * top, 2 * left, 2 * height, 2 * width))
            return Window(top, left, height, width), layer(seen)
        case _:
            return window, layer(values)


def _span(start: int, length: int, size: int) -> tuple[int, int]:
    """A span moved to lie within 0 and `size`, and cut where it is longer."""
    length = min(length, size)
    return min(max(start, 0), size - length), length


def _padding(layer: nn.Conv2d) -> tuple[int, int]:
    """Rows of zeros above and columns of zeros on the left."""
    match layer.padding:
        case "same":
            height, width = ((size - 1) // 2 for size in layer.kernel_size)
        case "valid":
            height = width = 0
        case _:
            height, width = map(int, layer.padding)
    return height, width


def _laid_over(known: Tensor, window: Window, values: Tensor, reach: Window) -> Tensor:
    """The known values in `reach` (zero outside the image), with `values` over them where `window` is in it."""
    n, channels, height, width = known.shape
    shape = n, reach.height, reach.width, channels
    inside = min(reach.top, reach.left, height - reach.top - reach.height, width - reach.left - reach.width) >= 0
    seen = (known.new_empty(shape) if inside else known.new_zeros(shape)).permute(0, 3, 1, 2)
    _put(seen, reach, known, Window(0, 0, height, width))
    _put(seen, reach, values, window)
    return seen


def _put(target: Tensor, there: Window, source: Tensor, here: Window) -> None:
    """Copy what two windows share from the values of one, `here`, to those of the other."""
    top, left = max(there.top, here.top), max(there.left, here.left)
    height = min(there.top + there.height, here.top + here.height) - top
    width = min(there.left + there.width, here.left + here.width) - left
    if height > 0 and width > 0:
        part = Window(top - here.top, left - here.left, height, width).of(source)
        Window(top - there.top, left - there.left, height, width).of(target).copy_(part)


def _count(where: Tensor) -> Tensor:
    """How often it is so for each image, int64 [n]."""
    return where.flatten(1).sum(dim=1)
