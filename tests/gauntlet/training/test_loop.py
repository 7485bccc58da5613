import dataclasses
import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import nn

from gauntlet.attacks.gradient import fgsm
from gauntlet.data.datasets import Dataset, ImageSet, hold_out, to_unit
from gauntlet.errors import CheckpointInvalid, DatasetUnavailable
from gauntlet.events import BatchFinished, CheckpointReady, EpochFinished, Resumed, TrainingEvent, Warned
from gauntlet.models import architectures
from gauntlet.models.checkpoints import TrainingState, encode_training_state
from gauntlet.training.loop import train
from gauntlet.training.measurement import natural_accuracy
from gauntlet.training.steps.objectives import objective_loss
from gauntlet.training.steps.optimizers import learning_rate
from tests.gauntlet.examples import (
    CPU,
    bright_or_dark,
    events,
    measured,
    network,
    network_with,
    run_spec,
    same_tensors,
    some,
    states,
)
from tests.smallest import SMALLEST

POLICY_GRADIENT = {"kind": "policy_gradient"}
EXPECTED_REWARD = {"kind": "expected_reward"}
ARGMAX = {"kind": "policy_gradient", "action": "argmax", "baseline": "batch_mean"}
EXPLORING = {"kind": "policy_gradient", "action": "epsilon_greedy", "log_prob_floor": -16.118}


def epochs(found: list[TrainingEvent]) -> list[EpochFinished]:
    return [event for event in found if isinstance(event, EpochFinished)]


def metrics(found: list[TrainingEvent]) -> list[dict[str, float]]:
    return [event.metrics for event in epochs(found)]


def blobs(found: list[TrainingEvent]) -> list[bytes]:
    """Every state's bytes, which are equal exactly where weights, moments, epoch and warnings are."""
    return [encode_training_state(state) for state in states(found)]


def warned(found: list[TrainingEvent]) -> list[tuple[int, str]]:
    return [(event.epoch, event.kind) for event in found if isinstance(event, Warned)]


def test_cross_entropy_learns_the_digits(trained: TrainingState, digits: Dataset) -> None:
    """Five epochs on 480 digits bring natural and FGSM accuracy far above the chance of a tenth."""
    model = network_with(trained)
    learned = measured(model, digits.test, eps=Fraction(32, 255))
    assert learned.accuracy > 0.7
    assert learned.fgsm_accuracy > 0.35
    assert natural_accuracy(network(), digits.test) < 0.25


def test_adversarial_training_makes_robust(trained: TrainingState, digits: Dataset) -> None:
    """Trained on attacked images a model withstands the attack better than one trained on natural ones."""
    spec = run_spec(
        adversary={"kind": "none", "eps": 0},
        training={"epochs": 5, "batch_size": 16, "optimizer": {"kind": "rmsprop", "lr": 1e-3}},
    )
    natural = states(events(spec, some(digits, train=480, test=20)))[-1]
    eps = Fraction(48, 255)
    test = digits.test.take(120)
    robust = [measured(network_with(state), test, eps=eps).fgsm_accuracy for state in (natural, trained)]
    assert robust[1] > robust[0] + 0.1


@pytest.mark.parametrize(
    "objective", [POLICY_GRADIENT, EXPECTED_REWARD, ARGMAX], ids=["sampled", "expected", "centred"]
)
def test_rewards_teach(objective: dict[str, Any]) -> None:
    """On images that are bright or dark each reward objective learns which is which."""
    data = Dataset(bright_or_dark(256), bright_or_dark(60), ("dark", "bright"))
    spec = run_spec(objective=objective, adversary={"eps": "16/255"}, training={"epochs": 3, "batch_size": 16})
    assert metrics(events(spec, data))[-1]["test_accuracy"] > 0.95


# Everything that draws random numbers: dropout in both passes, actions in the attack and in the loss.
RANDOM = run_spec(
    architecture=SMALLEST,
    objective={"kind": "policy_gradient", "entropy_bonus": 0.1, "action_forward": "eval"},
    adversary={"loss": "objective", "mode": "train"},
    training={"epochs": 4, "optimizer": {"decay": 0.01}},
    seed=5,
)


def test_a_run_repeats_itself(few: Dataset) -> None:
    """Two runs of one spec have equal metrics, warnings, weights and moments, bit by bit."""
    first, again = events(RANDOM, few), events(RANDOM, few)
    assert metrics(first) == metrics(again)
    assert blobs(first) == blobs(again)
    assert warned(first) == warned(again)
    assert same_tensors(states(first)[-1].model, states(again)[-1].model)


def test_another_seed_is_another_run(few: Dataset) -> None:
    """With another seed weights and metrics differ."""
    first, other = events(RANDOM, few), events(RANDOM.model_copy(update={"seed": 6}), few)
    assert metrics(first)[0] != metrics(other)[0]
    assert not any(map(torch.equal, states(first)[0].model.values(), states(other)[0].model.values()))


@pytest.mark.parametrize("purpose", ["order", "dropout", "actions"])
def test_epochs_are_not_repetitions(few: Dataset, monkeypatch: pytest.MonkeyPatch, purpose: str) -> None:
    """From equal weights two epochs differ, though only their order, their dropout or their actions could differ."""
    dropout = 0.5 if purpose == "dropout" else 0.0
    monkeypatch.setattr(
        architectures,
        "_built",
        lambda _spec, _shape, classes: nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(256, classes)),
    )
    one_image = ImageSet(few.train.images[:1].repeat(64, 1, 1, 1), few.train.labels[:1].repeat(64))
    data = few if purpose == "order" else Dataset(one_image, few.test, few.classes)
    spec = run_spec(
        objective=POLICY_GRADIENT if purpose == "actions" else {"kind": "cross_entropy"},
        training={"epochs": 3, "optimizer": {"decay": 0}},
    )
    first = states(events(spec, data))[0]
    moved = dataclasses.replace(first, epoch=2)
    second, third = (states(events(spec, data, resume=_copy(state)))[0] for state in (first, moved))
    assert (second.epoch, third.epoch) == (2, 3)
    assert not same_tensors(second.model, third.model)


def _copy(state: TrainingState) -> TrainingState:
    return dataclasses.replace(state, optimizer={name: tensor.clone() for name, tensor in state.optimizer.items()})


def test_a_changed_environment_is_told(few: Dataset) -> None:
    """Resumed where torch, device or threads differ, a run says that it is not bit-identical."""
    state = dataclasses.replace(states(events(run_spec(), few))[0], environment="torch 1.0, abacus")
    assert events(run_spec(), few, resume=state)[0] == Resumed(1, 0, bit_identical=False)


def test_another_architectures_state_is_refused(few: Dataset) -> None:
    """A state whose tensors have other shapes cannot be resumed from."""
    state = states(events(run_spec(), few))[0]
    narrower = {name: tensor[:1] for name, tensor in state.model.items()}
    with pytest.raises(CheckpointInvalid, match="another architecture"):
        events(run_spec(), few, resume=dataclasses.replace(state, model=narrower))


def test_what_the_caller_draws_makes_no_difference(few: Dataset) -> None:
    """A caller who draws random numbers between events neither disturbs the run nor is disturbed by it."""
    undisturbed, found = blobs(events(RANDOM, few)), []
    iterator = train(RANDOM, few, device=CPU)
    found.append(next(iterator))
    torch.manual_seed(9)
    wanted = torch.Generator().manual_seed(9)
    for event in iterator:
        found.append(event)
        assert torch.equal(torch.rand(3), torch.rand(3, generator=wanted))
    assert blobs(found) == undisturbed


def test_events_come_in_order(few: Dataset) -> None:
    """Each epoch tells its batches, then its metrics, then its state; the spec's checkpoints and the last are kept."""
    found = events(run_spec(training={"epochs": 3, "checkpoint_every": 2}), few)
    told = [event for event in found if not isinstance(event, Warned)]
    for epoch in (1, 2, 3):
        *batches, finished, ready = told[5 * epoch - 5 : 5 * epoch]
        assert batches == [BatchFinished(epoch, batch, 3, 2) for batch in (1, 2, 3)]
        assert isinstance(finished, EpochFinished)
        assert isinstance(ready, CheckpointReady)
        assert (finished.epoch, ready.epoch, ready.state.epoch) == (epoch, epoch, epoch)
        assert ready.keep is (epoch > 1)
        assert finished.seconds > 0
        assert finished.images_per_second == pytest.approx(72 / finished.seconds)
    assert len(told) == 15


def test_a_state_does_not_change_after_it_is_told(few: Dataset) -> None:
    """Training goes on without touching the states already given away."""
    told, held = [], []
    for event in train(run_spec(training={"epochs": 3}), few, device=CPU):
        if isinstance(event, CheckpointReady):
            told.append(encode_training_state(event.state))
            held.append(event.state)
    assert [encode_training_state(state) for state in held] == told
    assert len(set(told)) == 3


def test_metrics_are_of_the_epochs_last_weights(few: Dataset) -> None:
    """Accuracies are those of the state told next, on all test images and as many training images."""
    spec = run_spec(training={"optimizer": {"decay": 0.5}})
    found = events(spec, few)
    for epoch, (told, state) in enumerate(zip(metrics(found), states(found), strict=True), start=1):
        model = network_with(state)
        natural = measured(model, few.test, eps=spec.adversary.eps)
        assert told["test_accuracy"] == natural.accuracy
        assert told["mean_confidence"] == natural.mean_confidence
        assert told["mean_uniformity"] == natural.mean_uniformity
        assert told["predicted_classes"] == natural.predicted_classes
        assert told["test_fgsm_accuracy"] == natural.fgsm_accuracy
        assert told["train_accuracy"] == natural_accuracy(model, few.train.take(24))
        assert (told["train_accuracy_n"], told["test_accuracy_n"]) == (24, 24)
        assert told["learning_rate"] == learning_rate(spec.training, 3 * epoch - 1, 3)
        assert all(type(value) is float and math.isfinite(value) for value in told.values())
    assert "mean_reward" not in metrics(found)[0]
    assert not any(name.startswith("validation") for name in metrics(found)[0])


def test_a_held_out_set_is_measured_and_not_trained_on(few: Dataset) -> None:
    """The run is that on the remaining images, bit by bit, and tells the held-out images' accuracies beside it."""
    spec = run_spec(evaluation={"select_on": "validation", "validation_samples": 20}, seed=4)
    rest, validation = hold_out(few, 20)
    found, without = events(spec, few), events(run_spec(seed=4), rest)
    assert blobs(found) == blobs(without)
    for told, plain, state in zip(metrics(found), metrics(without), states(found), strict=True):
        held_out = measured(network_with(state), validation, eps=spec.adversary.eps)
        assert told == plain | {
            "validation_accuracy": held_out.accuracy,
            "validation_fgsm_accuracy": held_out.fgsm_accuracy,
            "validation_accuracy_n": 20.0,
        }
    assert epochs(found)[0].images_per_second == pytest.approx(52 / epochs(found)[0].seconds)


def test_the_same_images_are_held_out_whatever_the_seed(few: Dataset) -> None:
    """Runs of different seeds that learn nothing from one start agree on the held-out images' accuracies."""
    start = network().state_dict()
    told = []
    for seed in (0, 1):
        spec = run_spec(evaluation={"select_on": "validation"}, training={"optimizer": {"lr": 1e-12}}, seed=seed)
        (first, *_) = metrics(list(train(spec, few, device=CPU, initial_weights=start)))
        told.append({name: first[name] for name in first if name.startswith(("validation", "train_accuracy"))})
    assert told[0] == told[1]
    assert told[0]["validation_accuracy_n"] == 7


def test_the_training_accuracy_is_of_images_trained_on(digits: Dataset) -> None:
    """Its sample lies within what is left, also where there are fewer images left than there are for test."""
    spec = run_spec(evaluation={"select_on": "validation", "validation_samples": 30}, training={"epochs": 1})
    data = some(digits, train=40, test=24)
    (told,) = metrics(found := events(spec, data))
    assert (told["train_accuracy_n"], told["test_accuracy_n"]) == (10, 24)
    rest, _ = hold_out(data, 30)
    assert told["train_accuracy"] == natural_accuracy(network_with(states(found)[0]), rest.train)


def test_holding_everything_out_is_refused(few: Dataset) -> None:
    """Where no image is left to train on, nothing is told but the error."""
    spec = run_spec(evaluation={"select_on": "validation", "validation_samples": 72})
    with pytest.raises(DatasetUnavailable, match="none is left to train on"):
        next(train(spec, few, device=CPU))


def test_the_mean_reward_is_told(few: Dataset) -> None:
    """With ±1 rewards the mean reward is 2 × accuracy − 1 under argmax, and the loss is its negative when expected."""
    (told,) = metrics(events(run_spec(objective=ARGMAX, training={"epochs": 1}), few))
    assert told["mean_reward"] == pytest.approx(2 * told["train_adversarial_accuracy"] - 1, abs=1e-6)
    (told,) = metrics(events(run_spec(objective=EXPECTED_REWARD, training={"epochs": 1}), few))
    assert told["loss"] == pytest.approx(-told["mean_reward"], abs=1e-5)
    assert told["min_log_prob"] < 0


def test_the_first_loss_is_that_of_the_initial_weights(few: Dataset) -> None:
    """One batch of the whole set: the epoch's loss is the objective's on the attacked images before the update."""
    spec = run_spec(training={"epochs": 1, "batch_size": 72}, adversary={"mode": "eval"}, seed=3)
    (told,) = metrics(events(spec, few))
    model = network(seed=3)
    attacked = fgsm(model, to_unit(few.train.images), few.train.labels, spec.adversary.eps)
    losses = []
    for draw in range(40):
        torch.manual_seed(draw)
        logits = model.train()(attacked)
        loss = objective_loss(spec.objective, logits, few.train.labels, noise=torch.ones(72, 11))
        losses.append(loss.value.item())
    assert min(losses) - 0.02 < told["loss"] < max(losses) + 0.02
    assert told["loss"] == pytest.approx(sum(losses) / len(losses), abs=0.05)


def test_the_action_may_be_chosen_without_dropout(few: Dataset) -> None:
    """With `action_forward: eval` the actions are those of the model without dropout, with `train` they are not."""
    model = network(seed=3)
    attacked = fgsm(model, to_unit(few.train.images), few.train.labels, Fraction(32, 255))
    right = (model(attacked).argmax(dim=1) == few.train.labels).float().mean().item()
    rewards = {}
    for forward in ("eval", "train"):
        objective = ARGMAX | {"action_forward": forward}
        (told,) = metrics(events(run_spec(objective=objective, training={"epochs": 1, "batch_size": 72}, seed=3), few))
        rewards[forward] = told["mean_reward"]
    assert rewards["eval"] == pytest.approx(2 * right - 1, abs=1e-6)
    assert rewards["train"] != rewards["eval"]


def test_resuming_leaves_the_given_state_alone(few: Dataset) -> None:
    """The caller's tensors are copied, so one state can be resumed from twice."""
    state = states(events(run_spec(), few))[0]
    before = encode_training_state(state)
    events(run_spec(), few, resume=state)
    assert encode_training_state(state) == before


def test_training_does_not_touch_the_global_random_state(few: Dataset) -> None:
    """Not even while the model is built."""
    before = torch.get_rng_state()
    events(run_spec(objective=POLICY_GRADIENT, training={"epochs": 1}), few)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_warning_is_told_once_per_onset(few: Dataset) -> None:
    """A model that predicts one class with certainty is told of when that begins, and not again while it lasts."""
    spec = run_spec(objective=POLICY_GRADIENT, training={"epochs": 3, "optimizer": {"lr": 10}})
    found = events(spec, few)
    assert [told["predicted_classes"] for told in metrics(found)] == [1, 1, 1]
    assert warned(found) == [(1, "one_class"), (1, "overconfident")]
    assert [state.warnings for state in states(found)] == [("one_class", "overconfident")] * 3
    position = next(index for index, event in enumerate(found) if isinstance(event, Warned))
    assert isinstance(found[position - 1], EpochFinished)
    calm = dataclasses.replace(_copy(states(found)[0]), warnings=("overconfident",))
    assert warned(events(spec, few, resume=calm)) == [(2, "one_class")]
