import torch
from pyautoattack.fab_projections import projection_linf
from torch import Tensor

from gauntlet.attacks.fab import moves_to_boundary


def random(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_the_moves_are_the_authors_projections() -> None:
    """Bit by bit: onto boundaries near and out of reach on either side, with pixels at their ends, equal and idle."""
    points = random(2, 60, 75, seed=0)
    points[:, :, :30] = (points[:, :, :30] * 4).round() / 4
    slope = random(60, 75, seed=1) - 0.5
    slope[:, ::7] = 0
    difference = (random(60, seed=2) - 0.5) * torch.tensor([0.5, 4, 60]).repeat(20)
    slope[-1], difference[-2] = 0, 0
    offset = -difference + (slope * points[0]).sum(dim=1)
    wanted = projection_linf(points.flatten(0, 1), torch.cat((slope, slope)), torch.cat((offset, offset)))
    found = moves_to_boundary(points, slope, difference).flatten(0, 1)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)
    lengths = wanted.abs().amax(dim=1)
    assert 20 < int((lengths < 0.2).sum()) < 100
