"""Measuring a model: quick accuracies during training, and evaluations that attack it image by image."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet import attacks, autoattack
from gauntlet.attacks import ascend, fgsm
from gauntlet.compilation import compiled
from gauntlet.datasets import ImageSet, to_unit
from gauntlet.events import BatchAttacked
from gauntlet.kinds import AttackSpec, AutoAttack, FgsmAttack, attack_label
from gauntlet.precision import fp32_products, in_precision
from gauntlet.spec import EvaluationSpec, Precision

NATURAL = "natural"
# Every batch of an evaluation restarts from this seed, as the reference does from its own.
EVALUATION_SEED = 0
# About the fastest on a CPU, where a larger batch leaves the cache.
_MEASURED_AT_ONCE = 64
_FGSM_COST = 4

Perturb = Callable[[Tensor, Tensor], Tensor]
# From images uint8 [n, c, h, w] and labels int64 [n] to fp32 logits [n, classes], natural and attacked.
Probe = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Measurement:
    """How a model behaves on a set of images: fractions in [0, 1], and how many distinct classes it predicts.

    All are of the natural images but `fgsm_accuracy`.
    """

    accuracy: float
    fgsm_accuracy: float
    mean_confidence: float
    mean_uniformity: float
    predicted_classes: int


def build_probe(model: nn.Module, eps: Fraction, precision: Precision = "fp32") -> Probe:
    """The model's logits on natural images and under FGSM of budget `eps`, in the mode that the model is in.

    The attack's gradient comes from the very pass that gives the natural logits, which saves a pass of four.
    """
    forward = in_precision(model, precision)

    def probe(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        natural = to_unit(images).requires_grad_()
        logits = forward(natural)
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels), natural)
        with torch.no_grad():
            return logits.detach(), forward(ascend(natural, gradient, eps))

    return probe


def compiled_probe(probe: Probe) -> Probe:
    """The probe compiled for the batches that `measure` makes; the last, when it is smaller, is done as it is."""
    fast = compiled(probe)

    def run(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return (fast if len(images) == _MEASURED_AT_ONCE else probe)(images, labels)

    return run


def measure(model: nn.Module, images: ImageSet, probe: Probe) -> Measurement:
    """Accuracy and confidence in eval mode, and accuracy under attack, as `probe` (of `model`) gives them.

    `mean_uniformity` is the mean of (least / greatest class probability): 1 where the output is exactly uniform.
    """
    sums = torch.zeros(4, dtype=torch.float64, device=images.images.device)
    predicted: list[Tensor] = []
    with attacks.mode(model, training=False):
        for pixels, labels in zip(
            images.images.split(_MEASURED_AT_ONCE), images.labels.split(_MEASURED_AT_ONCE), strict=True
        ):
            logits, attacked = probe(pixels, labels)
            probabilities = logits.softmax(dim=1)
            greatest, classes = probabilities.max(dim=1)
            sums += torch.stack(
                [
                    (classes == labels).sum(),
                    (attacked.argmax(dim=1) == labels).sum(),
                    greatest.sum(),
                    (probabilities.amin(dim=1) / greatest).sum(),
                ]
            )
            predicted.append(classes.unique())
    accuracy, fgsm_accuracy, confidence, uniformity = (sums / len(images)).tolist()
    return Measurement(accuracy, fgsm_accuracy, confidence, uniformity, len(torch.cat(predicted).unique()))


def natural_accuracy(model: nn.Module, images: ImageSet, *, precision: Precision = "fp32") -> float:
    """The fraction of the images that the model classifies correctly in eval mode."""
    forward = in_precision(model, precision)
    right = torch.zeros((), dtype=torch.int64, device=images.images.device)
    with attacks.mode(model, training=False), torch.no_grad():
        for natural, labels in images.batches(_MEASURED_AT_ONCE):
            right += (forward(natural).argmax(dim=1) == labels).sum()
    return right.item() / len(images)


def evaluate(
    model: nn.Module,
    test: ImageSet,
    spec: EvaluationSpec,
    classes: int,
    *,
    device: torch.device,
    done: Iterable[BatchAttacked] = (),
) -> Iterator[BatchAttacked]:
    """Attack the first `spec.samples` test images, batch by batch.

    The natural pass comes first. FGSM attacks every image; AutoAttack, as its definition says, only those still
    classified correctly. Images that a part of AutoAttack breaks are not given to the next.

    Args:
        model: maps float32 [n, c, h, w] in [0, 1] to logits [n, classes]; put in eval mode.
        done: batches that an earlier attempt finished, in any order; they are taken as they are and not yielded again.

    Raises:
        AttackUnsupported: an attack is not defined for so few classes.
    """
    model.eval()
    images = test.take(spec.samples).to(device)
    sweep = _Sweep(model, images, spec.batch_size, done, total=len(images) * nominal_cost(spec.attacks))
    correct = yield from sweep.run(NATURAL, torch.ones(len(images), dtype=torch.bool), lambda x, _: x, cost=1)
    for attack in spec.attacks:
        yield from _attack_all(sweep, model, attack, correct, classes, device)


def require_supported(attacks_: Iterable[AttackSpec], classes: int) -> None:
    """Check that the attacks are defined for a model of so many classes, before anything is trained for them.

    Raises:
        AttackUnsupported: one is not.
    """
    if any(isinstance(attack, AutoAttack) for attack in attacks_):
        autoattack.require_classes(classes)


def nominal_cost(attacks_: Iterable[AttackSpec]) -> int:
    """Model passes per image of a natural pass and these attacks, at most; for progress and estimates."""
    cost = 1
    for attack in attacks_:
        match attack:
            case FgsmAttack():
                cost += _FGSM_COST
            case AutoAttack():
                cost += sum(autoattack.STANDARD.values())
            case _:
                assert_never(attack)
    return cost


def _attack_all(
    sweep: "_Sweep", model: nn.Module, attack: AttackSpec, correct: Tensor, classes: int, device: torch.device
) -> Generator[BatchAttacked, None, None]:
    label = attack_label(attack)
    match attack:
        case FgsmAttack(eps=eps):
            everything = torch.ones_like(correct)
            yield from sweep.run(label, everything, lambda x, y: fgsm(model, x, y, eps), cost=_FGSM_COST)
        case AutoAttack(eps=eps):
            ensemble = autoattack.StandardEnsemble(model, eps, classes, device)
            robust = correct
            for part, cost in autoattack.STANDARD.items():
                robust = yield from sweep.run(f"{label}:{part}", robust, _part(ensemble, part), cost=cost)
        case _:
            assert_never(attack)


def _part(ensemble: autoattack.StandardEnsemble, part: str) -> Perturb:
    return lambda images, labels: ensemble.perturb(part, images, labels, EVALUATION_SEED)


class _Sweep:
    """Runs stages over one set of images, skipping the batches that are done and counting the cost."""

    def __init__(
        self, model: nn.Module, images: ImageSet, batch_size: int, done: Iterable[BatchAttacked], *, total: int
    ) -> None:
        self._model = model
        self._images = images
        self._batch_size = batch_size
        self._done = {(batch.stage, batch.batch): batch for batch in done}
        self._total = total
        self._completed = 0

    def run(
        self, stage: str, candidates: Tensor, perturb: Perturb, *, cost: int
    ) -> Generator[BatchAttacked, None, Tensor]:
        """Attack the candidates (bool [n], on the CPU) and return which of them stay correct, bool [n]."""
        robust = torch.zeros_like(candidates)
        positions = candidates.nonzero().squeeze(1)
        self._completed += cost * (len(candidates) - len(positions))
        for number, batch in enumerate(positions.split(self._batch_size) if len(positions) else ()):
            self._completed += cost * len(batch)
            finished = self._done.get((stage, number))
            if finished is None:
                flags = self._attack(batch, perturb)
                yield BatchAttacked(
                    stage, number, tuple(batch.tolist()), tuple(flags.tolist()), self._completed, self._total
                )
            else:
                flags = torch.tensor(finished.robust)
            robust[batch] = flags
        return robust

    def _attack(self, positions: Tensor, perturb: Perturb) -> Tensor:
        inputs = to_unit(self._images.images[positions])
        labels = self._images.labels[positions]
        with fp32_products("fp32"):
            attacked = perturb(inputs, labels)
            with torch.no_grad():
                logits: Tensor = self._model(attacked)
        return (logits.argmax(dim=1) == labels).cpu()
