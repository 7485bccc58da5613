"""The single environment: what is shown, paid and told, and when an episode ends."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_for_stable_baselines

from gauntlet.data.datasets import Dataset, to_unit
from gauntlet.envs import ENVIRONMENT_ID
from gauntlet.envs.environment import ImageClassificationEnv
from gauntlet.errors import EnvironmentMisused


def test_gymnasium_finds_nothing_to_object_to() -> None:
    """Gymnasium's own checker passes without a warning."""
    check_env(gymnasium.make(ENVIRONMENT_ID, render_mode="rgb_array").unwrapped)


# Its advice for images takes its default CnnPolicy for granted, which divides by 255 and strides over 36 × 36 pixels;
# ours are floats in [0, 1], of any size, for networks of one's own.
@pytest.mark.filterwarnings("ignore:It seems that your observation .* is an image but its `dtype`:UserWarning")
@pytest.mark.filterwarnings("ignore:It seems that your observation space .* upper and lower bounds:UserWarning")
@pytest.mark.filterwarnings("ignore:The minimal resolution for an image is 36x36:UserWarning")
def test_stable_baselines_finds_nothing_to_object_to() -> None:
    """Stable-Baselines3's checker passes; only its advice on 8-bit images does not apply."""
    check_env_for_stable_baselines(gymnasium.make(ENVIRONMENT_ID, render_mode="rgb_array").unwrapped)


def test_an_episode_is_one_image(digits: Dataset) -> None:
    """The observation is the image that `info` names; a right answer pays 1, a wrong one −1, and it is over."""
    env = ImageClassificationEnv(dataset=digits, split="test")
    for seed, shift, reward in ((0, 0, 1.0), (1, 3, -1.0)):
        observation, info = env.reset(seed=seed)
        assert np.array_equal(observation, to_unit(digits.test.at(torch.tensor([info["index"]])).images)[0].numpy())
        assert info["label"] == digits.test.labels[info["index"]]
        last, paid, terminated, truncated, after = env.step((info["label"] + shift) % 10)
        assert (paid, terminated, truncated) == (reward, True, False)
        assert np.array_equal(last, observation)
        assert after == info | {"correct": reward > 0}


def test_an_episode_of_several_images_ends_after_them() -> None:
    """Each step shows the next image, and the last one shows what it answered; `info` is about what is shown."""
    env = ImageClassificationEnv(images_per_episode=3)
    _, info = env.reset(seed=0)
    seen, ended, right = [info["index"]], [], []
    for _ in range(3):
        _, _, terminated, _, info = env.step(info["label"])
        seen.append(info["index"])
        ended.append(terminated)
        right.append(info["correct"])
    assert ended == [False, False, True]
    assert right == [True, True, True]
    assert len(set(seen)) == 3
    assert seen[2] == seen[3]


def test_every_image_is_shown_once_in_a_pass(few: Dataset) -> None:
    """Through resets and steps alike, 24 images are 24 different ones, and the next pass has another order."""
    env = ImageClassificationEnv(dataset=few, split="test", images_per_episode=2)
    shown = []
    for _ in range(24):
        _, info = env.reset(seed=None if shown else 5)
        shown.append(info["index"])
        _, _, _, _, info = env.step(0)
        shown.append(info["index"])
        env.step(0)
    assert sorted(shown[:24]) == sorted(shown[24:]) == list(range(24))
    assert shown[:24] != shown[24:]


def test_a_seed_decides_everything() -> None:
    """The same seed and actions give the same observations and rewards bit by bit; another seed does not."""

    def played(seed: int) -> list[object]:
        env = ImageClassificationEnv(dataset="digits", images_per_episode=2)
        found: list[object] = []
        for episode in range(4):
            observation, _ = env.reset(seed=None if episode else seed)
            for action in (3, 7):
                found += [observation.tobytes()]
                observation, *rest = env.step(action)
                found += rest
        return found

    assert played(11) == played(11)
    assert played(11) != played(12)


def test_a_seed_begins_anew() -> None:
    """A seeded reset does not depend on what was shown before it."""
    env = ImageClassificationEnv()
    first, _ = env.reset(seed=3)
    env.reset()
    again, _ = env.reset(seed=3)
    assert np.array_equal(first, again)


def test_a_table_pays_by_label_and_action(digits: Dataset) -> None:
    """The reward is the entry of the label's row and the action's column."""
    table = np.arange(100).reshape(10, 10)
    env = ImageClassificationEnv(dataset=digits, reward=table)
    for action in range(10):
        _, info = env.reset(seed=action)
        assert env.step(action)[1] == table[info["label"], action]


@pytest.mark.parametrize("action", [-1, 10, 2.0], ids=str)
def test_an_action_that_is_no_class_is_refused(action: int) -> None:
    """A negative index, one too large, and a fraction; the image still waits for its answer afterwards."""
    env = ImageClassificationEnv()
    env.reset(seed=0)
    with pytest.raises(EnvironmentMisused, match="integers from 0 to 9"):
        env.step(action)
    env.step(0)


def test_a_step_without_an_image_is_refused() -> None:
    """Before the first reset and after an episode's end there is nothing to answer."""
    env = ImageClassificationEnv()
    with pytest.raises(EnvironmentMisused, match="call reset first"):
        env.step(0)
    env.reset()
    env.step(0)
    with pytest.raises(EnvironmentMisused, match="call reset first"):
        env.step(0)


@pytest.mark.parametrize("images", [0, 1.5])
def test_an_episode_is_a_number_of_images(images: Any) -> None:
    """None is no episode, and one of a fraction would never end."""
    with pytest.raises(EnvironmentMisused, match="whole numbers of at least 1"):
        ImageClassificationEnv(images_per_episode=images)


def test_another_split_is_refused() -> None:
    """A name that is not one of the two must not quietly show the other's images."""
    for split in ("val", "Train"):
        with pytest.raises(EnvironmentMisused, match=f"no split '{split}': it is train or test"):
            ImageClassificationEnv(split=split)  # type: ignore[arg-type]  # what is refused


def test_a_returned_observation_is_the_callers_own() -> None:
    """Writing into it changes nothing that is shown later."""
    env = ImageClassificationEnv()
    observation, _ = env.reset(seed=0)
    kept = observation.copy()
    observation[:] = 0
    last, *_ = env.step(0)
    assert np.array_equal(last, kept)
