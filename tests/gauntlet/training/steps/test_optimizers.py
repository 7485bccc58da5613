import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from gauntlet.spec.runs.optimizers import (
    Adam,
    AdamW,
    Constant,
    Cosine,
    OneCycle,
    RmsProp,
    ScheduleSpec,
    Sgd,
    Steps,
    TimeDecay,
)
from gauntlet.spec.runs.training import TrainingSpec
from gauntlet.training.steps.optimizers import (
    build_optimizer,
    learning_rate,
    momentum_share,
    set_learning_rate,
    set_momentum,
)


@pytest.mark.parametrize(
    "spec",
    [
        RmsProp(),
        RmsProp(lr=0.1, decay=0.5, rho=0.5, epsilon=1e-2),
        RmsProp(lr=1, decay=0, rho=0, epsilon=1),
        RmsProp(lr=0.1, rho=0.5, weight_decay=0.3),
    ],
    ids=["paper", "decaying", "memoryless", "weight decay"],
)
def test_updates_are_keras_updates(spec: RmsProp) -> None:
    """Over several steps the weights follow Keras' formula: v ← ρv + (1 − ρ)g², p ← p − lrₜ · g / (√v + ε).

    Weight decay λ is coupled: g is the gradient plus λp.
    """
    layer = nn.Linear(3, 1, bias=False)
    start = [0.5, -1.0, 2.0]
    layer.weight.data = torch.tensor([start])
    optimizer = build_optimizer(spec, layer)
    weights, moment = np.array(start), np.zeros(3)
    for step, gradient in enumerate([[1.0, -2.0, 1e-4], [0.5, 0.0, 0.0], [-3.0, 1e3, 1e-8], [1.0, 1.0, 1.0]]):
        set_learning_rate(optimizer, learning_rate(TrainingSpec(optimizer=spec), step, 100))
        layer.weight.grad = torch.tensor([gradient])
        optimizer.step()
        slope = np.array(gradient) + spec.weight_decay * weights
        moment = spec.rho * moment + (1 - spec.rho) * slope**2
        weights = weights - spec.lr / (1 + spec.decay * step) * slope / (np.sqrt(moment) + spec.epsilon)
        assert layer.weight.detach().numpy()[0] == pytest.approx(weights, rel=1e-5)


def test_the_first_update_has_the_full_rate() -> None:
    """Decay counts earlier updates, so the first has the whole rate and the millionth half of it at 1e-6."""
    spec = TrainingSpec(optimizer=RmsProp(lr=1e-4, decay=1e-6))
    assert learning_rate(spec, 0, 100) == 1e-4
    assert learning_rate(spec, 1_000_000, 100) == pytest.approx(5e-5)


def test_a_new_optimizer_has_changed_nothing() -> None:
    """Its state is there from the start, zero, and the weights are as they were."""
    model = nn.Linear(3, 2)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = build_optimizer(RmsProp(lr=1), model)
    assert all(map(torch.equal, model.parameters(), before))
    moments = [tensor for state in optimizer.state.values() for tensor in state.values()]
    assert len(moments) == 4
    assert not any(tensor.any() for tensor in moments)


@pytest.mark.parametrize(
    "spec", [Sgd(lr=1.0), Adam(lr=1.0, weight_decay=0.1), AdamW(lr=1.0)], ids=lambda each: each.kind
)
def test_no_optimizer_changes_anything_at_first(spec: Sgd | Adam | AdamW) -> None:
    """Weight decay neither, and a first step is as a first step of torch's own."""
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    other.load_state_dict(model.state_dict())
    optimizer = build_optimizer(spec, model)
    assert all(map(torch.equal, model.parameters(), other.parameters()))
    assert not any(tensor.any() for state in optimizer.state.values() for tensor in state.values())
    ways: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "sgd": lambda: torch.optim.SGD(other.parameters(), lr=1.0, momentum=0.9, weight_decay=5e-4),
        "adam": lambda: torch.optim.Adam(other.parameters(), lr=1.0, weight_decay=0.1),
        "adamw": lambda: torch.optim.AdamW(other.parameters(), lr=1.0, weight_decay=0.01),
    }
    fresh = ways[spec.kind]()
    for step in range(3):
        for each, its in ((model, optimizer), (other, fresh)):
            for parameter in each.parameters():
                parameter.grad = torch.full_like(parameter, 0.5 - step)
            its.step()
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.allclose(one, two, rtol=1e-5, atol=1e-6)


def test_momentum_by_hand() -> None:
    """v ← μv + g, p ← p − lr · v, and with Nesterov p ← p − lr · (g + μv) (Sutskever et al. 2013)."""
    for nesterov, wanted in ((False, [1 - 0.1, 0.9 - 0.1 * 1.5]), (True, [1 - 0.1 * 1.5, 0.85 - 0.1 * 1.75])):
        layer = nn.Linear(1, 1, bias=False)
        layer.weight.data.fill_(1.0)
        spec = Sgd(lr=0.1, momentum=0.5, nesterov=nesterov, weight_decay=0)
        optimizer = build_optimizer(spec, layer)
        for value in wanted:
            layer.weight.grad = torch.ones(1, 1)
            optimizer.step()
            assert layer.weight.item() == pytest.approx(value)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        # Of ten updates, five to an epoch.
        (Constant(), {0: 1, 9: 1}),
        (Constant(warmup_epochs=0.8), {0: 0.25, 1: 0.5, 2: 0.75, 3: 1, 9: 1}),
        (TimeDecay(decay=0.5), {0: 1, 1: 1 / 1.5, 4: 1 / 3}),
        (Steps(), {0: 1, 4: 1, 5: 0.1, 7: 0.1, 8: 0.01, 9: 0.01}),
        (Steps(milestones=(0.3,), factor=0.5), {2: 1, 3: 0.5, 9: 0.5}),
        (Cosine(), {0: 1, 5: 0.5, 9: (1 + math.cos(0.9 * math.pi)) / 2}),
        (Cosine(final=0.1, warmup_epochs=0.4), {0: 0.5, 1: 1, 2: 1, 6: 0.55}),
        (OneCycle(), {0: 0, 1: 0.25, 4: 1, 7: 0.5, 9: 1 / 6}),
    ],
    ids=str,
)
def test_a_schedule_by_hand(schedule: ScheduleSpec, rates: dict[int, float]) -> None:
    """The share of the whole rate at each update; Keras' decay of RMSprop comes on top."""
    training = TrainingSpec(epochs=2, optimizer=Sgd(lr=0.5), schedule=schedule)
    for iteration, share in rates.items():
        assert learning_rate(training, iteration, 5) == pytest.approx(0.5 * share)
    decaying = TrainingSpec(epochs=2, optimizer=RmsProp(lr=0.5, decay=1), schedule=schedule)
    assert learning_rate(decaying, 1, 5) == pytest.approx(learning_rate(training, 1, 5) / 2)


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(),
        Constant(warmup_epochs=0.5),
        Constant(warmup_epochs=3),
        TimeDecay(decay=0.5, warmup_epochs=3),
        Steps(milestones=(0.01, 0.99), warmup_epochs=3),
        Steps(milestones=(0.01, 0.99)),
        Cosine(),
        Cosine(warmup_epochs=1),
        Cosine(warmup_epochs=3),
        OneCycle(),
        OneCycle(peak=0.01),
        OneCycle(peak=0.99),
    ],
    ids=str,
)
@pytest.mark.parametrize("updates", [1, 2, 3])
def test_no_update_is_for_nothing(schedule: ScheduleSpec, updates: int) -> None:
    """In a run of few updates, or one that ends within its warm-up, every rate is above 0 and none above the whole.

    But for one_cycle's first where there are several, as torch's CyclicLR counts; a run of one is at its peak.
    """
    training = TrainingSpec(epochs=1, optimizer=Sgd(lr=0.5), schedule=schedule)
    rates = [learning_rate(training, iteration, updates) for iteration in range(updates)]
    if isinstance(schedule, OneCycle) and updates > 1:
        assert rates.pop(0) == 0
    assert all(0 < rate <= 0.5 for rate in rates)
    if isinstance(schedule, OneCycle) and updates == 1:
        assert rates == [0.5]
    elif not isinstance(schedule, OneCycle) and schedule.warmup_epochs > 1:
        assert rates == pytest.approx([0.5 * (done + 1) / (3 * updates) for done in range(updates)])


def test_a_cycle_of_one_update_has_the_momentum_of_its_peak() -> None:
    """With the rate goes the momentum."""
    cycle = OneCycle(lowest_momentum=0.45)
    training = TrainingSpec(epochs=1, optimizer=Sgd(momentum=0.9), schedule=cycle)
    assert momentum_share(training, 0, 1) == pytest.approx(0.5)
    assert momentum_share(training, 0, 2) == 1


@pytest.mark.parametrize(("peak", "lowest"), [(0.5, 0.8), (0.3, 0.1)])
def test_a_momentum_that_follows_the_rate_is_that_of_torchs_cycle(peak: float, lowest: float) -> None:
    """Over a whole cycle, up and down, weights and rates are those of SGD under torch's CyclicLR."""
    training = TrainingSpec(
        epochs=2, optimizer=Sgd(lr=0.5, momentum=0.9), schedule=OneCycle(peak=peak, lowest_momentum=lowest)
    )
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    optimizer = build_optimizer(training.optimizer, ours)
    other = torch.optim.SGD(theirs.parameters(), lr=0.5, momentum=0.9, weight_decay=5e-4)
    cycle = torch.optim.lr_scheduler.CyclicLR(
        other, 0.0, 0.5, step_size_up=round(10 * peak), step_size_down=round(10 * (1 - peak)), base_momentum=lowest
    )
    for iteration in range(10):
        set_learning_rate(optimizer, learning_rate(training, iteration, 5))
        set_momentum(optimizer, momentum_share(training, iteration, 5))
        assert learning_rate(training, iteration, 5) == pytest.approx(cycle.get_last_lr()[0])
        for each in (*ours.parameters(), *theirs.parameters()):
            each.grad = torch.full_like(each, 1.5 - iteration % 4)
        optimizer.step()
        other.step()
        cycle.step()
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, two, rtol=1e-5, atol=1e-6)


def test_a_momentum_stays_where_nothing_is_said_of_it() -> None:
    """By whatever schedule, and under optimisers that have none."""
    schedules = Constant(), Cosine(), OneCycle()
    specs = [TrainingSpec(epochs=2, optimizer=Sgd(), schedule=each) for each in schedules]
    assert {momentum_share(spec, at, 5) for spec in [*specs, TrainingSpec(epochs=2)] for at in range(10)} == {1.0}


def test_every_parameter_is_trained() -> None:
    """The optimiser holds all of the model's parameters in one group."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    (group,) = build_optimizer(RmsProp(), model).param_groups
    assert [id(parameter) for parameter in group["params"]] == [id(parameter) for parameter in model.parameters()]
