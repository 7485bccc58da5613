"""One training step as a function of tensors: the attack, the loss, the update.

The same function runs as it is, compiled for a CPU, or captured in a CUDA graph: `compilation.accelerate`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor, nn

from gauntlet.attacks.gradient import LogitLoss, fgsm, mode, summed
from gauntlet.data.datasets import to_unit
from gauntlet.models.precision import Model, in_precision
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.objectives import PolicyGradient
from gauntlet.training import tally
from gauntlet.training.objectives import objective_loss

# From images uint8 [n, c, h, w], labels int64 [n] and noise float32 [2, m, classes + 1], where m is what `rows` says.
# Updates model, optimiser and tally in place.
Step = Callable[[Tensor, Tensor, Tensor], None]


@dataclass(frozen=True)
class StepParts:
    """A step's two halves: gradients of all parameters, in their order, and the update with them."""

    gradients: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]
    update: Callable[[], object]
    parameters: tuple[nn.Parameter, ...]

    def __call__(self, images: Tensor, labels: Tensor, noise: Tensor) -> None:
        """The step, a `Step`."""
        for parameter, gradient in zip(self.parameters, self.gradients(images, labels, noise), strict=True):
            parameter.grad = gradient
        self.update()


def build_step(spec: RunSpec, model: nn.Module, optimizer: torch.optim.Optimizer, totals: Tensor) -> StepParts:
    """The step that `spec` describes, which adds every batch to the tally `totals`.

    Dropout draws from torch's global generator, everything else from `noise`.

    Raises:
        TypeError: the spec's objective is an agent.
    """
    parameters = tuple(model.parameters())
    forward = in_precision(model, spec.training.precision)

    def gradients(images: Tensor, labels: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        attacked, targets = training_inputs(spec, model, to_unit(images), labels, noise[0])
        chosen_from = _action_logits(spec, model, forward, attacked)
        logits = forward(attacked)
        loss = objective_loss(spec.loss, logits, targets, noise=noise[1], action_logits=chosen_from)
        tally.add_batch(totals, loss, logits, targets)
        return torch.autograd.grad(loss.value, parameters)

    return StepParts(gradients, optimizer.step, parameters)


def rows(spec: RunSpec, images: int) -> int:
    """How many images an update sees that is made of so many."""
    return 2 * images if spec.training.mix == "both" else images


def training_inputs(
    spec: RunSpec, model: nn.Module, images: Tensor, labels: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """What one update trains on: images float32 [m, c, h, w] in [0, 1] and labels int64 [m].

    m is n (all attacked, or the first half attacked) or 2n (each image natural and attacked), as `training.mix` says.
    `noise` float32 [≥ n, classes + 1] is what the attack leaves to chance.
    """
    match spec.training.mix:
        case "adversarial":
            return _attack(spec, model, images, labels, noise), labels
        case "half":
            half = len(images) // 2
            attacked = _attack(spec, model, images[:half], labels[:half], noise)
            return torch.cat([attacked, images[half:]]), labels
        case "both":
            attacked = _attack(spec, model, images, labels, noise)
            return torch.cat([images, attacked]), torch.cat([labels, labels])
        case _:
            assert_never(spec.training.mix)


def _attack(spec: RunSpec, model: nn.Module, images: Tensor, labels: Tensor, noise: Tensor) -> Tensor:
    forward = in_precision(model, spec.training.precision)
    with mode(model, training=spec.adversary.mode == "train"):
        return fgsm(
            forward, images, labels, spec.adversary.eps, loss=_adversary_loss(spec, labels, noise[: len(images)])
        )


def _adversary_loss(spec: RunSpec, labels: Tensor, noise: Tensor) -> LogitLoss | None:
    match spec.adversary.loss:
        case "true_label":
            return None
        case "predicted_label":
            return lambda logits: summed("cross_entropy", logits, logits.detach().argmax(dim=1))
        case "objective":
            return lambda logits: objective_loss(spec.loss, logits, labels, noise=noise).value
        case _:
            assert_never(spec.adversary.loss)


def _action_logits(spec: RunSpec, model: nn.Module, forward: Model, images: Tensor) -> Tensor | None:
    if not isinstance(spec.loss, PolicyGradient) or spec.loss.action_forward == "train":
        return None
    with mode(model, training=False), torch.no_grad():
        return forward(images)
