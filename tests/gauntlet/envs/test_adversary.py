"""Attacked observations: within their budget, worse for the policy, and nothing else changed."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from gauntlet.envs.adversary import attack_policy
from gauntlet.envs.environment import ImageClassificationEnv
from gauntlet.envs.vector import ImageClassificationVectorEnv
from gauntlet.errors import EnvironmentMisused, OutputNotFinite
from gauntlet.models.architectures import build_model, initialise
from gauntlet.models.checkpoints import TrainingState
from gauntlet.spec.evaluations.attacks import FgsmAttack, PgdAttack
from gauntlet.spec.runs.architectures import Cnn
from tests.gauntlet.examples import network, network_with

ATTACKS = [
    {"kind": "fgsm", "eps": "16/255"},
    {"kind": "pgd", "eps": "16/255", "steps": 3},
    {"kind": "fgsm", "eps": 1, "norm": "L2"},
    {"kind": "pgd", "eps": 1, "norm": "L2", "steps": 3},
]


def shown(adversary: dict[str, Any] | None, policy: nn.Module) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    env = ImageClassificationVectorEnv(64, split="test", adversary=adversary, policy=policy)
    observations, infos = env.reset(seed=0)
    return observations, infos["label"]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack['kind']} {attack.get('norm', 'Linf')}")
def test_an_attacked_image_stays_within_its_budget_and_raises_the_loss(
    attack: dict[str, Any], trained: TrainingState
) -> None:
    """The same images as without adversary, moved by eps at most, inside [0, 1], and harder for the policy."""
    policy = network_with(trained)
    natural, labels = shown(None, policy)
    attacked, same_labels = shown(attack, policy)
    assert np.array_equal(labels, same_labels)
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    moved = (attacked - natural).reshape(64, -1)
    if attack.get("norm") == "L2":
        assert np.linalg.norm(moved, axis=1).max() <= 1 + 1e-5
    else:
        assert np.abs(moved).max() <= 16 / 255 + 1e-6
    assert _loss(policy, attacked, labels) > _loss(policy, natural, labels) + 0.05


def _loss(policy: nn.Module, observations: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    with torch.no_grad():
        return F.cross_entropy(policy(torch.from_numpy(observations)), torch.from_numpy(labels)).item()


def test_the_policy_is_left_as_it_was() -> None:
    """It is attacked in eval mode; its modes, and gradients that are being accumulated, stay."""
    policy = build_model(Cnn(), (1, 16, 16), 10)
    initialise(policy, 0)
    eval_mode = shown(ATTACKS[0], policy.eval())[0]
    policy.train()
    policy[0].eval()
    for parameter in policy.parameters():
        parameter.grad = torch.ones_like(parameter)
    assert np.array_equal(shown(ATTACKS[0], policy)[0], eval_mode)
    assert policy.training
    assert not policy[0].training
    assert all((parameter.grad == 1).all() for parameter in policy.parameters() if parameter.grad is not None)
    assert all(parameter.grad is not None for parameter in policy.parameters())


def test_a_function_is_a_policy_too() -> None:
    """Any callable from images to logits is attacked as it is, and is shown float images on the device."""
    seen: list[Tensor] = []

    def linear(images: Tensor) -> Tensor:
        seen.append(images)
        return images.flatten(1)[:, :10] * torch.arange(10)

    env = ImageClassificationVectorEnv(3, adversary=FgsmAttack(eps="8/255"), policy=linear)
    env.reset(seed=0)
    (images,) = seen
    assert images.dtype == torch.float32
    assert images.shape == (3, 1, 16, 16)


def test_the_adversary_follows_the_policy_it_is_given() -> None:
    """A policy that is set later is the one that is attacked, from the next observation on."""
    settings: dict[str, Any] = {"adversary": ATTACKS[0], "dataset": "digits"}
    late, first, second = (ImageClassificationEnv(**settings) for _ in range(3))
    first.policy, second.policy = network(seed=1), network(seed=2)
    late.policy = network(seed=1)
    assert np.array_equal(late.reset(seed=0)[0], first.reset(seed=0)[0])
    late.policy = network(seed=2)
    expected, _ = second.reset(seed=0)
    assert np.array_equal(late.reset(seed=0)[0], expected)
    assert not np.array_equal(first.reset(seed=0)[0], expected)


def test_random_starts_follow_the_seed_and_do_not_repeat() -> None:
    """PGD's starts are part of what a seed decides, and are drawn anew for each batch."""
    attack = {"kind": "pgd", "eps": "32/255", "steps": 1}
    env = ImageClassificationVectorEnv(
        4, dataset={"name": "digits", "train_samples": 4}, adversary=attack, policy=network()
    )

    def two_passes() -> list[NDArray[np.float32]]:
        observations, infos = env.reset(seed=0)
        later, *_, later_infos = env.step(np.zeros(4, dtype=np.int64))
        return [observations[np.argsort(infos["index"])], later[np.argsort(later_infos["index"])]]

    once, again = two_passes(), two_passes()
    assert all(np.array_equal(left, right) for left, right in zip(once, again, strict=True))
    assert not np.array_equal(once[0], once[1])


class Wavering(nn.Module):
    """A linear policy whose weights are drawn anew for each pass."""

    def __init__(self, directions: Tensor) -> None:
        super().__init__()
        self.directions = directions

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ (self.directions + torch.randn(self.directions.shape))


_DEPARTURES: dict[str, Any] = {
    "eps": "8/255",
    "norm": "L2",
    "eot": 5,
    "steps": 3,
    "restarts": 4,
    "loss": "margin",
    "step": 0.1,
}


@pytest.mark.parametrize("kind", [FgsmAttack, PgdAttack])
def test_every_field_of_an_attack_makes_a_difference(kind: type[FgsmAttack | PgdAttack]) -> None:
    """What a spec says is done: none of its fields is read and forgotten."""
    # So sure that some images withstand it, which are attacked again.
    directions = 10 * torch.randn(256, 10, generator=torch.Generator().manual_seed(0))
    policy, images = Wavering(directions), torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    labels = (images.flatten(1) @ directions).argmax(dim=1)
    base = {"kind": kind.model_fields["kind"].default, "eps": "1/255"} | ({"steps": 2} if kind is PgdAttack else {})

    def attacked(**fields: Any) -> Tensor:
        torch.manual_seed(2)
        attack = kind.model_validate(base | fields)
        return attack_policy(attack, policy, images, labels, torch.Generator().manual_seed(3))

    plain = attacked()
    assert torch.equal(plain, attacked())
    for field in kind.model_fields.keys() - {"kind"}:
        assert not torch.equal(plain, attacked(**{field: _DEPARTURES[field]})), field


def test_a_random_policys_mean_is_attacked_the_same_each_time() -> None:
    """With `eot` its draws follow from the image and the generator's seed, and nobody else's are disturbed."""
    policy = Wavering(torch.randn(256, 10, generator=torch.Generator().manual_seed(0)))
    images, labels = torch.full((4, 1, 16, 16), 0.5), torch.arange(4)
    attack = FgsmAttack(eps=Fraction(8, 255), eot=50)
    torch.manual_seed(1)
    first = attack_policy(attack, policy, images, labels, torch.Generator().manual_seed(3))
    assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first, attack_policy(attack, policy, images, labels, torch.Generator().manual_seed(3)))
    assert not torch.equal(first, attack_policy(attack, policy, images, labels, torch.Generator().manual_seed(4)))


def test_an_adversary_without_a_policy_is_an_error_at_reset() -> None:
    """The environment can be made first and be given its policy later; then it works."""
    env = ImageClassificationEnv(adversary=ATTACKS[0])
    with pytest.raises(EnvironmentMisused, match="no policy to attack"):
        env.reset(seed=0)
    env.policy = network()
    env.reset(seed=0)


def test_a_policy_that_has_diverged_is_an_error() -> None:
    """Where logits are not numbers, images are not passed on as if they had been attacked."""
    env = ImageClassificationEnv(adversary=ATTACKS[0], policy=lambda images: images.flatten(1)[:, :10] * torch.nan)
    with pytest.raises(OutputNotFinite, match="fgsm@16/255"):
        env.reset(seed=0)


def test_an_attack_that_environments_do_not_have_is_refused() -> None:
    with pytest.raises(ValidationError):
        ImageClassificationEnv(adversary={"kind": "autoattack", "eps": "8/255"})
