"""What a spec chooses among goes together."""

import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gauntlet.data.datasets import Dataset
from gauntlet.events import CheckpointReady, EpochFinished, TrainingEvent
from gauntlet.models import architectures
from gauntlet.models.checkpoints import encode_training_state, load_training_state
from gauntlet.spec.experiment import RunSpec
from tests.gauntlet.examples import events, normalising, run_spec, some, states
from tests.own_networks import installed
from tests.smallest import SMALLEST

GROUP = {"kind": "policy_gradient", "group": 3, "baseline": "leave_one_out", "scale_rewards": "group"}
EXPLORING = {"kind": "policy_gradient", "action": "epsilon_greedy", "log_prob_floor": -16.118}


def require_trained(found: list[TrainingEvent]) -> None:
    """To the end, with finite numbers of the one epoch."""
    assert isinstance(found[-1], CheckpointReady)
    (epoch,) = [event for event in found if isinstance(event, EpochFinished)]
    assert all(math.isfinite(value) for value in epoch.metrics.values())


@pytest.mark.parametrize("mix", ["adversarial", "half", "both"])
@pytest.mark.parametrize("loss", ["true_label", "predicted_label", "objective"])
@pytest.mark.parametrize(
    "objective",
    [{"kind": "cross_entropy"}, {"kind": "policy_gradient"}, {"kind": "expected_reward"}, EXPLORING],
    ids=lambda each: each["kind"],
)
def test_every_combination_trains(digits: Dataset, mix: str, loss: str, objective: dict[str, Any]) -> None:
    """Every objective trains with every attack loss and mix, also where the last batch is a single image."""
    spec = run_spec(objective=objective, adversary={"loss": loss}, training={"epochs": 1, "batch_size": 8, "mix": mix})
    require_trained(events(spec, some(digits, train=9, test=4)))


@pytest.mark.parametrize(
    ("adversary", "objective", "architecture"),
    [
        ({"kind": "fgsm_rs", "eps": "32/255", "warmup_epochs": 1}, {"kind": "cross_entropy"}, {"kind": "cnn"}),
        ({"kind": "pgd", "eps": "128/255", "norm": "L2", "steps": 1}, {"kind": "trades"}, {"kind": "vit", "depth": 1}),
        (
            {"kind": "fgsm", "eps": "32/255"},
            {"kind": "policy_gradient", "action_forward": "eval"},
            {"kind": "resnet18"},
        ),
    ],
)
def test_grad_align_and_awp_go_with_each(
    digits: Dataset,
    adversary: dict[str, Any],
    objective: dict[str, Any],
    architecture: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both together, in bf16 too, also where the last batch is a single image and layers normalise."""
    training = {"epochs": 1, "batch_size": 2, "precision": "bf16", "grad_align": {}, "awp": {}}
    spec = run_spec(objective=objective, architecture=architecture, adversary=adversary, training=training)
    if architecture["kind"] == "resnet18":
        # A processor without instructions for bf16 takes its convolutions ten times as long as in fp32.
        monkeypatch.setattr(architectures, "_built", normalising)
    require_trained(events(spec, some(digits, train=3, test=2)))


def options(optimizer: str, schedule: str) -> dict[str, Any]:
    """An epoch with all that a loss' training may have, of this kind of optimiser and schedule."""
    cycling = {"lowest_momentum": 0.5} if (optimizer, schedule) == ("sgd", "one_cycle") else {}
    return {
        "epochs": 1,
        "batch_size": 8,
        "optimizer": {"kind": optimizer},
        "schedule": {"kind": schedule, **cycling},
        "max_grad_norm": 1.0,
        "augmentation": {"crop_padding": 2, "cutout": 3},
    }


@pytest.mark.parametrize(
    ("adversary", "optimizer", "schedule"),
    [
        ({"kind": "none", "eps": "32/255"}, "sgd", "one_cycle"),
        ({"kind": "fgsm", "eps": "128/255", "norm": "L2", "warmup_epochs": 0.5}, "adam", "cosine"),
        ({"kind": "fgsm_rs", "eps": "32/255"}, "adamw", "step"),
        ({"kind": "n_fgsm", "eps": "32/255", "warmup_epochs": 1}, "rmsprop", "constant"),
        ({"kind": "pgd", "eps": "32/255", "steps": 2, "restarts": 2}, "sgd", "cosine"),
        ({"kind": "pgd", "eps": "128/255", "norm": "L2", "steps": 2, "loss": "divergence"}, "adam", "one_cycle"),
    ],
)
@pytest.mark.parametrize(
    "objective",
    [{"kind": "cross_entropy", "label_smoothing": 0.1}, {"kind": "trades"}, {"kind": "mart"}, GROUP],
    ids=lambda each: each["kind"],
)
def test_every_adversary_trains_every_objective(
    digits: Dataset, adversary: dict[str, Any], optimizer: str, schedule: str, objective: dict[str, Any]
) -> None:
    """With each kind of optimiser and schedule, clipped and augmented too, but for the pairs that are refused."""
    training = options(optimizer, schedule)
    if adversary["kind"] == "none" and objective["kind"] in {"trades", "mart"}:
        with pytest.raises(ValidationError, match="it needs an adversary"):
            run_spec(objective=objective, adversary=adversary)
        return
    spec = run_spec(objective=objective, adversary=adversary, training=training)
    require_trained(events(spec, some(digits, train=17, test=4)))


MAX_RL = {"kind": "policy_gradient", "group": 4, "estimator": "max_rl"}


@pytest.mark.parametrize(
    ("objective", "adversary", "optimizer", "schedule"),
    [
        ({"kind": "trades"}, {"kind": "pgd", "steps": 2, "loss": "divergence", "warmup_epochs": 1}, "adam", "cosine"),
        ({"kind": "mart"}, {"kind": "n_fgsm"}, "adamw", "one_cycle"),
        ({"kind": "cross_entropy", "label_smoothing": 0.1}, {"kind": "fgsm_rs"}, "sgd", "step"),
        (
            {"kind": "expected_reward", "shape": "max_rl"},
            {"kind": "pgd", "steps": 2, "norm": "L2"},
            "adam",
            "one_cycle",
        ),
        (GROUP, {"kind": "none"}, "rmsprop", "constant"),
        ({"kind": "cross_entropy"}, {"kind": "fgsm_rs"}, "sgd", "one_cycle"),
        (MAX_RL, {"kind": "fgsm", "norm": "L2", "warmup_epochs": 0.5}, "sgd", "cosine"),
    ],
    ids=lambda each: each["kind"] if isinstance(each, dict) else each,
)
def test_every_addition_resumes_bit_by_bit(
    digits: Dataset,
    tmp_path: Path,
    objective: dict[str, Any],
    adversary: dict[str, Any],
    optimizer: str,
    schedule: str,
) -> None:
    """With averaged weights, clipped and augmented."""
    training = options(optimizer, schedule) | {"averaging": {}}
    spec = run_spec(objective=objective, adversary={"eps": "32/255"} | adversary, training=training)
    require_same_when_resumed(spec, some(digits, train=17, test=4), tmp_path / "state")


def require_same_when_resumed(spec: RunSpec, data: Dataset, file: Path) -> None:
    """From the file of a state within the epoch: weights, average, moments, tally and what is measured."""
    whole = events(spec, data, every_state=True)
    within, *_, end = states(whole)
    file.write_bytes(encode_training_state(within))
    rest = events(spec, data, load_training_state(file))
    assert encode_training_state(states(rest)[-1]) == encode_training_state(end)
    told, wanted = ([event.metrics for event in each if isinstance(event, EpochFinished)] for each in (rest, whole))
    assert told == wanted


CROSS_ENTROPY = {"kind": "cross_entropy"}
SGD = {"kind": "sgd", "nesterov": True}
GRPO = {"kind": "policy_gradient", "group": 3, "baseline": "group_mean", "scale_rewards": "batch"}


@pytest.mark.parametrize(
    ("architecture", "objective", "adversary", "training"),
    [
        pytest.param(
            {"kind": "preactresnet18"},
            CROSS_ENTROPY,
            {"kind": "fgsm_rs"},
            {"optimizer": SGD},
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            {"kind": "torchvision", "name": "mobilenet_v3_small"},
            {"kind": "trades"},
            {"kind": "pgd", "steps": 1, "mode": "train"},
            {"optimizer": {"kind": "adam"}},
            marks=pytest.mark.thorough,
        ),
        ({"kind": "custom", "name": "narrow"}, {"kind": "mart"}, {"kind": "n_fgsm"}, {"optimizer": SGD, "awp": {}}),
        (
            {"kind": "cnn", "dropout": False},
            {"kind": "expected_reward", "shape": "arcsin_sqrt"},
            {"kind": "pgd", "steps": 2, "restarts": 2},
            {"optimizer": {"weight_decay": 0.01}},
        ),
        (
            SMALLEST,
            {"kind": "expected_reward", "shape": "log"},
            {"kind": "fgsm"},
            {"optimizer": SGD, "schedule": {"kind": "time_decay", "decay": 0.1}, "grad_align": {}},
        ),
        (SMALLEST, GRPO, {"kind": "fgsm", "loss": "objective"}, {"grad_align": {}, "awp": {}}),
        (SMALLEST, {"kind": "trades"}, {"kind": "pgd", "steps": 2, "restarts": 2}, {"grad_align": {}, "awp": {}}),
        (SMALLEST, GROUP, {"kind": "none"}, {"mix": "both", "awp": {}}),
    ],
)
def test_each_of_these_resumes_bit_by_bit(
    digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    architecture: dict[str, Any],
    objective: dict[str, Any],
    adversary: dict[str, Any],
    training: dict[str, Any],
) -> None:
    """Networks with their own statistics and dropout or without, restarts, Nesterov's momentum, and what is added."""
    spec = run_spec(
        architecture=architecture,
        objective=objective,
        adversary={"eps": "32/255"} | adversary,
        training={"epochs": 1, "batch_size": 4} | training,
    )
    with installed(tmp_path / "site", monkeypatch):
        require_same_when_resumed(spec, some(digits, train=6, test=2), tmp_path / "state")
