"""The device that a caller names."""

import torch

from gauntlet.errors import DeviceUnavailable


def found_device(device: torch.device | str) -> torch.device:
    """The device, which is there if it is a GPU of CUDA's.

    Raises:
        DeviceUnavailable: torch knows no such device, or finds fewer GPUs.
    """
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise DeviceUnavailable(
            f"torch knows no device {str(device)!r}: it is cpu, cuda, or cuda:1 and so on."
        ) from error
    if found.type != "cuda" or (found.index or 0) < (count := torch.cuda.device_count()):
        return found
    there = f"the last one that torch finds is cuda:{count - 1}" if count else "torch finds no GPU of CUDA's here"
    raise DeviceUnavailable(f"There is no device {found}: {there}. On device cpu everything can be computed, too.")
