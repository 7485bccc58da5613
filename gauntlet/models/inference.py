"""A network as pictures are classified with it on a CPU: the same function, prepared once for many passes.

Convolutions and linear layers that stand in an `nn.Sequential` are computed by oneDNN with weights in its own order,
and with the ReLU behind them in the same pass over memory; torch's compiler does so too, but takes a C++ compiler and
half a minute. Of the paper's CNN a core with AVX-512 makes 10 % more pictures a second so, and 20 % more in bf16; one
by itself takes three quarters of the time.

A network's own code may ask for a part of an `nn.Sequential`, for a layer's weight or for its class. Only networks
whose code is known to call it as a whole are prepared.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from gauntlet.models import architectures, initialisation, layers, residual, torchvision_models, transformers
from gauntlet.models.hooks import is_hooked
from gauntlet.models.precision import Model, in_precision
from gauntlet.spec.runs.training import InferencePrecision

_FOR_PICTURES = 32
_LEVELS = 255
# Of these modules a network calls an `nn.Sequential` as a whole, and asks nothing of what is in it. Torchvision's were
# read; what wraps a team's own network is not among ours.
_KNOWN_CODE = {
    *(
        module.__name__
        for module in (architectures, initialisation, layers, residual, torchvision_models, transformers)
    ),
    *(f"torchvision.models.{name}" for name in ("alexnet", "resnet", "squeezenet", "vgg")),
}


def prepared(model: nn.Module, precision: InferencePrecision) -> Model:
    """A function from float32 images on the CPU to the float32 logits of `model`, which is in eval mode.

    Of a network of known code it is a copy, and its logits are the model's but for rounding; under bf16 they are nearer
    to those in fp32 than what `in_precision` makes of it. Any other network, and one that has a hook, is taken as it
    is. The model is never changed.
    """
    is_fast = torch.backends.mkldnn.is_available() and (
        precision == "fp32" or torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001  # the compiler's own question
    )
    if not is_fast or not all(map(_is_known, model.modules())):
        return in_precision(model, precision)
    network = deepcopy(model)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub lacks it
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    weighted = [each for each in network.modules() if type(each) in (nn.Conv2d, nn.Linear)]
    # Afterwards, for the walk would go on in what it finds changed.
    for parent in [each for each in network.modules() if type(each) is nn.Sequential]:
        _fuse(parent, dtype, weighted[:1], weighted[-1:])
    return in_precision(network, precision)


def _is_known(module: nn.Module) -> bool:
    """Whether it is torch's own or of known code, and does no more than its class says."""
    kind = type(module)
    # Of a class that somebody patched, the forward is another module's.
    return _is_read(kind.__module__) and _is_read(kind.forward.__module__) and not is_hooked(module)


def _is_read(source: str) -> bool:
    return source in _KNOWN_CODE or source.startswith("torch.nn.modules.")


def _fuse(sequence: nn.Sequential, dtype: torch.dtype, first: list[nn.Module], last: list[nn.Module]) -> None:
    """Put fused layers in the place of those that can be, and nothing in the place of their ReLUs.

    Of trained networks most of what bfloat16 does to a probability comes from the picture's own levels, rounded before
    the network's `first` layer, and from logits rounded after its `last`. The former are whole numbers of 8 bits when
    multiplied by 255, and the latter stay fp32. So four networks that were trained for the paper's claim gave 1,000
    images probabilities that were off by 0.03 at most, in the place of 0.09, and none or one of them another class,
    in the place of 10 to 167.
    """
    for place, layer in enumerate(list(sequence)):
        is_rectified = place + 1 < len(sequence) and type(sequence[place + 1]) is nn.ReLU
        after = "relu" if is_rectified else "none"
        if type(layer) is nn.Linear:
            sequence[place] = _Linear(layer, torch.float32 if layer in last else dtype, after)
        elif type(layer) is nn.Conv2d and (padding := _padding(layer)) is not None:
            sequence[place] = _Convolution(layer, padding, dtype, after, levels=_LEVELS if layer in first else 1)
        else:
            continue
        if is_rectified:
            sequence[place + 1] = nn.Identity()


def _padding(layer: nn.Conv2d) -> list[int] | None:
    """How many zeros a convolution adds on either side of height and width; None where it is not so simple."""
    if layer.padding_mode != "zeros":
        return None
    if not isinstance(layer.padding, str):
        return list(layer.padding)
    if layer.padding == "valid":
        return [0, 0]
    sides = [dilation * (size - 1) for dilation, size in zip(layer.dilation, layer.kernel_size, strict=True)]
    return None if any(side % 2 for side in sides) else [side // 2 for side in sides]


class _Convolution(nn.Module):
    """A convolution of images times `levels`, and what is done to each of its values after it ("relu" or "none")."""

    def __init__(self, layer: nn.Conv2d, padding: list[int], dtype: torch.dtype, after: str, *, levels: int) -> None:
        super().__init__()
        self._how = padding, list(layer.stride), list(layer.dilation), layer.groups
        # Sums in fp32 would be others in their last bits.
        self._levels = 1 if dtype == torch.float32 else levels
        weight = (layer.weight.detach() / self._levels).to(dtype).contiguous().to_mkldnn()
        self._weight = torch._C._nn.mkldnn_reorder_conv2d_weight(weight, *self._how)  # noqa: SLF001  # as torch.utils.mkldnn does
        self._bias = None if layer.bias is None else layer.bias.detach().to(dtype)
        self._dtype, self._after = dtype, after

    def forward(self, images: Tensor) -> Tensor:
        """From [n, channels, height, width] of any float type to one of the layer's own."""
        given = (images if self._levels == 1 else images * self._levels).to(self._dtype)
        found: Tensor = torch.ops.mkldnn._convolution_pointwise(  # noqa: SLF001  # what compiled code calls
            given, self._weight, self._bias, *self._how, self._after, [], ""
        )
        return found


class _Linear(nn.Module):
    """A linear layer, and what is done to each of its values after it ("relu" or "none")."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype, after: str) -> None:
        super().__init__()
        weight = layer.weight.detach().to(dtype).contiguous()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, _FOR_PICTURES)  # noqa: SLF001  # as above
        self._bias = None if layer.bias is None else layer.bias.detach().to(dtype)
        self._dtype, self._after = dtype, after

    def forward(self, values: Tensor) -> Tensor:
        """From [n, features] of any float type to one of the layer's own."""
        given = values.to(self._dtype)
        found: Tensor = torch.ops.mkldnn._linear_pointwise(given, self._weight, self._bias, self._after, [], "")  # noqa: SLF001  # as above
        return found
