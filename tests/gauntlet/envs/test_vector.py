"""The vector environment: the single one many times over, at once."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from gauntlet.data.datasets import Dataset
from gauntlet.envs import ENVIRONMENT_ID
from gauntlet.envs.environment import ImageClassificationEnv
from gauntlet.envs.vector import ImageClassificationVectorEnv
from gauntlet.errors import EnvironmentMisused
from tests.gauntlet.examples import network

PGD = {"kind": "pgd", "eps": "16/255", "steps": 2}


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("adversary", [None, PGD], ids=["natural", "attacked"])
def test_one_environment_alone_is_the_single_one(images: int, adversary: dict[str, Any] | None) -> None:
    """Over three episodes both give the same observations, rewards, ends and infos, bit by bit."""
    settings = {"images_per_episode": images, "adversary": adversary, "policy": network()}
    single, vector = ImageClassificationEnv(**settings), ImageClassificationVectorEnv(1, **settings)
    observation, info = single.reset(seed=4)
    observations, infos = vector.reset(seed=4)
    assert np.array_equal(observation, observations[0])
    for action in range(3 * images):
        last, reward, terminated, truncated, info = single.step(action)
        observations, rewards, terminations, truncations, infos = vector.step(np.array([action]))
        assert (reward, terminated, truncated) == (rewards[0], terminations[0], truncations[0])
        if terminated:
            assert np.array_equal(infos["final_obs"][0], last)
            assert _first(infos["final_info"]) == info
            last, info = single.reset()
        assert np.array_equal(observations[0], last)
        assert _first({key: infos[key] for key in info}) == info


def _first(infos: dict[str, NDArray[Any]]) -> dict[str, Any]:
    return {key: values[0] for key, values in infos.items() if not key.startswith("_")}


def test_a_batch_is_one_stream(few: Dataset) -> None:
    """Many environments share a pass: what one environment sees in turn, they see side by side, an ended pass last."""
    single = ImageClassificationEnv(dataset=few)
    alone = []
    for image in range(80):
        alone.append(single.reset(seed=None if image else 9))
        single.step(0)
    vector = ImageClassificationVectorEnv(10, dataset=few)
    observations, infos = vector.reset(seed=9)
    for part in range(8):
        expected = alone[10 * part : 10 * part + 10] if part < 7 else alone[72:80] + alone[70:72]
        assert np.array_equal(observations, np.stack([observation for observation, _ in expected]))
        assert infos["index"].tolist() == [info["index"] for _, info in expected]
        observations, *_, infos = vector.step(np.zeros(10, dtype=np.int64))


def test_more_environments_than_images_are_served(few: Dataset) -> None:
    """A batch may be larger than a pass."""
    _, infos = ImageClassificationVectorEnv(50, dataset=few, split="test").reset(seed=0)
    assert sorted(infos["index"][-24:]) == sorted(infos["index"][-48:-24]) == list(range(24))


@pytest.mark.parametrize("images", [1, 2])
def test_it_speaks_as_gymnasiums_own_vector_environments_do(images: int) -> None:
    """Arrays, dtypes and the structure of infos are those of `SyncVectorEnv` over the single environment."""
    own = gymnasium.make_vec(ENVIRONMENT_ID, num_envs=4, images_per_episode=images)
    gymnasiums = gymnasium.make_vec(
        ENVIRONMENT_ID,
        num_envs=4,
        images_per_episode=images,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
    )
    assert own.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert own.action_space == gymnasiums.action_space
    assert own.observation_space == gymnasiums.observation_space
    assert _shape(own.reset(seed=0)) == _shape(gymnasiums.reset(seed=0))
    for _ in range(3):
        actions = np.zeros(4, dtype=np.int64)
        assert _shape(own.step(actions)) == _shape(gymnasiums.step(actions))


def _shape(value: object) -> object:
    match value:
        case np.ndarray():
            return value.dtype, value.shape
        case dict():
            return {key: _shape(inner) for key, inner in value.items()}
        case _:
            assert isinstance(value, tuple)
            return [_shape(inner) for inner in value]


def test_rewards_follow_labels_and_actions() -> None:
    """+1 where the action is the label, −1 elsewhere, and `correct` says which; every episode ends."""
    vector = ImageClassificationVectorEnv(6)
    _, infos = vector.reset(seed=0)
    actions = infos["label"].copy()
    actions[::2] = (actions[::2] + 1) % 10
    _, rewards, terminations, truncations, infos = vector.step(actions)
    assert rewards.tolist() == [-1, 1] * 3
    assert infos["final_info"]["correct"].tolist() == [False, True] * 3
    assert terminations.all()
    assert not truncations.any()


def test_actions_that_are_no_classes_are_refused() -> None:
    """One too few, one out of range, and no image to answer."""
    vector = ImageClassificationVectorEnv(2)
    with pytest.raises(EnvironmentMisused, match="call reset first"):
        vector.step([0, 0])
    vector.reset()
    for bad in ([0], [0, 10], [0, -1]):
        with pytest.raises(EnvironmentMisused, match="2 integers from 0 to 9"):
            vector.step(bad)


def test_no_environment_at_all_is_refused() -> None:
    with pytest.raises(EnvironmentMisused, match="at least 1"):
        ImageClassificationVectorEnv(0)
