"""Randomised smoothing of a linear model, of which the radius is known."""

import math
from statistics import NormalDist

import pytest
import torch
from torch import Tensor, nn

from gauntlet.attacks.smoothing import ABSTAINED, Certificate, certify, radius
from gauntlet.results.intervals import lower_bound
from gauntlet.spec.evaluations.smoothing import SmoothingSpec

WEIGHT = torch.randn(16, generator=torch.Generator().manual_seed(0)).double()
LENGTH = float(WEIGHT.norm())


class Linear(nn.Module):
    """Two classes, divided by the plane through the image of all halves that is orthogonal to `WEIGHT`."""

    def forward(self, images: Tensor) -> Tensor:
        """From [n, 1, 4, 4] to logits [n, 2]."""
        side = (images.flatten(1) - 0.5) @ WEIGHT.float()
        return torch.stack([-side, side], dim=1)


def at_distance(*distances: float) -> Tensor:
    """Images on the second class' side of the plane, so far from it."""
    return torch.stack([(0.5 + distance * WEIGHT / LENGTH).float().view(1, 4, 4) for distance in distances])


def spec(**changes: float) -> SmoothingSpec:
    return SmoothingSpec.model_validate({"sigma": 0.5, "draws": 2_000, "selection": 50} | changes)


@pytest.mark.parametrize("sigma", [0.25, 0.5])
def test_a_linear_models_radius_is_the_distance_from_its_plane(sigma: float) -> None:
    """Smoothed, its class has the probability Φ(d / σ), so σ Φ⁻¹ of that is d: the bound lies below and close to it.

    How close is known as well: the bound of as many votes as are to be expected.
    """
    distances = [0.1, 0.25, 0.4, -0.3]
    found = certify(Linear(), at_distance(*distances), spec(sigma=sigma), 2, seed=0)
    assert [certificate.label for certificate in found] == [1, 1, 1, 0]
    for certificate, distance in zip(found, map(abs, distances), strict=True):
        expected = radius(round(2_000 * NormalDist().cdf(distance / sigma)), spec(sigma=sigma))
        assert expected is not None
        assert certificate.radius < distance
        assert certificate.radius == pytest.approx(expected, abs=0.1 * sigma)


def test_a_certificate_is_wrong_as_seldom_as_it_says() -> None:
    """Of 400 images at one distance the bound exceeds it in about alpha = 5 %; in 9 % it would by hardly any chance."""
    images = at_distance(*(0.2 + 1e-6 * number for number in range(400)))
    found = certify(Linear(), images, spec(alpha=0.05, draws=500, selection=1), 2, seed=0)
    right = [certificate for certificate in found if certificate.label == 1]
    wrong = sum(certificate.radius > 0.2 for certificate in right)
    assert 4 <= wrong <= 36
    # One draw that selects the other class leads to no certificate of that.
    assert {certificate.label for certificate in found} == {1, ABSTAINED}


def test_on_the_plane_nothing_is_certified() -> None:
    assert certify(Linear(), at_distance(0.0), spec(), 2, seed=0) == [Certificate(ABSTAINED, 0.0)]


def test_draws_are_an_images_own() -> None:
    """The same in any company and under the same seed, others under another."""
    images = at_distance(0.1, 0.2, 0.3)
    whole = certify(Linear(), images, spec(), 2, seed=0)
    assert certify(Linear(), images.flip(0)[:2], spec(), 2, seed=0) == [whole[2], whole[1]]
    assert certify(Linear(), images, spec(), 2, seed=1) != whole


def test_the_bound_is_clopper_and_pearsons() -> None:
    """At the bound the chance of so many votes or more is alpha: of n of n it is p^n, of 1 of n it is 1 − (1 − p)^n."""
    assert lower_bound(0, 10, 0.01) == 0
    assert lower_bound(100, 100, 0.001) == pytest.approx(0.001 ** (1 / 100))
    assert lower_bound(1, 10, 0.05) == pytest.approx(1 - 0.95 ** (1 / 10))
    p = lower_bound(8, 10, 0.05)
    assert sum(math.comb(10, k) * p**k * (1 - p) ** (10 - k) for k in (8, 9, 10)) == pytest.approx(0.05)


def test_no_radius_is_larger_than_so_many_draws_can_show() -> None:
    """With all of n votes it is σ Φ⁻¹(alpha^(1/n)), 3.2 σ of 10,000 at 0.001."""
    largest = radius(10_000, spec(draws=10_000, sigma=1.0))
    assert largest == pytest.approx(NormalDist().inv_cdf(0.001 ** (1 / 10_000)))
    assert largest == pytest.approx(3.2, abs=0.01)
