"""Objectives compared at equal accuracy, by hand."""

import numpy as np
import pytest

from gauntlet.report.compared.equal_accuracy import equal_accuracies, equal_accuracy_summaries
from gauntlet.report.curves import EpochAccuracies, RunCurve

# Per cent: train, test, FGSM of each epoch.
Epochs = list[tuple[float | None, float, float]]
QUICK: Epochs = [(40, 39, 25), (50, 48, 30), (60, 54, 32), (70, 55, 28)]


def curve(objective: str, epochs: Epochs, seed: int = 0) -> RunCurve:
    train, test, fgsm = zip(*epochs, strict=True)
    return RunCurve(
        run=f"{objective}-{seed}",
        objective=objective,
        seed=seed,
        epochs=tuple(range(1, len(epochs) + 1)),
        train_accuracy=tuple(None if value is None else value / 100 for value in train),
        test_accuracy=tuple(value / 100 for value in test),
        test_fgsm_accuracy=tuple(value / 100 for value in fgsm),
        train_adversarial_accuracy=(None,) * len(epochs),
    )


def test_the_nearest_epoch_of_the_baseline_is_found() -> None:
    """49.2 in training is nearest to the baseline's 50 of epoch 2, 53.5 on test images to the 54 of epoch 3."""
    slow = curve("reward", [(20, 20, 15), (49.2, 53.5, 33)])
    train, test = equal_accuracies([curve("ce", QUICK), slow], "ce")
    assert (train.objective, train.baseline, train.seed, train.equal_in) == ("reward", "ce", 0, "train_accuracy")
    assert train.moments == ("highest_fgsm", "last")
    assert train.objective_at.epoch == 2
    assert round(train.objective_at.generalisation_gap, 9) == -0.043
    assert train.baseline_at == EpochAccuracies(
        epoch=2, train_accuracy=0.5, test_accuracy=0.48, test_fgsm_accuracy=0.3, generalisation_gap=0.5 - 0.48
    )
    assert test.equal_in == "test_accuracy"
    assert test.baseline_at is not None
    assert test.baseline_at.epoch == 3


def test_the_epoch_of_the_best_fgsm_accuracy_and_the_last_are_set_beside() -> None:
    """Where they differ both are shown; of two best the earliest."""
    slow = curve("reward", [(40, 39, 31), (50, 48, 31), (60, 54, 29)])
    found = [
        found for found in equal_accuracies([curve("ce", QUICK), slow], "ce") if found.equal_in == "train_accuracy"
    ]
    assert [(one.moments, one.objective_at.epoch) for one in found] == [(("highest_fgsm",), 1), (("last",), 3)]
    assert [one.baseline_at.epoch for one in found if one.baseline_at] == [1, 3]


def test_a_baseline_that_was_never_as_accurate_is_none() -> None:
    """A point away is equal still, more is not; of two epochs as near the earlier is taken."""
    for accuracy, epoch in ((0.41, 1), (0.411, None), (0.505, 2), (0.395, 1)):
        baseline = curve("ce", [(40, 0, 0), (50, 0, 0), (51, 0, 0)])
        train, _ = equal_accuracies([baseline, curve("reward", [(100 * accuracy, 0, 0)])], "ce")
        assert (train.baseline_at.epoch if train.baseline_at else None) == epoch


def test_a_baseline_that_fell_back_was_not_stopped_early() -> None:
    """Epoch 4, at 41 after 70, is nearest to 41.2 but late: of the rise epoch 1 is near enough, or none."""
    late = (41, 40, 20)
    for first, epoch in ((40.5, 1), (40, None)):
        baseline = curve("ce", [(first, 39, 25), (55, 50, 30), (70, 55, 28), late])
        train, _ = equal_accuracies([baseline, curve("reward", [(41.2, 0, 0)])], "ce")
        assert (train.baseline_at.epoch if train.baseline_at else None) == epoch


def test_seeds_are_compared_with_their_own() -> None:
    """A seed that the baseline lacks is not compared, nor is the baseline with itself, nor what was not measured."""
    reward = [curve("reward", [(50, 48, 30)], seed) for seed in (0, 1, 2)]
    baselines = [curve("ce", QUICK, 1), curve("ce", [(None, 48, 30)], 2)]
    assert {found.seed for found in equal_accuracies([*reward, *baselines], "ce")} == {1}
    assert list(equal_accuracies(baselines, "ce")) == []


def test_seeds_are_summed_up() -> None:
    """The mean of the seeds' differences at equal training accuracy; a seed without an equal epoch is left out."""
    rewards = [curve("reward", [(50, 49, fgsm)], seed) for seed, fgsm in ((0, 33), (1, 31))]
    unequalled = curve("reward", [(10, 10, 10)], 2)
    baselines = [curve("ce", QUICK, seed) for seed in range(3)]
    found = list(equal_accuracy_summaries(list(equal_accuracies([*rewards, unequalled, *baselines], "ce")), 1))
    assert [(one.equal_in, one.seeds) for one in found] == [("train_accuracy", (0, 1)), ("test_accuracy", (0, 1))]
    # The baseline had 30 at a gap of 2 points; t = 2 / (√2 / √2) with one degree of freedom.
    assert found[0].fgsm_difference.mean == pytest.approx(0.02)
    assert found[0].gap_difference.mean == pytest.approx(-0.01)
    assert found[0].p == pytest.approx(0.2952, abs=1e-4)
    assert found[0].p_adjusted == found[0].p, "no other objective was equal in training accuracy"
    assert equal_accuracy_summaries([], 1) == ()


def test_equal_objectives_are_seldom_told_apart() -> None:
    """Of 100 comparisons of an objective with itself, all but the noise equal, about 5 have p < 0.05 and few more."""
    random = np.random.default_rng(0)

    def noisy(objective: str, seed: int) -> RunCurve:
        learned = 60 * (1 - np.exp(-np.arange(1, 121) / 20))
        test, fgsm = learned - 2 + random.normal(0, 0.5, 120), 0.6 * learned + random.normal(0, 0.5, 120)
        return curve(objective, list(zip(learned.tolist(), test.tolist(), fgsm.tolist(), strict=True)), seed)

    rejected = 0
    for _ in range(100):
        curves = [noisy(objective, seed) for objective in ("ce", "twin") for seed in range(5)]
        for found in equal_accuracy_summaries(list(equal_accuracies(curves, "ce")), 120):
            if found.equal_in == "train_accuracy":
                assert found.p is not None
                rejected += found.p < 0.05
    assert rejected <= 12


def test_the_best_of_many_epochs_is_not_summed_up() -> None:
    """Where the best epoch is not the last, the last alone is compared."""
    reward = curve("reward", [(50, 48, 40), (60, 54, 33)])
    found = list(equal_accuracy_summaries(list(equal_accuracies([curve("ce", QUICK), reward], "ce")), 2))
    assert [round(one.fgsm_difference.mean, 9) for one in found] == [0.01, 0.01]


def test_a_run_that_ended_early_is_not_summed_up() -> None:
    """A seed that was stopped at epoch 1 of 2 has had another effort; the whole one alone is compared."""
    whole, stopped = curve("reward", [(20, 20, 15), (50, 48, 33)], 0), curve("reward", [(50, 48, 40)], 1)
    baselines = [curve("ce", QUICK, seed) for seed in range(2)]
    for found in equal_accuracy_summaries(list(equal_accuracies([whole, stopped, *baselines], "ce")), 2):
        assert found.seeds == (0,)
