"""Augmentation on the device: every image's changes are drawn from (seed, epoch, image), whichever batch it is in."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gauntlet import seeding
from gauntlet.spec.runs.augmentation import Augmentation


@dataclass(frozen=True)
class Changes:
    """What happens to each image of an epoch: bool [n], and int64 [n, 2] of (row, column) each.

    `crops` are corners in the padded image, `holes` the centres of what is cut out.
    """

    flips: Tensor
    crops: Tensor
    holes: Tensor

    def of(self, images: Tensor) -> "Changes":
        """Those of some of the images, int64 [m]."""
        return Changes(self.flips[images], self.crops[images], self.holes[images])


def draw_changes(
    spec: Augmentation, images: int, side: tuple[int, int], *, seed: int, epoch: int, device: torch.device
) -> Changes:
    """The epoch's changes to so many images of `side` (height, width)."""
    generator = seeding.generator("cpu", seed, "augmentation", epoch)

    def positions(height: int, width: int) -> Tensor:
        rows = torch.randint(height, (images,), generator=generator)
        return torch.stack([rows, torch.randint(width, (images,), generator=generator)], dim=1).to(device)

    flips = (torch.randint(2, (images,), generator=generator) == 1) & spec.flip
    reach = 2 * spec.crop_padding + 1
    return Changes(flips.to(device), positions(reach, reach), positions(*side))


def augmented(spec: Augmentation, images: Tensor, changes: Changes) -> Tensor:
    """uint8 [n, c, h, w] with each image's changes made; contiguous where the images are."""
    n, channels, height, width = images.shape
    rows = torch.arange(height, device=images.device) + changes.crops[:, :1]
    columns = torch.arange(width, device=images.device).expand(n, width)
    columns = torch.where(changes.flips[:, None], width - 1 - columns, columns) + changes.crops[:, 1:]
    padded = F.pad(images, [spec.crop_padding] * 4)
    each = torch.arange(n, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    moved = padded[each, channel, rows[:, None, :, None], columns[:, None, None, :]]
    if spec.cutout == 0:
        return moved
    return torch.where(_cut(spec.cutout, changes.holes, height, width), 0, moved)


def _cut(side: int, holes: Tensor, height: int, width: int) -> Tensor:
    """Where a square of `side` around each centre is, bool [n, 1, height, width]."""
    inside = [
        (at >= centre - side // 2) & (at < centre - side // 2 + side)
        for at, centre in (
            (torch.arange(height, device=holes.device), holes[:, :1]),
            (torch.arange(width, device=holes.device), holes[:, 1:]),
        )
    ]
    return (inside[0][:, :, None] & inside[1][:, None, :])[:, None]
