"""Whose kernels compute runs as one: Triton's or torch's."""

import logging
from typing import Final

import torch

from gauntlet.spec.runs.kinship import Kernels
from gauntlet.spec.runs.training import Precision

logger = logging.getLogger(__name__)

# Ampere, the first whose tensor cores multiply bfloat16 and TF32.
_AMPERE: Final = (8, 0)
# Of less the second block leaves nothing: ((10 − 2) / 2 − 2) / 2 = 1.
_SMALLEST_SIDE: Final = 10


def computed_by_triton(
    kernels: Kernels, precision: Precision, device: torch.device, image_shape: tuple[int, int, int]
) -> bool:
    """Whether Triton's kernels are to be tried.

    `auto` takes them where they were measured, in bfloat16 and TF32, on a GPU of Ampere's generation or a newer one
    where Triton is installed. With `triton` they are wanted in float32 too, and on a CPU in Triton's interpreter; where
    that cannot be, the log says so.
    """
    if kernels == "torch" or (kernels == "auto" and (device.type == "cpu" or precision == "fp32")):
        return False
    hindrance = _hindrance(device, image_shape)
    if hindrance is not None and kernels == "triton":
        logger.warning("Torch's kernels compute these runs, for %s.", hindrance)
    return hindrance is None


def _hindrance(device: torch.device, image_shape: tuple[int, int, int]) -> str | None:
    channels, *side = image_shape
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < _AMPERE:
        return "the GPU is older than Ampere"
    try:
        # Triton is not everywhere, and where it is it may not suit what else is there.
        from gauntlet.training.fused import kernels
        from gauntlet.training.fused.features import MOST_FEW
    except Exception as error:  # noqa: BLE001  # whatever it is, torch's kernels need none of it
        return f"Triton cannot be loaded ({type(error).__name__})"
    if device.type == "cpu" and not kernels.INTERPRETED:
        return "Triton has no kernels for a CPU"
    if channels > MOST_FEW:
        return f"images have {channels} channels, above {MOST_FEW}"
    return None if min(side) >= _SMALLEST_SIDE else "the images are smaller than the network's windows"
