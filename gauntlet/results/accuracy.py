"""A fraction of images, with how sure it is."""

from pydantic import BaseModel, ConfigDict

from gauntlet.results.intervals import wilson_interval


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
