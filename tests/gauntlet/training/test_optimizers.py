import numpy as np
import pytest
import torch
from torch import nn

from gauntlet.spec.kinds import RmsProp
from gauntlet.training.optimizers import build_optimizer, learning_rate, set_learning_rate


@pytest.mark.parametrize(
    "spec",
    [RmsProp(), RmsProp(lr=0.1, decay=0.5, rho=0.5, epsilon=1e-2), RmsProp(lr=1, decay=0, rho=0, epsilon=1)],
    ids=["paper", "decaying", "memoryless"],
)
def test_updates_are_keras_updates(spec: RmsProp) -> None:
    """Over several steps the weights follow Keras' formula: v ← ρv + (1 − ρ)g², p ← p − lrₜ · g / (√v + ε)."""
    layer = nn.Linear(3, 1, bias=False)
    start = [0.5, -1.0, 2.0]
    layer.weight.data = torch.tensor([start])
    optimizer = build_optimizer(spec, layer)
    weights, moment = np.array(start), np.zeros(3)
    for step, gradient in enumerate([[1.0, -2.0, 1e-4], [0.5, 0.0, 0.0], [-3.0, 1e3, 1e-8], [1.0, 1.0, 1.0]]):
        set_learning_rate(optimizer, learning_rate(spec, step))
        layer.weight.grad = torch.tensor([gradient])
        optimizer.step()
        slope = np.array(gradient)
        moment = spec.rho * moment + (1 - spec.rho) * slope**2
        weights = weights - spec.lr / (1 + spec.decay * step) * slope / (np.sqrt(moment) + spec.epsilon)
        assert layer.weight.detach().numpy()[0] == pytest.approx(weights, rel=1e-5)


def test_the_first_update_has_the_full_rate() -> None:
    """Decay counts earlier updates, so the first has the whole rate and the millionth half of it at 1e-6."""
    spec = RmsProp(lr=1e-4, decay=1e-6)
    assert learning_rate(spec, 0) == 1e-4
    assert learning_rate(spec, 1_000_000) == pytest.approx(5e-5)


def test_a_new_optimizer_has_changed_nothing() -> None:
    """Its state is there from the start, zero, and the weights are as they were."""
    model = nn.Linear(3, 2)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = build_optimizer(RmsProp(lr=1), model)
    assert all(map(torch.equal, model.parameters(), before))
    moments = [tensor for state in optimizer.state.values() for tensor in state.values()]
    assert len(moments) == 4
    assert not any(tensor.any() for tensor in moments)


def test_every_parameter_is_trained() -> None:
    """The optimiser holds all of the model's parameters in one group."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    (group,) = build_optimizer(RmsProp(), model).param_groups
    assert [id(parameter) for parameter in group["params"]] == [id(parameter) for parameter in model.parameters()]
