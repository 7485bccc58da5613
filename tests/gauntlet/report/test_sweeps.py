"""Trials ranked, and what was selected on what."""

from typing import Any

import pytest

from gauntlet.rendering.tabled.sweep_tables import sweep_table
from gauntlet.report.sweeps import TrialRun, sweep_result, sweep_warnings
from gauntlet.spec.evaluations.evaluation import ExperimentEvaluationSpec
from gauntlet.spec.sweeps import Sweep, Trial

SWEEP = Sweep(method="asha", over={"training.optimizer.lr": (0.1, 0.2, 0.3, 0.4)}, trials=4)
ON_TEST, HELD_OUT = ExperimentEvaluationSpec(), ExperimentEvaluationSpec(select_on="validation")


def run(number: int, epoch: int | None, value: float | None, end: str = "whole", objective: str = "ppo") -> TrialRun:
    trial = Trial(number=number, objective=objective, values={"training.optimizer.lr": (number + 1) / 10})
    return TrialRun(trial, f"{objective} {number}", epoch, value, complete=end == "whole", stopped=end == "stopped")


def test_trials_are_ranked_by_how_far_they_came_and_how_good_they_were() -> None:
    """Those trained to their end first, the longer ones of the others next; one without an epoch has no place."""
    found = sweep_result(
        SWEEP,
        HELD_OUT,
        [run(0, 9, 0.4), run(1, 1, 0.9, "stopped"), run(2, 3, 0.2, "stopped"), run(3, 9, 0.5), run(4, None, None, "")],
    )
    assert [(trial.rank, trial.number, trial.epochs, trial.value) for trial in found.trials] == [
        (1, 3, 9, 0.5), (2, 0, 9, 0.4), (3, 2, 3, 0.2), (4, 1, 1, 0.9)
    ]  # fmt: skip
    assert found.selected == ("ppo 3",)
    assert found.metric == "validation_fgsm_accuracy"
    assert found.result == (
        "Of 4 trials (asha) with PPO the one with lr = 0.4 is selected, for the highest FGSM accuracy on held-out "
        "training images, 50.0 % after its last epoch. 2 of them were stopped early."
    )
    assert list(sweep_warnings(found)) == []
    lines = [[str(cell) for cell in line] for line in sweep_table(found).lines]
    assert lines[0] == ["1", "ppo 3 (selected)", "1", "9", "50.0", "trained to its end"]
    assert lines[3][-1] == "stopped early"


def test_seeds_are_averaged_and_objectives_ranked_apart() -> None:
    """A trial whose one seed is good is not better than one whose both are."""
    runs = [run(0, 9, 0.9), run(0, 9, 0.1), run(1, 9, 0.6), run(1, 9, 0.6), run(0, 9, 0.3, objective="dqn")]
    found = sweep_result(SWEEP, ON_TEST, runs)
    assert [(trial.objective, trial.rank, trial.number, trial.runs) for trial in found.trials] == [
        ("ppo", 1, 1, 2), ("ppo", 2, 0, 2), ("dqn", 1, 0, 1)
    ]  # fmt: skip
    assert found.selected == ("ppo 1", "dqn 0")
    assert found.result == (
        "Of 2 trials (asha) with PPO the one with lr = 0.2 is selected, for the highest FGSM accuracy on the test "
        "images, 60.0 % after its last epoch. Of 1 trial (asha) with DQN the one with lr = 0.1 is selected, for the "
        "highest FGSM accuracy on the test images, 30.0 % after its last epoch."
    )
    (warning,) = sweep_warnings(found)
    assert warning == (
        "The sweep selected on the test images, so what the selected trial shows on them, under attack too, is better "
        "than it would be on new ones. Hold images out to select on: evaluation.select_on validation."
    )


@pytest.mark.parametrize(
    ("field", "values", "said"),
    [
        ("dataset.image_size", [16, 24], ["compare their natural accuracies alone"]),
        ("dataset.image_size", [16, 16], []),
        ("adversary.eps", ["2/255", "8/255"], ["at budgets of their own"]),
        (
            "adversary",
            [{"kind": "fgsm", "eps": "2/255"}, {"kind": "fgsm", "eps": "8/255"}],
            ["at budgets of their own"],
        ),
        ("adversary", [{"kind": "fgsm", "eps": "8/255"}, {"kind": "pgd", "eps": "8/255"}], []),
        ("training.epochs", [1, 2], []),
    ],
)
def test_trials_under_unlike_attacks_are_told(field: str, values: list[Any], said: list[str]) -> None:
    """Of pictures that are read in several ways, or budgets of their own; not where all have the same."""
    trials = [Trial(number=number, objective="ppo", values={field: value}) for number, value in enumerate(values)]
    runs = [TrialRun(trial, f"ppo {trial.number}", 9, 0.5, complete=True, stopped=False) for trial in trials]
    *unlike, selected_on_test = sweep_warnings(sweep_result(SWEEP, ON_TEST, runs))
    assert "selected on the test images" in selected_on_test
    assert len(unlike) == len(said)
    assert all(part in warning for part, warning in zip(said, unlike, strict=True))


def test_of_trials_that_were_trained_to_their_end_the_longer_is_not_the_better() -> None:
    """Epochs may be what is swept over; one that goes on beyond their end has not come to its own."""
    found = sweep_result(SWEEP, ON_TEST, [run(0, 12, 0.9, ""), run(1, 9, 0.2), run(2, 5, 0.3)])
    assert [trial.number for trial in found.trials] == [2, 1, 0]


def test_a_trial_has_come_as_far_as_the_last_of_its_runs() -> None:
    """A run that has not come to an epoch holds it at none."""
    found = sweep_result(SWEEP, ON_TEST, [run(0, 9, 0.5), run(0, None, None, ""), run(1, 1, 0.4, "")])
    assert [(trial.number, trial.epochs, trial.value, trial.complete) for trial in found.trials] == [
        (1, 1, 0.4, False), (0, 0, 0.5, False)
    ]  # fmt: skip


def test_nothing_is_selected_before_a_trial_has_come_to_its_end() -> None:
    """So far it only leads."""
    found = sweep_result(SWEEP, ON_TEST, [run(0, 2, 0.4, ""), run(1, 3, 0.3, "")])
    assert found.selected == ()
    assert [trial.number for trial in found.trials] == [1, 0]
    assert "none has been trained to its end yet" in found.result
    assert list(sweep_warnings(found)) == []
