"""Networks that can be taken apart: stacks of layers of which each is known to do what its class says, and no more."""

from typing import NamedTuple

from torch import nn

from gauntlet.models.architectures import Normalise
from gauntlet.models.hooks import is_hooked
from gauntlet.models.layers import Dropout, MaxPool2x2

_DROPOUTS: set[type[nn.Module]] = {nn.Dropout, Dropout}
_LOCAL: set[type[nn.Module]] = {nn.Conv2d, nn.MaxPool2d, MaxPool2x2, nn.ReLU, Normalise}
# As they were when this was imported: a class that is patched later is another.
_KNOWN: tuple[type[nn.Module], ...] = (*_DROPOUTS, *_LOCAL, nn.Sequential, nn.Flatten, nn.Linear)
_FORWARD = {kind: kind.forward for kind in _KNOWN}


class Stack(NamedTuple):
    """A network in eval mode: layers that look at a pixel's neighbourhood, one after the other, and what flattens."""

    spatial: list[nn.Module]
    head: list[nn.Module]


def stack_of(model: nn.Module) -> Stack | None:
    """The layers of a network whose outputs change only where their inputs do, and a kernel's reach around it.

    They are normalisation, convolutions without stride, 2 × 2 pooling, ReLU and dropout, one after the other; then one
    that flattens; after it any. None where there are others, and where one of them, or what holds them, does more than
    its class says: has a hook, a parametrisation or a forward of its own, or is compiled.

    A ReLU in front of pooling layers stands behind them, where it gives the same of a quarter of the values.
    """
    layers = list(_flat(model))
    flattens = next((number for number, layer in enumerate(layers) if isinstance(layer, nn.Flatten)), 0)
    spatial = [layer for layer in layers[:flattens] if not is_idle(layer)]
    if not spatial or not all(map(_is_local, spatial)):
        return None
    for number in range(1, len(spatial)):
        before, layer = spatial[number - 1 : number + 1]
        if isinstance(before, nn.ReLU) and isinstance(layer, nn.MaxPool2d):
            spatial[number - 1 : number + 1] = layer, before
    return Stack(spatial, layers[flattens:])


def border(layer: nn.Conv2d | nn.MaxPool2d) -> tuple[int, int, int, int]:
    """Zeros above, on the left, below and on the right."""
    if isinstance(layer, nn.MaxPool2d) or layer.padding == "valid":
        return 0, 0, 0, 0
    if layer.padding == "same":
        # An even kernel has one row and one column of zeros more at the far ends.
        (top, bottom), (left, right) = (((size - 1) // 2, size // 2) for size in layer.kernel_size)
        return top, left, bottom, right
    height, width = map(int, layer.padding)
    return height, width, height, width


def is_idle(layer: nn.Module) -> bool:
    """Whether it does nothing in eval mode."""
    return type(layer) in _DROPOUTS and is_untouched(layer)


def is_untouched(module: nn.Module) -> bool:
    """Whether a call of the module is nothing but its class' forward, as torch or this library define it."""
    kind = type(module)
    return kind in _FORWARD and kind.forward is _FORWARD[kind] and not is_hooked(module)


def _flat(model: nn.Module) -> list[nn.Module]:
    if type(model) is nn.Sequential and is_untouched(model):
        return [layer for part in model for layer in _flat(part)]
    return [model]


def _is_local(layer: nn.Module) -> bool:
    # What inherits from them may do something else.
    if type(layer) not in _LOCAL or not is_untouched(layer):
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
