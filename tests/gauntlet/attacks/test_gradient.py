import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.attacks.gradient import direction, fgsm, mode
from gauntlet.data.datasets import Dataset, to_unit
from gauntlet.errors import AttackUnsupported
from gauntlet.models.checkpoints import TrainingState
from gauntlet.models.precision import Model
from gauntlet.spec.evaluations.attacks import Norm
from tests.gauntlet.examples import network, network_with

BUDGETS = [Fraction(0), Fraction(1, 255), Fraction(32, 255), Fraction(1)]


@pytest.fixture
def images(digits: Dataset) -> Tensor:
    return to_unit(digits.test.images[:40])


@pytest.fixture
def labels(digits: Dataset) -> Tensor:
    return digits.test.labels[:40]


@pytest.mark.parametrize("eps", BUDGETS, ids=str)
def test_fgsm_stays_within_its_budget(images: Tensor, labels: Tensor, eps: Fraction) -> None:
    """Attacked images are in [0, 1], within eps of the originals, and use the budget where the range allows."""
    attacked = fgsm(network(), images, labels, eps)
    moved = (attacked - images).abs().max().item()
    assert attacked.shape == images.shape
    assert attacked.dtype == torch.float32
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    assert moved <= float(eps) + 1e-6
    assert moved >= float(eps) - 1e-6


def test_fgsm_is_exact_on_a_linear_model() -> None:
    """Where the gradient is known, Wᵀ(p − y), each pixel moves by eps along its sign and is cut off at 0 and 1."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    image = torch.tensor([[[[0.5, 0.02], [0.99, 0.5]]]])
    weight: Tensor = model[1].weight.detach()
    for label in range(3):
        probabilities = model(image).softmax(dim=1)[0].detach()
        slope = weight.T @ (probabilities - torch.eye(3)[label])
        wanted = (image + 0.1 * slope.sign().reshape(1, 1, 2, 2)).clamp(0, 1)
        attacked = fgsm(model, image, torch.tensor([label]), Fraction(1, 10))
        assert torch.allclose(attacked, wanted)


class _Confident(nn.Module):
    """A linear model of two classes whose logits lie `gap` apart at the image of halves."""

    def __init__(self, gap: float) -> None:
        super().__init__()
        self.gap = gap
        self.slope = torch.tensor([[3.0, -2.0], [1.0, -4.0]])

    def forward(self, images: Tensor) -> Tensor:
        apart = ((images - 0.5) * self.slope).sum(dim=(1, 2, 3)) + self.gap
        return torch.stack([apart / 2, -apart / 2], dim=1)


@pytest.mark.parametrize("gap", [1.0, 30.0, 70.0, 100.0])
def test_a_confident_model_is_attacked_with_the_whole_budget(gap: float) -> None:
    """However small the gradient is, as long as there is one: under L2 the step is eps, and no other image matters."""
    model, images = _Confident(gap), torch.full((100, 1, 2, 2), 0.5)
    labels = torch.zeros(100, dtype=torch.int64)
    moved = fgsm(model, images, labels, Fraction(1, 10), norm="L2") - images
    assert torch.allclose(moved[0, 0], -0.1 * model.slope / model.slope.norm(), atol=1e-6)
    assert torch.equal(
        fgsm(model, images, labels, Fraction(1, 10))[:1], fgsm(model, images[:1], labels[:1], Fraction(1, 10))
    )
    assert not torch.equal(fgsm(model, images, labels, Fraction(1, 10)), images)


def test_a_pixel_without_gradient_stays() -> None:
    """Where the loss does not depend on a pixel, the pixel is not touched."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    with torch.no_grad():
        model[1].weight[:, 0] = 0
    image = torch.full((1, 1, 2, 2), 0.5)
    moved = (fgsm(model, image, torch.tensor([0]), Fraction(1, 10)) != image).flatten()
    assert moved.tolist() == [False, True, True, True]


def test_fgsm_raises_the_loss(trained: TrainingState, images: Tensor, labels: Tensor) -> None:
    """Against a trained model the loss rises and accuracy falls, and more so with a larger budget."""
    model = network_with(trained)
    losses, accuracies = [], []
    for eps in (Fraction(0), Fraction(16, 255), Fraction(48, 255)):
        logits = model(fgsm(model, images, labels, eps))
        losses.append(F.cross_entropy(logits, labels).item())
        accuracies.append((logits.argmax(dim=1) == labels).float().mean().item())
    assert losses[0] < losses[1] < losses[2]
    assert accuracies[0] > accuracies[2]


def test_fgsm_ascends_the_loss_it_is_given(images: Tensor, labels: Tensor) -> None:
    """With a loss of the caller's the labels are ignored: descending is ascending its negative."""
    model, eps = network(), Fraction(8, 255)
    downhill = fgsm(model, images, labels, eps, loss=lambda logits: -F.cross_entropy(logits, labels))
    assert F.cross_entropy(model(downhill), labels) < F.cross_entropy(model(images), labels)
    ignoring = fgsm(model, images, labels.flip(0), eps, loss=lambda logits: -F.cross_entropy(logits, labels))
    assert torch.equal(downhill, ignoring)


@pytest.mark.parametrize("training", [True, False])
def test_fgsm_leaves_the_model_as_it_was(images: Tensor, labels: Tensor, *, training: bool) -> None:
    """Mode, weights and parameter gradients are untouched, and so are the images."""
    model = network().train(training)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    original = images.clone()
    attacked = fgsm(model, images, labels, Fraction(8, 255))
    assert not attacked.requires_grad
    assert model.training is training
    assert torch.equal(images, original)
    assert not images.requires_grad
    for parameter, weights in zip(model.parameters(), before, strict=True):
        assert parameter.grad is not None
        assert (parameter.grad == 1).all()
        assert torch.equal(parameter, weights)


def test_fgsm_works_where_gradients_are_off(images: Tensor, labels: Tensor) -> None:
    """Inside no_grad and on a frozen model the attack is the same."""
    model, eps = network(), Fraction(8, 255)
    attacked = fgsm(model, images, labels, eps)
    model.requires_grad_(requires_grad=False)
    with torch.no_grad():
        assert torch.equal(fgsm(model, images, labels, eps), attacked)


@pytest.mark.parametrize(
    "cut",
    [
        lambda model: lambda images: model(images.detach()),
        torch.no_grad(),
        torch.inference_mode(),
    ],
    ids=["detached", "no_grad", "inference_mode"],
)
@pytest.mark.parametrize("frozen", [True, False])
def test_a_model_without_a_gradient_to_its_images_is_refused(
    images: Tensor, labels: Tensor, cut: Callable[[nn.Module], Model], *, frozen: bool
) -> None:
    """Whether or not its parameters have one, the error is ours and says what it is about."""
    model = cut(network().requires_grad_(not frozen))
    with pytest.raises(AttackUnsupported, match="no gradient to its images"):
        fgsm(model, images, labels, Fraction(8, 255))


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_a_mode_ends_with_its_block(*, before: bool, inside: bool) -> None:
    """The model is in the wanted mode inside the block and in its own afterwards, also after an error."""
    model = network().train(before)
    with mode(model, training=inside):
        assert all(module.training is inside for module in model.modules())
    assert all(module.training is before for module in model.modules())

    def fails() -> None:
        with mode(model, training=inside):
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert all(module.training is before for module in model.modules())


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_there_is_no_step_where_the_gradient_is_no_number(norm: Norm) -> None:
    """Along the others it goes as if that pixel had none; where a pixel's is infinite L2 goes along that one."""
    gradient = torch.tensor([3.0, -4.0, 0.0, math.nan]).view(1, 1, 2, 2)
    assert torch.equal(direction(gradient, norm), direction(gradient.nan_to_num(0), norm))
    assert torch.equal(direction(gradient * math.nan, norm), torch.zeros(1, 1, 2, 2))
    steep = torch.tensor([3.0, -math.inf, 0.0, 1.0]).view(1, 1, 2, 2)
    wanted = [1.0, -1.0, 0.0, 1.0] if norm == "Linf" else [0.0, -1.0, 0.0, 0.0]
    assert direction(steep, norm).flatten().tolist() == pytest.approx(wanted, abs=1e-30)
