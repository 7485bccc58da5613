"""Attacks written here; the AutoAttack ensemble is its authors' own code, driven by `gauntlet.attacks.autoattack`.

All work on float32 images in [0, 1], [n, c, h, w], and labels int64 [n], and return images of the same kind without a
graph, each within `eps` of its own in the norm. The model's mode decides whether dropout is on; its parameters'
gradients are not touched. FGSM and PGD raise `AttackUnsupported` where no gradient leads from a model's output back to
its images; an evaluation gives such a model a gradient of zero (`gauntlet.evaluation.classifier`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from typing import Any, assert_never

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.attacks.cycles import Cycles
from gauntlet.errors import AttackUnsupported
from gauntlet.models.precision import Model
from gauntlet.spec.evaluations.attacks import GradientLoss, Norm

# From logits [n, classes] to a scalar to ascend.
LogitLoss = Callable[[Tensor], Tensor]
# A radius; as a scalar tensor it may change under a compiled or captured step.
Budget = Fraction | Tensor

# A step of PGD is this share of the budget, divided by the number of steps (Madry et al. 2018, §5).
_REACH = 2.5
_TINY = 1e-12
# torch multiplies matrices of one to three rows by other code, whose last bits differ.
_FEWEST_ROWS = 4


def fgsm(
    model: Model, images: Tensor, labels: Tensor, eps: Budget, *, norm: Norm = "Linf", loss: LogitLoss | None = None
) -> Tensor:
    """`gauntlet.attacks.called.fgsm`, which says what it does, of arguments that are not looked at first.

    Raises:
        AttackUnsupported: no gradient leads from the model's output back to its images.
    """
    ascended = partial(summed, "cross_entropy", labels=labels) if loss is None else loss
    _, gradient = input_gradient(model, images, ascended)
    return ascend(images, gradient, eps, norm)


def ascend(images: Tensor, gradient: Tensor, eps: Budget, norm: Norm = "Linf") -> Tensor:
    """Step by eps along a loss' gradient, as the norm measures it, and stay in [0, 1]."""
    moved: Tensor = images.detach() + radius(eps) * direction(gradient, norm)
    return moved.clamp_(0, 1)


def pgd(
    model: Model,
    images: Tensor,
    labels: Tensor,
    eps: Fraction,
    *,
    norm: Norm,
    steps: int,
    restarts: int,
    loss: GradientLoss,
    generator: torch.Generator,
    step: float | None = None,
    stops: bool = True,
) -> Tensor:
    """`gauntlet.attacks.called.pgd`, which says what it does, of arguments that are not looked at first.

    Raises:
        AttackUnsupported: no gradient leads from the model's output back to its images.
    """
    found, robust = images.detach().clone(), torch.ones_like(labels, dtype=torch.bool)
    for _ in range(restarts):
        left = robust.nonzero().squeeze(1)
        if not len(left):
            break
        clean, target = images[left].detach(), labels[left]
        at = (clean + random_point(clean, eps, norm, generator)).clamp_(0, 1)
        last, walking = at.clone(), torch.arange(len(left), device=left.device)
        cycles = Cycles(at, steps) if stops else None
        length = float(eps) * (_REACH / steps if step is None else step)
        for _ in range(steps):
            logits, gradient = input_gradient(model, at, partial(summed, loss, labels=target[walking]))
            going = slice(None) if cycles is None else cycles.remaining > 0
            _keep_broken(found, robust, left[walking[going]], at[going], logits[going], target[walking[going]])
            moved = at + length * direction(gradient, norm)
            at = (clean[walking] + project(moved - clean[walking], eps, norm)).clamp_(0, 1)
            last[walking[going]] = at[going]
            if cycles is not None:
                cycles.step(at)
                unfinished = cycles.remaining > 0
                if not bool(unfinished.any()):
                    break
                if _smaller(unfinished):
                    walking, at = walking[unfinished], at[unfinished]
                    cycles.take(unfinished)
        with torch.no_grad():
            logits = model(last)
        _keep_broken(found, robust, left, last, logits, target)
        unbroken = robust[left]
        found[left[unbroken]] = last[unbroken]
    return found


def _smaller(going: Tensor) -> bool:
    """Whether to go on with these images of a batch alone; their results must be the same bits, as few rows' are not.

    A GPU chooses its kernels by the batch, and is not asked to.
    """
    count = int(going.sum())
    return going.device.type == "cpu" and _FEWEST_ROWS <= count < len(going)


def noise(
    model: Model,
    images: Tensor,
    labels: Tensor,
    eps: Fraction,
    *,
    norm: Norm,
    draws: int,
    generator: torch.Generator,
) -> Tensor:
    """Uniform random points of the ball: of each image the first of `draws` that is misclassified, or else the last."""
    found, robust = images.detach().clone(), torch.ones_like(labels, dtype=torch.bool)
    for _ in range(draws):
        drawn = (images.detach() + random_point(images, eps, norm, generator)).clamp_(0, 1)
        found = torch.where(robust[:, None, None, None], drawn, found)
        with torch.no_grad():
            robust &= model(drawn).argmax(dim=1) == labels
    return found


def random_point(images: Tensor, eps: Fraction, norm: Norm, generator: torch.Generator | None = None) -> Tensor:
    """A uniform point of the ball of radius eps for each image, [n, c, h, w]; from torch's own generator by default."""
    match norm:
        case "Linf":
            return torch.empty_like(images).uniform_(-float(eps), float(eps), generator=generator)
        case "L2":
            # A uniform direction, and the radius that makes the volume uniform (Muller 1959).
            along = direction(torch.empty_like(images).normal_(generator=generator), norm)
            radius = torch.rand(len(images), device=images.device, generator=generator) ** (1 / images[0].numel())
            return float(eps) * radius[:, None, None, None] * along
        case _:
            assert_never(norm)


def project(perturbation: Tensor, eps: Budget, norm: Norm) -> Tensor:
    """The nearest point of the ball of radius eps, for each perturbation of [n, c, h, w]."""
    match norm:
        case "Linf":
            return perturbation.clamp(-radius(eps), radius(eps))
        case "L2":
            share: Tensor = (radius(eps) / _length(perturbation)).clamp(max=1)
            return perturbation * share
        case _:
            assert_never(norm)


def radius(eps: Budget) -> Any:
    """The budget as torch takes it, a float or the tensor: it takes both, which its types do not say."""
    return eps if isinstance(eps, Tensor) else float(eps)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The largest wrong logit minus the right one, [n]: positive where the model is wrong (Carlini & Wagner 2017)."""
    right = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.amax(dim=1) - right


def summed(loss: GradientLoss, logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of all images together, a scalar: a sum, so that none's gradient depends on how many others there are.

    In the mean over a batch the gradients of a confident model vanish sooner.
    """
    match loss:
        case "cross_entropy":
            return F.cross_entropy(logits, labels, reduction="sum")
        case "margin":
            return margin(logits, labels).sum()
        case _:
            assert_never(loss)


def input_gradient(model: Model, images: Tensor, loss: LogitLoss) -> tuple[Tensor, Tensor]:
    """The model's logits [n, classes] on the images, and the gradient of their loss, [n, c, h, w]; both detached.

    Raises:
        AttackUnsupported: no gradient leads from the logits back to the images.
    """
    inputs = images.detach().requires_grad_()
    with torch.enable_grad():
        logits = model(inputs)
        ascended = loss(logits)
        found = torch.autograd.grad(ascended, inputs, allow_unused=True)[0] if ascended.requires_grad else None
    if found is None:
        raise AttackUnsupported(
            "The model's output has no gradient to its images, so there is none to follow: it detaches or rounds them, "
            "or computes under no_grad."
        )
    return logits.detach(), found


def direction(gradient: Tensor, norm: Norm) -> Tensor:
    """The step of length 1 in the norm that raises a linear function of this gradient [n, c, h, w] most.

    Where it is not a number no direction is known, and there is no step; the sign of one is zero to torch, too.
    """
    match norm:
        case "Linf":
            return gradient.sign()
        case "L2":
            # Scaled first: the squares of a confident model's gradient are too small for fp32.
            gradient = gradient.nan_to_num()
            largest = gradient.abs().amax(dim=(1, 2, 3), keepdim=True)
            scaled = gradient / largest.clamp_min(torch.finfo(gradient.dtype).tiny)
            return scaled / _length(scaled)
        case _:
            assert_never(norm)


def without_direction(gradient: Tensor) -> Tensor:
    """Of which images, bool [n], this gradient [n, c, h, w] is zero or no number at every pixel: none takes a step."""
    return ((gradient == 0) | gradient.isnan()).flatten(1).all(dim=1)


def _length(perturbation: Tensor) -> Tensor:
    """Its L2 norm for each image, [n, 1, 1, 1], and never zero."""
    length: Tensor = torch.linalg.vector_norm(perturbation, dim=(1, 2, 3), keepdim=True)
    return length.clamp_min(_TINY)


def _keep_broken(found: Tensor, robust: Tensor, left: Tensor, at: Tensor, logits: Tensor, labels: Tensor) -> None:
    """Put the misclassified points into `found` and take them from `robust`; `left` says where the batch belongs."""
    wrong = logits.argmax(dim=1) != labels
    found[left[wrong]] = at[wrong]
    robust[left[wrong]] = False


@contextmanager
def mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Put the model in train or eval mode inside the block and back afterwards."""
    # A frozen script has no mode: it stays in the one it was frozen in.
    before = [(module, module.training) for module in model.modules() if hasattr(module, "training")]
    if before:
        model.train(training)
    try:
        yield
    finally:
        for module, was in before:
            module.training = was
