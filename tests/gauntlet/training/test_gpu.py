"""What only a GPU can show: the captured step, Triton's kernels, and that nothing waits for the device in an epoch."""

import logging
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from gauntlet import seeding
from gauntlet.data.datasets import Dataset
from gauntlet.events import BatchFinished, CheckpointReady, EpochFinished, TrainingEvent
from gauntlet.models.architectures import build_model, initialise
from gauntlet.models.checkpoints import TrainingState
from gauntlet.models.precision import fp32_products
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.kinship import Kernels
from gauntlet.spec.runs.training import Precision
from gauntlet.training.epochs import Epochs
from gauntlet.training.fused import trial
from gauntlet.training.fused.network import StackedCnn
from gauntlet.training.fused.program import Program
from gauntlet.training.fused.together import Ended, train_together
from gauntlet.training.loop import train
from gauntlet.training.steps.compilation import accelerate
from gauntlet.training.steps.objectives import action_noise
from gauntlet.training.steps.optimizers import build_optimizer
from gauntlet.training.steps.step import build_step, rows
from gauntlet.training.steps.tally import empty_tally
from gauntlet.training.updates import Batch, run
from tests.gauntlet.examples import GPU, needs_gpu, network, run_spec, some
from tests.gauntlet.training.steps.test_step import CASES

pytestmark = needs_gpu


def metrics(data: Dataset, **changes: Any) -> list[dict[str, float]]:
    found = train(run_spec(**changes), data, device=GPU)
    return [event.metrics for event in found if isinstance(event, EpochFinished)]


def gradients(case: dict[str, Any], data: Dataset, *, captured: bool, dropout: int = 0) -> list[Tensor]:
    """All gradients of each of three steps from the weights of seed 3, as one vector a step."""
    spec = run_spec(**case)
    model = network(seed=3).to(GPU).train()
    optimizer, totals = build_optimizer(spec.training.optimizer, model), empty_tally(GPU)
    step = build_step(spec, model, optimizer, totals)
    noise = action_noise((2, 1, rows(spec, 32), 10), seeding.generator(GPU, 0, "test"))
    batches = [(images.to(GPU), labels.to(GPU), noise) for images, labels in thirds(data)]
    found = []
    with fp32_products(spec.training.precision), seeding.torch_seeded(GPU, 0):
        moments = [tensor for state in optimizer.state.values() for tensor in state.values()]
        do = accelerate(step, batches[0], [*model.parameters(), *moments, totals]) if captured else step
        for number, batch in enumerate(batches):
            torch.manual_seed(dropout + number)
            do(*batch)
            known = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
            found.append(torch.cat([gradient.flatten() for gradient in known]))
    return found


def thirds(data: Dataset) -> list[tuple[Tensor, Tensor]]:
    return list(data.train.take(96).pieces(32))


def distance(one: Tensor, other: Tensor) -> float:
    """‖one − other‖ / ‖one‖."""
    return float((one - other).norm() / one.norm())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_captured_step_is_the_plain_one(digits: Dataset, case: dict[str, Any], precision: str) -> None:
    """Its gradients are the plain step's for three steps: the same attack, masks, actions and update; others differ."""
    case = {**case, "training": {**case.get("training", {}), "precision": precision}}
    plain, captured = (gradients(case, digits, captured=way) for way in (False, True))
    other = gradients(case, digits, captured=False, dropout=7)
    for one, same, different in zip(plain, captured, other, strict=True):
        assert distance(one, same) < 0.01
        assert distance(one, different) > 0.5


def test_a_captured_run_learns(digits: Dataset) -> None:
    """Five epochs of captured steps on the digits bring natural accuracy far above chance."""
    assert metrics(digits, training={"epochs": 5, "compile": "on"})[-1]["test_accuracy"] > 0.8


@pytest.mark.parametrize("kind", ["ppo", "a2c", "dqn"])
def test_an_agent_trains(digits: Dataset, kind: str) -> None:
    """An epoch of rollouts, whose images come from the GPU and whose rewards do not, ends with numbers."""
    data = some(digits, train=320, test=100)
    (found,) = metrics(data, objective={"kind": kind, "n_steps": 2}, training={"epochs": 1})
    assert math.isfinite(found["loss"])
    assert -1 <= found["mean_reward"] <= 1


def test_nothing_waits_for_the_device_within_an_epoch(digits: Dataset) -> None:
    """Between an epoch's first batch and its last no operation synchronises."""
    spec = run_spec(training={"compile": "on"})
    model = build_model(spec.architecture, digits.image_shape, 10)
    initialise(model, 0)
    model.to(GPU)
    epochs = Epochs(spec, digits, model)
    batches = run(epochs.updates(1, 0))
    next(batches)
    with never_waiting():
        for done in batches:
            if done == epochs.batches - 1:
                break
    assert done == epochs.batches - 1


@contextmanager
def never_waiting() -> Iterator[None]:
    """Inside, what waits for the device raises."""
    try:
        with warnings.catch_warnings(category=UserWarning, action="ignore"):  # that it is a prototype
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_captured_step_and_its_trials_leave_the_callers_random_state(digits: Dataset) -> None:
    """Neither the CPU's nor the device's random state is moved."""
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    metrics(some(digits, train=64, test=8), training={"epochs": 1, "compile": "on"})
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(torch.cuda.get_rng_state(), before[1])


@pytest.mark.parametrize("kernels", ["triton", "torch"])
def test_runs_trained_together_have_the_weights_of_those_alone(
    digits: Dataset, kernels: Kernels, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In fp32, without dropout, whose masks are others there; alone, then together, then alone again.

    Those kernels that were asked for compute them, and nobody warns.

    The second is an epoch ahead and ends an epoch earlier, so the first's captured step finds its weights moved.
    """
    data = some(digits, train=96, test=20)
    training = {"compile": "on", "optimizer": {"kind": "sgd"}}
    specs = [
        run_spec(seed=seed, architecture={"dropout": False}, training=training | {"epochs": 3 - seed})
        for seed in (0, 1)
    ]
    alone = [states(train(spec, data, device=GPU)) for spec in specs]
    found: list[list[TrainingEvent]] = [[], []]
    used, do = set(), Program.do

    def told(program: Program, batches: Sequence[Batch]) -> None:
        do(program, batches)
        used.add(program.by_triton)

    monkeypatch.setattr(Program, "do", told)
    for place, event in train_together(specs, data, device=GPU, resume={1: alone[1][0]}, kernels=kernels):
        assert not isinstance(event, Ended) or event.error is None
        if not isinstance(event, Ended):
            found[place].append(event)
    for its, mine in zip(alone, found, strict=True):
        one, other = its[-1].model, states(mine)[-1].model
        assert max(distance(one[name].flatten(), other[name].flatten()) for name in one) < 1e-3
    assert used == {kernels == "triton"}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def states(events: Iterable[TrainingEvent]) -> list[TrainingState]:
    """After each epoch."""
    return [event.state for event in events if isinstance(event, CheckpointReady)]


@pytest.mark.parametrize("precision", ["bf16", "tf32", "fp32"])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (1, 16, 16)], ids=str)
def test_tritons_kernels_do_what_torchs_do(
    precision: Precision, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whole batches and of smaller ones, logits and all gradients: in fp32 within 1e-5 of their length."""
    monkeypatch.setitem(trial._FURTHEST, "fp32", (1e-5, 1e-5))
    network = StackedCnn(Cnn(), some_networks(3, shape), precision).train()
    network.by_triton = True
    seeds = torch.tensor([3, 4, 5], device=GPU)
    for count in (32, 128, 5):
        generator = seeding.generator(GPU, 0, "test", count)
        images = torch.rand(3 * count, *shape, generator=generator, device=GPU)
        labels = torch.randint(10, (3, count), generator=generator, device=GPU)
        with fp32_products(precision):
            assert trial.disagreement(network, precision, images, labels, seeds) is None


def some_networks(count: int, shape: tuple[int, int, int]) -> list[torch.nn.Module]:
    return [network(seed=seed, shape=shape).to(GPU) for seed in range(count)]


BOTH: tuple[dict[str, Any], ...] = ({"kind": "cross_entropy"}, {"kind": "policy_gradient", "baseline": "batch_mean"})


def specs_together(runs: int, **training: Any) -> list[RunSpec]:
    """Half by cross-entropy, half by a reward."""
    training = {"precision": "bf16", "compile": "on"} | training
    return [run_spec(seed=seed, objective=BOTH[seed % 2], training=training) for seed in range(runs)]


def program_of(specs: Sequence[RunSpec], data: Dataset) -> tuple[Program, list[Batch]]:
    """Triton's, at the runs' first batch."""
    due = []
    for spec in specs:
        model = build_model(spec.architecture, data.image_shape, 10)
        initialise(model, spec.seed)
        due.append(next(Epochs(spec, data, model.to(GPU)).updates(1, 0)).batch)
    found = [batch for batch in due if batch is not None]
    return Program(found, "triton"), found


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
def test_a_captured_step_of_tritons_is_the_plain_one(digits: Dataset, optimizer: str) -> None:
    """Weights and tallies after three steps with one batch, by RMSprop in a kernel of ours and by torch's own Adam."""
    ends = []
    for compiled in ("off", "on"):
        training = {"compile": compiled, "optimizer": {"kind": optimizer, "lr": 1e-3}}
        program, due = program_of(specs_together(4, **training), some(digits, train=64, test=8))
        for _ in range(3):
            program.do(due)
        assert program.by_triton
        ends.append([[batch.totals, *batch.model.parameters()] for batch in due])
    for plain, captured in zip(*ends, strict=True):
        assert all(distance(one, other) < 1e-4 for one, other in zip(plain, captured, strict=True))


def test_dropout_draws_anew_at_every_step_of_tritons(digits: Dataset) -> None:
    """A captured step takes its seeds from outside: others drop others, and the same ones the same."""
    program, due = program_of(specs_together(2), some(digits, train=64, test=8))
    program.do(due)
    assert program.by_triton
    images, labels, seeds, *noise = program.inputs(due)
    with fp32_products("bf16"):
        found = [program.gradients(images, labels, words, *noise)[0] for words in (seeds, seeds, seeds + 1)]
    assert distance(found[0], found[1]) < 1e-6
    assert distance(found[0], found[2]) > 0.1


@pytest.mark.parametrize("kernels", ["triton", "torch"])
def test_both_objectives_learn_together_and_go_on_from_their_checkpoints(
    digits: Dataset, kernels: Kernels, caplog: pytest.LogCaptureFixture
) -> None:
    """Four runs in bf16, adversary and all: far above chance after five epochs, whole or resumed after the third.

    One leaves on the way, and nobody warns.
    """
    specs, left = specs_together(4, epochs=5), [0]

    def leaves(place: int) -> bool:
        left[0] += place == 3
        return place == 3 and left[0] > 40

    found: list[list[Any]] = [[] for _ in specs]
    for place, event in train_together(specs, digits, device=GPU, kernels=kernels, leaves=leaves):
        found[place].append(event)
    middle = {place: states(found[place])[2] for place in range(3)}
    for place, event in train_together(specs[:3], digits, device=GPU, kernels=kernels, resume=middle):
        found[place].append(event)
    for events in found[:3]:
        whole, resumed = [event.metrics for event in events if isinstance(event, EpochFinished) and event.epoch == 5]
        for ended in (whole, resumed):
            assert ended["test_accuracy"] > 0.3
            assert math.isfinite(ended["loss"])
        assert states(events)[-1].model.keys() == states(events)[0].model.keys()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_nothing_waits_for_the_device_while_runs_train_together(digits: Dataset) -> None:
    """From the step after the first, which is tried and captured, to the epoch's last but one."""
    specs = specs_together(3)
    events = train_together(specs, digits, device=GPU, kernels="triton")
    last = 2
    assert any(place == last and isinstance(event, BatchFinished) for place, event in events)
    with never_waiting():
        for place, event in events:
            if place == last and isinstance(event, BatchFinished) and event.batch == event.batches - 2:
                break
