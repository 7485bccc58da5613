import copy
from fractions import Fraction

import pytest

from gauntlet.spec.evaluations.attacks import AutoAttack, FgsmAttack
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import Digits
from gauntlet.spec.presets import PRESETS, overlay
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.objectives import CrossEntropy, PolicyGradient


def test_an_overlay_goes_field_by_field() -> None:
    """Nested fields that the override does not name keep the base's value."""
    base = {"a": {"kind": "x", "lr": 1, "decay": 2}, "b": 3}
    assert overlay(base, {"a": {"lr": 5}}) == {"a": {"kind": "x", "lr": 5, "decay": 2}, "b": 3}


def test_lists_are_replaced_whole() -> None:
    """A list in the override takes the place of the base's."""
    assert overlay({"seeds": [0, 1]}, {"seeds": [2]}) == {"seeds": [2]}


@pytest.mark.parametrize("tag", ["kind", "name"])
def test_another_type_replaces_the_object_whole(tag: str) -> None:
    """An object of another kind or data set inherits no field of the base's."""
    base = {"part": {tag: "x", "lr": 1}}
    assert overlay(base, {"part": {tag: "y", "rho": 2}}) == {"part": {tag: "y", "rho": 2}}
    assert overlay(base, {"part": {tag: "x", "rho": 2}}) == {"part": {tag: "x", "lr": 1, "rho": 2}}


def test_a_value_may_take_an_objects_place() -> None:
    """Where only one side is an object, the override's value stands."""
    assert overlay({"a": {"b": 1}}, {"a": None}) == {"a": None}
    assert overlay({"a": None}, {"a": {"b": 1}}) == {"a": {"b": 1}}


@pytest.mark.parametrize("name", PRESETS)
def test_reading_a_preset_leaves_it_as_it_is(name: str) -> None:
    """Neither reading nor overriding a preset changes it for the next request."""
    before = copy.deepcopy(PRESETS[name])
    ExperimentSpec.model_validate({"preset": name, "training": {"epochs": 1, "optimizer": {"lr": 0.5}}})
    assert PRESETS[name] == before


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_whole_spec(name: str) -> None:
    """A preset is valid on its own and carries its own name."""
    assert ExperimentSpec.model_validate(PRESETS[name]).name == name


def test_the_paper_preset_is_the_papers_experiment() -> None:
    """The preset has the values that arXiv 2012.04353 states, and our readings where it is silent."""
    paper = ExperimentSpec.model_validate({"preset": "paper"})
    assert paper.dataset.name == "cifar10"
    assert paper.dataset.train_samples is None
    assert paper.architecture == Cnn()
    cross_entropy, policy_gradient = paper.objectives
    assert cross_entropy == CrossEntropy()
    assert isinstance(policy_gradient, PolicyGradient)
    assert policy_gradient.model_dump() == {
        "label": None,
        "kind": "policy_gradient",
        "action": "argmax",
        "epsilon": 0.1,
        "action_forward": "train",
        "reward": {"correct": 1, "wrong": -1},
        "baseline": "batch_mean",
        "group": 1,
        "scale_rewards": "none",
        "estimator": "reward",
        "entropy_bonus": 0,
        "log_prob_floor": None,
    }
    assert paper.adversary.model_dump() == {
        "kind": "fgsm",
        "eps": "8/255",
        "norm": "Linf",
        "loss": "true_label",
        "mode": "eval",
        "warmup_epochs": 0,
    }
    assert paper.training.model_dump() == {
        "epochs": 220,
        "batch_size": 128,
        "optimizer": {"kind": "rmsprop", "lr": 1e-4, "decay": 1e-6, "rho": 0.9, "epsilon": 1e-7, "weight_decay": 0},
        "schedule": {"kind": "constant", "warmup_epochs": 0},
        "max_grad_norm": None,
        "augmentation": None,
        "grad_align": None,
        "awp": None,
        "averaging": None,
        "guard": {"action": "warn", "images": 200, "steps": 5, "every": None},
        "checkpoint_every": 20,
        "mix": "adversarial",
        "precision": "fp32",
        "compile": "auto",
        "initial_checkpoint": None,
    }
    eps = Fraction(8, 255)
    assert paper.evaluation.attacks == (FgsmAttack(eps=eps), AutoAttack(eps=eps))
    assert paper.evaluation.samples == 10_000
    assert "best_fgsm" in paper.evaluation.select
    assert (paper.evaluation.select_on, paper.evaluation.validation_samples) == ("test", None)


def test_the_other_reading_differs_in_action_baseline_and_batch() -> None:
    """`paper_sampled` has the policy gradient's defaults and batches of 32; all else is `paper`."""
    paper, sampled = (ExperimentSpec.model_validate({"preset": name}) for name in ("paper", "paper_sampled"))
    assert sampled.objectives == (CrossEntropy(), PolicyGradient())
    assert sampled.training == paper.training.model_copy(update={"batch_size": 32})
    changed = {"name", "objectives", "training"}
    assert sampled.model_dump(exclude=changed) == paper.model_dump(exclude=changed)


def test_a_preset_is_overridden_field_by_field() -> None:
    """Beside a preset only what differs is said; the rest stays the preset's."""
    quickstart = ExperimentSpec.model_validate({"preset": "quickstart"})
    changed = ExperimentSpec.model_validate(
        {"preset": "quickstart", "training": {"epochs": 2, "optimizer": {"lr": 0.5}}, "seeds": [3, 4]}
    )
    assert changed.seeds == (3, 4)
    assert changed.training.epochs == 2
    assert changed.training.optimizer == quickstart.training.optimizer.model_copy(update={"lr": 0.5})
    assert changed.training.checkpoint_every == quickstart.training.checkpoint_every
    assert changed.objectives == quickstart.objectives


def test_another_data_set_replaces_the_presets_whole() -> None:
    """A preset's data set leaves no field behind where the request names another."""
    changed = ExperimentSpec.model_validate({"preset": "paper", "dataset": {"name": "digits", "train_samples": 5}})
    assert changed.dataset == Digits(train_samples=5)
    smaller = ExperimentSpec.model_validate({"preset": "paper", "dataset": {"train_samples": 5}})
    assert (smaller.dataset.name, smaller.dataset.train_samples) == ("cifar10", 5)
