"""The curve of certified accuracy against the radius, of a model smoothed with noise. No torch."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from gauntlet.results.accuracy import Accuracy
from gauntlet.results.protocol import Protocol
from gauntlet.results.stage_results import StageResult
from gauntlet.spec.evaluations.smoothing import SmoothingSpec
from gauntlet.spec.reading.texts import exactly

SMOOTHING_PREFIX = "smoothing/"


class CertifiedAccuracy(BaseModel):
    """The share of images that the smoothed model takes for the right class whatever changes them by less than that."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    radius: float
    accuracy: Accuracy


class SmoothingOutcome(BaseModel):
    """Certified accuracy under L2 by radius. Each image's certificate holds with the chance 1 − `alpha` at least."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sigma: float
    draws: int
    alpha: float
    curve: tuple[CertifiedAccuracy, ...]
    protocol: Protocol
    fingerprint: str


def smoothing_stage(spec: SmoothingSpec, radius: float) -> str:
    """The name of the stage in which an image is right if its class is certified up to the radius."""
    # What two evaluations have under one name the one takes from the other.
    sigma, alpha = exactly(spec.sigma), exactly(spec.alpha)
    return f"{SMOOTHING_PREFIX}{sigma}/{spec.selection}/{spec.draws}/{alpha}:{exactly(radius)}"


def smoothing_outcome(
    spec: SmoothingSpec, stages: Mapping[str, StageResult], protocol: Protocol, weights_sha256: str
) -> SmoothingOutcome:
    """Read the curve off an evaluation's stages, from the smallest radius to the largest."""

    def at(radius: float) -> CertifiedAccuracy:
        stage = stages[smoothing_stage(spec, radius)]
        right = sum(seen == stage.labels[image] for image, seen in stage.predicted.items())
        return CertifiedAccuracy(radius=radius, accuracy=Accuracy.of(right, len(stage.predicted)))

    curve = tuple(at(radius) for radius in sorted(spec.radii))
    measured = protocol.model_copy(update={"smoothing": spec, "n": curve[0].accuracy.n})
    return SmoothingOutcome(
        sigma=spec.sigma,
        draws=spec.draws,
        alpha=spec.alpha,
        curve=curve,
        protocol=measured,
        fingerprint=measured.fingerprint(weights_sha256),
    )
