"""What a checkpoint says of itself: which network its weights are of, and where they come from. No torch."""

from typing import Annotated, Literal

from pydantic import Field

from gauntlet.kinds import ArchitectureSpec, DatasetSpec, Spec, tag_required
from gauntlet.spec import Label, RunSpec

Channels = Annotated[int, Field(ge=1, le=16)]
Side = Annotated[int, Field(ge=10, le=128)]


class Trained(Spec):
    """Weights after `epoch` epochs of a run."""

    model_config = tag_required("kind")
    kind: Literal["trained"] = "trained"
    spec: RunSpec
    epoch: int = Field(ge=0)


class Imported(Spec):
    """Weights trained elsewhere; `name` and `source` are what whoever brought them said."""

    model_config = tag_required("kind")
    kind: Literal["imported"] = "imported"
    name: Label
    source: Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""


class Normalisation(Spec):
    """What a model subtracts from and divides its input by, one number for each channel; inside the model."""

    mean: tuple[float, ...] = Field(min_length=1, max_length=16)
    std: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1, max_length=16)


class CheckpointCard(Spec):
    """The data set is the one that the model was made for, whose test images it is evaluated on."""

    architecture: ArchitectureSpec
    dataset: DatasetSpec
    classes: tuple[str, ...] = Field(min_length=2, max_length=10_000)
    image_shape: tuple[Channels, Side, Side]
    normalisation: Normalisation | None = None
    origin: Annotated[Trained | Imported, Field(discriminator="kind")]
