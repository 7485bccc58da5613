"""How training images are changed anew in every epoch. No torch."""

from typing import Annotated

from pydantic import Field

from gauntlet.spec.kinds import Spec


class Augmentation(Spec):
    """Changes in this order; each is drawn for itself from (seed, epoch, image).

    Mirrored and cropped as CIFAR-10 commonly is (He et al. 2016, §4.2; cutout: DeVries & Taylor 2017).
    """

    flip: bool = Field(default=True, description="Mirror every other image, left to right.")
    crop_padding: Annotated[int, Field(ge=0, le=64)] = Field(
        default=4, description="Pixels of black that are put around an image before it is cropped to its size."
    )
    cutout: Annotated[int, Field(ge=0, le=256)] = Field(
        default=0, description="Side of a black square put anywhere, also partly outside (DeVries & Taylor 2017)."
    )
