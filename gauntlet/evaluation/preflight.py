"""Checks of a model before anything is measured of it.

Most ways to get robustness wrong are wrong models: a softmax inside, another normalisation, randomness in the forward
pass (Carlini et al. 2019, arXiv 1902.06705, list them; AutoAttack's own code warns of the same). Each is cheap to see.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.attacks.gradient import summed
from gauntlet.attacks.slices import Together
from gauntlet.errors import ModelUnfit
from gauntlet.evaluation.borrowing import borrowed
from gauntlet.evaluation.classifier import Classifier
from gauntlet.evaluation.output_form import answer, malformed
from gauntlet.models.precision import Model
from gauntlet.results.finding import Finding, FindingKind, non_finite_gradient
from gauntlet.results.significance import upper_tail
from gauntlet.spec.evaluations.attacks import AnyAttack, Transfer, attack_label, takes_for_deterministic

_PROBABILITY_TOLERANCE = 1e-4
# Images whose gradient vanishes stand still under attack and count as robust: as many as this blur the first digit.
_MOST_ZERO_GRADIENTS = 0.03
# As seldom as this guessing is so often right; then a model is taken for better.
_SIGNIFICANT = 0.01
# Of the logits' range. Kernels for another shape differ by a millionth of it, a batch's own statistics by a tenth.
_LARGEST_INFLUENCE, _LARGEST_COARSE_INFLUENCE = 1e-3, 3e-2
# AutoAttack's code adds 1e-12 to what it divides by and takes slopes below 1e-8 for none.
_SMALL_SPREAD = 2.0**-10
_LARGEST_EXPONENT = 126
_HALF_PRECISIONS = (torch.float16, torch.bfloat16)
_RANDOM = "Two passes over the same images differ: the model draws random numbers."
# What follows for a model that is attacked, and in its place for one that examples are made on.
_ATTACKED_AND_SOURCE = (
    ("only Square, random noise and transfer say anything of it", "what is made on it says nothing of another model"),
    ("its accuracy, attacked or not, is that", "what is made on it is that"),
    ("what is measured of it comes out", "what is made on it comes out"),
)


@dataclass(frozen=True)
class Examination:
    """What a first look at a model tells.

    `findings` begin with errors; after one nothing else was looked at. `model` is what attacks are made on: the very
    module where that can be used as it is. `scale` is 1, and for a model of very small logits the power of two by which
    AutoAttack's parts are to see them. `random` says that two passes differ.
    """

    findings: tuple[Finding, ...]
    model: nn.Module
    scale: float = 1.0
    random: bool = False


def preflight(model: Model, images: Tensor, labels: Tensor | None, classes: int) -> tuple[Finding, ...]:
    """What `examine` finds: errors first; empty for a healthy model.

    Raises:
        ModelUnfit: as `examine` says.
    """
    return examine(model, images, labels, classes).findings


def examine(model: Model, images: Tensor, labels: Tensor | None, classes: int) -> Examination:
    """Try the model in eval mode on some images; it, its gradients and all random states are left as they were.

    Args:
        model: a module or a function from images to logits.
        images: float32 in [0, 1], [n, c, h, w].
        labels: int64 [n], or None where they are unknown; then accuracy is not looked at.
        classes: how many logits there should be.

    Raises:
        ModelUnfit: it fails on the images, or changes them.
    """
    module = model if isinstance(model, nn.Module) else Classifier(model)
    with borrowed(module), seeding.own_randomness(images.device):
        return _examined(module, images, labels, classes)


def concerning(attacks: Iterable[AnyAttack], findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings as they bear on these attacks: that a model is random speaks against those that do not average."""
    blind = [attack_label(attack) for attack in attacks if takes_for_deterministic(attack)]
    overstated = _warning(
        "random_output",
        f"{_RANDOM} These attacks follow one draw at a time and overstate its robustness: {', '.join(blind)}. With "
        "`eot: 20` an attack looks at the mean of 20 draws; AutoAttack's version rand does so, too.",
    )
    return tuple(
        overstated if finding.kind == "random_output" else finding
        for finding in findings
        if blind or finding.kind != "random_output"
    )


def concerning_source(transfers: Sequence[Transfer], findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """What is found of a model as it bears on the examples that these attacks make on it: nothing where there are none.

    They are PGD's: what AutoAttack's parts do with small logits says nothing of them, and of the two losses it is
    cross-entropy that is another at another scale.
    """
    blind = [attack_label(attack) for attack in transfers if takes_for_deterministic(attack)]
    uniform = [attack_label(attack) for attack in transfers if attack.loss == "cross_entropy"]
    random = _warning(
        "random_output",
        f"{_RANDOM} These attacks follow one draw at a time: {', '.join(blind)}. With `eot: 20` they follow the mean "
        "of 20.",
    )
    small = _warning(
        "small_logits",
        "The model's logits are so close together that cross-entropy takes all classes for equally likely. These "
        f"attacks therefore push towards all wrong ones alike: {', '.join(uniform)}. With `loss: margin` they push "
        "towards the likeliest.",
    )
    here = {"random_output": random if blind else None, "small_logits": small if uniform else None}
    borne = [here.get(finding.kind, _of_source(finding)) for finding in findings] if transfers else []
    return tuple(finding for finding in borne if finding is not None)


def _of_source(finding: Finding) -> Finding:
    message = finding.message
    for of_attacked, of_source in _ATTACKED_AND_SOURCE:
        message = message.replace(of_attacked, of_source)
    return finding.model_copy(update={"message": message})


def _examined(model: nn.Module, images: Tensor, labels: Tensor | None, classes: int) -> Examination:
    given = images.clone()
    first = answer(model, given)
    if not torch.equal(given, images):
        raise ModelUnfit("The model changes the images it is given; what it does to them must make new ones.")
    broken = malformed(first, len(images), classes)
    if broken is not None:
        return Examination((broken,), model)
    # Nothing here needs a gradient but what a module hides from its parameters.
    with torch.enable_grad():
        second = answer(model, images)
    assert isinstance(first, Tensor)
    assert isinstance(second, Tensor)
    logits, random = first.float(), not torch.equal(first, second)
    alone = _alone(model, images, classes)
    if isinstance(alone, Finding) and alone.severity == "error":
        return Examination((alone,), model)
    gradient = _gradient(model, images, logits.argmax(dim=1) if labels is None else labels)
    constant, probabilities = _constant(logits), _probabilities(logits)
    coarse = None if constant or probabilities else _coarse(first)
    dependent = None if random else _batch_dependent(model, images, logits, alone, coarse=coarse is not None)
    checks = (
        constant,
        probabilities,
        coarse,
        _small(logits),
        _random_output() if random else None,
        _unseeded(model, images) if random else None,
        dependent,
        # An output that never changes has no gradient: that is said already.
        None if constant else _zero_gradient(gradient),
        _non_finite_gradient(gradient),
        None if labels is None else _chance(logits, labels, classes),
    )
    usable = (
        (first.dtype, first.device) == (torch.float32, images.device)
        and not second.requires_grad
        and gradient is not None
        # The same memory twice is the model's own, and attacks write to what they get.
        and first.data_ptr() != second.data_ptr()
    )
    fit = model if usable or isinstance(model, Classifier) else Classifier(model)
    return Examination(
        findings=tuple(finding for finding in checks if finding is not None),
        model=Together(fit) if random or dependent is not None else fit,
        scale=_scale(logits),
        random=random,
    )


def _alone(model: nn.Module, images: Tensor, classes: int) -> Tensor | Finding:
    """The logits of the first image by itself, [1, classes], or what is wrong with them."""
    try:
        single = answer(model, images[:1])
    except ModelUnfit as error:
        return _warning("batch_dependent", f"{error} With others in its batch it does not fail on that image.")
    broken = malformed(single, 1, classes)
    if broken is not None:
        return broken
    assert isinstance(single, Tensor)
    return single.float()


def _gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor | None:
    """Of cross-entropy, for each image; None where the model's graph does not reach the images."""
    given = images.detach().requires_grad_()
    with torch.enable_grad():
        logits = answer(model, given)
        assert isinstance(logits, Tensor)
        loss = summed("cross_entropy", logits.float(), labels)
    return torch.autograd.grad(loss, given, allow_unused=True)[0] if loss.requires_grad else None


def _warning(kind: FindingKind, message: str) -> Finding:
    return Finding(kind=kind, severity="warning", message=message)


def _constant(logits: Tensor) -> Finding | None:
    if len(logits) == 1 or not bool((logits == logits[0]).all()):
        return None
    return _warning(
        "constant_output", "The model's output is the same for every image: it does not depend on its input."
    )


def _probabilities(logits: Tensor) -> Finding | None:
    sums = (logits.sum(dim=1) - 1).abs().max()
    if bool((logits < 0).any()) or bool(sums > _PROBABILITY_TOLERANCE):
        return None
    return _warning(
        "probabilities",
        "The model's outputs are probabilities, so it ends in a softmax: attacks that follow the gradient of "
        "cross-entropy see it masked. Leave the softmax out.",
    )


def _coarse(logits: Tensor) -> Finding | None:
    if not any(torch.equal(logits.to(half).to(logits.dtype), logits) for half in _HALF_PRECISIONS):
        return None
    return _warning(
        "coarse_output",
        "The model's logits have no more digits than half precision: they come from float16 or bfloat16, or are "
        "rounded. Small changes of an image are lost, and with them what attacks follow. Let the model compute in "
        "float32.",
    )


def _spread(logits: Tensor) -> float:
    """How far an image's logits lie apart, at the median."""
    return (logits.amax(dim=1) - logits.amin(dim=1)).median().item()


def _scale(logits: Tensor) -> float:
    """The power of two that brings small logits to where cross-entropy is of use: their two largest about 1 apart."""
    spread = _spread(logits)
    if not 0 < spread < _SMALL_SPREAD:
        return 1.0
    largest, second = logits.topk(2, dim=1).values.unbind(dim=1)
    lead = (largest - second).median().item() or spread
    return 2.0 ** min(-math.floor(math.log2(lead)), _LARGEST_EXPONENT)


def _small(logits: Tensor) -> Finding | None:
    if _scale(logits) == 1:
        return None
    return _warning(
        "small_logits",
        f"The model's logits differ by {_spread(logits):.1e} only. AutoAttack's parts would lose them among their own "
        "constants (1e-8, 1e-12), so these get the logits times a power of two that makes them ordinary ones. FGSM "
        "and PGD on cross-entropy see them as they are, close to uniform: what they find is not what they would find "
        "of the same model at another scale.",
    )


def _random_output() -> Finding:
    return _warning(
        "random_output",
        f"{_RANDOM} An attack that takes it for deterministic overstates its robustness: it needs `eot`, several "
        "draws for each look, or AutoAttack's version rand.",
    )


def _unseeded(model: nn.Module, images: Tensor) -> Finding | None:
    with seeding.own_randomness(images.device) as seeded:
        passes = []
        for _ in range(2):
            seeded(0)
            passes.append(answer(model, images))
    first, second = passes
    assert isinstance(first, Tensor)
    assert isinstance(second, Tensor)
    if torch.equal(first, second):
        return None
    return _warning(
        "unseeded_output",
        "The model's random numbers do not follow from the seeds of torch, Python's random and NumPy: what is measured "
        "of it comes out otherwise each time, and continues otherwise after a stop.",
    )


def _batch_dependent(
    model: nn.Module, images: Tensor, logits: Tensor, alone: Tensor | Finding, *, coarse: bool
) -> Finding | None:
    """Whether an image's logits depend on which others are in its batch, how many, or where it stands among them."""
    if isinstance(alone, Finding):
        return alone
    influence = [(alone - logits[:1]).abs().max()]
    half = len(images) // 2
    if half:
        mixed = answer(model, torch.cat([1 - images[half:], images[:half]]))
        assert isinstance(mixed, Tensor)
        influence.append((mixed[-half:].float() - logits[:half]).abs().max())
    allowed = (_LARGEST_COARSE_INFLUENCE if coarse else _LARGEST_INFLUENCE) * (logits.max() - logits.min())
    if all(bool(difference <= allowed) for difference in influence):
        return None
    return _warning(
        "batch_dependent",
        "An image's output depends on what else is in its batch, as with batch normalisation that keeps no running "
        "statistics: its accuracy, attacked or not, is that of this batch size and this order of the images.",
    )


def _zero_gradient(gradient: Tensor | None) -> Finding | None:
    share = 1.0 if gradient is None else (gradient == 0).flatten(1).all(dim=1).float().mean().item()
    if share <= _MOST_ZERO_GRADIENTS:
        return None
    everywhere = (
        " That is so of a model that rounds, detaches its input or computes under no_grad; only Square, random noise "
        "and transfer say anything of it."
    )
    return _warning(
        "zero_gradient",
        f"For {100 * share:.1f} % of the images the gradient of cross-entropy is exactly zero: attacks that follow it "
        f"stand still there.{everywhere if share == 1 else ''}",
    )


def _non_finite_gradient(gradient: Tensor | None) -> Finding | None:
    if gradient is None or bool(gradient.isfinite().all()):
        return None
    return non_finite_gradient(int((~gradient.isfinite()).flatten(1).any(dim=1).sum()), len(gradient))


def _chance(logits: Tensor, labels: Tensor, classes: int) -> Finding | None:
    right, chance = int((logits.argmax(dim=1) == labels).sum()), 1 / classes
    if upper_tail(right, len(labels), chance) <= _SIGNIFICANT:
        return None
    return _warning(
        "chance_accuracy",
        f"The model classifies {right} of {len(labels)} images correctly ({100 * right / len(labels):.1f} %), which "
        f"cannot be told from guessing among {classes} classes ({100 * chance:.1f} %). Are there very few images, or "
        "is the normalisation another, the range of the images, or the order of the classes?",
    )
