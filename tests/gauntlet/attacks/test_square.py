from fractions import Fraction

import torch
from torch import Tensor, nn

from gauntlet.attacks.square import square_where_stuck

EPS = Fraction(1, 10)


def lit(threshold: float) -> nn.Module:
    """Takes an image for class 1 where its mean is above the threshold, and has no gradient below it."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.ReLU(), nn.Linear(1, 2))
    weights = (
        torch.full((1, 64), 1 / 64),
        torch.tensor([-threshold]),
        torch.tensor([[0.0], [9.0]]),
        torch.tensor([1e-3, 0]),
    )
    for parameter, value in zip(model.parameters(), weights, strict=True):
        parameter.data.copy_(value)
    return model.requires_grad_(requires_grad=False)


def attacked(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return square_where_stuck(model, images, labels, EPS, queries=200, generator=generator)


def test_an_image_without_a_gradient_is_broken_by_squares() -> None:
    """One that can be reached; within the budget and [0, 1]. What has a gradient, or is out of reach, stays."""
    levels = torch.tensor([0.3, 0.1, 0.6, 0.02])
    images, labels = levels[:, None, None, None].expand(4, 1, 8, 8).contiguous(), torch.tensor([0, 0, 1, 0])
    found = attacked(lit(0.35), images, labels)
    changed = (found != images).flatten(1).any(dim=1)
    assert changed.tolist() == [True, False, False, False]
    assert lit(0.35)(found).argmax(dim=1).tolist() == [1, 0, 1, 0]
    assert (found - images).abs().max() <= float(EPS) + 1e-6
    assert 0 <= found.min() <= found.max() <= 1


def test_no_image_has_a_part_in_anothers_outcome() -> None:
    """In another order, in parts or by itself: the same pictures bit by bit."""
    images = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    images *= torch.linspace(0.1, 0.58, 7)[:, None, None, None]
    model, labels = lit(0.3), torch.zeros(7, dtype=torch.int64)
    found = attacked(model, images, labels)
    assert 0 < int((found != images).flatten(1).any(dim=1).sum()) < 7
    order = torch.tensor([3, 6, 0, 1, 5, 2, 4])
    assert torch.equal(attacked(model, images[order], labels), found[order])
    for some in (slice(0, 1), slice(1, 3), slice(3, 7)):
        assert torch.equal(attacked(model, images[some], labels[some]), found[some])


def test_images_that_all_have_a_gradient_stay_as_they_are() -> None:
    images = torch.linspace(0.5, 0.9, 3)[:, None, None, None].expand(3, 1, 8, 8).contiguous()
    assert torch.equal(attacked(lit(0.3), images, torch.ones(3, dtype=torch.int64)), images)
