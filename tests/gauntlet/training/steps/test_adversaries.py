from fractions import Fraction
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from gauntlet.attacks.gradient import summed
from gauntlet.spec.runs.adversaries import AdversarySpec
from gauntlet.training.steps.adversaries import attack, divergence

EPS = Fraction(1, 10)
LABELS = torch.tensor([0, 1, 1, 0, 1, 0])


class Linear(nn.Module):
    """Two classes by a plane, whose slope is positive in the first half of the pixels and negative in the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.cat([torch.ones(8), -torch.ones(8)]) * torch.linspace(0.5, 1.5, 16)
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        score = ((images - 0.5).flatten(1) * self.slope).sum(dim=1)
        return torch.stack([-score, score], dim=1)


def made(
    spec: dict[str, Any], *, eps: Fraction | Tensor = EPS, seed: int = 0, model: nn.Module | None = None
) -> Tensor:
    read = TypeAdapter[Any](AdversarySpec).validate_python({"eps": "0.1"} | spec)
    model = model or Linear()
    torch.manual_seed(seed)
    return attack(read, model, model, images(), LABELS, eps=eps, objective=lambda logits: logits.sum())


def images() -> Tensor:
    return torch.full((6, 1, 4, 4), 0.5)


def worst() -> Tensor:
    """Where cross-entropy is greatest in the L∞ ball: against the slope for class 1, along it for class 0."""
    signs = torch.where(LABELS == 0, 1, -1)[:, None] * Linear().slope.sign()
    return images() + float(EPS) * signs.view(6, 1, 4, 4)


@pytest.mark.parametrize(
    "spec", [{"kind": "fgsm"}, {"kind": "pgd", "steps": 10}, {"kind": "pgd", "steps": 10, "restarts": 2}]
)
def test_on_a_plane_the_worst_image_is_found(spec: dict[str, Any]) -> None:
    """FGSM's step is exact there, and PGD's ten steps of a quarter reach the same corner from any start."""
    assert torch.allclose(made(spec), worst())


def test_fgsm_rs_is_algorithm_3() -> None:
    """δ ~ U(−ε, ε), then δ + 1.25 ε sign ∇ clipped to ±ε: at most of the pixels that is the corner."""
    found = made({"kind": "fgsm_rs"}) - images()
    assert found.abs().max() <= float(EPS) + 1e-6
    # From a start u in [−ε, ε], u + 1.25 ε is cut to ε from −ε / 4 on: five of eight.
    share = ((found - (worst() - images())).abs() < 1e-6).double().mean()
    assert 0.5 < share < 0.75
    assert not torch.equal(made({"kind": "fgsm_rs"}, seed=1), images() + found)


def test_n_fgsm_is_not_projected() -> None:
    """η ~ U(−2ε, 2ε), then η + ε sign ∇: in [−3ε, 3ε], mostly beyond the ball, with mean ε along the gradient."""
    found = (made({"kind": "n_fgsm"}) - images()) / (worst() - images())
    assert found.min() >= -1 - 1e-5
    assert found.max() <= 3 + 1e-5
    assert found.max() > 2
    assert found.mean() == pytest.approx(1, abs=0.4)


class Bowl(nn.Module):
    """Two classes by how far the pixels are from ½: no slope there, and elsewhere one that points away from it."""

    def forward(self, images: Tensor) -> Tensor:
        far = (images - 0.5).flatten(1).square().sum(dim=1)
        return torch.stack([-far, far], dim=1)


@pytest.mark.parametrize(
    ("kind", "away", "back"), [("n_fgsm", (1.0, 3.0), (0.0, 1.0)), ("fgsm_rs", (1.0, 1.0), (0.25, 1.0))]
)
def test_the_gradient_is_taken_at_the_random_start(
    kind: str, away: tuple[float, float], back: tuple[float, float]
) -> None:
    """At x itself there would be none, and the step none: from η it leads on away from ½ for class 0, and back for 1.

    N-FGSM: |η| ≤ 2ε, then ε more or less. FGSM-RS: |δ| ≤ ε, then 1.25 ε more or less, and back into the ball.
    """
    moved = (made({"kind": kind}, model=Bowl()) - images()).abs().flatten(1) / float(EPS)
    for label, (least, most) in ((0, away), (1, back)):
        found = moved[LABELS.eq(label)]
        assert least - 1e-5 <= found.min() <= least + 0.2
        assert most - 0.2 <= found.max() <= most + 1e-5


def test_l2_steps_have_the_budgets_length() -> None:
    """FGSM's along the gradient itself; PGD's end on the sphere there."""
    along = torch.where(LABELS == 0, 1, -1)[:, None] * Linear().slope / Linear().slope.norm()
    wanted = images() + float(EPS) * along.view(6, 1, 4, 4)
    assert torch.allclose(made({"kind": "fgsm", "norm": "L2"}), wanted, atol=1e-6)
    assert torch.allclose(made({"kind": "pgd", "norm": "L2", "steps": 40}), wanted, atol=1e-3)


def test_no_adversary_leaves_the_images_alone() -> None:
    """And asks the model nothing."""
    model = Linear()
    assert torch.equal(made({"kind": "none"}, model=model), images())
    assert model.calls == 0


@pytest.mark.parametrize("kind", ["fgsm", "fgsm_rs", "n_fgsm", "pgd"])
def test_half_the_strength_is_half_the_budget(kind: str) -> None:
    """A budget in a tensor is what the number would be, so that it can grow under a compiled step."""
    half = made({"kind": kind}, eps=torch.tensor(0.05))
    assert torch.allclose(half, made({"kind": kind}, eps=Fraction(1, 20)), atol=1e-7)
    assert torch.equal(made({"kind": kind}, eps=torch.tensor(0.0)), images())


def test_pgd_may_ascend_the_divergence() -> None:
    """TRADES' attack: the divergence from the natural prediction has no slope at the image itself, but around it."""
    found = made({"kind": "pgd", "loss": "divergence", "steps": 20})
    model = Linear()
    natural, attacked = model(images()).log_softmax(dim=1), model(found).log_softmax(dim=1)
    # On a plane either far corner is as far from an even prediction.
    assert torch.allclose(divergence(natural, attacked), divergence(natural, model(worst()).log_softmax(dim=1)))


def test_the_divergence_by_hand() -> None:
    """KL((1/2, 1/2) ‖ (1/4, 3/4)) = ½ log 2 + ½ log ⅔."""
    natural, attacked = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    assert divergence(natural, attacked).item() == pytest.approx(0.5 * torch.log(torch.tensor(4 / 3)).item())


def test_of_several_restarts_each_image_keeps_its_worst() -> None:
    """Of one step from each of two starts no image has a smaller loss than from the first alone."""
    model = Linear()

    def losses(spec: dict[str, Any]) -> Tensor:
        found = made({"kind": "pgd", "steps": 1, "step": 0.1} | spec)
        return torch.stack(
            [summed("cross_entropy", model(found[i : i + 1]), LABELS[i : i + 1]) for i in range(len(LABELS))]
        )

    once, twice = losses({}), losses({"restarts": 5})
    assert (twice >= once).all()
    assert (twice > once).any()
