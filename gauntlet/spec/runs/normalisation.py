"""What a network subtracts from and divides its input by, in a spec and on a checkpoint's card. No torch."""

from typing import Annotated

from pydantic import Field

from gauntlet.spec.kinds import Spec, faulty_fields
from gauntlet.spec.reading.lists import Listed

# Below it a std stands for no spread of 8-bit pixels, and near 1e-38 it is 0 in float32.
_LEAST_STD = 1e-6


class Normalisation(Spec):
    """What a model subtracts from and divides its input by, one number for each channel; inside the model.

    The network is given (x − mean) / std. Attacks and their budgets see the pixels x in [0, 1], as when models are
    attacked for RobustBench (Croce et al. 2021).
    """

    mean: Annotated[tuple[float, ...], Listed(1, 16)]
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Listed(1, 16)]

    def require_unit_scale(self) -> None:
        """Raise a ValueError if the numbers are for pixels in [0, 255], or divide by next to nothing.

        Images here are in [0, 1].
        """
        if min(self.mean) < -1:
            raise ValueError(f"normalisation is of images in [0, 1], and {min(self.mean):g} is no mean of them")
        if max(*self.mean, *self.std) > 1:
            mean, std = ([round(value / 255, 4) for value in values] for values in (self.mean, self.std))
            raise ValueError(
                f"normalisation is of images in [0, 1], and these numbers are on the scale of 0 to 255: divided by 255 "
                f"they are mean {mean} and std {std}"
            )
        if min(self.std) < _LEAST_STD:
            raise ValueError(
                f"normalisation divides images in [0, 1] by their std, and {min(self.std):g} is next to nothing: where "
                "a channel is the same everywhere, take 1"
            )

    def require_channels(self, channels: int) -> None:
        """Raise a ValueError unless there is one mean and one std for each channel."""
        if not len(self.mean) == len(self.std) == channels:
            raise ValueError(
                f"normalisation needs one mean and one std for each channel: {channels}, "
                f"not {len(self.mean)} and {len(self.std)}"
            )


def refuse_normalisation(normalisation: Normalisation | None, image_shape: tuple[int, int, int]) -> None:
    """See that what is trained can normalise images, (channels, height, width) in [0, 1], so.

    Raises:
        ValidationError: it cannot; it names the spec's field.
    """
    if normalisation is None:
        return
    try:
        normalisation.require_channels(image_shape[0])
        normalisation.require_unit_scale()
    except ValueError as error:
        told = f"{error}; null leaves images as they are"
        raise faulty_fields([(("normalisation",), normalisation.model_dump(), told)]) from error


def unlike_normalisation(whose: str, held: Normalisation | None, trained: Normalisation | None) -> str | None:
    """A sentence where weights, such as "The initial checkpoint"'s, are of a network that sees images otherwise."""
    if held == trained:
        return None
    wanted = "what is trained does not" if trained is None else f"what is trained {_told(trained)}"
    return f"{whose} {'does not normalise its input' if held is None else _told(held)}, and {wanted}."


def _told(normalisation: Normalisation) -> str:
    return f"normalises its input with mean {list(normalisation.mean)} and std {list(normalisation.std)}"
