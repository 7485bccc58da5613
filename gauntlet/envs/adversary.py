"""The environment's adversary: it attacks each image before the policy sees it."""

from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, assert_never

import torch
from pydantic import Field
from torch import Tensor, nn

from gauntlet.attacks import gradient
from gauntlet.attacks.expectation import Expected
from gauntlet.errors import OutputNotFinite
from gauntlet.models.precision import Model
from gauntlet.spec.evaluations.attacks import FgsmAttack, PgdAttack, attack_label

AdversarySpec = Annotated[FgsmAttack | PgdAttack, Field(discriminator="kind")]


def attack_policy(
    attack: FgsmAttack | PgdAttack, policy: Model, images: Tensor, labels: Tensor, generator: torch.Generator
) -> Tensor:
    """The images as `attack` leaves them, ascending the cross-entropy of the policy's logits, or what it says instead.

    A policy that is a module is attacked in eval mode, whatever mode it is in, and is back in that mode afterwards:
    the adversary knows the policy, not the dropout mask of its next pass. Its parameters' gradients are not touched.

    Args:
        attack: what is done, and its budget.
        policy: from images to logits [n, classes].
        images: float32 in [0, 1], [n, c, h, w].
        labels: int64 [n].
        generator: where PGD draws its starts from, on the images' device. With `eot` above 1 its seed and an image
            decide which of a random policy's draws are looked at.

    Raises:
        OutputNotFinite: a logit is infinite or not a number; an attack would stand still there, and say nothing.
    """

    def finite(images: Tensor) -> Tensor:
        logits = policy(images)
        if not bool(logits.isfinite().all()):
            raise OutputNotFinite(attack_label(attack))
        return logits

    seen: Model = finite
    if attack.eot > 1:
        seen = Expected(finite, attack.eot, generator.initial_seed(), attack_label(attack))
    with _eval_mode(policy):
        match attack:
            case FgsmAttack():
                return gradient.fgsm(seen, images, labels, attack.eps, norm=attack.norm)
            case PgdAttack():
                return gradient.pgd(
                    seen,
                    images,
                    labels,
                    attack.eps,
                    norm=attack.norm,
                    steps=attack.steps,
                    restarts=attack.restarts,
                    loss=attack.loss,
                    step=attack.step,
                    generator=generator,
                    # Nobody has looked whether the policy answers at random, or knows its images of each other. On a
                    # network of the digits all steps take 0.94 to 1.04 of the time that looking for cycles does.
                    stops=False,
                )
            case _:
                assert_never(attack)


def _eval_mode(policy: Model) -> AbstractContextManager[None]:
    return gradient.mode(policy, training=False) if isinstance(policy, nn.Module) else nullcontext()
