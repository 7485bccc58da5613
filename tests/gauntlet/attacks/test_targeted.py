"""MM, MultiTargeted and PMA: what they find where that can be worked out, and that no image matters to another."""

from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import partial
from math import cos, pi

import pytest
import torch
import torch.nn.functional as F
from pyautoattack.autopgd_base import APGDAttack
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.attacks import auto_step
from gauntlet.attacks.gradient import pgd
from gauntlet.attacks.probability_margin import pma, probability_margin, right_probability, wrong_probability
from gauntlet.attacks.standing import Attacked, Objective, Standing
from gauntlet.attacks.targeted import difference, minimum_margin, multitargeted, scaled
from gauntlet.data.datasets import Dataset, to_unit
from gauntlet.models.checkpoints import TrainingState
from gauntlet.models.precision import Model
from gauntlet.spec.evaluations.attacks import Norm
from tests.gauntlet.examples import CPU, network_with

EPS: dict[Norm, Fraction] = {"Linf": Fraction(32, 255), "L2": Fraction(1)}


def random(seed: int = 0) -> torch.Generator:
    return seeding.generator(CPU, seed, "test")


def mm(model: nn.Module, images: Tensor, labels: Tensor, norm: Norm = "Linf", targets: int = 3) -> Tensor:
    return minimum_margin(model, images, labels, EPS[norm], norm=norm, targets=targets, steps=8, generator=random())


def mm_scaled(model: Model, images: Tensor, labels: Tensor, norm: Norm = "Linf") -> Tensor:
    return minimum_margin(
        model, images, labels, EPS[norm], norm=norm, targets=3, steps=8, loss="scaled", generator=random()
    )


def towards_each(model: nn.Module, images: Tensor, labels: Tensor, norm: Norm = "Linf", targets: int = 3) -> Tensor:
    return multitargeted(model, images, labels, EPS[norm], norm=norm, targets=targets, steps=8, generator=random())


def margins(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return pma(model, images, labels, EPS["Linf"], norm="Linf", steps=12, generator=random())


Perturb = Callable[[nn.Module, Tensor, Tensor], Tensor]
ATTACKS: dict[str, Perturb] = {
    "mm": mm,
    "mm in L2": partial(mm, norm="L2"),
    "mm scaled": mm_scaled,
    "mm scaled in L2": partial(mm_scaled, norm="L2"),
    "multitargeted": towards_each,
    "multitargeted in L2": partial(towards_each, norm="L2"),
    "pma": margins,
}
every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


@pytest.fixture
def model(trained: TrainingState) -> nn.Module:
    return network_with(trained)


@pytest.fixture
def images(digits: Dataset) -> Tensor:
    return to_unit(digits.test.images[:20])


@pytest.fixture
def labels(digits: Dataset) -> Tensor:
    return digits.test.labels[:20]


def robust(model: nn.Module, images: Tensor, labels: Tensor) -> list[bool]:
    found: list[bool] = (model(images).argmax(dim=1) == labels).tolist()
    return found


@every_attack
def test_no_image_matters_to_another(model: nn.Module, images: Tensor, labels: Tensor, attack: Perturb) -> None:
    """In another order, and in parts down to a single image, each is attacked to the same point.

    Bit for bit but for products of few rows, whose last bits differ on some processors.
    """
    whole = attack(model, images, labels)
    order = torch.randperm(len(images), generator=random())
    assert torch.equal(attack(model, images[order], labels[order]), whole[order])
    parts = zip(images.split([1, 12, 3, 4]), labels.split([1, 12, 3, 4]), strict=True)
    torch.testing.assert_close(torch.cat([attack(model, *part) for part in parts]), whole, rtol=0, atol=1e-6)
    assert 0 < sum(robust(model, whole, labels)) < 20


@every_attack
def test_images_stay_within_the_budget(model: nn.Module, images: Tensor, labels: Tensor, attack: Perturb) -> None:
    """They lie in [0, 1] and in the ball; the images given, and the caller's random state, are as they were."""
    before, state = images.clone(), torch.get_rng_state()
    moved = attack(model, images, labels)
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert not moved.requires_grad
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)
    if any(attack is ATTACKS[name] for name in ("mm in L2", "mm scaled in L2", "multitargeted in L2")):
        assert torch.linalg.vector_norm((moved - images).flatten(1), dim=1).max() <= 1 + 1e-5
    else:
        assert (moved - images).abs().max() <= 32 / 255 + 1e-6


class _Linear(nn.Module):
    """Logits W (x − ½): of a linear model the worst point of a ball is known."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weight = torch.randn(classes, 16, generator=random(1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - 0.5).flatten(1) @ self.weight.T


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("attack", [minimum_margin, partial(minimum_margin, loss="scaled"), multitargeted])
def test_a_linear_model_falls_just_where_it_must(classes: int, norm: Norm, attack: Callable[..., Tensor]) -> None:
    """z_t − z_y is at most its value at the image + eps ‖W_t − W_y‖, the dual norm; within 5 % of that it may stand."""
    model, eps = _Linear(classes), EPS[norm] / 8
    images = 0.5 + 0.6 * (torch.rand(200, 1, 4, 4, generator=random()) - 0.5)
    logits = model(images)
    labels = logits.argmax(dim=1)
    apart = model.weight - model.weight[labels][:, None]
    reach = float(eps) * (apart.abs().sum(dim=2) if norm == "Linf" else apart.norm(dim=2))
    worst = (logits - logits.gather(1, labels[:, None]) + reach).scatter(1, labels[:, None], -torch.inf)
    nearly = (worst - 0.05 * reach).amax(dim=1) > 0
    moved = attack(model, images, labels, eps, norm=norm, targets=9, steps=20, generator=random())
    withstands = torch.tensor(robust(model, moved, labels))
    assert not (withstands & nearly).any()
    assert (withstands | (worst.amax(dim=1) > 0)).all()
    assert 10 < withstands.sum() < 190


class _Fading(nn.Module):
    """Two pixels, a and b, and three classes: class 1 is wrong for 0 where b > 0.55, but all fades where a < 0.45.

    With h = max(10 (a − 0.45), 0) the logits are h + 0.001, h (0.6 + 8 (b − 0.5)) and 0.
    """

    def forward(self, images: Tensor) -> Tensor:
        a, b = images.flatten(1).T
        lit = (10 * (a - 0.45)).relu()
        return torch.stack([lit + 1e-3, lit * (0.6 + 8 * (b - 0.5)), 0 * a], dim=1)


def test_a_scaled_margin_does_not_lead_to_where_all_logits_are_equal() -> None:
    """The difference alone is −0.001 there and best, and has no gradient; scaled it leads past the boundary, mostly."""
    images, labels = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
    fallen = {difference: 0, scaled: 0}
    for seed in range(1, 9):
        start = 0.5 + 0.1 * (2 * torch.rand(1, 1, 1, 2, generator=random(seed)) - 1)
        # Where the network has a gradient, and is right.
        start[..., 0].clamp_(min=0.46)
        start[..., 1].clamp_(max=0.54)
        for objective in fallen:
            standing, batch = Standing(images), Attacked(images, labels, torch.tensor([1]))
            auto_step.ascend(
                _Fading(), batch, start, Fraction(1, 10), norm="Linf", steps=40, objective=objective, standing=standing
            )
            fallen[objective] += int(_Fading()(standing.found).argmax() == 1)
    assert fallen[difference] == 0
    assert fallen[scaled] >= 6


@pytest.mark.parametrize("larger", [1e19, 1e27, 1e36])
def test_a_scaled_margin_is_the_same_of_logits_whose_squares_overflow(
    model: nn.Module, images: Tensor, labels: Tensor, larger: float
) -> None:
    """In value and, times the scale, in gradient; ordinary rows beside them keep their bits, and as many fall."""
    logits, targets = model(images).detach(), (labels + 1) % 10
    plain, mixed = logits.clone().requires_grad_(), torch.cat([larger * logits, logits]).requires_grad_()
    whole, both = scaled(plain, labels, targets), scaled(mixed, labels.repeat(2), targets.repeat(2))
    (slope,) = torch.autograd.grad(whole.sum(), plain)
    (slopes,) = torch.autograd.grad(both.sum(), mixed)
    assert torch.equal(both[20:], whole)
    assert torch.equal(slopes[20:], slope)
    torch.testing.assert_close(both[:20], whole)
    torch.testing.assert_close(slopes[:20] * larger, slope, rtol=1e-4, atol=1e-6)

    def huge(points: Tensor) -> Tensor:
        found: Tensor = larger * model(points)
        return found

    left = sum(robust(model, mm_scaled(model, images, labels), labels))
    assert left < sum(robust(model, images, labels))
    assert abs(sum(robust(model, mm_scaled(huge, images, labels), labels)) - left) <= 1


def test_steps_halve_as_in_the_authors_code(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """From the same start, on the same loss, the best value of each image in 100 steps is that of the package's APGD.

    At a budget that breaks nothing. The package halves at three rising steps of four exactly, and the paper below.
    """
    eps = Fraction(1, 255)
    broken = pgd(model, images, labels, 2 * eps, norm="Linf", steps=20, restarts=1, loss="margin", generator=random())
    firm = torch.tensor(robust(model, broken, labels))
    images, labels = images[firm][:8], labels[firm][:8]
    package = APGDAttack(model, n_iter=100, norm="Linf", eps=float(eps), loss="ce", device="cpu", seed=0)
    package.init_hyperparam(images)
    _, _, theirs, _ = package.attack_single_run(images, labels, x_init=images)

    best = torch.full((len(images),), -torch.inf)

    def watched(logits: Tensor, labels: Tensor, _targets: Tensor) -> Tensor:
        nonlocal best
        losses = F.cross_entropy(logits, labels, reduction="none")
        best = torch.maximum(best, losses.detach())
        return losses

    everything = Attacked(images, labels, labels)
    auto_step.ascend(
        model, everything, images, eps, norm="Linf", steps=100, objective=watched, standing=Standing(images)
    )
    close = torch.isclose(best, theirs, rtol=1e-3)
    assert close.float().mean() >= 0.75
    torch.testing.assert_close(best, theirs, rtol=0.02, atol=1e-4)


def _slope(logits: list[float], right: int, loss: str) -> list[float]:
    """The gradient to the logits of −p_y, of p_t, or of both together, in 400 digits, scaled to a largest one of 1."""
    with localcontext() as context:
        context.prec = 400
        powers = [Decimal(value).exp() for value in logits]
        p = [power / sum(powers) for power in powers]
        wrong = max((k for k in range(len(p)) if k != right), key=lambda k: p[k])

        def probability(of: int, k: int) -> Decimal:
            return p[of] * ((of == k) - p[k])

        terms = {
            "right": lambda k: -probability(right, k),
            "wrong": lambda k: probability(wrong, k),
            "both": lambda k: probability(wrong, k) - probability(right, k),
        }
        found = [terms[loss](k) for k in range(len(p))]
        largest = max(map(abs, found))
        return [float(value / largest) for value in found]


@pytest.mark.parametrize(
    "logits",
    [
        [0.3, -0.2, 0.1, 0.0],
        [5.0, 4.0, -3.0, 2.0],
        [90.0, -10.0, -11.0, -60.0],
        [300.0, 0.0, -1.0, 0.5],
        [-1.0, 2.0],
        [400.0, -400.0],
    ],
)
@pytest.mark.parametrize(
    ("loss", "objective"),
    [("right", right_probability), ("wrong", wrong_probability), ("both", probability_margin)],
)
def test_a_margin_of_probabilities_has_a_direction_however_certain_the_model_is(
    logits: list[float], loss: str, objective: Objective
) -> None:
    """It is the exact gradient's, which is e^−800 long in the last case, and zero to fp32 from a margin of 90 on."""
    given = torch.tensor([logits]).requires_grad_()
    label = torch.tensor([0])
    (found,) = torch.autograd.grad(objective(given, label, label).sum(), given)
    torch.testing.assert_close(found[0] / found.abs().max(), torch.tensor(_slope(logits, 0, loss)))


def test_a_certain_model_is_attacked_as_well_as_it_is_uncertain(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    """With logits a thousand times as large cross-entropy has no gradient at most images; the margin does not mind."""

    def certain(points: Tensor) -> Tensor:
        logits: Tensor = 1_000 * model(points)
        return logits

    still = pgd(
        certain, images, labels, EPS["Linf"], norm="Linf", steps=12, restarts=1, loss="cross_entropy",
        generator=random(),
    )  # fmt: skip
    sharp = pma(certain, images, labels, EPS["Linf"], norm="Linf", steps=12, generator=random())
    left, left_standing = sum(robust(model, sharp, labels)), sum(robust(model, still, labels))
    assert left <= sum(robust(model, margins(model, images, labels), labels)) + 1
    assert left < left_standing


class _Turning(nn.Module):
    """One pixel and two classes; every call turns the gradient round. The right class always wins."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(float(images[0, 0, 0, 0].detach()))
        slope = 0.01 * (-1) ** len(self.seen)
        value = slope * images.flatten(1)[:, :1]
        return torch.cat([5 - value, value], dim=1)


def test_pma_goes_along_a_cosine_anew_in_each_half() -> None:
    """Steps of eps (1 + cos(π i / n)) within the ball, worked out for one pixel; every pass starts elsewhere."""
    model, steps, eps = _Turning(), 8, 0.25
    pma(
        model,
        torch.full((1, 1, 1, 1), 0.5),
        torch.tensor([0]),
        Fraction(1, 4),
        norm="Linf",
        steps=steps,
        generator=random(),
    )
    assert len(model.seen) == 2 * (steps + 1)
    for number in range(2):
        walk = model.seen[number * (steps + 1) : (number + 1) * (steps + 1)]
        at = walk[0]
        for step in range(steps):
            call = number * (steps + 1) + step + 1
            reach = eps * (1 + cos(pi * (step % 4) / 4))
            at = min(max(at + reach * (-1) ** call, 0.5 - eps), 0.5 + eps)
            assert walk[step + 1] == pytest.approx(at, abs=1e-6)
    assert model.seen[0] != model.seen[steps + 1]
