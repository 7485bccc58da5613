"""What watches training for catastrophic overfitting, and what it does about it. No torch."""

from typing import Annotated, Literal

from pydantic import Field

from gauntlet.spec.kinds import Spec

GuardAction = Literal["off", "warn", "stop", "n_fgsm"]
# Probes take at most one part in so many of training's work.
_PARTS = 50
# In passes through the network, forward or back. Of a training image: the attack and the update, whose way back is two.
# Of a probed one: FGSM's two and a look, the steps of PGD at two each and a look.
_OF_TRAINING, _OF_LOOKS, _OF_STEP = 5, 4, 2


class Guard(Spec):
    """A PGD probe on training images, always the same (after Wong et al. 2020, §5.3).

    It is taken every so many epochs, and at once in an epoch whose own numbers are suspicious: where attacked images
    are classified better than natural ones, or the attack's step lowers the loss of many images.
    """

    action: GuardAction = Field(
        default="warn",
        description="What follows an alarm: nothing more; or training ends, and the weights of the epoch before are "
        "kept; or it goes on with N-FGSM in the adversary's place (de Jorge et al. 2022). off: nothing is probed.",
    )
    images: Annotated[int, Field(ge=50, le=10_000)] = Field(
        default=200, description="How many training images are probed; all of them where there are fewer."
    )
    steps: Annotated[int, Field(ge=1, le=100)] = Field(default=5, description="Of PGD, from a random start.")
    every: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None,
        description="Epochs from probe to probe; null: as few as keep probes to a fiftieth of training's work, which "
        "is every epoch from 28,000 training images on.",
    )

    def period(self, train_images: int) -> int:
        """Epochs from probe to probe of a run that trains on so many images."""
        if self.every is not None:
            return self.every
        probed = min(self.images, train_images) * (_OF_LOOKS + _OF_STEP * self.steps)
        return -(-probed * _PARTS // (_OF_TRAINING * train_images))
