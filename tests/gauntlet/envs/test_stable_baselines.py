"""The vector environment under Stable-Baselines3: the same as its own batching, trained on, and attacked back."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from gauntlet.data.datasets import Dataset, to_unit
from gauntlet.envs.environment import ImageClassificationEnv
from gauntlet.envs.stable_baselines import PolicyLogits, StableBaselinesVecEnv
from gauntlet.envs.vector import ImageClassificationVectorEnv
from gauntlet.errors import EnvironmentMisused
from tests.gauntlet.examples import network


def vec_env(num_envs: int = 8, **settings: Any) -> StableBaselinesVecEnv:
    return StableBaselinesVecEnv(ImageClassificationVectorEnv(num_envs, **settings))


@pytest.mark.parametrize("images", [1, 3])
def test_it_does_what_stable_baselines_own_batching_does(images: int) -> None:
    """With one environment, observations, rewards, ends and infos are those of `DummyVecEnv` over the single one."""
    ours = vec_env(1, images_per_episode=images)
    theirs = DummyVecEnv([lambda: ImageClassificationEnv(images_per_episode=images)])
    for env in (ours, theirs):
        env.seed(5)
    assert np.array_equal(ours.reset(), theirs.reset())
    for action in range(7):
        assert ours.reset_infos == theirs.reset_infos
        mine, other = ours.step(np.array([action])), theirs.step(np.array([action]))
        for left, right in zip(mine[:3], other[:3], strict=True):
            assert left.dtype == right.dtype
            assert np.array_equal(left, right)
        (info,), (expected,) = mine[3], other[3]
        if mine[2][0]:
            assert info.pop("is_success") is info["correct"]
            assert np.array_equal(info.pop("terminal_observation"), expected.pop("terminal_observation"))
        assert info == expected


def trained(model: BaseAlgorithm, steps: int) -> dict[str, torch.Tensor]:
    model.learn(steps)
    return {name: weights.clone() for name, weights in model.policy.state_dict().items()}


def ppo(env: StableBaselinesVecEnv, *, seed: int = 0) -> PPO:
    return PPO("MlpPolicy", env, n_steps=16, batch_size=256, n_epochs=2, gamma=0, learning_rate=1e-3, seed=seed)


def accuracy(model: BaseAlgorithm, digits: Dataset) -> float:
    actions, _ = model.predict(to_unit(digits.test.images).numpy(), deterministic=True)
    return float((actions == digits.test.labels.numpy()).mean())


def test_ppo_learns(digits: Dataset) -> None:
    """After 20 passes PPO is right on nine test digits of ten."""
    model = ppo(vec_env(64))
    model.learn(30_000)
    assert accuracy(model, digits) > 0.9


def test_a_seed_decides_what_ppo_learns() -> None:
    """The same seed ends in the same weights bit by bit, another in others."""
    first, again, other = (trained(ppo(vec_env(64), seed=seed), 2048) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if name.endswith("weight"))


def test_ppo_trains_against_its_own_adversary() -> None:
    """The adversary attacks the policy being trained: as its weights move, the same images are attacked otherwise."""
    env = vec_env(16, adversary={"kind": "fgsm", "eps": "8/255"})
    model = ppo(env)
    env.env.policy = PolicyLogits(model.policy)
    attacked = []
    for _ in range(2):
        model.learn(256)
        env.seed(0)
        attacked.append(env.reset())
    assert not np.array_equal(*attacked)


def test_success_and_rewards_are_logged() -> None:
    """`rollout/success_rate` comes from the infos, rewards and lengths from `VecMonitor` around it."""
    model = PPO("MlpPolicy", VecMonitor(vec_env(16, images_per_episode=2)), n_steps=8, batch_size=64, seed=0)
    model.learn(128)
    assert model.ep_success_buffer is not None
    assert model.ep_info_buffer is not None
    assert len(model.ep_success_buffer) == 64
    assert {info["l"] for info in model.ep_info_buffer} == {2}
    assert {info["r"] for info in model.ep_info_buffer} <= {-2.0, 0.0, 2.0}


@pytest.mark.parametrize("algorithm", [PPO, A2C, DQN])
def test_the_largest_logit_is_the_policys_prediction(algorithm: type[BaseAlgorithm], digits: Dataset) -> None:
    """For actor-critics and DQN alike, and the logits have a gradient to the image."""
    model = algorithm("MlpPolicy", vec_env(4), seed=0)
    images = to_unit(digits.test.images[:50]).requires_grad_()
    logits = PolicyLogits(model.policy)(images)
    assert logits.shape == (50, 10)
    assert logits.argmax(dim=1).tolist() == _predictions(model, images.detach().numpy())
    (gradient,) = torch.autograd.grad(logits.logsumexp(dim=1).sum() + logits[:, 0].sum(), images)
    assert gradient.abs().sum() > 0


def _predictions(model: BaseAlgorithm, observations: NDArray[np.float32]) -> list[int]:
    actions, _ = model.predict(observations, deterministic=True)
    return actions.tolist()


def test_dqn_trains_on_it() -> None:
    """A replay buffer takes the last observations from the infos, and weights move."""
    model = DQN("MlpPolicy", vec_env(8), learning_starts=64, train_freq=4, buffer_size=500, seed=0)
    before = {name: weights.clone() for name, weights in model.policy.state_dict().items()}
    after = trained(model, 256)
    assert not all(torch.equal(before[name], after[name]) for name in before)


def test_only_policies_with_logits_are_classifiers() -> None:
    with pytest.raises(EnvironmentMisused, match="PPO, A2C and DQN"):
        PolicyLogits(network())


def test_attributes_are_the_whole_batchs() -> None:
    """They are read for each environment, and set for all or not at all; no environment has methods of its own."""
    env, policy = vec_env(3), network()
    env.set_attr("policy", policy)
    assert env.get_attr("policy", [0, 2]) == [policy, policy]
    assert not env.has_attr("nothing")
    with pytest.raises(EnvironmentMisused, match="for all of them only"):
        env.set_attr("policy", None, indices=1)
    with pytest.raises(EnvironmentMisused, match="asked for reset"):
        env.env_method("reset")
    assert env.env_is_wrapped(VecMonitor) == [False] * 3


def test_a_step_needs_its_actions() -> None:
    env = vec_env(2)
    env.reset()
    with pytest.raises(EnvironmentMisused, match="call step_async first"):
        env.step_wait()


def test_frames_are_tiled() -> None:
    """Stable-Baselines3's `render` puts all frames into one picture; without a render mode there are none."""
    env = vec_env(4, render_mode="rgb_array")
    env.reset()
    picture = env.render()
    assert picture is not None
    assert picture.shape == (2 * 328, 2 * 272, 3)
    assert vec_env(2).get_images() == [None, None]
    env.close()
