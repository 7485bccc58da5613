import pytest
import torch
from torch import Tensor, nn

from gauntlet.spec.eps import parse_eps
from gauntlet.spec.evaluations.attacks import Norm
from gauntlet.training.steps.alignment import misalignment

EPS = parse_eps("32/255")


class Quadratic(nn.Module):
    """Two classes whose logits are (q, −q) with q = ½ a ‖x‖²: the gradient at x is along x itself."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, images: Tensor) -> Tensor:
        q = 0.5 * self.a * images.flatten(1).square().sum(dim=1)
        return torch.stack([q, -q], dim=1)


def test_a_linear_models_gradient_turns_nowhere() -> None:
    """Two classes, logits (w·x, −w·x): the gradient is along w wherever it is taken, so nothing is penalised."""
    linear = nn.Linear(12, 2, bias=False)
    with torch.no_grad():
        linear.weight[1] = -linear.weight[0]
    found = misalignment(
        nn.Sequential(nn.Flatten(), linear), torch.rand(5, 3, 2, 2), torch.tensor([0, 1, 0, 1, 1]), EPS, "Linf"
    )
    assert found.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_a_quadratic_models_penalty_is_the_angle_of_the_images(norm: Norm) -> None:
    """The gradient of (q, −q) is along x, so the cosine is that of x and x + η, with η as the seed draws it."""
    images, labels = torch.rand(4, 1, 2, 2), torch.tensor([0, 1, 1, 0])
    torch.manual_seed(5)
    found = misalignment(Quadratic(0.3), images, labels, EPS, norm)
    torch.manual_seed(5)
    if norm == "Linf":
        eta = torch.empty_like(images).uniform_(-1, 1) * float(EPS)
    else:
        along = torch.empty_like(images).normal_()
        along /= along.flatten(1).norm(dim=1)[:, None, None, None]
        eta = along * (torch.rand(4) ** (1 / 4) * float(EPS))[:, None, None, None]
    wanted = 1 - nn.functional.cosine_similarity(images.flatten(1), (images + eta).flatten(1)).mean()
    assert found.item() == pytest.approx(wanted.item(), abs=1e-6)
    assert found.item() > 1e-5


def test_it_has_a_gradient_to_the_weights() -> None:
    """By central differences in float64: what descends the penalty is its slope."""
    first = nn.Linear(4, 3)
    model = nn.Sequential(nn.Flatten(), first, nn.Tanh(), nn.Linear(3, 2)).double()
    images, labels = torch.rand(6, 1, 2, 2, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1, 0])

    def penalty() -> Tensor:
        torch.manual_seed(1)
        return misalignment(model, images, labels, EPS, "Linf")

    weight = first.weight
    (slope,) = torch.autograd.grad(penalty(), weight)
    weight.data[1, 2] += 1e-5
    above = penalty().item()
    weight.data[1, 2] -= 2e-5
    below = penalty().item()
    assert slope[1, 2].item() == pytest.approx((above - below) / 2e-5, rel=1e-4)


def test_where_there_is_no_gradient_the_penalty_is_finite() -> None:
    """A model that ignores its images turns nothing: cosine 0, and a slope that is no NaN."""
    model = Quadratic(0.0)
    found = misalignment(model, torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 0]), EPS, "Linf")
    (slope,) = torch.autograd.grad(found, model.a)
    assert found.item() == 1
    assert bool(slope.isfinite())
