"""Whose kernels compute runs as one: Triton's or torch's."""

import logging
import os
import shutil
from typing import Final

import torch

from gauntlet.spec.runs.kinship import Kernels
from gauntlet.spec.runs.training import Precision

logger = logging.getLogger(__name__)

# Ampere, the first whose tensor cores multiply bfloat16 and TF32.
_AMPERE: Final = (8, 0)
# Of less the second block leaves nothing: ((10 − 2) / 2 − 2) / 2 = 1.
_SMALLEST_SIDE: Final = 10
# The kernels count the elements of a run's activations in 32 bits; the most are the first layer's, of as many channels.
_MOST_ELEMENTS: Final = 2**31
_CHANNELS: Final = 32
_NO_COMPILER: Final = "Triton finds no C compiler, which it needs at run time: install gcc and libc6-dev, or set CC"


def warn_once(told: set[str], sentence: str, error: Exception | None = None) -> None:
    """Log it, with the error's trace, unless it is `told`: a job makes programs anew whenever a run joins or leaves."""
    if sentence not in told:
        told.add(sentence)
        logger.warning("%s", sentence, exc_info=error)


def computed_by_triton(
    kernels: Kernels,
    precision: Precision,
    device: torch.device,
    images: tuple[int, int, int, int],
    told: set[str],
) -> bool:
    """Whether Triton's kernels are to be tried, on a run's batches of shape `images`, (n, c, h, w).

    `auto` takes them where they were measured, in bfloat16 and TF32, on a GPU of Ampere's generation or a newer one
    where Triton is installed. With `triton` they are wanted in float32 too, and on a CPU in Triton's interpreter; where
    that cannot be, the log says so. It says of either if Triton is there and does not load, or finds no C compiler; and
    each once, as long as `told` is the same set.
    """
    if kernels == "torch" or (kernels == "auto" and (device.type == "cpu" or precision == "fp32")):
        return False
    try:
        hindrance = _unfit(device, images) or _missing(device, images[1])
    except Exception as error:  # noqa: BLE001  # it may not suit whatever else is there; torch's kernels need none of it
        warn_once(told, "Torch's kernels compute these runs, for Triton cannot be loaded.", error)
        return False
    if hindrance is not None and (kernels == "triton" or hindrance == _NO_COMPILER):
        warn_once(told, f"Torch's kernels compute these runs, for {hindrance}.")
    return hindrance is None


def _unfit(device: torch.device, images: tuple[int, int, int, int]) -> str | None:
    count, _, *side = images
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < _AMPERE:
        return "the GPU is older than Ampere"
    if min(side) < _SMALLEST_SIDE:
        return "the images are smaller than the network's windows"
    if count * side[0] * side[1] * _CHANNELS >= _MOST_ELEMENTS:
        return f"a batch of {count} such images has more elements than Triton's kernels count"
    return None


def _missing(device: torch.device, channels: int) -> str | None:
    try:
        from gauntlet.training.fused import kernels
        from gauntlet.training.fused.features import MOST_FEW
    except ModuleNotFoundError as error:
        if error.name != "triton":
            raise
        return "Triton is not installed"
    if channels > MOST_FEW:
        return f"images have {channels} channels, above {MOST_FEW}"
    if kernels.INTERPRETED:
        return None
    if device.type == "cpu":
        return "Triton has no kernels for a CPU"
    # Where it looks itself.
    return None if os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang") else _NO_COMPILER
