"""PGD, MultiTargeted, MM and PMA step by step: where each step leads, towards which class, and which point is kept."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from math import cos, pi

import pytest
import torch
from torch import Tensor, nn

from gauntlet.attacks.gradient import direction, noise, pgd, random_point
from gauntlet.attacks.probability_margin import (
    _PASSES,
    pma,
    probability_margin,
    right_probability,
    wrong_probability,
)
from gauntlet.attacks.standing import Attacked, Objective, Standing, gradient_of, logits_of
from gauntlet.attacks.targeted import difference, minimum_margin, multitargeted
from gauntlet.spec.evaluations.attacks import Norm, TargetLoss
from tests.gauntlet.attacks.hills import (
    COUNT,
    EPS,
    HELD,
    NORMS,
    Hills,
    Point,
    height_and_slope,
    is_wrong,
    moved,
    nearest,
    points,
    somewhere,
)

STEPS = 12
# Single precision, over a dozen steps.
assert_near = partial(torch.testing.assert_close, rtol=0, atol=1e-4)
RIGHT = torch.zeros(COUNT, dtype=torch.int64)


def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def clean() -> Tensor:
    return somewhere().float()


def walk(clean: Point, start: Point, norm: Norm, share: float = 2.5 / STEPS) -> list[Point]:
    """Madry et al. 2018: steps of 2.5 · eps / steps along the gradient, each followed by the projection."""
    way = [start]
    for _ in range(STEPS):
        _, slope = height_and_slope(way[-1])
        way.append(nearest(moved(way[-1], slope, share * float(EPS), norm), clean, norm))
    return way


@pytest.mark.parametrize("norm", NORMS)
def test_pgd_keeps_the_last_misclassified_point(clean: Tensor, norm: Norm) -> None:
    """Of the first start that leads to one; later starts are for the others, of which the last point is returned."""
    model = Hills(HELD)
    found = pgd(
        model, clean, RIGHT, EPS, norm=norm, steps=STEPS, restarts=3, loss="margin", stops=False, generator=random()
    )
    standing, lasted = list(range(COUNT)), []
    for restart in range(3):
        calls = model.seen[restart * (STEPS + 1) : (restart + 1) * (STEPS + 1)]
        assert len(calls[0]) == len(standing)
        for number, start in zip(list(standing), points(calls[0]), strict=True):
            own = points(clean)[number]
            assert nearest(start, own, norm) == pytest.approx(start, abs=1e-6)
            way = walk(own, start, norm)
            wrong = [point for point in way if is_wrong(point)]
            if wrong or restart == 2:
                kept = torch.tensor(wrong[-1] if wrong else way[-1])
                assert_near(found[number].flatten(), kept)
            if wrong:
                standing.remove(number)
        lasted.append(len(standing))
    assert COUNT > lasted[0] >= lasted[2] > 0
    # In the square a gradient leads to the same corners from almost anywhere.
    assert norm == "Linf" or lasted[0] > lasted[1]
    assert len(model.seen) == 3 * (STEPS + 1)


def test_a_step_of_pgd_may_be_given_in_budgets(clean: Tensor) -> None:
    """Then its length does not follow from how many there are."""
    model = Hills(held=4)
    pgd(
        model,
        clean,
        RIGHT,
        EPS,
        norm="L2",
        steps=STEPS,
        restarts=1,
        loss="margin",
        step=0.3,
        stops=False,
        generator=random(),
    )
    for own, *ways in zip(points(clean), *map(points, model.seen), strict=True):
        assert_near(torch.tensor(ways), torch.tensor(walk(own, ways[0], "L2", 0.3)))
    assert len(model.seen) == STEPS + 1


@pytest.mark.parametrize("norm", NORMS)
def test_multitargeted_leaves_an_image_at_its_first_misclassified_point(clean: Tensor, norm: Norm) -> None:
    """With the steps of PGD, from a start that all images have in common but for the bounds of [0, 1]."""
    model, clean = Hills(HELD), clean.clone()
    clean[0], clean[1] = 0, 1
    found = multitargeted(model, clean, RIGHT, EPS, norm=norm, targets=1, steps=STEPS, generator=random())
    # The first call ranks the classes.
    ranked, starts, *_ = model.seen
    assert torch.equal(ranked, clean)
    assert 0 <= starts.min() <= starts.max() <= 1
    assert (starts[0] == 0).sum() + (starts[1] == 1).sum() == 2
    assert (starts - clean).abs().max() <= float(EPS) + 1e-6
    away = (starts - clean)[((starts > 0) & (starts < 1)).flatten(1).all(dim=1)]
    assert_near(away, away[:1].expand_as(away))
    lengths = []
    for number, (own, start) in enumerate(zip(points(clean), points(starts), strict=True)):
        way = walk(own, start, norm)
        wrong = [step for step, point in enumerate(way) if is_wrong(point)]
        lengths.append(wrong[0] if wrong else -1)
        assert_near(found[number].flatten(), torch.tensor(way[lengths[-1]], dtype=torch.float32))
    assert {-1, 0} < set(lengths)
    assert len(set(lengths)) > 2


@pytest.mark.parametrize("norm", NORMS)
def test_each_image_leaves_pma_by_itself(clean: Tensor, norm: Norm) -> None:
    """At its first misclassified point; the others go on, along a cosine anew in each part of an odd number of steps.

    Of two classes all its losses have one direction.
    """
    model, steps, clean = Hills(HELD), 7, clean.clone()
    clean[0], clean[1] = 0, 1
    found = pma(model, clean, RIGHT, EPS, norm=norm, steps=steps, generator=random())
    reach = [float(EPS) * (1 + cos(pi * number / of)) for of in (3, 4) for number in range(of)]
    lengths, ends = [], []
    for number, (own, start) in enumerate(zip(points(clean), points(model.seen[0]), strict=True)):
        way = [start]
        for length in reach:
            _, slope = height_and_slope(way[-1])
            way.append(nearest(moved(way[-1], slope, length, norm), own, norm))
        wrong = [step for step, point in enumerate(way) if is_wrong(point)]
        lengths.append(wrong[0] if wrong else -1)
        if wrong:
            assert_near(found[number].flatten(), torch.tensor(way[wrong[0]], dtype=torch.float32))
        if lengths[-1] in {-1, steps}:
            ends.append(way[-1])
    assert {-1, 0} < set(lengths)
    assert_near(model.seen[steps].flatten(1), torch.tensor(ends, dtype=torch.float32))
    everywhere = torch.cat(model.seen)
    assert 0 <= everywhere.min() <= everywhere.max() <= 1
    # A second pass is for those that are left.
    second = model.seen[steps + 1]
    assert len(second) == lengths.count(-1)
    assert len(model.seen) == 2 * (steps + 1)


def test_pma_ascends_one_term_and_then_both(clean: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """−p_y in the first half of the first pass and p_t in that of the second, and their sum in the rest."""
    assert ((right_probability, probability_margin), (wrong_probability, probability_margin)) == _PASSES
    ascended: list[str] = []

    def noted(name: str) -> Objective:
        def objective(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
            ascended.append(name)
            return difference(logits, labels, targets)

        return objective

    passes = ((noted("p_y"), noted("both")), (noted("p_t"), noted("all")))
    monkeypatch.setattr("gauntlet.attacks.probability_margin._PASSES", passes)
    pma(Hills(held=4), clean, RIGHT, EPS, norm="Linf", steps=7, generator=random())
    assert ascended == ["p_y"] * 3 + ["both"] * 4 + ["p_t"] * 3 + ["all"] * 4


def test_where_all_images_fall_nothing_is_looked_at_further(clean: Tensor) -> None:
    """At their start already, which is what is found of them, or by PGD at their last point; no more is tried."""
    for attack in (multitargeted, minimum_margin):
        model = Hills(held=-1)
        found = attack(model, clean, RIGHT, EPS, norm="Linf", targets=1, steps=STEPS, generator=random())
        assert torch.equal(found, model.seen[1])
        assert len(model.seen) == 2
    model = Hills(held=-1)
    assert torch.equal(pma(model, clean, RIGHT, EPS, norm="Linf", steps=7, generator=random()), model.seen[0])
    assert len(model.seen) == 1
    model = Hills(held=-1)
    found = pgd(
        model, clean, RIGHT, EPS, norm="L2", steps=STEPS, restarts=2, loss="margin", stops=False, generator=random()
    )
    assert torch.equal(found, model.seen[STEPS])
    assert len(model.seen) == STEPS + 1


class Doors(nn.Module):
    """Five classes, each of which gains with a pixel of its own; the right one, 2, is never left."""

    def __init__(self, levels: Tensor) -> None:
        super().__init__()
        self.levels = levels
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach().clone())
        return images.flatten(1)[:, :5] * 0.1 + images.flatten(1)[:, 5:] + torch.tensor([0, 0, 9.0, 0, 0])


@pytest.mark.parametrize("targets", [1, 3, 9])
@pytest.mark.parametrize(
    "attack", [minimum_margin, partial(minimum_margin, loss="scaled"), multitargeted], ids=["mm", "scaled", "mt"]
)
def test_the_likeliest_wrong_classes_are_tried_in_turn(attack: Callable[..., Tensor], targets: int) -> None:
    """As the image itself ranks them, each image by its own order and equal ones in theirs; every wrong one at most."""
    levels = torch.tensor(
        [[0.1, 0.2, 0, 0.3, 0.4], [0.4, 0.2, 0, 0.3, 0.1], [0.2, 0.2, 0, 0.2, 0.2], [0.0, 0.9, 0, 0, 0.5]]
    )
    images = torch.cat([torch.full_like(levels, 0.5), levels], dim=1)[:, None, None]
    model = Doors(levels)
    found = attack(model, images, torch.full((4,), 2), EPS, norm="Linf", targets=targets, steps=3, generator=random())
    ascents = [
        torch.stack(model.seen[1 + 4 * rank : 5 + 4 * rank]).flatten(2) for rank in range((len(model.seen) - 1) // 4)
    ]
    ranked = torch.tensor([[4, 3, 1, 0], [0, 3, 1, 4], [0, 1, 3, 4], [1, 4, 0, 3]])
    assert len(ascents) == min(targets, 4)
    for ascent, wanted in zip(ascents, ranked.T, strict=False):
        rose = ascent[-1, :, :5] - ascent[0, :, :5]
        rose[:, 2] = 0
        assert rose.argmax(dim=1).tolist() == wanted.tolist()
        assert torch.allclose(ascent[-1].gather(1, wanted[:, None]), torch.tensor(0.6))
    assert torch.equal(found.flatten(1), ascents[-1][-1])


@pytest.mark.parametrize("norm", NORMS)
def test_a_random_point_follows_from_its_generator(clean: Tensor, norm: Norm) -> None:
    """Its direction and its distance: torch's own numbers are neither used nor changed."""
    before, found = torch.get_rng_state(), []
    with torch.random.fork_rng():
        for seed in (1, 2):
            torch.manual_seed(seed)
            found.append(random_point(clean, EPS, norm, random()))
    assert torch.equal(*found)
    assert torch.equal(random_point(clean, EPS, norm, random()), found[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_steepest_image_of_a_batch_does_not_shorten_anothers_step() -> None:
    """Under L2 a step is as long as it is asked for beside a gradient 10³⁵ times as long."""
    gradient = torch.tensor([[3.0, -4.0], [3e-35, -4e-35]])[:, None, None]
    assert_near(direction(gradient, "L2").flatten(1), torch.tensor([[0.6, -0.8]] * 2))


def test_noise_keeps_the_first_misclassified_draw(clean: Tensor) -> None:
    """Of an image that no draw breaks the last one."""
    model = Hills(HELD)
    found = noise(model, clean, RIGHT, Fraction(1, 10), norm="Linf", draws=5, generator=random())
    assert 0 <= torch.cat(model.seen).min() <= torch.cat(model.seen).max() == 1
    kept = []
    for number, draws in enumerate(zip(*map(points, model.seen), strict=True)):
        wrong = [draw for draw, point in enumerate(draws) if is_wrong(point)]
        kept.append(wrong[0] if wrong else -1)
        assert found[number].flatten().tolist() == list(draws[kept[-1]])
    assert {-1, 0} < set(kept)
    assert len(set(kept)) > 2


@pytest.mark.parametrize("loss", ["difference", "scaled"])
def test_a_scaled_margin_minds_the_other_classes(loss: TargetLoss) -> None:
    """Their logits make the length that the difference is divided by; the difference itself is of two pixels."""
    levels = torch.tensor([[0.1, 0.2, 0, 0.3, 0.4]]).expand(4, 5)
    images = torch.cat([torch.full_like(levels, 0.5), levels], dim=1)[:, None, None]
    model = Doors(levels)
    right = torch.full((4,), 2)
    minimum_margin(model, images, right, EPS, norm="L2", targets=1, steps=3, loss=loss, generator=random())
    before, after = (seen.flatten(1)[0, [0, 1, 3]] - 0.5 for seen in model.seen[1:3])
    # The projection shortens what was there at the start, alike.
    shortened = after / before
    assert torch.allclose(shortened, shortened[:1], rtol=1e-4) is (loss == "difference")


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_few_images_are_looked_at_beside_copies(count: int, clean: Tensor) -> None:
    """Of the first, as torch multiplies fewer than four rows by other code; no more is told than was asked for."""
    few = clean[:count]
    model, asked = Hills(HELD), Attacked(few, RIGHT[:count], RIGHT[:count] + 1)
    logits = logits_of(model, few)
    again, values, gradient = gradient_of(model, few, asked, difference)
    assert [len(seen) for seen in model.seen] == [max(count, 4)] * 2
    assert torch.equal(model.seen[0][:count], few)
    assert torch.equal(model.seen[0][count:], few[:1].expand(max(4 - count, 0), -1, -1, -1))
    assert torch.equal(logits, again)
    assert torch.equal(values, logits[:, 1] - HELD)
    for number, point in enumerate(points(few)):
        assert gradient[number].flatten().tolist() == pytest.approx(height_and_slope(point)[1], abs=1e-3)


@pytest.mark.parametrize("stay", [False, True])
def test_who_is_broken_leaves_and_his_last_misclassified_point_stays(*, stay: bool) -> None:
    """At once, or where those that stay look on, at the end of the ascent; of the others the last point is noted."""
    images = torch.zeros(4, 1, 1, 1)
    standing = Standing(images, stay=stay)
    walk = [([1.0, 1, 1, 1], [False, True, False, True]), ([2.0, 2, 2, 2], [False, False, True, True])]
    for values, wrong in walk:
        left = standing.left
        going = standing.note(torch.tensor(values)[left, None, None, None], torch.tensor(wrong)[left])
        assert going.tolist() == ([True] * 4 if stay else [not wrong[image] for image in left.tolist()])
    assert standing.left.tolist() == ([0, 1, 2, 3] if stay else [0])
    standing.end()
    assert standing.left.tolist() == [0]
    assert standing.found.flatten().tolist() == [2, 1, 2, 2 if stay else 1]
    assert images.abs().sum() == 0
