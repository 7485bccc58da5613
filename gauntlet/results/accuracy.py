"""A fraction of images, with how sure it is, and which they are."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from gauntlet.results.intervals import wilson_interval

# Bit k of a number is of the image at position k of the test set: hexadecimal digits without leading zeros. Small
# enough to stand beside each accuracy, so that two of the same images can be compared image by image.
RightImages = Annotated[str, Field(pattern=r"^(0|[1-9a-f][0-9a-f]*)$", max_length=250_000)]


class Accuracy(BaseModel):
    """A fraction in [0, 1] of `n` images, with its 95 % Wilson interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    n: int
    interval: tuple[float, float]

    @classmethod
    def of(cls, right: float, n: int) -> "Accuracy":
        """So many of n; of images that are right in part, their sum."""
        return cls(value=right / n, n=n, interval=wilson_interval(right / n, n))


def right_images(positions: Iterable[int]) -> RightImages:
    """The images at these positions, from 0."""
    at = set(positions)
    bits = "".join("1" if position in at else "0" for position in range(max(at, default=0), -1, -1))
    return f"{int(bits, 2):x}"


def right_in_all(found: Iterable[RightImages]) -> RightImages:
    """The images that are right in each of at least one."""
    first, *others = (int(each, 16) for each in found)
    for other in others:
        first &= other
    return f"{first:x}"


def right_count(found: RightImages) -> int:
    """How many images are right."""
    return int(found, 16).bit_count()
