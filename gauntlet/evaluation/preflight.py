"""Checks of a model that was trained elsewhere, before anything is measured of it.

Most ways to get robustness wrong are wrong models: a softmax inside, another normalisation, randomness in the forward
pass (Carlini et al. 2019, arXiv 1902.06705, list them; AutoAttack's own code warns of the same). Each is cheap to see.
"""

import torch
from torch import Tensor, nn

from gauntlet.attacks.gradient import mode, without_gradient
from gauntlet.results.finding import Finding

_PROBABILITY_TOLERANCE = 1e-4
# Images whose gradient vanishes stand still under attack and count as robust: as many as this blur the first digit.
_MOST_ZERO_GRADIENTS = 0.03
# Beyond so many standard errors accuracy is no longer chance.
_STANDARD_ERRORS = 3


def preflight(model: nn.Module, images: Tensor, labels: Tensor | None, classes: int) -> tuple[Finding, ...]:
    """Try the model in eval mode on some images; it is left in the mode it was in.

    Args:
        model: maps images to logits.
        images: float32 in [0, 1], [n, c, h, w].
        labels: int64 [n], or None where they are unknown; then accuracy is not looked at.
        classes: how many logits there should be.

    Returns:
        What was found, errors first; empty for a healthy model. After an error nothing else is looked at.
    """
    with mode(model, training=False):
        with torch.no_grad():
            logits, again = model(images), model(images)
        broken = _broken(logits, len(images), classes)
        if broken is not None:
            return (broken,)
        constant = _constant(logits)
        checks = (
            constant,
            _probabilities(logits),
            _random(logits, again),
            # An output that never changes has no gradient: that is said already.
            None if constant else _zero_gradient(model, images, logits.argmax(dim=1) if labels is None else labels),
            None if labels is None else _chance(logits, labels, classes),
        )
    return tuple(finding for finding in checks if finding is not None)


def _broken(logits: Tensor, images: int, classes: int) -> Finding | None:
    if logits.shape != (images, classes):
        message = f"The model gives an output of shape {list(logits.shape)} for {images} images of {classes} classes."
        return Finding(kind="class_count", severity="error", message=message)
    if not bool(logits.isfinite().all()):
        message = "The model's output is not finite: a weight, a variance or the normalisation is out of range."
        return Finding(kind="non_finite_output", severity="error", message=message)
    return None


def _constant(logits: Tensor) -> Finding | None:
    if len(logits) == 1 or not bool((logits == logits[0]).all()):
        return None
    message = "The model's output is the same for every image: it does not depend on its input."
    return Finding(kind="constant_output", severity="warning", message=message)


def _probabilities(logits: Tensor) -> Finding | None:
    sums = (logits.sum(dim=1) - 1).abs().max()
    if bool((logits < 0).any()) or bool(sums > _PROBABILITY_TOLERANCE):
        return None
    message = (
        "The model's outputs are probabilities, so it ends in a softmax: attacks that follow the gradient of "
        "cross-entropy see it masked. Leave the softmax out."
    )
    return Finding(kind="probabilities", severity="warning", message=message)


def _random(logits: Tensor, again: Tensor) -> Finding | None:
    if torch.equal(logits, again):
        return None
    message = (
        "Two passes over the same images differ: the model draws random numbers. AutoAttack's standard version takes "
        "a model for deterministic, and its numbers overstate such a one's robustness."
    )
    return Finding(kind="random_output", severity="warning", message=message)


def _zero_gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Finding | None:
    share = without_gradient(model, images, labels).float().mean().item()
    if share <= _MOST_ZERO_GRADIENTS:
        return None
    message = (
        f"For {share:.0%} of the images the gradient of cross-entropy is exactly zero: attacks that follow it stand "
        "still there."
    )
    return Finding(kind="zero_gradient", severity="warning", message=message)


def _chance(logits: Tensor, labels: Tensor, classes: int) -> Finding | None:
    accuracy = (logits.argmax(dim=1) == labels).float().mean().item()
    chance = 1 / classes
    if accuracy > chance + _STANDARD_ERRORS * (chance * (1 - chance) / len(labels)) ** 0.5:
        return None
    message = (
        f"The model classifies {accuracy:.0%} of {len(labels)} images correctly, which is no better than chance: is "
        "the normalisation another, the range of the images, or the order of the classes?"
    )
    return Finding(kind="chance_accuracy", severity="warning", message=message)
