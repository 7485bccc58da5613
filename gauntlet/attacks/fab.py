"""Targeted FAB (Croce & Hein 2020, arXiv 1907.02044) under L∞, as AutoAttack asks for it: without restarts.

The same images as its authors' code makes, bit by bit, in less time. A step there projects twice on the half-space in
which the model, taken to be linear, is wrong: of what it computes for that, most is known already. A pixel can move by
p, to the end of [0, 1] that the gradient points to; what the authors' code gathers, multiplies and masks is p, |w| and
the sign of w in other words. Measurements: docs/speed.md, "Speed of AutoAttack".
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log2

import torch
from torch import Tensor

# What a step computes of so many images of 32 × 32 pixels stays in the cache.
_ROWS_OF_A_CACHE = 24
# From images [n, c, h, w] to logits [n, classes].
Model = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Steps:
    """How many; how far a step goes beyond the boundary, back from it, and at most towards the image itself."""

    count: int = 100
    beyond: float = 1.05
    back: float = 0.9
    homewards: float = 0.1


def fab_targeted(
    model: Model, images: Tensor, labels: Tensor, eps: float, *, targets: int, steps: Steps = Steps()
) -> Tensor:
    """For each image the nearest point found that the model takes for another class, on the way to several targets.

    Args:
        images: float32 [n, c, h, w] in [0, 1]; labels: int64 [n].
        targets: so many of the wrong classes, the likeliest first.

    Returns:
        float32 [n, c, h, w]: an image for which nothing was found within `eps` is as it was.
    """
    found = images.clone()
    left = (_taken_for(model, images) == labels).nonzero().flatten()
    for rank in range(2, targets + 2):
        if not len(left):
            break
        clean, right = images[left], labels[left]
        nearest = _towards(model, clean, right, rank, steps)
        far = (clean - nearest).abs().flatten(1).amax(dim=1) > eps
        stands = (_taken_for(model, nearest) == right) | far
        found[left[~stands]] = nearest[~stands]
        left = left[stands]
    return found


def _towards(model: Model, images: Tensor, labels: Tensor, rank: int, steps: Steps) -> Tensor:
    """The nearest misclassified point found on the way to the class of this rank of each image; the image if none."""
    found = images.clone()
    logits = _logits(model, images)
    right = (logits.max(dim=1)[1] == labels).nonzero().flatten()
    clean, own, target = images[right], labels[right], logits.sort(dim=-1)[1][right, -rank]
    if not len(right):
        return found
    # As in the authors' code: nothing is further than this.
    distance = torch.full((len(right),), 1e10, device=images.device)
    points = clean.clone()
    for _ in range(steps.count):
        points = _step(model, points, clean, own, target, steps)
        wrong = (_taken_for(model, points) != own).nonzero().flatten()
        if len(wrong):
            there, home = points[wrong], clean[wrong]
            away = there - home
            far = away.abs().flatten(1).amax(dim=1)
            nearer = far < distance[wrong]
            found[right[wrong[nearer]]] = there[nearer]
            distance[wrong[nearer]] = far[nearer]
            points[wrong] = away.mul_(steps.back).add_(home)
    return found


def _step(model: Model, points: Tensor, clean: Tensor, own: Tensor, target: Tensor, steps: Steps) -> Tensor:
    """Where the points go next, along the gradient at each."""
    rows = torch.arange(len(points), device=points.device)
    with torch.enable_grad():
        given = points.clone().requires_grad_()
        logits = model(given)
        difference = -(logits[rows, own] - logits[rows, target])
        (slope,) = torch.autograd.grad(difference.sum(), given)
    at_once = _ROWS_OF_A_CACHE if points.device.type == "cpu" else len(points)
    each = (points.split(at_once), clean.split(at_once), slope.split(at_once), difference.detach().split(at_once))
    return torch.cat([_moved(*some, steps) for some in zip(*each, strict=True)])


def _moved(points: Tensor, clean: Tensor, slope: Tensor, difference: Tensor, steps: Steps) -> Tensor:
    """Between the projections of the points and of the images, and beyond them."""
    count = len(points)
    both = torch.stack((points.flatten(1), clean.flatten(1)))
    moves = moves_to_boundary(both, slope.flatten(1), difference)
    lengths = moves.abs().amax(dim=2).clamp_min_(1e-8).view(2, count, 1, 1, 1)
    share = (lengths[0] / (lengths[0] + lengths[1])).clamp_(0, steps.homewards)
    there, home = moves.mul_(steps.beyond).view(2, *points.shape).unbind()
    return there.add_(points).mul_(1 - share).add_(home.add_(clean).mul_(share)).clamp_(0, 1)


def moves_to_boundary(points: Tensor, slope: Tensor, difference: Tensor) -> Tensor:
    """What leads from two points of each image to the nearest ones in [0, 1] where a linear function is zero.

    Args:
        points: float32 [2, n, d] in [0, 1]; slope: [n, d]; difference: [n], the function's value at the first point.

    Returns:
        float32 [2, n, d], from the projection of each point, in L∞; where there is none, as near as it goes.
    """
    values = (points * slope).sum(dim=2)
    excess = values - (values[0] - difference)
    signs = (excess >= 0).float() * 2 - 1
    slopes = slope * signs.unsqueeze(2)
    room = ((slopes < 0).float() - points).abs_().flatten(0, 1)
    steep = slopes.abs().flatten(0, 1)
    wanted = (-excess * signs).flatten()

    # Every pixel moves as far as it can, down to those that can by the least: what is gained when all move by so much.
    # Where nothing is negative, bits are ordered as their numbers are, and sooner.
    ascending, order = room.view(torch.int32).sort(dim=1)
    most = ascending.view(torch.float32).flip(1)
    steepest = steep.gather(1, order).flip(1)
    all_of_it = -(steep * room).sum(dim=1)
    gained = (steepest * most).cumsum(dim=1).add_(all_of_it.unsqueeze(1))
    slopes_so_far = steepest.cumsum(dim=1)

    beyond_all = wanted - (gained[:, -1] - slopes_so_far[:, -1] * most[:, -1]) > 0
    within = (wanted - all_of_it > 0) & ~beyond_all
    place = _last_within(gained, slopes_so_far, most, wanted)
    place[beyond_all] = room.shape[1] - 1
    place = place.unsqueeze(1)
    moved = (wanted - gained.gather(1, place)[:, 0]) / -slopes_so_far.gather(1, place)[:, 0]
    moved.clamp_min_(0)
    moved[~(within | beyond_all)] = torch.inf
    room[beyond_all] = torch.inf
    moves = torch.minimum(room, moved.unsqueeze(1)).view_as(points)
    return moves.mul_(slopes.sign_()).neg_()


def _last_within(gained: Tensor, slopes: Tensor, most: Tensor, wanted: Tensor) -> Tensor:
    """By halving, for each row the last place int64 [m] where the gain [m, d] still falls short of what is wanted."""
    low = torch.zeros(len(gained), dtype=torch.int64, device=gained.device)
    high = torch.full_like(low, gained.shape[1] - 1)
    for _ in range(ceil(log2(gained.shape[1]))):
        middle = (low + high) // 2
        at = middle.unsqueeze(1)
        short = wanted - (gained.gather(1, at) - slopes.gather(1, at) * most.gather(1, at)).squeeze(1) > 0
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return low


def _logits(model: Model, points: Tensor) -> Tensor:
    with torch.no_grad():
        return model(points)


def _taken_for(model: Model, points: Tensor) -> Tensor:
    return _logits(model, points).max(dim=1)[1]
