"""The vector environment for Stable-Baselines3, whose algorithms have an interface of their own for batches."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices
from stable_baselines3.dqn.policies import DQNPolicy
from torch import Tensor, nn
from torch.distributions import Categorical

from gauntlet.envs.vector import ImageClassificationVectorEnv
from gauntlet.errors import EnvironmentMisused

Step = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]


class StableBaselinesVecEnv(VecEnv):
    """A vector environment as Stable-Baselines3 sees one; it steps the whole batch at once.

    Infos are the single environment's: `label` and `index` of the image that is shown, `correct` of the answer before
    it. Where an episode ended they are those it ended with, and beside them are Stable-Baselines3's own:
    `terminal_observation`, `TimeLimit.truncated`, and `is_success`, the last answer's `correct`, whose mean is logged
    as `rollout/success_rate`. Rewards and lengths of episodes are logged behind Stable-Baselines3's `VecMonitor`.

    The environments share one stream of images, so of the seeds that Stable-Baselines3 sets, the first decides all of
    them, attributes are the whole batch's, and there is no single environment whose methods could be called.
    """

    def __init__(self, env: ImageClassificationVectorEnv) -> None:
        self.env = env
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._actions: NDArray[np.int64] | None = None

    def reset(self) -> NDArray[np.float32]:
        """The first images, float32 [n, c, h, w]; seeded by the last call of `seed`, if there was one since."""
        observations, shown = self.env.reset(seed=self._seeds[0])
        self.reset_infos = _each(shown)
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Keep the actions, integers [n], for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> Step:
        """Observations float32 [n, c, h, w], rewards float32 [n], ends of episodes bool [n], and infos.

        Raises:
            EnvironmentMisused: no actions were given, or one is no class.
        """
        if self._actions is None:
            raise EnvironmentMisused("There are no actions to step with: call step_async first.")
        actions, self._actions = self._actions, None
        observations, rewards, ended, _, told = self.env.step(actions)
        infos = _each(told)
        if ended.any():
            self.reset_infos, infos = infos, _each(told["final_info"])
            for info, observation in zip(infos, told["final_obs"], strict=True):
                info["terminal_observation"] = observation
                info["is_success"] = info["correct"]
        for info in infos:
            info["TimeLimit.truncated"] = False
        return observations, rewards.astype(np.float32), ended, infos

    def close(self) -> None:
        """Close the environment; it holds nothing but memory."""
        self.env.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """Each environment's frame, uint8 [h, w, 3]; None where it was made without a render mode."""
        return self.env.render() or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The batch's attribute, once for each of `indices`."""
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set the batch's attribute.

        Raises:
            EnvironmentMisused: `indices` are not all of the environments, and they share their attributes.
        """
        if set(self._get_indices(indices)) != set(range(self.num_envs)):
            raise EnvironmentMisused(f"The environments share {attr_name}: it can be set for all of them only.")
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *_args: Any, **_kwargs: Any) -> list[Any]:
        """There is none.

        Raises:
            EnvironmentMisused: always.
        """
        raise EnvironmentMisused(f"No environment of a batch can be asked for {method_name} by itself.")

    def env_is_wrapped(
        self,
        wrapper_class: type[gymnasium.Wrapper],  # noqa: ARG002  # Stable-Baselines3 passes it
        indices: VecEnvIndices = None,
    ) -> list[bool]:
        """No environment of a batch has a wrapper of its own."""
        return [False for _ in self._get_indices(indices)]


def _each(infos: dict[str, Any]) -> list[dict[str, Any]]:
    """A batch's `label`, `index` and, where it is there, `correct`, as one dict of Python values for each."""
    names = [name for name in ("label", "index", "correct") if name in infos]
    columns = [infos[name].tolist() for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


class PolicyLogits(nn.Module):
    """A Stable-Baselines3 policy as a classifier: from float32 images [n, c, h, w] to logits [n, classes].

    The logits are those of the action distribution of an actor-critic (PPO, A2C), and the action values of a DQN:
    in either, the largest is the class that the policy predicts. The weights are the policy's own, so they follow its
    training.

    Raises:
        EnvironmentMisused: the policy is of another kind.
    """

    def __init__(self, policy: nn.Module) -> None:
        super().__init__()
        if not isinstance(policy, ActorCriticPolicy | DQNPolicy):
            raise EnvironmentMisused(
                f"Logits can be read off the policies of PPO, A2C and DQN, and this is a {type(policy).__name__}."
            )
        self.policy = policy

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes], with a gradient to the images; images must be on the policy's device."""
        if isinstance(self.policy, DQNPolicy):
            values: Tensor = self.policy.q_net(images)
            return values
        distribution = self.policy.get_distribution(images).distribution
        assert isinstance(distribution, Categorical), "Classes are a discrete action space."
        return distribution.logits
