"""PGD, noise and their L2 versions: what holds of them whatever the model."""

from fractions import Fraction
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.attacks.gradient import fgsm, margin, noise, pgd, project, random_point
from gauntlet.data.datasets import Dataset, to_unit
from gauntlet.models.checkpoints import TrainingState
from gauntlet.spec.evaluations.attacks import GradientLoss, Norm
from tests.gauntlet.examples import CPU, network_with

BUDGETS: list[tuple[Norm, Fraction]] = [("Linf", Fraction(32, 255)), ("L2", Fraction(2))]


@pytest.fixture
def model(trained: TrainingState) -> nn.Module:
    return network_with(trained)


@pytest.fixture
def images(digits: Dataset) -> Tensor:
    return to_unit(digits.test.images[:60])


@pytest.fixture
def labels(digits: Dataset) -> Tensor:
    return digits.test.labels[:60]


def random(seed: int = 0) -> torch.Generator:
    return seeding.generator(CPU, seed, "test")


def attack(model: nn.Module, images: Tensor, labels: Tensor, norm: Norm, eps: Fraction, **changes: int | str) -> Tensor:
    options: dict[str, int | str] = {"steps": 10, "restarts": 1, "loss": "cross_entropy"} | changes
    return pgd(model, images, labels, eps, norm=norm, generator=random(), **options)  # type: ignore[arg-type]  # options by name


def length(perturbation: Tensor, norm: Norm) -> Tensor:
    order = {"Linf": torch.inf, "L2": 2}[norm]
    return torch.linalg.vector_norm(perturbation.flatten(1), order, dim=1)


def right(model: nn.Module, images: Tensor, labels: Tensor) -> int:
    return int((model(images).argmax(dim=1) == labels).sum())


@pytest.mark.parametrize(("norm", "eps"), BUDGETS)
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_an_attack_stays_within_its_budget(
    model: nn.Module, images: Tensor, labels: Tensor, norm: Norm, eps: Fraction, loss: GradientLoss
) -> None:
    """Attacked images lie in [0, 1], within eps of their own, and the images and the model are as they were."""
    before = images.clone()
    for attacked in (
        fgsm(model, images, labels, eps, norm=norm),
        attack(model, images, labels, norm, eps, loss=loss),
        noise(model, images, labels, eps, norm=norm, draws=3, generator=random()),
    ):
        assert attacked.min() >= 0
        assert attacked.max() <= 1
        assert 0.1 * float(eps) < length(attacked - images, norm).max() <= float(eps) * (1 + 1e-5)
        assert not attacked.requires_grad
    assert torch.equal(images, before)


@pytest.mark.parametrize(("norm", "eps"), BUDGETS)
def test_more_work_breaks_more(model: nn.Module, images: Tensor, labels: Tensor, norm: Norm, eps: Fraction) -> None:
    """Noise breaks least, then one step, then ten, and restarts never less."""
    left = [
        right(model, attacked, labels)
        for attacked in (
            images,
            fgsm(model, images, labels, eps, norm=norm),
            attack(model, images, labels, norm, eps),
            attack(model, images, labels, norm, eps, restarts=3),
        )
    ]
    assert left[0] > left[1] >= left[2] >= left[3]
    assert right(model, noise(model, images, labels, eps, norm=norm, draws=5, generator=random()), labels) > left[1]


def test_one_more_noise_draw_never_helps_the_model(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """An image that one draw breaks stays broken, whatever the next."""
    few, many = (
        model(noise(model, images, labels, Fraction(1, 2), norm="Linf", draws=draws, generator=random())).argmax(dim=1)
        for draws in (2, 12)
    )
    assert ((many == labels) <= (few == labels)).all()
    assert (many == labels).sum() < (few == labels).sum()


def test_a_seed_decides(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """The same generator gives the same images, another one others."""
    first, again = (attack(model, images, labels, "Linf", Fraction(8, 255)) for _ in range(2))
    assert torch.equal(first, again)
    other = pgd(
        model,
        images,
        labels,
        Fraction(8, 255),
        norm="Linf",
        steps=10,
        restarts=1,
        loss="cross_entropy",
        generator=random(1),
    )
    assert not torch.equal(first, other)


def test_pgd_equals_torchattacks(model: nn.Module, images: Tensor, labels: Tensor, torchattacks: ModuleType) -> None:
    """From the image itself, with the same step, both end at the same points wherever the image withstands them."""
    eps, steps = Fraction(16, 255), 5
    theirs = torchattacks.PGD(model, eps=float(eps), alpha=2.5 * float(eps) / steps, steps=steps, random_start=False)(
        images, labels
    )
    ours = pgd(
        model, images, labels, eps, norm="Linf", steps=steps, restarts=1, loss="cross_entropy", generator=_NoNoise()
    )
    withstood = model(ours).argmax(dim=1) == labels
    assert withstood.sum() > 10
    assert torch.allclose(ours[withstood], theirs[withstood], atol=1e-6)
    assert right(model, ours, labels) <= right(model, theirs, labels)


class _NoNoise(torch.Generator):
    """Marks that a test wants no random start: `random_point` is replaced where it is used."""


@pytest.fixture(autouse=True)
def start_at_the_image_without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(images: Tensor, eps: Fraction, norm: Norm, generator: torch.Generator) -> Tensor:
        if isinstance(generator, _NoNoise):
            return torch.zeros_like(images)
        return random_point(images, eps, norm, generator)

    monkeypatch.setattr("gauntlet.attacks.gradient.random_point", start)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_a_projection_is_the_nearest_point(norm: Norm) -> None:
    """Points inside stay; points outside come to the surface along the norm's own geometry."""
    perturbation = torch.tensor([[3.0, -4.0, 0.0], [0.3, 0.4, 0.0]]).view(2, 1, 1, 3)
    wanted = {"Linf": [[1.0, -1.0, 0.0], [0.3, 0.4, 0.0]], "L2": [[0.6, -0.8, 0.0], [0.3, 0.4, 0.0]]}[norm]
    assert torch.allclose(project(perturbation, Fraction(1), norm).view(2, 3), torch.tensor(wanted))


def test_random_points_fill_the_ball() -> None:
    """In the plane half of the uniform points lie beyond 1/√2 of the radius (L2), and half beyond 1/2 a side (Linf)."""
    plane = torch.zeros(20_000, 1, 1, 2)
    points = random_point(plane, Fraction(3), "L2", random()).flatten(1).norm(dim=1)
    assert points.max() <= 3
    assert float((points > 3 / 2**0.5).float().mean()) == pytest.approx(0.5, abs=0.02)
    points = random_point(plane, Fraction(3), "Linf", random()).flatten()
    assert points.abs().max() <= 3
    assert float((points.abs() > 1.5).float().mean()) == pytest.approx(0.5, abs=0.02)


def test_the_margin_is_computed_by_hand() -> None:
    """The best wrong logit minus the right one; its gradient does not vanish where cross-entropy's does."""
    logits = torch.tensor([[200.0, 1.0, 3.0], [1.0, 5.0, 2.0]], requires_grad=True)
    labels = torch.tensor([0, 2])
    assert margin(logits, labels).tolist() == [-197.0, 3.0]
    (by_margin,) = torch.autograd.grad(margin(logits, labels).sum(), logits)
    (by_entropy,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), logits)
    assert by_margin[0].tolist() == [-1.0, 0.0, 1.0]
    assert by_entropy[0].tolist() == [0.0, 0.0, 0.0]


def test_the_margin_sees_through_saturation(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """With logits × 10⁴ PGD on cross-entropy stands still where the model is right; PGD on the margin does not."""
    scaled = nn.Sequential(model, _Times(1e4))
    eps = Fraction(40, 255)
    on_entropy, on_margin = (
        right(scaled, attack(scaled, images, labels, "Linf", eps, loss=loss), labels)
        for loss in ("cross_entropy", "margin")
    )
    assert on_margin < on_entropy - 10


class _Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits: Tensor) -> Tensor:
        return logits * self.factor
