import torch
from pyautoattack.fab_projections import projection_linf
from pyautoattack.fab_pt import FABAttack_PT
from torch import Tensor, nn

from gauntlet.attacks.fab import Steps, fab_targeted, moves_to_boundary


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


class Bowls(nn.Module):
    """Five classes of 12 pixels, whose boundaries are curved, and the nearest not always the likeliest's."""

    def __init__(self) -> None:
        super().__init__()
        self.centres, self.steep = random(5, 12, seed=3), torch.tensor([0.4, 0.6, 0.8, 1.2, 2])

    def forward(self, images: Tensor) -> Tensor:
        apart = images.flatten(1)[:, None] - self.centres
        return -self.steep * (apart * apart * (1 + apart)).sum(dim=2)


def test_the_points_are_the_authors() -> None:
    """Of images for which the likeliest target does, a later one, or none, and of one wrong as it is."""
    model, images = Bowls(), random(40, 1, 3, 4, seed=4)
    labels = model(images).argmax(dim=1)
    labels[5] = (labels[5] + 1) % 5
    left = []
    for targets, steps in ((1, 1), (1, 20), (4, 20)):
        package = FABAttack_PT(
            model, norm="Linf", n_iter=steps, eps=0.1, targeted=True, n_target_classes=targets, device=images.device
        )
        with torch.random.fork_rng():
            wanted = package.perturb(images, labels)
        found = fab_targeted(model, images, labels, 0.1, targets=targets, steps=Steps(steps))
        # Where a processor adds up in another order it is another last bit.
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
        left.append(int((found == images).flatten(1).all(dim=1).sum()))
        assert torch.equal(found[5], images[5])
    # Where no image is left before the last target nothing is looked at further.
    fallen = (found != images).flatten(1).any(dim=1)
    again = fab_targeted(model, images[fallen], labels[fallen], 0.1, targets=4, steps=Steps(20))
    torch.testing.assert_close(again, found[fallen], rtol=0, atol=1e-6)
    assert 39 > left[0] > left[1] > left[2] > 1, left


def test_the_steps_are_those_of_autoattack() -> None:
    """100 of them, 1.05 beyond the boundary, back to 0.9, and at most a tenth towards the image (§3.1, §4)."""
    package = FABAttack_PT(nn.Identity(), eps=0.1)
    assert Steps() == Steps(package.n_iter, package.eta, package.beta, package.alpha_max)
    assert Steps() == Steps(100, 1.05, 0.9, 0.1)
