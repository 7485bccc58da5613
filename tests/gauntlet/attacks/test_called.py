"""FGSM and PGD as `gauntlet` offers them."""

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

import gauntlet
from gauntlet import seeding
from gauntlet.attacks import gradient
from gauntlet.errors import BudgetInvalid, GauntletError, ImagesInvalid
from tests.gauntlet.examples import CPU, network

_EPS = Fraction(8, 255)
_IMAGES = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
_LABELS = torch.arange(4)


def options() -> dict[str, Any]:
    return {"norm": "Linf", "steps": 3, "restarts": 1, "loss": "margin", "generator": seeding.generator(CPU, 0, "test")}


def test_what_is_in_range_is_attacked_as_anywhere() -> None:
    """Bit for bit as in training and evaluations; without an image, too."""
    model = network()
    found = gauntlet.fgsm(model, _IMAGES, _LABELS, _EPS, norm="L2")
    assert torch.equal(found, gradient.fgsm(model, _IMAGES, _LABELS, _EPS, norm="L2"))
    found = gauntlet.pgd(model, _IMAGES, _LABELS, _EPS, **options())
    assert torch.equal(found, gradient.pgd(model, _IMAGES, _LABELS, _EPS, **options()))
    assert gauntlet.fgsm(model, _IMAGES, _LABELS, torch.tensor(0.0)).equal(_IMAGES)


@pytest.mark.parametrize(
    ("images", "labels", "told"),
    [
        (_IMAGES * 255, _LABELS, "Divide by 255"),
        (-_IMAGES, _LABELS, "must be in"),
        (_IMAGES * math.nan, _LABELS, "no number"),
        ((_IMAGES * 255).to(torch.uint8), _LABELS, "these are uint8 of shape"),
        (_IMAGES[0], _LABELS[:1], r"these are float32 of shape \[1, 16, 16\]"),
        (_IMAGES, _LABELS[:3], r"one for each of 4 images; these are int64 of shape \[3\]"),
        (_IMAGES, _LABELS.float(), "these are float32"),
    ],
)
def test_what_are_no_images_and_labels_is_refused(images: Tensor, labels: Tensor, told: str) -> None:
    """In a sentence, by both; what was returned was within no budget of them."""
    with pytest.raises(ImagesInvalid, match=told):
        gauntlet.fgsm(network(), images, labels, _EPS)
    with pytest.raises(ImagesInvalid, match=told):
        gauntlet.pgd(network(), images, labels, _EPS, **options())


@pytest.mark.parametrize(
    ("eps", "norm", "told"),
    [
        (-_EPS, "Linf", "at least 0, not -0.0313"),
        (math.nan, "Linf", "at least 0, not nan"),
        (math.inf, "L2", "at least 0, not inf"),
        (torch.tensor(-1.0), "L2", "at least 0, not -1"),
        (8, "Linf", r"not be 8; did you mean 8/255\?"),
        (1.5, "Linf", r"not be 1\.5\."),
        (_EPS, "linf", "no norm 'linf': it is Linf or L2"),
    ],
)
def test_what_is_no_budget_is_refused(eps: Any, norm: Any, told: str) -> None:
    """Each is the library's own error, and a ValueError."""
    with pytest.raises(BudgetInvalid, match=told) as refused:
        gauntlet.fgsm(network(), _IMAGES, _LABELS, eps, norm=norm)
    assert isinstance(refused.value, GauntletError)
    assert isinstance(refused.value, ValueError)
    with pytest.raises(BudgetInvalid, match=told):
        gauntlet.pgd(network(), _IMAGES, _LABELS, eps, **options() | {"norm": norm})
