"""Images and labels that a caller brings: checked, and made what the library keeps."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gauntlet.errors import ImagesInvalid

_LEVELS = 255
_IMAGES, _CHANNELS_SECOND = 4, "[n, channels, height, width]"
_USUAL_CHANNELS = (1, 3, 4)


def as_pixels(images: Tensor | ArrayLike) -> Tensor:
    """Images as uint8 [n, channels, height, width].

    Args:
        images: uint8, or floats in [0, 1], which are rounded to the nearest of the 256 levels of a pixel.

    Raises:
        ImagesInvalid: another type or shape, or values out of range.
    """
    found = _as_tensor(images, "Images")
    shape = list(found.shape)
    if found.dim() != _IMAGES:
        grey = " Grey images have one channel: images[:, None] adds it." if found.dim() == _IMAGES - 1 else ""
        raise ImagesInvalid(f"Images must be {_CHANNELS_SECOND}; these are of shape {shape}.{grey}")
    if shape[1] not in _USUAL_CHANNELS and shape[3] in _USUAL_CHANNELS:
        raise ImagesInvalid(
            f"Images must be {_CHANNELS_SECOND}; these are of shape {shape}, with the channels last. In torch "
            "images.permute(0, 3, 1, 2) brings them to their place."
        )
    if found.dtype == torch.uint8:
        return found
    if not found.is_floating_point():
        raise ImagesInvalid(f"Images must be uint8, or floats in [0, 1]; these are {_named(found)}.")
    found = found.float()
    _require_range(found)
    return (found * _LEVELS).round_().to(torch.uint8)


def require_unit(images: Tensor, labels: Tensor) -> None:
    """Check that these are images as models take them, floats in [0, 1] [n, channels, height, width], with int64 [n].

    Raises:
        ImagesInvalid: they are not.
    """
    if not images.is_floating_point() or images.dim() != _IMAGES:
        raise ImagesInvalid(
            f"Images must be floats in [0, 1], {_CHANNELS_SECOND}; these are {_named(images)} of shape "
            f"{list(images.shape)}."
        )
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        raise ImagesInvalid(
            f"Labels must be int64 [n], one for each of {len(images)} images; these are {_named(labels)} of shape "
            f"{list(labels.shape)}."
        )
    _require_range(images)


def _require_range(images: Tensor) -> None:
    if not bool(images.isfinite().all()):
        raise ImagesInvalid("Images must be in [0, 1], and these hold infinity or values that are no number.")
    if images.numel() and (float(images.min()) < 0 or float(images.max()) > 1):
        raise ImagesInvalid(
            f"Images of floats must be in [0, 1]; these reach from {float(images.min()):g} to {float(images.max()):g}. "
            "Divide by 255 what is on that scale; a normalisation belongs into the model."
        )


def as_labels(labels: Tensor | ArrayLike, images: Tensor) -> Tensor:
    """Labels as int64 [n], on the images' device.

    Args:
        labels: whole numbers from 0, [n].
        images: what they are of, [n, …].

    Raises:
        ImagesInvalid: another type or shape, or a negative label.
    """
    found = _as_tensor(labels, "Labels")
    if found.shape != (len(images),):
        one_hot = " Of one-hot rows labels.argmax(1) makes them." if found.dim() == 2 else ""  # noqa: PLR2004  # [n, classes]
        raise ImagesInvalid(
            f"Labels must be [n], one for each of {len(images)} images; these are of shape {list(found.shape)}."
            f"{one_hot}"
        )
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        raise ImagesInvalid(f"Labels must be whole numbers, each the position of a class; these are {_named(found)}.")
    # Of the larger unsigned types, which torch knows little of, it does not find the least.
    whole = found.to(images.device, torch.int64)
    if len(whole) and int(whole.min()) < 0:
        if found.dtype == torch.uint64:
            raise ImagesInvalid(f"Labels count classes; one of these is {int(whole.min()) + 2**64}, and no class is.")
        raise ImagesInvalid(f"Labels count from 0; the least of these is {int(whole.min())}.")
    return whole


def refuse_labels_beyond(labels: Tensor, classes: int) -> None:
    """Check that each label, int64 [n], has a class.

    Raises:
        ImagesInvalid: one has not.
    """
    if not len(labels):
        return
    least, greatest = int(labels.min()), int(labels.max())
    if least < 0 or greatest >= classes:
        raise ImagesInvalid(
            f"The images' labels are {least} to {greatest}, and those of {classes} classes are 0 to {classes - 1}."
        )


def refuse_unless_kept_so(images: Tensor, labels: Tensor) -> None:
    """Check that images and labels are as an image set keeps them; looks at types and shapes only.

    Raises:
        ImagesInvalid: they are not.
    """
    if (images.dtype, images.dim(), labels.dtype, labels.shape) != (
        torch.uint8,
        _IMAGES,
        torch.int64,
        images.shape[:1],
    ):
        raise ImagesInvalid(
            f"An ImageSet keeps images as uint8 {_CHANNELS_SECOND} and labels as int64 [n]; these are {_named(images)} "
            f"{list(images.shape)} and {_named(labels)} {list(labels.shape)}. ImageSet.of(images, labels) takes floats "
            "in [0, 1] too."
        )


def _as_tensor(values: Tensor | ArrayLike, what: str) -> Tensor:
    if isinstance(values, Tensor):
        if values.layout != torch.strided:
            raise ImagesInvalid(f"{what} must be dense: values.to_dense() makes them so.")
        return values.detach()
    try:
        # A copy: torch warns of arrays that it may not write to.
        return torch.from_numpy(np.array(values))
    except (TypeError, ValueError) as error:
        raise ImagesInvalid(f"{what} must be a tensor or an array of numbers: {error}.") from error


def _named(values: Tensor) -> str:
    return str(values.dtype).removeprefix("torch.")
