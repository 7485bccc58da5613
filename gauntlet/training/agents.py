"""Epochs of reinforcement learning: PPO, A2C and DQN of Stable-Baselines3 on the classification environment.

The actor (for DQN the table of values) is the network itself, so what is kept, measured and attacked is a classifier
like any other. Stable-Baselines3's own loop is run for one rollout and its updates at a time, and everything it leaves
to chance is drawn from (seed, epoch, rollout), so that a run can be resumed after any rollout.
"""

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.data.datasets import Dataset
from gauntlet.envs.stable_baselines import StableBaselinesVecEnv
from gauntlet.envs.vector import ImageClassificationVectorEnv
from gauntlet.errors import TrainingDiverged
from gauntlet.models.architectures import split_head
from gauntlet.models.precision import fp32_products, in_precision
from gauntlet.spec.evaluations.attacks import FgsmAttack
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.adversaries import AdversarySpec, NoAdversary
from gauntlet.spec.runs.objectives import AgentSpec, Dqn
from gauntlet.spec.runs.optimizers import OneCycle
from gauntlet.spec.runs.training import Precision
from gauntlet.training.agent_policies import NEVER, Agent, build_agent, reported_loss, updates_per_rollout
from gauntlet.training.steps import tally
from gauntlet.training.steps.objectives import Loss
from gauntlet.training.steps.optimizers import build_optimizer, learning_rate
from gauntlet.training.updates import Update


class AgentEpochs:
    """Trains `model` in place, rollout by rollout; all that one leaves to chance depends on (seed, epoch, rollout).

    A batch is a rollout of `training.batch_size` × `n_steps` images, drawn anew from the training images, and the
    updates that follow it; an epoch is as many batches as it takes to show as many images as there are. `optimizer`,
    `critic` (None for DQN) and `totals`, the tally of the epoch under way (float64 on the device), are the rest of its
    state. The tally's loss is the mean over a rollout's updates.
    """

    compiled = False
    # Their versions decide bits, too.
    packages = ("stable_baselines3", "gymnasium", "numpy")

    def __init__(self, spec: RunSpec, objective: AgentSpec, data: Dataset, model: nn.Module) -> None:
        self._spec = spec
        self._objective = objective
        self._model = _Precise(model, spec.training.precision)
        self._device = next(model.parameters()).device
        self.images = data.train.to(self._device)
        self.totals = tally.empty_tally(self._device)
        self._rate = spec.training.optimizer.lr
        self._environments = StableBaselinesVecEnv(
            ImageClassificationVectorEnv(
                spec.training.batch_size,
                dataset=dataclasses.replace(data, train=self.images),
                reward=objective.reward,
                adversary=_adversary(spec.adversary),
                policy=self._model,
                device=self._device,
            )
        )
        # What is drawn here is replaced; the caller's random state is left as it was.
        with seeding.torch_seeded(self._device, spec.seed):
            self._agent, self.critic = build_agent(
                objective, self._environments, model, spec.training.precision, lambda: self._rate
            )
        trained = [model] if self.critic is None else [model, self.critic]
        self.optimizer = build_optimizer(spec.training.optimizer, nn.ModuleList(trained))
        self._agent.policy.optimizer = self.optimizer

    @property
    def batches(self) -> int:
        """Rollouts in an epoch."""
        return -(-len(self.images) // self._images_in_a_rollout)

    @property
    def _images_in_a_rollout(self) -> int:
        return self._spec.training.batch_size * self._objective.n_steps

    def images_after(self, batches: int) -> int:
        """How many images of an epoch come after its first `batches`."""
        return (self.batches - batches) * self._images_in_a_rollout

    @property
    def _largest_loss(self) -> float:
        """What a loss may reach: a critic's error is as the square of a reward."""
        weight = 1.0 if isinstance(self._objective, Dqn) else max(self._objective.value_weight, 1.0)
        return tally.LARGEST_LOSS * weight * self._objective.reward.largest**2

    def learning_rate(self, epoch: int, batch: int) -> float:
        """Of the updates with `batch` (from 0) of `epoch` (from 1): that of the first of them.

        By `one_cycle` the run's first is 0, and its rollout would be played for nothing: that one has its middle's.
        """
        rollouts, per_rollout = (epoch - 1) * self.batches + batch, updates_per_rollout(self._objective)
        done: float = rollouts * per_rollout
        if done == 0 and isinstance(self._spec.training.schedule, OneCycle):
            done = per_rollout / 2
        return learning_rate(self._spec.training, done, self.batches * per_rollout)

    def updates(self, epoch: int, done: int) -> Iterator[Update]:
        """The batches of `epoch` after the first `done`, each of which is to be done before the next is asked for.

        Raises:
            TrainingDiverged: a loss or an output was not finite, or a loss beyond ±1e3 (for rewards within ±1).
        """
        if done == 0:
            self.totals.copy_(tally.empty_tally(self._device))
        for batch in range(done, self.batches):
            yield Update(batch + 1, partial(self._do, epoch, batch))
            tally.check(self.totals, epoch, batch + 1, largest=self._largest_loss)

    def _do(self, epoch: int, batch: int) -> None:
        self._rate = self.learning_rate(epoch, batch)
        seed = seeding.derive(self._spec.seed, "rollout", epoch, batch)
        self._environments.seed(seed)
        self._agent.action_space.seed(seed % 2**31)
        with _seeded(self._device, seed), fp32_products(self._spec.training.precision):
            self._learn(epoch, batch + 1)

    def _learn(self, epoch: int, batch: int) -> None:
        watched = _Watched(self._agent, self._model)
        with _finite_output(self._model.network, epoch, batch):
            self._agent.learn(self._images_in_a_rollout, callback=watched, log_interval=NEVER)
        loss = Loss(reported_loss(self._agent), watched.rewards, watched.log_probs)
        tally.add_batch(self.totals, loss, watched.logits, watched.labels)


class _Precise(nn.Module):
    """A network that computes in `precision`; a module, so that it can be attacked in eval mode."""

    def __init__(self, network: nn.Module, precision: Precision) -> None:
        super().__init__()
        self.network = network
        self._precision = precision

    def forward(self, images: Tensor) -> Tensor:
        """From float32 [n, c, h, w] to fp32 logits [n, classes]."""
        return in_precision(self.network, self._precision)(images)


def _adversary(spec: AdversarySpec) -> FgsmAttack | None:
    return None if isinstance(spec, NoAdversary) else FgsmAttack(eps=spec.eps, norm=spec.norm)


class _Watched(BaseCallback):
    """What a rollout was made of, and what `model` makes of its images before it learns from them.

    `logits` float32 [n, classes] in eval mode, `labels` int64 [n], `rewards` float32 [n], `log_probs` float32 [n] of
    the actions taken.
    """

    def __init__(self, agent: Agent, model: nn.Module) -> None:
        super().__init__()
        self._agent = agent
        self._network = model
        self._labels: list[int] = []

    def _on_step(self) -> bool:
        self._labels += [info["label"] for info in self.locals["infos"]]
        return True

    def _on_rollout_end(self) -> None:
        agent, device = self._agent, self._agent.device
        buffer = agent.replay_buffer if isinstance(agent, DQN) else agent.rollout_buffer
        assert buffer is not None, "A rollout is over."
        # Both kinds of buffer keep [steps, environments, …].
        with torch.no_grad():
            logits = [self._network(torch.from_numpy(seen).to(device)) for seen in buffer.observations]
        self.logits = torch.cat(logits)
        self.labels = torch.tensor(self._labels, device=device)
        self.rewards = torch.from_numpy(buffer.rewards.ravel()).to(device)
        actions = torch.from_numpy(buffer.actions.ravel().astype(np.int64)).to(device)
        self.log_probs = F.log_softmax(self.logits, dim=1).gather(1, actions[:, None]).squeeze(1)


@contextmanager
def _finite_output(model: nn.Module, epoch: int, batch: int) -> Iterator[None]:
    """Inside, an output of `model` that is infinite or not a number ends the run as diverged.

    It would otherwise end it under another name: the attack's, or torch's own as it makes a distribution of it.

    Raises:
        TrainingDiverged: there was one, in `batch` (from 1) of `epoch`.
    """

    def look(_head: nn.Module, _features: object, logits: Tensor) -> None:
        if not bool(logits.isfinite().all()):
            raise TrainingDiverged(epoch, batch, math.inf)

    hook = split_head(model)[1].register_forward_hook(look)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Torch's and NumPy's global random states, which Stable-Baselines3 draws from, set inside and restored after."""
    before = np.random.get_state()  # noqa: NPY002  # it is the state that the library uses
    np.random.seed(seed % 2**32)  # noqa: NPY002  # the library draws from it
    try:
        with seeding.torch_seeded(device, seed):
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002  # the library draws from it
