"""Randomised smoothing (Cohen, Rosenfeld & Kolter 2019, arXiv 1902.02918): a radius that no L2 attack can do much in.

The smoothed model takes an image for the class that the model takes most copies with Gaussian noise for. If that class'
probability is p > 1/2, no change shorter than σ Φ⁻¹(p) in L2 makes it another (Theorem 1 with the bound 1 − p for the
runner-up, as the paper's CERTIFY has it). p is bounded from below by draws, so a certificate is wrong with the chance
`alpha` at most. It is one of the smoothed model, not of the model itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.errors import OutputNotFinite
from gauntlet.results.intervals import lower_bound
from gauntlet.spec.evaluations.smoothing import SmoothingSpec
from gauntlet.spec.reading.texts import exactly

# What a draw is must not depend on how many there are: rows that are passed together, whatever the batch.
_AT_ONCE = 240
ABSTAINED = -1


@dataclass(frozen=True)
class Certificate:
    """What the smoothed model takes an image for (`ABSTAINED` where nothing is certain), and up to which L2 radius."""

    label: int
    radius: float


def certify(model: nn.Module, images: Tensor, spec: SmoothingSpec, classes: int, seed: int) -> list[Certificate]:
    """Certify each of the images, float32 [n, c, h, w] in [0, 1]; its draws follow from the seed and itself alone.

    Raises:
        OutputNotFinite: the model's output is infinite or NaN on a noisy image.
    """
    return [_certified(model, image, spec, classes, seed) for image in images]


def radius(votes: int, spec: SmoothingSpec) -> float | None:
    """The certified radius of a class that so many of the draws voted for; None where it may be no majority."""
    from scipy.special import ndtri  # a quarter of a second that who certifies nothing need not wait for

    probability = lower_bound(votes, spec.draws, spec.alpha)
    return spec.sigma * float(ndtri(probability)) if probability > 1 / 2 else None


def _certified(model: nn.Module, image: Tensor, spec: SmoothingSpec, classes: int, seed: int) -> Certificate:
    content = seeding.content(image.contiguous().cpu().numpy().tobytes())

    def votes(count: int, purpose: str) -> Tensor:
        generator = seeding.generator(image.device, seed, f"smoothing {purpose} {spec.sigma}", content)
        cast = torch.zeros(classes, dtype=torch.int64, device=image.device)
        for noise in _noise(image, count, generator):
            with torch.no_grad():
                logits: Tensor = model(image + spec.sigma * noise)
            if not bool(logits.isfinite().all()):
                raise OutputNotFinite(f"smoothing/{exactly(spec.sigma)}")
            cast += logits.argmax(dim=1).bincount(minlength=classes)
        return cast

    # By draws of its own, or the class would be chosen for what the bound is then taken of.
    label = int(votes(spec.selection, "selection").argmax())
    found = radius(int(votes(spec.draws, "bound")[label]), spec)
    return Certificate(ABSTAINED, 0.0) if found is None else Certificate(label, found)


def _noise(image: Tensor, count: int, generator: torch.Generator) -> Iterator[Tensor]:
    for first in range(0, count, _AT_ONCE):
        rows = min(_AT_ONCE, count - first)
        yield torch.randn((rows, *image.shape), generator=generator, device=image.device)
