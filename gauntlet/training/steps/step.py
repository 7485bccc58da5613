"""One training step as a function of tensors: the attack, the loss, the update.

The same function runs as it is, compiled for a CPU, or captured in a CUDA graph: `compilation.accelerate`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

import torch
from torch import Tensor, nn

from gauntlet.attacks.gradient import Budget, mode
from gauntlet.data.datasets import to_unit
from gauntlet.models.precision import Model, in_precision
from gauntlet.models.sharding import Sharded
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.objectives import PairedSpec, PolicyGradient
from gauntlet.training.steps import tally
from gauntlet.training.steps.adversaries import attack
from gauntlet.training.steps.alignment import misalignment
from gauntlet.training.steps.objectives import Loss, objective_loss
from gauntlet.training.steps.weight_perturbation import perturbed

# From images uint8 [n, c, h, w], labels int64 [n] and noise float32 [2, group, m, classes + 1], where m is what `rows`
# says and group how many actions the objective draws for an image. Updates model, optimiser and tally in place.
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


def build_step(
    spec: RunSpec,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    totals: Tensor,
    strength: Tensor | None = None,
) -> StepParts:
    """The step that `spec` describes, which adds every batch to the tally `totals`.

    `strength`, a scalar, is the share of the adversary's budget now; all of it if None. Dropout and an attack's random
    start draw from torch's global generator, everything else from `noise`.

    Raises:
        TypeError: the spec's objective is an agent.
    """
    parameters = tuple(model.parameters())
    precision, awp, grad_align = spec.training.precision, spec.training.awp, spec.training.grad_align
    plain = in_precision(model, precision)

    def gradients(images: Tensor, labels: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        natural = to_unit(images)
        attacked, targets = training_inputs(spec, model, natural, labels, noise[0], strength=strength)

        def learned(forward: Model) -> tuple[Loss, Tensor]:
            """The objective, and the logits on attacked images."""
            chosen_from = _action_logits(spec, model, forward, attacked)
            # Before the attacked ones, as in the code of TRADES and MART: normalisation's statistics know the order.
            of_natural = forward(natural) if isinstance(spec.loss, PairedSpec) else None
            logits = forward(attacked)
            loss = objective_loss(
                spec.loss,
                logits,
                targets,
                noise=noise[1],
                action_logits=chosen_from,
                natural_logits=of_natural,
            )
            return loss, logits

        forward = plain
        weights: tuple[Tensor, ...] = parameters
        if awp is not None:
            moved, weights = perturbed(model, awp.gamma, lambda at: learned(in_precision(at, precision))[0].value)
            forward = in_precision(moved, precision)
        loss, logits = learned(forward)
        if grad_align is not None:
            turned = misalignment(forward, natural, labels, _budget(spec, strength), spec.adversary.norm)
            loss = replace(loss, value=loss.value + grad_align.weight * turned)
        tally.add_batch(totals, loss, logits, targets)
        found = torch.autograd.grad(loss.value, weights)
        if isinstance(model, Sharded):
            found = model.ranks.summed(found)
        return found if spec.training.max_grad_norm is None else shortened(found, spec.training.max_grad_norm)

    return StepParts(gradients, optimizer.step, parameters)


def rows(spec: RunSpec, images: int) -> int:
    """How many images an update sees that is made of so many."""
    return 2 * images if spec.training.mix == "both" else images


def training_inputs(
    spec: RunSpec,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    noise: Tensor,
    *,
    strength: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """What one update trains on: images float32 [m, c, h, w] in [0, 1] and labels int64 [m].

    m is n (all attacked, or the first half attacked) or 2n (each image natural and attacked), as `training.mix` says.
    `noise` float32 [group, ≥ n, classes + 1] is where an attack on a sampled objective draws its actions from.
    """
    match spec.training.mix:
        case "adversarial":
            return _attack(spec, model, images, labels, noise, strength), labels
        case "half":
            half = len(images) // 2
            if half == 0:  # no network need take a batch of none
                return images, labels
            attacked = _attack(spec, model, images[:half], labels[:half], noise, strength)
            return torch.cat([attacked, images[half:]]), labels
        case "both":
            attacked = _attack(spec, model, images, labels, noise, strength)
            return torch.cat([images, attacked]), torch.cat([labels, labels])
        case _:
            assert_never(spec.training.mix)


def _attack(
    spec: RunSpec, model: nn.Module, images: Tensor, labels: Tensor, noise: Tensor, strength: Tensor | None
) -> Tensor:
    def objective(logits: Tensor) -> Tensor:
        return objective_loss(spec.loss, logits, labels, noise=noise[:, : len(images)]).value

    return attack(
        spec.adversary,
        model,
        in_precision(model, spec.training.precision),
        images,
        labels,
        eps=_budget(spec, strength),
        objective=objective,
    )


def _budget(spec: RunSpec, strength: Tensor | None) -> Budget:
    return spec.adversary.eps if strength is None else strength * float(spec.adversary.eps)


def shortened(gradients: tuple[Tensor, ...], longest: float) -> tuple[Tensor, ...]:
    """The gradients, in proportion, of which the L2 norm of all together is at most `longest`."""
    length = torch.stack([gradient.norm() for gradient in gradients]).norm()
    # As torch.nn.utils.clip_grad_norm_.
    share = (longest / (length + 1e-6)).clamp(max=1)
    return tuple(gradient * share for gradient in gradients)


def _action_logits(spec: RunSpec, model: nn.Module, forward: Model, images: Tensor) -> Tensor | None:
    if not isinstance(spec.loss, PolicyGradient) or spec.loss.action_forward == "train":
        return None
    with mode(model, training=False), torch.no_grad():
        return forward(images)
