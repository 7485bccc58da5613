"""How a model behaves on a set of images, quickly: what training tells of every epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.attacks import gradient
from gauntlet.attacks.gradient import ascend, pgd, summed
from gauntlet.data.datasets import TrainingImages, to_unit
from gauntlet.models.precision import in_precision
from gauntlet.spec.evaluations.attacks import Norm
from gauntlet.spec.runs.training import Precision
from gauntlet.training.steps.compilation import compiled

# About the fastest on a CPU, where a larger batch leaves the cache; a GPU is kept waiting by small ones.
_AT_ONCE_ON_CPU, _AT_ONCE_ON_GPU = 64, 1_000
# Fewer of larger images: with its gradient one of 256 × 256 takes ResNet-18 350 MB.
_PIXELS_OF_MANY = 64 * 64

# From images uint8 [n, c, h, w] and labels int64 [n] to fp32 logits [n, classes], natural and attacked.
Probe = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Measurement:
    """How a model behaves on a set of images: fractions in [0, 1], and how many distinct classes it predicts.

    All are of the natural images but `fgsm_accuracy` and `lowered_loss`, the share of images whose cross-entropy FGSM
    lowers.
    """

    accuracy: float
    fgsm_accuracy: float
    mean_confidence: float
    mean_uniformity: float
    predicted_classes: int
    lowered_loss: float


def build_probe(model: nn.Module, eps: Fraction, precision: Precision = "fp32", norm: Norm = "Linf") -> Probe:
    """The model's logits on natural images and under FGSM of budget `eps`, in the mode that the model is in.

    The attack's gradient comes from the very pass that gives the natural logits, which saves a pass of four.
    """
    forward = in_precision(model, precision)

    def probe(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        natural = to_unit(images).requires_grad_()
        logits = forward(natural)
        (gradient,) = torch.autograd.grad(summed("cross_entropy", logits, labels), natural)
        with torch.no_grad():
            return logits.detach(), forward(ascend(natural, gradient, eps, norm))

    return probe


def compiled_probe(probe: Probe) -> Probe:
    """The probe compiled for the batches that `measure` makes on a CPU; the last, if smaller, is done as it is."""
    fast = compiled(probe)

    def run(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return (fast if len(images) == _at_once(images.device, images.shape[1:]) else probe)(images, labels)

    return run


def measure(model: nn.Module, images: TrainingImages, probe: Probe, tick: Callable[[], None] = _nothing) -> Measurement:
    """Accuracy and confidence in eval mode, and accuracy under attack, as `probe` (of `model`) gives them.

    `tick` is called after each of its `batches_of`, and may raise to end it.
    `mean_uniformity` is the mean of (least / greatest class probability): 1 where the output is exactly uniform.
    """
    sums = torch.zeros(5, dtype=torch.float64, device=images.device)
    predicted: list[Tensor] = []
    at_once = _at_once(images.device, images.image_shape)
    with gradient.mode(model, training=False):
        for pixels, labels in images.pieces(at_once):
            logits, attacked = probe(pixels, labels)
            probabilities = logits.softmax(dim=1)
            greatest, classes = probabilities.max(dim=1)
            losses = F.cross_entropy(logits, labels, reduction="none")
            sums += torch.stack(
                [
                    (classes == labels).sum(),
                    (attacked.argmax(dim=1) == labels).sum(),
                    greatest.sum(),
                    (probabilities.amin(dim=1) / greatest).sum(),
                    (F.cross_entropy(attacked, labels, reduction="none") < losses).sum(),
                ]
            )
            predicted.append(classes.unique())
            tick()
    accuracy, fgsm_accuracy, confidence, uniformity, lowered_loss = (sums / len(images)).tolist()
    distinct = len(torch.cat(predicted).unique())
    return Measurement(accuracy, fgsm_accuracy, confidence, uniformity, distinct, lowered_loss)


def natural_accuracy(
    model: nn.Module, images: TrainingImages, tick: Callable[[], None] = _nothing, *, precision: Precision = "fp32"
) -> float:
    """The fraction of the images that the model classifies correctly in eval mode; `tick` as `measure` has it."""
    forward = in_precision(model, precision)
    right = torch.zeros((), dtype=torch.int64, device=images.device)
    with gradient.mode(model, training=False), torch.no_grad():
        for natural, labels in images.batches(_at_once(images.device, images.image_shape)):
            right += (forward(natural).argmax(dim=1) == labels).sum()
            tick()
    return right.item() / len(images)


def pgd_accuracy(
    model: nn.Module,
    images: TrainingImages,
    eps: Fraction,
    *,
    norm: Norm,
    steps: int,
    seed: int,
    precision: Precision = "fp32",
    tick: Callable[[], None] = _nothing,
) -> float:
    """The fraction of the images that the model classifies correctly at every step of PGD on cross-entropy.

    In eval mode; the random starts are drawn from `seed` alone. `tick` as `measure` has it.
    """
    forward = in_precision(model, precision)
    generator = seeding.generator(images.device, seed, "probe")
    right = torch.zeros((), dtype=torch.int64, device=images.device)
    with gradient.mode(model, training=False):
        for natural, labels in images.batches(_at_once(images.device, images.image_shape)):
            attacked = pgd(
                forward,
                natural,
                labels,
                eps,
                norm=norm,
                steps=steps,
                restarts=1,
                loss="cross_entropy",
                generator=generator,
            )
            with torch.no_grad():
                right += (forward(attacked).argmax(dim=1) == labels).sum()
            tick()
    return right.item() / len(images)


def batches_of(images: TrainingImages) -> int:
    """In how many batches they are measured."""
    return -(-len(images) // _at_once(images.device, images.image_shape))


def _at_once(device: torch.device, shape: Sequence[int]) -> int:
    most = _AT_ONCE_ON_CPU if device.type == "cpu" else _AT_ONCE_ON_GPU
    _, height, width = shape
    return max(1, min(most, most * _PIXELS_OF_MANY // (height * width)))
