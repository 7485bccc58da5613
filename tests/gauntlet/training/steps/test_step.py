"""The compiled step computes what the plain one does."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.data.datasets import Dataset
from gauntlet.models.architectures import initialise
from gauntlet.models.layers import Dropout, MaxPool2x2
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.objectives import Mart, Trades
from gauntlet.training.steps.compilation import accelerate
from gauntlet.training.steps.objectives import action_noise, objective_loss
from gauntlet.training.steps.optimizers import build_optimizer
from gauntlet.training.steps.step import build_step, rows
from gauntlet.training.steps.tally import empty_tally
from tests.gauntlet.examples import CPU, needs_compiler, network, run_spec

pytestmark = [pytest.mark.long(seconds=25, shares="compiler"), pytest.mark.thorough]


def network_of_each_layer() -> nn.Module:
    """One layer of each kind that the paper's network has: g++ takes a second or two for each thing a layer does.

    13 × 13 numbers are pooled, of which the last row and column are in no window.
    """
    layers = nn.Conv2d(1, 8, 4), nn.ReLU(), MaxPool2x2(), Dropout(0.25), nn.Flatten(), nn.Linear(8 * 6 * 6, 10)
    model = nn.Sequential(*layers)
    initialise(model, 3)
    return model


def network_of_one_layer() -> nn.Module:
    """The same for what does not depend on layers, but for the chance in one."""
    model = nn.Sequential(nn.Flatten(), Dropout(0.25), nn.Linear(16 * 16, 10))
    initialise(model, 3)
    return model


def after_one_step(
    spec: RunSpec, data: Dataset, *, compiled: bool = False, model: nn.Module | None = None
) -> tuple[list[Tensor], dict[str, Tensor], Tensor]:
    """Gradients, weights and tally after one step from the weights of seed 3."""
    model = (model or network(seed=3)).train()
    optimizer, totals = build_optimizer(spec.training.optimizer, model), empty_tally(CPU)
    step = build_step(spec, model, optimizer, totals)
    noise = action_noise((2, 1, rows(spec, 32), 10), seeding.generator("cpu", 0, "test"))
    first = data.train.take(32)
    inputs = first.drawn(torch.arange(32)), first.labels, noise
    torch.manual_seed(0)
    (accelerate(step, inputs, ()) if compiled else step)(*inputs)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return gradients, model.state_dict(), totals


CASES: dict[str, dict[str, Any]] = {
    "paper": {},
    "policy": {
        "objective": {"kind": "policy_gradient", "action_forward": "eval", "entropy_bonus": 0.1},
        "adversary": {"loss": "objective", "mode": "train"},
        "training": {"mix": "both"},
    },
    "expected": {
        "objective": {"kind": "expected_reward", "shape": "max_rl"},
        "adversary": {"kind": "pgd", "steps": 2, "norm": "L2", "eps": "128/255", "warmup_epochs": 1},
        "training": {"mix": "half", "optimizer": {"kind": "sgd"}, "max_grad_norm": 0.2},
    },
}


@needs_compiler
@pytest.mark.parametrize("case", CASES)
def test_compiled_gradients_are_the_plain_ones(digits: Dataset, case: str) -> None:
    """In fp32 gradients agree within 1e-6, and so do the weights after the update and the tally."""
    model = network_of_each_layer if case == "paper" else network_of_one_layer
    plain, compiled = (
        after_one_step(run_spec(**CASES[case]), digits, compiled=compiled, model=model()) for compiled in (False, True)
    )
    assert max(gradient.abs().max() for gradient in plain[0]) > 1e-2
    for one, other in zip(plain[0], compiled[0], strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-6)
    assert torch.allclose(plain[2], compiled[2], rtol=1e-6)


def test_the_layers_change_no_gradient(digits: Dataset) -> None:
    """With torch's own pooling, and no dropout, in place of ours the gradients are equal to the bit."""
    found = []
    for pool in (None, nn.MaxPool2d(2)):
        model = network(seed=3)
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Dropout):
                    setattr(parent, name, nn.Identity())
                elif pool is not None and isinstance(child, nn.MaxPool2d):
                    setattr(parent, name, pool)
        found.append(after_one_step(run_spec(), digits, model=model)[0])
    assert all(map(torch.equal, *found))


def test_what_is_added_changes_what_is_learned(digits: Dataset) -> None:
    """GradAlign and AWP each change the gradients, leave the images that are counted the same, and compose."""
    ways: list[dict[str, Any]] = [{}, {"grad_align": {"weight": 2}}, {"awp": {"gamma": 0.05}}]
    ways.append(ways[1] | ways[2])
    found = [after_one_step(run_spec(training=way), digits) for way in ways]
    for index, (gradients, _, totals) in enumerate(found):
        assert totals[0] == 32
        for others, _, _ in found[:index]:
            assert not torch.allclose(gradients[0], others[0], rtol=1e-3, atol=0)


def test_the_tally_counts_what_the_update_saw(digits: Dataset) -> None:
    """Twice the images where each is seen natural and attacked."""
    for mix, images in (("adversarial", 32), ("half", 32), ("both", 64)):
        totals = after_one_step(run_spec(training={"mix": mix}), digits)[2]
        assert totals[0] == images


def test_long_gradients_are_shortened_together(digits: Dataset) -> None:
    """To the length that is asked for, in the same direction; shorter ones are left alone."""
    whole = after_one_step(run_spec(), digits)[0]
    length = torch.cat([gradient.flatten() for gradient in whole]).norm()
    short = after_one_step(run_spec(training={"max_grad_norm": float(length) / 4}), digits)[0]
    assert all(torch.allclose(one, 4 * other, rtol=1e-4) for one, other in zip(whole, short, strict=True))
    assert all(map(torch.equal, whole, after_one_step(run_spec(training={"max_grad_norm": 1e3}), digits)[0]))


def test_trades_and_mart_by_hand() -> None:
    """Two images of two classes, natural at (3/4, 1/4) and attacked at (1/2, 1/2), of class 0 and of class 1."""
    natural, attacked = torch.tensor([[0.75, 0.25]] * 2).log(), torch.zeros(2, 2)
    labels, noise = torch.tensor([0, 1]), torch.ones(1, 2, 3)
    apart = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)

    def loss(spec: Trades | Mart) -> float:
        return objective_loss(spec, attacked, labels, noise=noise, natural_logits=natural).value.item()

    assert loss(Trades(beta=2)) == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2 + 2 * apart)
    # Its second logarithm is of 1 − p of the likeliest wrong class, plus the authors' 1e-4.
    boosted = math.log(2) - math.log(0.5 + 1e-4)
    assert loss(Mart(beta=3)) == pytest.approx(boosted + 3 * apart * (0.25 + 0.75) / 2)
