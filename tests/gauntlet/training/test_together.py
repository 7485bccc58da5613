"""Runs that are computed as one program are the runs that they are alone."""

import gc
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

from gauntlet.data.datasets import Dataset, ImageSet
from gauntlet.errors import TrainingDiverged
from gauntlet.events import BatchFinished, CheckpointReady, EpochFinished, Resumed, StateReady, TrainingEvent
from gauntlet.models.architectures import build_model, initialise, normalised
from gauntlet.models.checkpoints import TrainingState
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.kinship import kin
from gauntlet.spec.runs.normalisation import Normalisation
from gauntlet.training.epochs import Epochs
from gauntlet.training.fused.program import Program
from gauntlet.training.fused.together import Ended, _Programs, train_together
from gauntlet.training.loop import train
from gauntlet.training.updates import Batch, Update
from tests.gauntlet.examples import CPU, middles, run_spec, some

pytestmark = pytest.mark.long(seconds=5)

GREY = Normalisation(mean=(0.3,), std=(0.2,))
POLICY = {"kind": "policy_gradient", "entropy_bonus": 0.1, "group": 2}
# Two share all but the seed; the others differ in objective, optimiser, rate, schedule and length.
RUNS: tuple[dict[str, Any], ...] = (
    {"seed": 1},
    {"seed": 2, "objective": POLICY},
    {"seed": 3},
    {"seed": 4, "objective": {"kind": "expected_reward"}, "training": {"optimizer": {"kind": "adam", "lr": 0.002}}},
    {"seed": 5, "objective": POLICY, "training": {"optimizer": {"lr": 0.01, "decay": 0.5}, "epochs": 1}},
)


@pytest.fixture(scope="module")
def small(digits: Dataset) -> Dataset:
    """A program of runs does not depend on how large their images are."""
    return middles(digits, 10)


def specs_of(**training: Any) -> list[RunSpec]:
    return [
        run_spec(**run | {"training": {"batch_size": 16, "epochs": 2} | training | run.get("training", {})})
        for run in RUNS
    ]


def distance(one: Tensor, other: Tensor) -> float:
    """‖one − other‖ / ‖one‖."""
    return float((one - other).norm() / one.norm())


def first_gradients(specs: list[RunSpec], data: Dataset, *, together: bool) -> list[list[Tensor]]:
    """Of each run the gradients of its first step, parameter by parameter."""
    batches, updates = [], []
    for spec in specs:
        model = build_model(spec.architecture, data.image_shape, 10)
        initialise(model, spec.seed)
        update = next(Epochs(spec, data, normalised(model, spec.normalisation)).updates(1, 0))
        assert update.batch is not None
        batches.append(update.batch)
        updates.append(update)
    if not together:
        for update in updates:
            update.do()
        return [[p.grad for p in batch.model.parameters() if p.grad is not None] for batch in batches]
    program = Program(batches)
    found = program.gradients(*program.inputs(batches))
    return [[gradient[program.order.index(place)] for gradient in found] for place in range(len(specs))]


@pytest.mark.parametrize(
    ("attacked", "dropout", "behind"),
    [("true_label", True, None), ("objective", True, None), ("true_label", False, GREY)],
)
def test_each_has_the_gradients_that_it_has_alone(
    digits: Dataset, attacked: str, dropout: bool, behind: Normalisation | None
) -> None:
    """Within 1e-5 of their length in fp32, dropout's masks and the actions drawn included; others' are far away."""
    specs = [
        spec.model_copy(
            update={
                "adversary": run_spec(adversary={"loss": attacked}).adversary,
                "architecture": Cnn(dropout=dropout),
                "normalisation": behind,
            }
        )
        for spec in specs_of()
    ]
    alone, together = (first_gradients(specs, digits, together=way) for way in (False, True))
    for one, same, other in zip(alone, together, together[1:] + together[:1], strict=True):
        assert len(one) == len(same) == 12
        assert all(distance(mine, its) < 1e-5 for mine, its in zip(one, same, strict=True))
        assert distance(one[0], other[0]) > 0.1


def together(specs: list[RunSpec], data: Dataset, **options: Any) -> list[list[TrainingEvent | Ended]]:
    """The events of each run."""
    found: list[list[TrainingEvent | Ended]] = [[] for _ in specs]
    for place, event in train_together(specs, data, device=CPU, **options):
        found[place].append(event)
    return found


def rows(events: list[Any]) -> list[Any]:
    """What is told of every epoch; times are not."""
    return [(event.epoch, event.metrics) for event in events if isinstance(event, EpochFinished)]


def last_state(events: list[Any]) -> TrainingState:
    state: TrainingState = [event.state for event in events if isinstance(event, CheckpointReady)][-1]
    return state


def test_a_run_tells_what_it_tells_alone(small: Dataset) -> None:
    """The same events in the same order, with the numbers of the run alone; so, too, weights and updates counted."""
    data, specs = some(small, train=40, test=20), specs_of()
    for spec, found in zip(specs, together(specs, data), strict=True):
        alone = list(train(spec, data, device=CPU))
        assert [type(event) for event in found] == [*(type(event) for event in alone), Ended]
        assert [e for e in found if isinstance(e, BatchFinished)] == [e for e in alone if isinstance(e, BatchFinished)]
        for (epoch, metrics), (number, expected) in zip(rows(found), rows(alone), strict=True):
            assert epoch == number
            assert metrics == pytest.approx(expected, rel=1e-3, abs=1e-4)
        one, other = last_state(found), last_state(alone)
        assert one.optimizer.keys() == other.optimizer.keys()
        steps = [name for name in one.optimizer if name.endswith("step")]
        assert [one.optimizer[name] for name in steps] == [other.optimizer[name] for name in steps] != []
        for name, weights in one.model.items():
            assert weights.stride() == other.model[name].stride()
            assert distance(other.model[name], weights) < 1e-3


def test_a_momentum_that_follows_the_rate_does_so_together(small: Dataset) -> None:
    """A run's weights are those that it has alone, beside one whose momentum stays as it is."""
    cycle = {"kind": "one_cycle", "peak": 0.5}
    training = {"batch_size": 8, "optimizer": {"kind": "sgd", "lr": 0.02}}
    specs = [
        run_spec(seed=seed, training=training | {"schedule": cycle | further})
        for seed, further in enumerate(({"lowest_momentum": 0.1}, {}, {"lowest_momentum": 0.1}))
    ]
    data = some(small, train=40, test=10)
    for spec, found in zip(specs, together(specs, data), strict=True):
        alone = last_state(list(train(spec, data, device=CPU))).model
        for name, weights in last_state(found).model.items():
            assert distance(alone[name], weights) < 1e-4
    other = last_state(list(train(specs[1].model_copy(update={"seed": spec.seed}), data, device=CPU))).model
    assert all(distance(other[name], weights) > 1e-3 for name, weights in alone.items())


def test_a_run_that_leaves_does_not_disturb_the_others(small: Dataset) -> None:
    """One ends after its first batch and one diverges at once: the others end where they end with neither."""
    data, specs = some(small, train=40, test=20), specs_of()[:4]
    wild = run_spec(seed=9, training={"batch_size": 16, "epochs": 2, "optimizer": {"kind": "rmsprop", "lr": 10.0}})
    asked: list[int] = []

    def leaves(place: int) -> bool:
        asked.append(place)
        return place == 1 and asked.count(1) > 1

    disturbed = together([*specs, wild], data, leaves=leaves)
    undisturbed = together([specs[0], *specs[2:]], data)
    assert [type(event) for event in disturbed[1]] == [BatchFinished]
    ended = disturbed[4][-1]
    assert isinstance(ended, Ended)
    assert isinstance(ended.error, TrainingDiverged)
    for place, other in zip((0, 2, 3), undisturbed, strict=True):
        assert len(rows(disturbed[place])) == 2
        for name, weights in last_state(other).model.items():
            assert distance(weights, last_state(disturbed[place]).model[name]) < 1e-3


def test_runs_share_what_is_held_out_and_what_is_not(small: Dataset) -> None:
    """However many they are, each of both parts lies in memory once."""
    selected = {"select_on": "validation", "validation_samples": 7}
    specs = [run_spec(seed=seed, evaluation=selected, training={"batch_size": 16}) for seed in range(3)]
    events = train_together(specs, some(small, train=90, test=5), device=CPU)
    assert [(place, type(event)) for place, event in islice(events, 3)] == [
        (place, BatchFinished) for place in (0, 1, 2)
    ]
    places = {(len(each), each.images.data_ptr()) for each in gc.get_objects() if type(each) is ImageSet}
    assert sorted(size for size, _ in places if size in (83, 7)) == [7, 83]


def test_a_run_goes_on_from_a_state_within_an_epoch(small: Dataset) -> None:
    """Together from one run's state and another's beginning, each ends as uninterrupted, and says: not to the bit."""
    data, specs = some(small, train=40, test=20), specs_of()[:3]
    whole = together(specs, data, wants_state=lambda place: place == 2)
    state = next(event.state for event in whole[2] if isinstance(event, StateReady))
    assert (state.epoch, state.batch) == (0, 1)
    again = together(specs, data, resume={2: state})
    assert again[2][0] == Resumed(0, 1, bit_identical=False)
    for one, other in zip(whole, again, strict=True):
        for name, weights in last_state(one).model.items():
            assert distance(weights, last_state(other).model[name]) < 1e-3
    alone = list(train(specs[2], data, device=CPU, resume=state))
    assert alone[0] == Resumed(0, 1, bit_identical=False)
    assert rows(alone)[-1][1] == pytest.approx(rows(whole[2])[-1][1], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": {"kind": "resnet18"}},
        {"objective": {"kind": "trades"}},
        {"objective": {"kind": "ppo"}},
        {"objective": {"kind": "policy_gradient", "action_forward": "eval"}},
        {"adversary": {"mode": "train"}},
        {"adversary": {"kind": "pgd", "eps": "8/255"}},
        {"training": {"mix": "half"}},
        {"training": {"max_grad_norm": 1.0}},
        {"training": {"guard": {"action": "n_fgsm"}}},
    ],
)
def test_some_runs_are_computed_alone(changes: dict[str, Any]) -> None:
    """What the program does not know has no kin."""
    assert kin(run_spec(**changes)) is None
    assert kin(run_spec()) is not None


def test_kin_share_data_network_adversary_and_batches() -> None:
    """They differ in seed, objective, optimiser, rate and length, and in nothing else."""
    assert len({kin(spec) for spec in specs_of()}) == 1
    others: list[dict[str, Any]] = [
        {"architecture": {"dropout": False}},
        {"normalisation": {"mean": [0.3], "std": [0.2]}},
        {"normalisation": {"mean": [0.3], "std": [0.4]}},
        {"adversary": {"eps": "4/255"}},
        {"training": {"batch_size": 8}},
        {"training": {"precision": "bf16"}},
        {"evaluation": {"select_on": "validation"}},
    ]
    assert len({kin(run_spec(**changes)) for changes in [{}, *others]}) == 8


def update_at(spec: RunSpec, iteration: int, left: int) -> Update:
    empty = torch.empty(0)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters())
    batch = Batch(spec, model, optimizer, empty, empty, empty, empty, iteration, left, 0.1, 1.0, 1.0, 0)
    return Update(1, lambda: None, batch)


def test_who_is_ahead_waits_for_kin_that_catch_up_sooner_than_it_ends() -> None:
    """Not for runs that are no kin, nor longer than it would take itself, nor before a stop."""
    kin_of_all, other = run_spec(), run_spec(objective={"kind": "trades"})
    programs = _Programs([kin(kin_of_all)] * 4 + [kin(other)])
    due = {
        0: update_at(kin_of_all, 10, left=90),
        1: update_at(kin_of_all, 30, left=20),
        2: update_at(kin_of_all, 31, left=20),
        3: update_at(kin_of_all, 10, left=5),
        4: update_at(other, 99, left=99),
    }
    assert list(programs.next_of(due, lambda _: False)) == [0, 2, 3, 4]
    assert list(programs.next_of(due, lambda place: place == 1)) == [0, 1, 2, 3, 4]
    del due[0], due[3]
    assert list(programs.next_of(due, lambda _: False)) == [1, 4]
