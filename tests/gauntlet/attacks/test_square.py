from fractions import Fraction
from functools import partial
from math import sqrt

import pytest
import torch
from pyautoattack.square import SquareAttack
from torch import Tensor, nn

from gauntlet.attacks.known_layers import stack_of
from gauntlet.attacks.square import _window, square, square_where_stuck
from gauntlet.attacks.windows import Windowed

EPS = Fraction(1, 10)
# A square that changes a last bit alone may be kept or not, by the last bit of a margin.
assert_near = partial(torch.testing.assert_close, rtol=0, atol=1e-6)


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


def test_a_bright_image_stays_in_the_range_of_colours() -> None:
    """The stripes that the search starts from too, which break this one before any square is tried."""
    images = torch.zeros(1, 1, 8, 8)
    images[..., ::3] = 1
    generator = torch.Generator().manual_seed(1)
    found = square_where_stuck(lit(0.376), images, torch.tensor([0]), EPS, queries=0, generator=generator)
    assert not torch.equal(found, images)
    assert float(found.min()) == 0
    assert float(found.max()) == 1
    assert (found - images).abs().max() <= float(EPS) + 1e-6


def test_an_image_with_a_gradient_at_one_pixel_is_left_to_those_who_follow_it() -> None:
    """Stuck is where it is zero at all of them."""
    model = lit(0.3)
    model.get_parameter("1.weight").data[0, 1:] = 0
    images = torch.full((1, 1, 8, 8), 0.5)
    model.get_parameter("1.bias").data[0] = -0.4 / 64
    assert torch.equal(attacked(model, images, torch.tensor([1])), images)


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


def authors(model: nn.Module, queries: int, seed: int = 0) -> SquareAttack:
    """Their attack as AutoAttack asks for it."""
    return SquareAttack(model, eps=float(EPS), n_queries=queries, seed=seed, resc_schedule=False)


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (40, 17), (40_000, 50_000)])
def test_squares_shrink_as_the_authors_do(size: tuple[int, int]) -> None:
    """Over all 10,000 queries of the paper's schedule (§4), in pictures of any form; places are in the picture."""
    height, width = size
    schedule = authors(nn.Identity(), 10_000)
    starts = [1, *(10 * first for first in (1, 5, 20, 50, 100, 200, 400, 600, 800)), 9_998]
    for query in (query for start in starts for query in (start - 1, start, start + 1)):
        wanted = max(round(sqrt(schedule.p_selection(query) * height * width)), 1)
        random = torch.Generator().manual_seed(query)
        top, left, *sides = _window(query, height, width, random)
        assert sides == [min(wanted, height, width)] * 2
        assert 0 <= top <= height - sides[0]
        assert 0 <= left <= width - sides[1]


def striped(seed: int) -> nn.Module:
    """A convolution and a head, untrained, whose classes are near each other."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 48, 4))
    return model.eval().requires_grad_(requires_grad=False)


@pytest.mark.parametrize("pixels", [10**6, 5 * 48], ids=["at once", "in parts"])
def test_square_makes_the_authors_images(pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of pictures that are broken at once, on the way, or not at all, and of one that is wrong as it is."""
    monkeypatch.setattr("gauntlet.attacks.square._MOST_PIXELS", pixels)
    with torch.random.fork_rng():
        model = striped(0)
        images = torch.rand(24, 2, 6, 8, generator=torch.Generator().manual_seed(1))
        labels = model(images).argmax(dim=1)
        labels[3] = (labels[3] + 1) % 4
        attacked = [authors(model, queries, seed=5).perturb(images, labels) for queries in (1, 70)]
    stack = stack_of(model)
    assert stack is not None
    for wanted, queries in zip(attacked, (1, 70), strict=True):
        found = square(Windowed(model, stack), images, labels, EPS, queries=queries, seed=5)
        assert_near(found, wanted)
    soon, later = ((found != images).flatten(1).any(dim=1) for found in attacked)
    assert 0 < int(soon.sum()) < int(later.sum()) < 23
    assert torch.equal(attacked[1][3], images[3])


@pytest.mark.parametrize("second", [0, 3])
def test_a_tie_ends_the_search_and_is_no_error(second: int) -> None:
    """Where two classes are always alike the first is taken: as in the authors' code such an image stays as it was."""
    with torch.random.fork_rng():
        model = striped(0)
        for name in ("3.weight", "3.bias"):
            of_classes = model.get_parameter(name).data
            of_classes[second] = of_classes[2]
        images = torch.rand(24, 2, 6, 8, generator=torch.Generator().manual_seed(1))
        labels = model(images).argmax(dim=1)
        wanted = authors(model, 70, seed=5).perturb(images, labels)
    stack = stack_of(model)
    assert stack is not None
    found = square(Windowed(model, stack), images, labels, EPS, queries=70, seed=5)
    assert_near(found, wanted)
    changed = (found != images).flatten(1).any(dim=1)
    assert torch.equal(changed, model(found).argmax(dim=1) != labels)
    assert 0 < int(changed.sum()) < 24


def test_a_network_that_says_nothing_is_not_broken_by_it() -> None:
    """All its logits are alike everywhere: no image is changed, as it is taken for its class as before."""
    model = lit(2.0)
    model.get_parameter("3.bias").data[0] = 0
    images = torch.full((3, 1, 8, 8), 0.5)
    assert torch.equal(attacked(model, images, torch.zeros(3, dtype=torch.int64)), images)
