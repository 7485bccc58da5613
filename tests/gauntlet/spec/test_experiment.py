import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gauntlet.spec.evaluations.attacks import AnyAttack, attack_label
from gauntlet.spec.experiment import ExperimentSpec, RunSpec
from gauntlet.spec.kinds import ImageFolder
from gauntlet.spec.presets import PRESETS, overlay
from gauntlet.spec.runs.objectives import Reward
from gauntlet.spec.runs.optimizers import RmsProp
from gauntlet.spec.runs.training import TrainingSpec

MINIMAL: dict[str, Any] = {
    "dataset": {"name": "digits"},
    "objectives": [{"kind": "cross_entropy"}],
    "adversary": {"kind": "fgsm", "eps": "8/255"},
}


def experiment(**changes: object) -> ExperimentSpec:
    return ExperimentSpec.model_validate(overlay(MINIMAL, changes))


REFUSED = {
    "unknown field": {"colour": "red"},
    "unknown nested field": {"training": {"momentum": 0.9}},
    "unknown field of an objective": {"objectives": [{"kind": "cross_entropy", "reward": {}}]},
    "unknown kind": {"objectives": [{"kind": "hinge"}]},
    "kind missing": {"objectives": [{}]},
    "unknown data set": {"dataset": {"name": "imagenet"}},
    "unknown preset": {"preset": "best"},
    "another version": {"version": 2},
    "NaN rate": {"training": {"optimizer": {"lr": float("nan")}}},
    "infinite rate": {"training": {"optimizer": {"lr": float("inf")}}},
    "negative rate": {"training": {"optimizer": {"lr": -1e-4}}},
    "no rate": {"training": {"optimizer": {"lr": 0}}},
    "rho of one": {"training": {"optimizer": {"rho": 1}}},
    "negative decay": {"training": {"optimizer": {"decay": -1e-6}}},
    "no epochs": {"training": {"epochs": 0}},
    "half an epoch": {"training": {"epochs": 1.5}},
    "no batch": {"training": {"batch_size": 0}},
    "unknown mix": {"training": {"mix": "none"}},
    "no objectives": {"objectives": []},
    "objective twice": {"objectives": [{"kind": "cross_entropy"}, {"kind": "cross_entropy"}]},
    "objective twice, once in full": {
        "objectives": [{"kind": "policy_gradient"}, {"kind": "policy_gradient", "action": "sample"}]
    },
    "seed twice": {"seeds": [1, 2, 1]},
    "no seeds": {"seeds": []},
    "negative seed": {"seeds": [-1]},
    "seed beyond 63 bits": {"seeds": [2**63]},
    "eps beyond a pixel": {"adversary": {"eps": "256/255"}},
    "eps beyond a pixel in an attack": {"evaluation": {"attacks": [{"kind": "pgd", "eps": "256/255"}]}},
    "eps beyond any image in L2": {"evaluation": {"attacks": [{"kind": "pgd", "norm": "L2", "eps": 1001}]}},
    "unknown norm": {"evaluation": {"attacks": [{"kind": "pgd", "norm": "L1", "eps": 1}]}},
    "no budget": {"evaluation": {"attacks": [{"kind": "pgd", "eps": []}]}},
    "one budget twice": {"evaluation": {"attacks": [{"kind": "pgd", "eps": ["1/5", "51/255"]}]}},
    "attack twice": {"evaluation": {"attacks": [{"kind": "fgsm", "eps": "1/5"}, {"kind": "fgsm", "eps": "51/255"}]}},
    "no attacks": {"evaluation": {"attacks": []}},
    "selection twice": {"evaluation": {"select": ["last", "last"]}},
    "unknown selection": {"evaluation": {"select": "first"}},
    "no samples": {"evaluation": {"samples": 0}},
    "unknown selection set": {"evaluation": {"select_on": "train"}},
    "no validation samples": {"evaluation": {"select_on": "validation", "validation_samples": 0}},
    "validation samples for nothing": {"evaluation": {"validation_samples": 5}},
    "nothing left to train on": {
        "dataset": {"name": "digits", "train_samples": 5},
        "evaluation": {"select_on": "validation", "validation_samples": 5},
    },
    "a single image to train on and to hold out": {
        "dataset": {"name": "digits", "train_samples": 1},
        "evaluation": {"select_on": "validation"},
    },
    "no training samples": {"dataset": {"name": "digits", "train_samples": 0}},
    "off-policy without a floor": {"objectives": [{"kind": "policy_gradient", "action": "epsilon_greedy"}]},
    "the mean of one action": {"objectives": [{"kind": "policy_gradient", "baseline": "group_mean"}]},
    "the deviation of rewards without their mean": {
        "objectives": [{"kind": "policy_gradient", "scale_rewards": "batch"}]
    },
    "an image's deviation from the batch's mean": {
        "objectives": [{"kind": "policy_gradient", "group": 2, "baseline": "batch_mean", "scale_rewards": "group"}]
    },
    "an agent on natural images": {"objectives": [{"kind": "ppo"}], "training": {"mix": "both"}},
    "an agent compiled": {"objectives": [{"kind": "dqn"}], "training": {"compile": "on"}},
    "an agent that attacks itself": {"objectives": [{"kind": "ppo"}], "adversary": {"loss": "objective"}},
    "an agent with dropout in the attack": {"objectives": [{"kind": "ppo"}], "adversary": {"mode": "train"}},
    "advantages of one image": {"objectives": [{"kind": "ppo"}], "training": {"batch_size": 1}},
    "the advantage of one image": {
        "objectives": [{"kind": "a2c", "normalize_advantage": True}],
        "training": {"batch_size": 1},
    },
    "a momentum that follows the rate of an agent": {
        "objectives": [{"kind": "ppo"}],
        "training": {"optimizer": {"kind": "sgd"}, "schedule": {"kind": "one_cycle", "lowest_momentum": 0.8}},
    },
    "a momentum of an optimiser without one": {"training": {"schedule": {"kind": "one_cycle", "lowest_momentum": 0.8}}},
    "a cycle of Nesterov's momentum": {
        "training": {
            "optimizer": {"kind": "sgd", "nesterov": True},
            "schedule": {"kind": "one_cycle", "lowest_momentum": 0.8},
        }
    },
    "a momentum that rises to the lowest": {
        "training": {"optimizer": {"kind": "sgd"}, "schedule": {"kind": "one_cycle", "lowest_momentum": 0.95}}
    },
    "a floor above certainty": {"objectives": [{"kind": "policy_gradient", "log_prob_floor": 0}]},
    "a control character": {"name": "a\x00b"},
    "no name": {"name": ""},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_refuses(changes: dict[str, Any]) -> None:
    """A spec that says something unknown, impossible or twice is a validation error."""
    experiment()
    with pytest.raises(ValidationError):
        experiment(**changes)


@pytest.mark.parametrize("folder", ["../x", "..", ".", "", "/etc", "a/b", "a\\b", ".hidden", "x\n", "x" * 101, "é"])
def test_an_image_folder_is_one_name(folder: str) -> None:
    """A folder name cannot lead out of the data root."""
    assert ImageFolder(folder="x-1.y_Z").folder == "x-1.y_Z"
    with pytest.raises(ValidationError):
        ImageFolder(folder=folder)


@given(st.floats() | st.integers(-3, 13))
def test_the_rate_has_bounds(rate: float) -> None:
    """A learning rate is accepted exactly where 0 < lr ≤ 10."""
    _accepts(lambda: RmsProp(lr=rate), wanted=0 < rate <= 10)


@given(st.integers(-5, 5) | st.integers(9_995, 10_005))
def test_the_epochs_have_bounds(epochs: int) -> None:
    """A run has 1 to 10,000 epochs."""
    _accepts(lambda: TrainingSpec(epochs=epochs), wanted=1 <= epochs <= 10_000)


@given(st.floats())
def test_a_reward_has_bounds(reward: float) -> None:
    """A reward is finite and at most a hundred either way."""
    _accepts(lambda: Reward(correct=reward), wanted=-100 <= reward <= 100)


def _accepts(build: Callable[[], object], *, wanted: bool) -> None:
    if wanted:
        build()
    else:
        with pytest.raises(ValidationError):
            build()


def test_a_spec_cannot_be_changed() -> None:
    """A spec is frozen and equal specs hash alike."""
    with pytest.raises(ValidationError):
        experiment().training.epochs = 3
    assert hash(experiment()) == hash(experiment())


SPECS: dict[str, dict[str, Any]] = {
    "minimal": MINIMAL,
    **{name: {"preset": name} for name in PRESETS},
    "everything said": {
        "preset": "quickstart",
        "name": "ε-sweep",
        "dataset": {"name": "image_folder", "folder": "signs", "image_size": 48, "train_samples": 7},
        "objectives": [
            {"kind": "expected_reward", "reward": {"correct": 0.1, "wrong": -1 / 9}},
            {"kind": "policy_gradient", "action": "epsilon_greedy", "epsilon": 0.3, "log_prob_floor": -16.118},
        ],
        "adversary": {"eps": "0.5/255", "loss": "objective", "mode": "train"},
        "training": {"optimizer": {"lr": 0.1 + 0.2}, "mix": "both"},
        "seeds": [2**63 - 1, 0],
        "evaluation": {
            "select": "last",
            "select_on": "validation",
            "validation_samples": 3,
            "attacks": [{"kind": "autoattack", "eps": 0.031}],
        },
    },
}


@pytest.mark.parametrize("body", SPECS.values(), ids=SPECS)
def test_a_spec_survives_json(body: dict[str, Any]) -> None:
    """A spec and its runs, written as JSON and read again, are the same ones and need no preset."""
    spec = ExperimentSpec.model_validate(body)
    stored = json.loads(json.dumps(spec.model_dump(mode="json"), allow_nan=False))
    assert ExperimentSpec.model_validate(stored) == spec
    assert ExperimentSpec.model_validate_json(spec.model_dump_json()) == spec
    assert "preset" not in stored
    for _, run in spec.runs():
        assert RunSpec.model_validate_json(run.model_dump_json()) == run


def test_eps_is_stored_exactly() -> None:
    """The database holds the notation of the budget, not a rounded number."""
    assert experiment().model_dump(mode="json")["adversary"]["eps"] == "8/255"


def test_the_defaults_are_the_papers() -> None:
    """What a spec leaves out is as in the paper, in the reading of sampled actions."""
    paper = ExperimentSpec.model_validate({"preset": "paper_sampled"})
    spec = experiment()
    assert spec.training == paper.training
    assert spec.evaluation.attacks == paper.evaluation.attacks
    assert spec.evaluation.samples == paper.evaluation.samples
    assert spec.adversary == paper.adversary
    assert spec.architecture == paper.architecture


def test_an_experiment_expands_to_objectives_times_seeds() -> None:
    """Each objective meets each seed once, in order, with everything else equal."""
    spec = experiment(objectives=[{"kind": "cross_entropy"}, {"kind": "expected_reward"}], seeds=[5, 3])
    found = [(label, run.objective.kind, run.seed) for label, run in spec.runs()]
    assert found == [
        ("cross_entropy", "cross_entropy", 5),
        ("cross_entropy", "cross_entropy", 3),
        ("expected_reward", "expected_reward", 5),
        ("expected_reward", "expected_reward", 3),
    ]
    for _, run in spec.runs():
        assert (run.dataset, run.adversary, run.training) == (spec.dataset, spec.adversary, spec.training)
        assert run.evaluation == spec.evaluation
        assert RunSpec.model_validate(run.model_dump(mode="json")) == run


@pytest.mark.parametrize("seeds", [1, 100])
def test_what_runs_share_is_checked_once(seeds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short request may expand to a thousand runs of a hundred attacks; its attacks are compared once for all."""
    attacks = [{"kind": "fgsm", "eps": [f"{number}/1000" for number in range(100)]}]
    spec = experiment(seeds=list(range(seeds)), evaluation={"attacks": attacks})
    labelled: list[str] = []

    def label(attack: AnyAttack) -> str:
        labelled.append(attack_label(attack))
        return labelled[-1]

    monkeypatch.setattr("gauntlet.spec.evaluations.evaluation.attack_label", label)
    assert len(spec.runs()) == seeds
    assert len(labelled) <= 100


def test_an_experiment_has_a_largest_size() -> None:
    """More than a thousand runs are refused, a thousand are not."""
    objectives = [{"kind": "policy_gradient", "entropy_bonus": number / 100} for number in range(11)]
    assert len(experiment(objectives=objectives[:10], seeds=list(range(100))).runs()) == 1_000
    with pytest.raises(ValidationError, match="1000 runs"):
        experiment(objectives=objectives, seeds=list(range(100)))


@pytest.mark.parametrize(
    ("evaluation", "train_images", "wanted"),
    [
        ({}, 50_000, 0),
        ({"select_on": "validation"}, 50_000, 5_000),
        ({"select_on": "validation"}, 1_437, 143),
        ({"select_on": "validation"}, 9, 1),
        ({"select_on": "validation", "validation_samples": 300}, 1_437, 300),
    ],
)
def test_a_tenth_is_held_out_unless_said(evaluation: dict[str, Any], train_images: int, wanted: int) -> None:
    """Selecting on the test set holds nothing out; else it is a tenth, at least one image, or what is asked for."""
    assert experiment(evaluation=evaluation).evaluation.held_out(train_images) == wanted


def test_what_leaves_nothing_to_train_on_is_told_with_its_numbers() -> None:
    """One image fewer held out than there are is accepted; all of them are refused in a sentence."""
    spec = {"dataset": {"name": "digits", "train_samples": 5}}
    experiment(**spec, evaluation={"select_on": "validation", "validation_samples": 4})
    with pytest.raises(ValidationError, match=r"train_samples \(5\) is left to train on: evaluation holds out 6"):
        experiment(**spec, evaluation={"select_on": "validation", "validation_samples": 6})


def test_one_selection_needs_no_list() -> None:
    """`select: last` says the same as `select: [last]`."""
    assert experiment(evaluation={"select": "last"}) == experiment(evaluation={"select": ["last"]})


def test_the_schema_takes_a_bare_preset_or_a_whole_spec() -> None:
    """Nothing but a preset is required, or else what has no default; a union's member must name itself."""
    schema = ExperimentSpec.model_json_schema()
    assert "required" not in schema
    alternatives = [set(option["required"]) for option in schema["anyOf"]]
    assert alternatives == [{"preset"}, {"dataset", "objectives", "adversary"}]
    assert "preset" in schema["properties"]
    assert set(schema["$defs"]["FgsmAdversary"]["required"]) == {"kind", "eps"}
    assert schema["$defs"]["Digits"]["required"] == ["name"]
