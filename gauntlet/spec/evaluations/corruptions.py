"""Corruptions that an evaluation may measure: which kinds, how severe, and whose strengths. No torch."""

from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from gauntlet.spec.kinds import Spec
from gauntlet.spec.reading.lists import Listed

# Those of CIFAR-10-C's fifteen that need no picture or program from elsewhere, in its order.
CorruptionKind = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "zoom_blur",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
]
# Motion blur and snow are made by ImageMagick, and frost of photographs.
NOT_MADE: Final[tuple[str, ...]] = ("motion_blur", "snow", "frost")
Severity = Annotated[int, Field(ge=1, le=5)]
Strengths = Literal["cifar10-c", "imagenet-c"]
STRENGTH_TITLES: Final[dict[Strengths, str]] = {"cifar10-c": "CIFAR-10-C's", "imagenet-c": "ImageNet-C's"}

_KINDS: Final[tuple[CorruptionKind, ...]] = get_args(CorruptionKind)
_SIDE_OF_CIFAR: Final = 32


class CorruptionsSpec(Spec):
    """Every kind at every severity, on all of the evaluation's images (Hendrycks & Dietterich 2019)."""

    kinds: Annotated[tuple[CorruptionKind, ...], Listed(1, len(_KINDS), distinct=True)] = _KINDS
    severities: Annotated[tuple[Severity, ...], Listed(1, 5, distinct=True)] = (1, 2, 3, 4, 5)
    strengths: Strengths | None = Field(
        default=None,
        description="Whose constants: by default CIFAR-10-C's for images of 32 × 32 pixels, else ImageNet-C's.",
    )

    def strengths_for(self, height: int, width: int) -> Strengths:
        """Whose constants images of so many pixels are corrupted with."""
        if self.strengths is not None:
            return self.strengths
        return "cifar10-c" if height == width == _SIDE_OF_CIFAR else "imagenet-c"
