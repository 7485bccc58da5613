"""A package with networks of a team's own, installed as pip would leave it."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gauntlet.models.own_networks import take_from

SETTING = "teamnets.nets:builders"
_CODE = """
import torch
from torch import nn

def linear(image_shape, classes, width=8):
    channels, height, side = image_shape
    rates = [float(rate) for rate in torch.linspace(0, 0.1, 2)]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(channels * height * side, width), nn.Dropout(rates[1]), nn.ReLU(),
        nn.Linear(width, classes),
    )

def softmax(image_shape, classes):
    return nn.Sequential(linear(image_shape, classes), nn.Softmax(dim=1))

def short(image_shape, classes):
    return linear(image_shape, classes - 1)

class Narrow(nn.Module):
    def __init__(self, channels, sides, classes):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(channels, 4, sides), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, classes)

    def forward(self, images):
        return self.head(self.features(images).view(len(images), -1))

def narrow(image_shape, classes):
    channels, *sides = image_shape
    return Narrow(channels, sides, classes)

builders = {"linear": linear, "softmax": softmax, "short": short, "narrow": narrow}
"""


@contextmanager
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The package `teamnets` 1.2, which the distribution `team-nets` brought, is there; gives the setting for it."""
    package, about = folder / "teamnets", folder / "team_nets-1.2.dist-info"
    package.mkdir(parents=True)
    about.mkdir()
    (package / "__init__.py").touch()
    (package / "nets.py").write_text(textwrap.dedent(_CODE))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: team-nets\nVersion: 1.2\n")
    (about / "top_level.txt").write_text("teamnets\n")
    monkeypatch.syspath_prepend(folder)
    take_from(SETTING)
    try:
        yield SETTING
    finally:
        take_from("")
