import pytest

from gauntlet.results.suspicions import OVERFITTING, attack_misses, of_average, overfitting, suspicions

SOUND = {"predicted_classes": 10.0, "mean_uniformity": 0.2, "mean_confidence": 0.6}


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, set()),
        ({"predicted_classes": 2.0, "mean_uniformity": 0.99, "mean_confidence": 0.95}, set()),
        ({"predicted_classes": 1.0}, {"one_class"}),
        ({"mean_uniformity": 1.0}, {"uniform_output"}),
        ({"mean_confidence": 0.96}, {"overconfident"}),
        ({"predicted_classes": 1.0, "mean_confidence": 1.0}, {"one_class", "overconfident"}),
    ],
)
def test_each_sign_is_named(changes: dict[str, float], kinds: set[str]) -> None:
    """One predicted class, a uniform output and a mean confidence above .95 are each told in a sentence."""
    found = suspicions(SOUND | changes)
    assert found.keys() == kinds
    assert all(message.endswith(".") for message in found.values())


@pytest.mark.parametrize(
    ("metric", "at", "beyond"),
    [("mean_uniformity", 0.999, 0.9991), ("mean_confidence", 0.95, 0.951)],
)
def test_a_threshold_itself_is_not_suspect(metric: str, at: float, beyond: float) -> None:
    assert suspicions(SOUND | {metric: at}) == {}
    assert len(suspicions(SOUND | {metric: beyond})) == 1


# An epoch whose attack does what it ought to.
UPHILL = {
    "test_accuracy": 0.8,
    "test_fgsm_accuracy": 0.5,
    "train_accuracy": 0.9,
    "train_adversarial_accuracy": 0.6,
    "fgsm_lowered_loss": 0.02,
}


@pytest.mark.parametrize(
    ("changes", "misses"),
    [
        ({}, False),
        ({"fgsm_lowered_loss": 0.099}, False),
        ({"fgsm_lowered_loss": 0.1}, True),
        # In floating point 0.85 − 0.8 is less than 0.05.
        ({"test_fgsm_accuracy": 0.849}, False),
        ({"test_fgsm_accuracy": 0.85}, True),
        ({"train_adversarial_accuracy": 0.949}, False),
        ({"train_adversarial_accuracy": 0.95}, True),
    ],
)
def test_an_attack_misses_where_it_helps(changes: dict[str, float], *, misses: bool) -> None:
    """It lowers the loss of a tenth of the images, or attacked ones of either set are right more often by 5 points."""
    assert attack_misses(UPHILL | changes) is misses


def probed(pgd: float, fgsm: float, best: float) -> dict[str, float]:
    return {"probe_accuracy": pgd, "probe_fgsm_accuracy": fgsm, "probe_best_accuracy": best}


MISSING = UPHILL | {"fgsm_lowered_loss": 0.3}


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        # FGSM flatters by 20 points at least, PGD leaves half of that at most, and FGSM leads astray.
        (MISSING | probed(0.2, 0.4, 0.2), "40 % of the probed training images under FGSM and on 20 % under PGD"),
        (MISSING | probed(0.21, 0.4, 0.3), None),
        (MISSING | probed(0.14, 0.3, 0.2), None),
        (MISSING | probed(0.4, 0.79, 0.5), None),
        (MISSING | probed(0.4, 0.8, 0.5), "80 % of the probed training images under FGSM and on 40 % under PGD"),
        (UPHILL | probed(0.2, 0.9, 0.3), None),
        # Or accuracy under PGD fell by 20 points from its best.
        (UPHILL | probed(0.35, 0.5, 0.55), "fell from 55 % at its best to 35 %, under FGSM it is 50 %"),
        (UPHILL | probed(0.36, 0.5, 0.55), None),
        # What was not probed in that epoch says nothing.
        (MISSING, None),
    ],
)
def test_overfitting_to_the_attack_is_told_from_twenty_points(metrics: dict[str, float], said: str | None) -> None:
    """Wong et al. 2020, §5.3, and against FGSM on the same images; beside the other suspicions."""
    found = overfitting(metrics)
    assert (found is None) if said is None else (found is not None and said in found)
    assert (OVERFITTING in suspicions(SOUND | metrics)) is (said is not None)


def test_averaged_weights_are_judged_by_their_own_metrics() -> None:
    """Where one was not measured of them it is the weights'."""
    metrics = {"test_accuracy": 0.5, "loss": 2.0, "average_test_accuracy": 0.7}
    assert of_average(metrics) == {"test_accuracy": 0.7, "loss": 2.0}
