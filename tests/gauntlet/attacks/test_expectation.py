"""Expectation over transformation, of models whose draws are known."""

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gauntlet.attacks.expectation import Expected, drawn
from gauntlet.attacks.gradient import fgsm
from gauntlet.attacks.probability_margin import pma
from gauntlet.attacks.targeted import minimum_margin
from gauntlet.seeding import generator
from tests.gauntlet.examples import CPU

IMAGES = torch.rand(12, 3, 2, 2, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 3
WEIGHT = torch.randn(3, 12, generator=torch.Generator().manual_seed(1))


class Scaled(nn.Module):
    """A linear model whose logits a number multiplies that is drawn for each image of a batch, and kept."""

    def __init__(self, draw: Callable[[int], Tensor] = torch.rand) -> None:
        super().__init__()
        self.draw = draw
        self.kept: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        """From [n, 3, 2, 2] to logits [n, 3]."""
        factors = self.draw(len(images))
        self.kept.append(factors)
        return factors[:, None] * ((images.flatten(1) - 0.5) @ WEIGHT.T)


def test_it_is_the_mean_of_the_probabilities_and_has_its_gradient() -> None:
    """Value and gradient are those of the formula, written down with the factors that the model drew."""
    model = Scaled()
    images = IMAGES[:2].clone().requires_grad_()
    found = Expected(model, 5, 0, "test")(images)
    assert [len(factors) for factors in model.kept] == [5, 5]
    given = IMAGES[:2].clone().requires_grad_()
    linear = (given.flatten(1) - 0.5) @ WEIGHT.T
    wanted = torch.stack(
        [(factors[:, None] * linear[image]).softmax(dim=1).mean(dim=0) for image, factors in enumerate(model.kept)]
    ).log()
    torch.testing.assert_close(found, wanted)
    above = torch.tensor([[1.0, -2, 0.5], [0, 1, 3]])
    torch.testing.assert_close(
        *(torch.autograd.grad(output, inputs, above)[0] for output, inputs in ((found, images), (wanted, given)))
    )


def test_a_step_goes_where_the_model_is_worse_on_average() -> None:
    """Of small logits times 3 or −1 at even odds a step by one draw is as often wrong as right, one by 100 never."""

    def three_or_less(count: int) -> Tensor:
        return 0.01 * (4 * torch.randint(2, (count,)) - 1)

    eps = Fraction(1, 10)
    images = IMAGES.clamp(0.2, 0.8)
    wanted = fgsm(Scaled(torch.ones), images, LABELS, eps)
    once, often = (fgsm(Expected(Scaled(three_or_less), draws, 0, "test"), images, LABELS, eps) for draws in (1, 100))
    towards = [((moved - images) * (wanted - images)).flatten(1).sum(dim=1) > 0 for moved in (once, often)]
    assert 2 <= towards[0].sum() <= 10
    assert towards[1].all()


@pytest.mark.parametrize(
    "attack",
    [
        lambda model, x, y: fgsm(model, x, y, Fraction(1, 5)),
        lambda model, x, y: pma(model, x, y, Fraction(1, 5), norm="Linf", steps=6, generator=generator(CPU, 0, "t")),
        lambda model, x, y: minimum_margin(
            model, x, y, Fraction(1, 5), norm="Linf", targets=2, steps=5, generator=generator(CPU, 0, "t")
        ),
    ],
    ids=["fgsm", "pma", "mm"],
)
def test_what_is_found_of_an_image_depends_on_no_other(attack: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> None:
    """In another order, and in parts, an image of a random model is attacked to the same bits."""
    model = Expected(Scaled(torch.randn), 4, 0, "test")
    whole = attack(model, IMAGES, LABELS)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    assert torch.equal(attack(model, IMAGES[order], LABELS[order]), whole[order])
    parts = [attack(model, x, y) for x, y in zip(IMAGES.split(5), LABELS.split(5), strict=True)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(attack(Expected(Scaled(torch.randn), 4, 1, "test"), IMAGES, LABELS), whole)


class Wavering(nn.Module):
    """The mean brightness less a half decides between two classes, but for noise as large as a tenth."""

    def forward(self, images: Tensor) -> Tensor:
        """From [n, 1, 3, 3] to logits [n, 2]."""
        right = images.mean(dim=(1, 2, 3)) - 0.5 + 0.1 * torch.randn(len(images))
        return torch.stack([torch.zeros_like(right), 100 * right], dim=1)


@pytest.mark.parametrize("kind", ["mm", "pma"])
def test_an_image_leaves_for_good_reasons(kind: str) -> None:
    """Of bright images, wrong in a quarter of the draws, some leave at once, as bright as they were; under expectation
    all are taken as dark as the budget allows, where hardly a draw is right.
    """
    images, labels = torch.full((20, 1, 3, 3), 0.57), torch.ones(20, dtype=torch.int64)
    options: dict[str, Any] = {"norm": "Linf", "steps": 8}
    darkness = []
    for model, stay in ((Wavering(), False), (Expected(Wavering(), 16, 0, "test"), True)):
        torch.manual_seed(0)
        drawing = options | {"generator": generator(CPU, 0, "t"), "stay": stay}
        if kind == "mm":
            found = minimum_margin(model, images, labels, Fraction(1, 4), targets=1, **drawing)
        else:
            found = pma(model, images, labels, Fraction(1, 4), **drawing)
        darkness.append(found.mean(dim=(1, 2, 3)))
    assert 3 <= (darkness[0] > 0.5).sum() <= 10
    assert darkness[1].max() < 0.34


@pytest.mark.parametrize(
    "draw",
    [
        torch.rand,
        lambda count: torch.tensor([random.random() for _ in range(count)]),  # no secret
        lambda count: torch.tensor(np.random.rand(count), dtype=torch.float32),  # noqa: NPY002  # as models do
    ],
    ids=["torch", "Python", "NumPy"],
)
def test_numbers_of_three_sources_follow_from_the_seed(draw: Callable[[int], Tensor]) -> None:
    """And the caller's own states are left as they were."""
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002  # likewise
    first, again, other = (torch.cat(drawn(Scaled(draw), IMAGES[:1], [seed], 3)) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(torch.cat(drawn(Scaled(draw), IMAGES[:2], [7, 8]))) == 2, "once, where nothing else is asked"
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]  # noqa: NPY002  # likewise


@pytest.mark.parametrize("factor", [torch.ones(()), torch.ones((), requires_grad=True)], ids=["none", "to weights"])
def test_a_model_without_a_path_back_has_no_gradient(factor: Tensor) -> None:
    """It is zero, as an evaluation gives it to such a model, also where there is a path back to weights."""
    images = IMAGES.clone().requires_grad_()
    expected = Expected(Scaled(), 2, 0, "test")
    expected.model.register_forward_hook(lambda _module, _given, logits: factor * logits.detach())
    (found,) = torch.autograd.grad(expected(images).sum(), images)
    assert not found.any()
