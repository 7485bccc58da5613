"""The generalisation gap over a run's epochs, by hand."""

from gauntlet.report.compared.gaps import GapOverEpochs, gaps_over_epochs
from gauntlet.report.curves import RunCurve


def curve(train: tuple[float | None, ...], test: tuple[float, ...]) -> RunCurve:
    return RunCurve(
        run="run_1",
        objective="reward",
        seed=3,
        epochs=tuple(range(1, len(train) + 1)),
        train_accuracy=train,
        test_accuracy=test,
        test_fgsm_accuracy=test,
        train_adversarial_accuracy=train,
    )


def test_gaps_are_counted_and_the_widest_is_found() -> None:
    """Two points are not below two points, a negative gap is; an epoch without a train accuracy is left out."""
    found = list(gaps_over_epochs([curve((0.40, None, 0.53, 0.56, 0.59), (0.41, 0.45, 0.51, 0.50, 0.53))]))
    assert found == [
        GapOverEpochs(
            objective="reward",
            seed=3,
            epochs=4,
            small_epochs=1,
            mean=(-0.01 + 0.02 + 0.06 + 0.06) / 4,
            widest=0.06,
            widest_epoch=4,
            last=0.06,
        )
    ]


def test_a_run_without_measured_epochs_has_no_gap() -> None:
    """Nothing is made up where nothing was measured."""
    assert list(gaps_over_epochs([curve((None,), (0.5,)), curve((), ())])) == []
