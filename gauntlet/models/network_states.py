"""What the state of a network of the catalogue is like, without its numbers."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from gauntlet.models.architectures import build_model
from gauntlet.models.torchvision_models import shapes_only
from gauntlet.spec.runs.architectures import ArchitectureSpec, Custom, Torchvision


def empty_state(architecture: ArchitectureSpec, image_shape: tuple[int, int, int], classes: int) -> dict[str, Tensor]:
    """A network's tensors without memory of their own: a file is not worth it before its shapes are known to fit.

    Raises:
        ModelUnfit: torchvision's network of that name takes no images of that size.
    """
    with _without_memory(architecture):
        return dict(build_model(architecture, image_shape, classes).state_dict())


def described(architecture: ArchitectureSpec, image_shape: tuple[int, int, int], classes: int) -> str:
    """Such a network, in words."""
    channels, height, width = image_shape
    name = architecture.name if isinstance(architecture, Torchvision) else architecture.kind
    return f"{name} for {classes} classes of {channels} × {height} × {width} images"


def _without_memory(architecture: ArchitectureSpec) -> AbstractContextManager[Any]:
    match architecture:
        case Custom():
            # Code of others computes with tensors while it builds, as for rates that grow with the depth.
            return torch.device("cpu")
        case Torchvision():
            return shapes_only(architecture.name)
        case _:
            return torch.device("meta")
