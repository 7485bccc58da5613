"""The speed of the environment: batched stepping beside Gymnasium's own, and what agents make of it.

    python -m benchmarks.speed.environment --out benchmarks/results/environment.json

64 environments of one image to an episode, images of CIFAR-10's shape. An image counts when it was answered; under PPO,
when it was answered and trained on, in ten epochs. The objectives of a run, each with its defaults, train the paper's
network under FGSM in batches of 32; an image counts when it was learned from. `--images` is best a multiple of 12,800,
so that PPO's batches are full.
"""

import argparse
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from torch import nn

from benchmarks.speed.rounds import prepare, publish, race, random_images
from benchmarks.speed.training_step import gauntlet_training
from gauntlet.data.datasets import ImageSet
from gauntlet.envs import ENVIRONMENT_ID
from gauntlet.envs.classification import Settings
from gauntlet.envs.environment import ImageClassificationEnv
from gauntlet.envs.stable_baselines import PolicyLogits, StableBaselinesVecEnv
from gauntlet.envs.vector import ImageClassificationVectorEnv
from gauntlet.models.architectures import build_model, initialise
from gauntlet.spec.runs.architectures import Cnn

# What is asked for, as a multiple of SyncVectorEnv's images/s.
WANTED = 10.0
ENVIRONMENTS = 64
FGSM = {"kind": "fgsm", "eps": "8/255"}
# Attacks and updates are timed on fewer images, for they are slow.
_FEWER = 10
# Under PPO, the images that each environment shows between updates; Stable-Baselines3's other defaults stand.
_ROLLOUT = 20
OBJECTIVES = ("cross_entropy", "a2c", "ppo", "dqn")
# A rollout of PPO and DQN, sixteen of A2C: 16 batches of 32 for each of them.
_LEARNED_FROM = 512


def main() -> None:
    """Race each of ours against what users have without it, and write what was found."""
    options = prepare(__doc__, images=12_800)
    settings: Settings = {"dataset": ImageSet(*random_images(10_000)), "device": options.device}
    attacked: Settings = settings | {"adversary": FGSM, "policy": _paper_cnn(options)}
    few = options.images // _FEWER
    races = {
        "stepping": (_stepping(settings, options.images), options.images),
        "stepping under FGSM on the paper's CNN": (_stepping(attacked, few), few),
        "PPO, MlpPolicy": (_training(settings, few, options.device), few),
        "PPO, MlpPolicy, under FGSM": (_training(settings | {"adversary": FGSM}, few, options.device), few),
    }
    found: dict[str, Any] = {}
    for name, (ways, images) in races.items():
        timed = race(ways, images=images, rounds=options.rounds, base="Gymnasium's", clock=options.clock)
        found |= {f"{name}: {way}": row for way, row in timed.items()}
    objectives = race(
        _objectives(options), images=_LEARNED_FROM, rounds=options.rounds, base="cross_entropy", clock=options.clock
    )
    found |= {f"objective of a run: {kind}": row for kind, row in objectives.items()}
    publish(options, found, {"stepping": {"wanted": WANTED, "of_sync_vector_env": found["stepping: batched"]["ratio"]}})


def _paper_cnn(options: argparse.Namespace) -> nn.Module:
    model = build_model(Cnn(), (3, 32, 32), 10)
    initialise(model, 0)
    return model.eval().to(options.device)


def _stepping(settings: Settings, images: int) -> dict[str, Callable[[], object]]:
    """Gymnasium's vector environment over the single one, and the batched one, each answering so many images."""

    def one_by_one() -> VectorEnv[Any, Any, Any]:
        return gymnasium.make_vec(
            ENVIRONMENT_ID,
            num_envs=ENVIRONMENTS,
            vectorization_mode="sync",
            vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
            **settings,
        )

    def run(env: VectorEnv[Any, Any, Any]) -> Callable[[], object]:
        actions = np.zeros(ENVIRONMENTS, dtype=np.int64)
        env.reset(seed=0)
        return lambda: [env.step(actions)[1].sum() for _ in range(images // ENVIRONMENTS)]

    return {
        "Gymnasium's": run(one_by_one()),
        "batched": run(ImageClassificationVectorEnv(ENVIRONMENTS, **settings)),
    }


def _training(settings: Settings, images: int, device: str) -> dict[str, Callable[[], object]]:
    """PPO over single environments, batched by Stable-Baselines3 itself, and over the batched one."""
    single = [ImageClassificationEnv(**settings) for _ in range(ENVIRONMENTS)]
    batched = ImageClassificationVectorEnv(ENVIRONMENTS, **settings)

    def run(
        env: VecEnv, victims: list[ImageClassificationEnv] | list[ImageClassificationVectorEnv]
    ) -> Callable[[], object]:
        model = PPO("MlpPolicy", env, n_steps=_ROLLOUT, gamma=0, seed=0, device=device)
        for victim in victims:
            victim.policy = PolicyLogits(model.policy)
        return lambda: model.learn(images)

    return {
        "Gymnasium's": run(DummyVecEnv([lambda env=env: env for env in single]), single),  # type: ignore[misc]  # a lambda's default
        "batched": run(StableBaselinesVecEnv(batched), [batched]),
    }


def _objectives(options: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """A pass of each objective over the same images, as a run trains the paper's network."""
    device = torch.device(options.device)
    images = random_images(_LEARNED_FROM)
    return {kind: gauntlet_training(*images, device, objective={"kind": kind}) for kind in OBJECTIVES}


if __name__ == "__main__":
    main()
