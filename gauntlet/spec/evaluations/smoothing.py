"""Certified accuracy by randomised smoothing: how much noise, how many draws, at which radii. No torch."""

from typing import Annotated, Final

from pydantic import Field

from gauntlet.spec.kinds import Spec
from gauntlet.spec.reading.lists import Listed

Radius = Annotated[float, Field(ge=0, le=1_000)]
MOST_RADII: Final = 50


class SmoothingSpec(Spec):
    """What of the smoothed model is certified under L2 (Cohen et al. 2019), on the evaluation's first `samples` images.

    The smoothed model answers with the class that the model takes most noisy copies of an image for.
    """

    sigma: Annotated[float, Field(gt=0, le=10)] = Field(
        description="Standard deviation of the noise, of pixels in [0, 1]; best what the model was trained with."
    )
    samples: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    selection: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=100, description="Draws that choose the class of an image."
    )
    draws: Annotated[int, Field(ge=10, le=1_000_000)] = Field(
        default=10_000, description="Draws that bound its probability; the paper takes 100,000."
    )
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.001, description="The chance that an image's certificate is wrong, at most."
    )
    radii: Annotated[tuple[Radius, ...], Listed(1, MOST_RADII, distinct=True)] = Field(
        default=(0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5),
        description="Where the curve of certified accuracy is read; 0 is whether the right class is certified at all.",
    )
