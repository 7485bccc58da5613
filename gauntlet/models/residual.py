"""Residual networks for small images with normalisation before each convolution: PreActResNet-18 and Wide ResNets.

Tensor names are those of the published code, so that its weights fit.
"""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.models.initialisation import HeInitialised, TorchInitialised


def preactresnet18(channels: int, classes: int) -> nn.Module:
    """PreActResNet-18 (He et al. 2016b) as Wong et al. (2020) train it, with a normalisation before the last layer.

    It begins as torch begins layers, as in their code.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv1=nn.Conv2d(channels, 64, 3, padding=1, bias=False))
    before = 64
    for number, width in enumerate((64, 128, 256, 512), start=1):
        stride = 1 if number == 1 else 2
        layers[f"layer{number}"] = nn.Sequential(_PreActBlock(before, width, stride), _PreActBlock(width, width, 1))
        before = width
    layers["bn"] = nn.BatchNorm2d(before)
    layers["relu"] = nn.ReLU()
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["linear"] = nn.Linear(before, classes)
    return TorchInitialised(layers)


class _Block(nn.Module):
    """Two convolutions, each after a normalisation and a ReLU, beside what is kept of the images."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)

    @property
    def projection(self) -> nn.Module | None:
        """What brings the images to the block's width and stride, where these change."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """From float [n, before, h, w] to [n, width, ⌈h / stride⌉, ⌈w / stride⌉]."""
        active = F.relu(self.bn1(images))
        kept = images if self.projection is None else self.projection(active)
        changed: Tensor = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return changed + kept


class _PreActBlock(_Block):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__(before, width, stride)
        self.shortcut: nn.Sequential | None = None
        if stride != 1 or before != width:
            self.shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False))

    @property
    def projection(self) -> nn.Module | None:
        return self.shortcut


def wide_resnet(depth: int, widening: int, channels: int, classes: int) -> nn.Module:
    """WRN-`depth`-`widening` without dropout (Zagoruyko & Komodakis 2016), named and begun as in TRADES' code."""
    widths = [16, 16 * widening, 32 * widening, 64 * widening]
    blocks = (depth - 4) // 6
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv1=nn.Conv2d(channels, widths[0], 3, padding=1, bias=False))
    for number in (1, 2, 3):
        layers[f"block{number}"] = _WideGroup(blocks, widths[number - 1], widths[number], 1 if number == 1 else 2)
    layers["bn1"] = nn.BatchNorm2d(widths[3])
    layers["relu"] = nn.ReLU()
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(widths[3], classes)
    return HeInitialised(layers)


class _WideGroup(nn.Module):
    def __init__(self, blocks: int, before: int, width: int, stride: int) -> None:
        super().__init__()
        first = _WideBlock(before, width, stride)
        self.layer = nn.Sequential(first, *(_WideBlock(width, width, 1) for _ in range(blocks - 1)))

    def forward(self, images: Tensor) -> Tensor:
        """From float [n, before, h, w] to [n, width, ⌈h / stride⌉, ⌈w / stride⌉]."""
        changed: Tensor = self.layer(images)
        return changed


class _WideBlock(_Block):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__(before, width, stride)
        # Named as in the published weights.
        self.convShortcut = None if before == width else nn.Conv2d(before, width, 1, stride, bias=False)

    @property
    def projection(self) -> nn.Module | None:
        return self.convShortcut
