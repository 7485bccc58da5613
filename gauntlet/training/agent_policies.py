"""A network as the policy of an algorithm of Stable-Baselines3: PPO's and A2C's actor, DQN's values."""

import copy
from collections.abc import Callable
from typing import Any, Self, assert_never

import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from gauntlet.envs.stable_baselines import StableBaselinesVecEnv
from gauntlet.models.architectures import split_head
from gauntlet.models.precision import in_precision
from gauntlet.spec.runs.objectives import A2c, AgentSpec, Dqn, Ppo, UpdateMode
from gauntlet.spec.runs.training import Precision

Agent = A2C | PPO | DQN

# When the log is written, which is read after every rollout instead, and DQN's target network updated.
NEVER = 2**62
# Every episode ends with its first step, so nothing that follows it counts: what the target network says is multiplied
# by zero.
_NO_FUTURE = 0.0


def build_agent(
    objective: AgentSpec,
    environments: StableBaselinesVecEnv,
    model: nn.Module,
    precision: Precision,
    rate: Callable[[], float],
) -> tuple[Agent, nn.Linear | None]:
    """An agent whose actor or table of values is `model`, and its critic, set to zero; None for DQN, which has none.

    A batch is as many images as there are environments. The agent's optimiser is for its caller to replace.

    Args:
        objective: which algorithm, and its settings.
        environments: what it acts in, one step to an episode.
        model: a network of `build_model`, from images to logits or values, [n, classes].
        precision: what its layers but the last compute in.
        rate: the learning rate, asked once a rollout.
    """
    shared: dict[str, Any] = {
        "env": environments,
        "learning_rate": lambda _progress: rate(),
        "gamma": _NO_FUTURE,
        "max_grad_norm": objective.max_grad_norm,
        "device": next(model.parameters()).device,
    }
    network: dict[str, Any] = {
        "features_extractor_class": _Features,
        "features_extractor_kwargs": {
            "network": model,
            "precision": precision,
            "update_mode": objective.update_mode,
        },
        "net_arch": [],
        "normalize_images": False,
    }
    agent: Agent
    match objective:
        case A2c(n_steps=n_steps, entropy_bonus=entropy, value_weight=value) as a2c:
            agent = A2C(
                "CnnPolicy",
                **shared,
                n_steps=n_steps,
                normalize_advantage=a2c.normalize_advantage,
                ent_coef=entropy,
                vf_coef=value,
                policy_kwargs=network | {"ortho_init": False},
            )
        case Ppo(n_steps=n_steps, entropy_bonus=entropy, value_weight=value) as ppo:
            agent = PPO(
                "CnnPolicy",
                **shared,
                n_steps=n_steps,
                batch_size=environments.num_envs,
                n_epochs=ppo.n_epochs,
                clip_range=ppo.clip_range,
                normalize_advantage=ppo.normalize_advantage,
                ent_coef=entropy,
                vf_coef=value,
                policy_kwargs=network | {"ortho_init": False},
            )
        case Dqn(n_steps=n_steps) as dqn:
            agent = DQN(
                "CnnPolicy",
                **shared,
                buffer_size=environments.num_envs * objective.n_steps,
                learning_starts=0,
                batch_size=environments.num_envs,
                train_freq=(n_steps, "step"),
                gradient_steps=dqn.gradient_steps,
                target_update_interval=NEVER,
                exploration_initial_eps=dqn.epsilon,
                exploration_final_eps=dqn.epsilon,
                policy_kwargs=network,
            )
            # Its schedule is asked after a step, and would leave the very first one, also of a resumed run, greedy.
            agent.exploration_rate = dqn.epsilon
        case _:
            assert_never(objective)
    agent.set_logger(Logger(None, []))
    return agent, _put_in(model, agent)


class _Features(BaseFeaturesExtractor):
    """A network without its last layer; it goes into train mode for updates only where `update_mode` says so.

    It holds a copy, for Stable-Baselines3 to build its policy on.
    """

    def __init__(
        self, observation_space: spaces.Box, network: nn.Module, precision: Precision, update_mode: UpdateMode
    ) -> None:
        layers, head = split_head(copy.deepcopy(network))
        super().__init__(observation_space, head.in_features)
        self.layers = layers
        self._precision = precision
        self._update_mode = update_mode

    def train(self, mode: bool = True) -> Self:
        """Train mode, if updates are to be made in it."""
        return super().train(mode and self._update_mode == "train")

    def forward(self, observations: Tensor) -> Tensor:
        """From float32 [n, c, h, w] to features [n, features]."""
        return in_precision(self.layers, self._precision)(observations)


def _put_in(model: nn.Module, agent: Agent) -> nn.Linear | None:
    """Make `model` the agent's network in place of the copy that it was built with; returns the critic, set to zero."""
    layers, head = split_head(model)
    if isinstance(agent, DQN):
        agent.policy.q_net.features_extractor.layers = layers
        agent.policy.q_net.q_net = nn.Sequential(head)
        return None
    agent.policy.features_extractor.layers = layers
    agent.policy.action_net = head
    critic: nn.Linear = agent.policy.value_net
    nn.init.zeros_(critic.weight)
    nn.init.zeros_(critic.bias)
    return critic


def updates_per_rollout(objective: AgentSpec) -> int:
    """How many times a rollout moves the weights."""
    match objective:
        case A2c():
            return 1
        case Ppo(n_epochs=n_epochs, n_steps=n_steps):
            return n_epochs * n_steps
        case Dqn(gradient_steps=gradient_steps):
            return gradient_steps
        case _:
            assert_never(objective)


def reported_loss(agent: Agent) -> Tensor:
    """The mean over a rollout's updates, float32 scalar on the agent's device."""
    reported = agent.logger.name_to_value
    if isinstance(agent, DQN):
        loss = reported["train/loss"]
    else:
        # PPO's own `train/loss` is that of its last update only.
        policy = reported["train/policy_loss" if isinstance(agent, A2C) else "train/policy_gradient_loss"]
        loss = policy + agent.ent_coef * reported["train/entropy_loss"] + agent.vf_coef * reported["train/value_loss"]
    return torch.tensor(loss, dtype=torch.float32, device=agent.device)
