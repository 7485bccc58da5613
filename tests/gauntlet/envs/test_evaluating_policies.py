"""Stable-Baselines3's `evaluate_policy` on the environments: accuracy, at every call."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor

from gauntlet.data.datasets import Dataset, to_unit
from gauntlet.envs.environment import ImageClassificationEnv
from gauntlet.envs.stable_baselines import StableBaselinesVecEnv
from gauntlet.envs.vector import ImageClassificationVectorEnv

IMAGES = 360


class Brightest:
    """A policy that names the brightest of ten rows, which is the right class of some digits."""

    def predict(
        self, observation: NDArray[np.float32], state: Any = None, **_: object
    ) -> tuple[NDArray[np.int64], Any]:
        return observation.sum(axis=(1, 3))[:, 3:13].argmax(axis=1), state


def expected(digits: Dataset) -> float:
    actions, _ = Brightest().predict(to_unit(digits.test.images).numpy())
    accuracy = float((actions == digits.test.labels.numpy()).mean())
    assert 0.05 < accuracy < 0.5
    return 2 * accuracy - 1


def in_a_batch(slots: int, digits: Dataset) -> VecEnv:
    return VecMonitor(StableBaselinesVecEnv(ImageClassificationVectorEnv(slots, dataset=digits, split="test")))


def alone(_: int, digits: Dataset) -> VecEnv:
    return DummyVecEnv([lambda: Monitor(ImageClassificationEnv(dataset=digits, split="test"))])


@pytest.mark.parametrize(
    ("made", "slots"), [(in_a_batch, slots) for slots in (1, 60, 64, 100, 360, 500)] + [(alone, 1)]
)
def test_every_call_counts_each_image_once(made: Any, slots: int, digits: Dataset) -> None:
    """Over as many episodes as there are images the mean reward is 2 · accuracy − 1, three times in a row."""
    env = made(slots, digits)
    for _ in range(3):
        seen: list[int] = []
        mean, _ = evaluate_policy(
            Brightest(), env, IMAGES, callback=lambda found, _, seen=seen: seen.append(found["info"]["index"])
        )
        assert sorted(seen) == list(range(IMAGES))
        assert mean == pytest.approx(expected(digits))
