import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.models.precision import Model
from gauntlet.training.steps.weight_perturbation import perturbed

GAMMA = 0.25


def model() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).train()


IMAGES, LABELS = (
    torch.rand(8, 1, 2, 2, generator=torch.Generator().manual_seed(1)),
    torch.tensor([0, 1, 2, 0, 1, 2, 0, 1]),
)


def cross_entropy(at: Model) -> Tensor:
    return F.cross_entropy(at(IMAGES), LABELS)


def test_each_layer_is_moved_by_gamma_of_its_own_length_uphill() -> None:
    """Against w + γ ‖w‖ g / ‖g‖ from plain autograd on a copy; biases and normalisation stay; and the loss rises."""
    network, copy = model(), model()
    cross_entropy(copy).backward()
    moved, there = perturbed(network, GAMMA, cross_entropy)
    for weights, source in zip(there, copy.parameters(), strict=True):
        wanted = source.detach().clone()
        if source.dim() == 2:
            assert source.grad is not None
            wanted += GAMMA * source.detach().norm() * source.grad / source.grad.norm()
            assert torch.allclose((weights - source).norm(), GAMMA * source.norm())
        assert torch.allclose(weights, wanted, rtol=1e-6, atol=1e-7)
    assert cross_entropy(moved) > cross_entropy(network) + 1e-3


def test_the_models_own_tensors_are_not_touched() -> None:
    """To the bit, statistics of normalisation too; the pass at the moved weights then counts in them as any other."""
    network = model()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    moved, there = perturbed(network, GAMMA, cross_entropy)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    found = torch.autograd.grad(cross_entropy(moved), there)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.named_parameters())
    assert not torch.equal(network.state_dict()["2.running_mean"], before["2.running_mean"])
    assert [gradient.shape for gradient in found] == [weights.shape for weights in network.parameters()]


def test_gradients_are_those_of_a_network_with_the_moved_weights() -> None:
    """A copy that has the moved weights gives the same gradients."""
    network, copy = model(), model()
    moved, there = perturbed(network, GAMMA, cross_entropy)
    found = torch.autograd.grad(cross_entropy(moved), there)
    with torch.no_grad():
        for own, weights in zip(copy.parameters(), there, strict=True):
            own.copy_(weights)
    cross_entropy(copy).backward()
    wanted = [weights.grad for weights in copy.parameters()]
    assert all(own is not None and torch.equal(own, gradient) for own, gradient in zip(wanted, found, strict=True))
