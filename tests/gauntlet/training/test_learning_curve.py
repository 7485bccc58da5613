"""What a short fixed run learns, epoch by epoch; a change of the method shows here before it shows in a table."""

from typing import Any

import pytest

from gauntlet.data.datasets import Dataset
from gauntlet.events import EpochFinished
from tests.gauntlet.examples import events, run_spec

pytestmark = pytest.mark.long(seconds=9)

TRAINING = {"epochs": 2, "batch_size": 16, "optimizer": {"kind": "rmsprop", "lr": 1e-3}}

# Recorded with torch 2.13 on one thread of a processor with AVX-512. Another processor rounds otherwise, and rounding
# grows; the tolerance is about the spread of cross-entropy over four seeds.
CURVES: dict[str, tuple[int, dict[str, list[float]]]] = {
    "cross_entropy": (
        1,
        {
            "loss": [2.003, 1.231],
            "train_adversarial_accuracy": [0.278, 0.564],
            "test_accuracy": [0.797, 0.928],
            "test_fgsm_accuracy": [0.503, 0.628],
        },
    ),
    "expected_reward": (
        2,
        {
            "loss": [0.717, 0.327],
            "train_adversarial_accuracy": [0.164, 0.341],
            "test_accuracy": [0.417, 0.575],
            "test_fgsm_accuracy": [0.219, 0.406],
        },
    ),
}


@pytest.mark.parametrize("kind", ["cross_entropy", pytest.param("expected_reward", marks=pytest.mark.thorough)])
def test_a_fixed_run_learns_as_it_did(digits: Dataset, kind: str) -> None:
    """Loss and accuracies of two epochs on all digits follow the recorded curve."""
    seed, recorded = CURVES[kind]
    found = events(run_spec(objective={"kind": kind}, seed=seed, training=TRAINING), digits)
    rows: list[dict[str, Any]] = [event.metrics for event in found if isinstance(event, EpochFinished)]
    for name, wanted in recorded.items():
        assert [row[name] for row in rows] == pytest.approx(wanted, abs=0.1), name
