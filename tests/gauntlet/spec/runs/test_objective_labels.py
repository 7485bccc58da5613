"""What objectives are called."""

from typing import Any

import pytest
from pydantic import ValidationError

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.runs.objective_labels import objective_title


def labels(*objectives: dict[str, Any]) -> tuple[str, ...]:
    return ExperimentSpec.model_validate({"preset": "quickstart", "objectives": objectives}).objective_labels()


def test_one_objective_of_a_kind_is_named_by_it() -> None:
    """A kind that occurs once is its own label, whatever departs; a reader sees it as one would write it."""
    found = labels({"kind": "policy_gradient", "action": "argmax"}, {"kind": "cross_entropy"}, {"kind": "a2c"})
    assert found == ("policy_gradient", "cross_entropy", "a2c")
    assert [objective_title(label) for label in found] == ["policy gradient", "cross-entropy", "A2C"]


@pytest.mark.parametrize(
    ("objective", "label"),
    [
        ({"kind": "policy_gradient"}, "policy_gradient"),
        (
            {"kind": "policy_gradient", "reward": {"wrong": 0}, "baseline": "batch_mean"},
            "policy gradient, wrong = 0, baseline batch mean",
        ),
        ({"kind": "policy_gradient", "reward": {"wrong": -0.5}}, "policy gradient, wrong = −0.5"),
        (
            {"kind": "policy_gradient", "action": "epsilon_greedy", "log_prob_floor": -16.118},
            "policy gradient, action epsilon greedy, log prob floor = −16.118",
        ),
        ({"kind": "policy_gradient", "entropy_bonus": 1e-05}, "policy gradient, entropy bonus = 1e−05"),
    ],
)
def test_departures_read_as_people_write_them(objective: dict[str, Any], label: str) -> None:
    """Where a kind occurs twice, what sets it apart follows it, without a sign of a program."""
    other = {"kind": "policy_gradient", "action_forward": "eval"}
    found = labels(objective, other)
    assert found == (label, "policy gradient, action forward eval")
    assert objective_title(label) == label.replace("policy_gradient", "policy gradient")


def test_a_switch_is_on_or_off() -> None:
    """Not True or False."""
    found = labels({"kind": "ppo", "normalize_advantage": False}, {"kind": "a2c", "normalize_advantage": True})
    assert found == ("ppo", "a2c")
    found = labels({"kind": "ppo", "normalize_advantage": False}, {"kind": "ppo", "n_steps": 4})
    assert found == ("PPO, normalize advantage off", "PPO, n steps = 4")


def test_near_values_have_unlike_labels() -> None:
    """Two entropy bonuses that agree in six digits are two objectives."""
    first, second = ({"kind": "policy_gradient", "entropy_bonus": bonus} for bonus in (0.1, 0.1000001))
    assert len(set(labels(first, second))) == 2


def test_an_objective_may_have_a_name_of_its_own() -> None:
    """It is the label, and the others are named as if it were not there."""
    plain = {"kind": "policy_gradient"}
    assert labels(plain, plain | {"label": "ours: R ∈ {0, 1}", "reward": {"wrong": 0}}) == (
        "policy_gradient",
        "ours: R ∈ {0, 1}",
    )
    assert labels(plain | {"label": "A"}, plain | {"label": "A again"}) == ("A", "A again")


@pytest.mark.parametrize("label", ["TRADES", "Trades", "A2C", "policy-gradient", "Policy gradient"])
def test_a_name_that_reads_as_another_kind_has_its_own_kind_behind_it(label: str) -> None:
    """So no table's reader is told of another objective; by its own kind's name, or a longer one, it goes as it is."""
    (found,) = labels({"kind": "cross_entropy", "label": label})
    assert found == objective_title(found) == f"{label} (cross-entropy)"
    for own in ("cross-entropy", "Cross entropy", f"{label}, ours"):
        assert labels({"kind": "cross_entropy", "label": own}) == (own,)


@pytest.mark.parametrize(
    "label",
    [
        "",
        " ",
        "x" * 81,
        "two\nlines",
        "\x00",
        "tab\t",
        "\x9b31m",
        "\u202etxt",
        "\u2028",
        " padded",
        "padded ",
        "\ud800",
    ],
)
def test_a_name_is_one_visible_line(label: str) -> None:
    """No control characters, line breaks or marks that turn the direction of what follows, no blanks around it."""
    with pytest.raises(ValidationError):
        labels({"kind": "ppo", "label": label})


def test_no_two_objectives_have_one_name() -> None:
    """Not by their own choice, not another's kind, and not what another is called by default."""
    with pytest.raises(ValidationError, match="objectives lists A more than once"):
        labels({"kind": "ppo", "label": "A"}, {"kind": "a2c", "label": "A"})
    with pytest.raises(ValidationError, match="label cross_entropy is the name of another kind"):
        labels({"kind": "ppo", "label": "cross_entropy"})
    with pytest.raises(ValidationError, match="more than once"):
        labels({"kind": "ppo"}, {"kind": "ppo", "n_steps": 4}, {"kind": "a2c", "label": "PPO, n steps = 4"})
    assert labels({"kind": "ppo", "label": "ppo"}) == ("ppo",)
