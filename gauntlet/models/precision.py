"""What a model computes in: fp32, TF32 products on a GPU, or bfloat16 inside."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gauntlet.errors import PrecisionUnsupported
from gauntlet.spec.runs.training import Precision

# From float32 images in [0, 1], [n, c, h, w], to float32 logits [n, classes].
Model = Callable[[Tensor], Tensor]


def in_precision(model: Model, precision: Precision) -> Model:
    """The model as a function from images to fp32 logits that computes inside in `precision`.

    Under bf16 convolutions and matrix products take bfloat16 inputs (torch's autocast); weights stay fp32.
    """
    if precision != "bf16":
        return model

    def in_bfloat16(images: Tensor) -> Tensor:
        # Each weight is cast once a pass, so there is nothing to cache; and a CUDA graph must not find a stale cast.
        with torch.autocast(images.device.type, torch.bfloat16, cache_enabled=False):
            logits: Tensor = model(images)
        return logits.float()

    return in_bfloat16


@contextmanager
def fp32_products(precision: Precision) -> Iterator[None]:
    """Inside, fp32 convolutions and matrix products on a GPU round their inputs to TF32 if `precision` is tf32.

    Otherwise they do not: torch's own default rounds a convolution's.
    """
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    _allow_tf32(matmul=precision == "tf32", convolutions=precision == "tf32")
    try:
        yield
    finally:
        _allow_tf32(matmul=before[0], convolutions=before[1])


def _allow_tf32(*, matmul: bool, convolutions: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = matmul
    torch.backends.cudnn.allow_tf32 = convolutions


def require_precision(precision: Precision, device: torch.device) -> None:
    """Check that the device can compute so.

    Raises:
        PrecisionUnsupported: it cannot.
    """
    if precision == "tf32" and device.type != "cuda":
        raise PrecisionUnsupported(f"training.precision tf32 needs a GPU, and this run is on {device.type}.")
