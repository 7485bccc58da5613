"""The order that pictures of one's own are in: never that of their classes, and the same every time."""

import torch
from torch import Tensor

from gauntlet import seeding

# Which images make up a subset is part of the protocol, so it does not follow the run's seed.
_ORDER_SEED = 0


def shuffled_order(count: int) -> Tensor:
    """The order of so many pictures, int64 [count]: every prefix is a fair sample."""
    return torch.randperm(count, generator=seeding.generator("cpu", _ORDER_SEED, "data order"))
