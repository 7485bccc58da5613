"""What a checkpoint says of itself: which network its weights are of, and where they come from. No torch."""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from gauntlet.spec.class_names import KNOWN_CLASSES
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.kinds import DatasetSpec, Side, Spec, tag_required
from gauntlet.spec.reading.lists import Listed
from gauntlet.spec.reading.texts import Label, Source
from gauntlet.spec.runs.architectures import ArchitectureSpec, require_size
from gauntlet.spec.runs.normalisation import Normalisation

Channels = Annotated[int, Field(ge=1, le=16)]
ImageShape = Annotated[tuple[Channels, Side, Side], Listed(3, 3)]
MOST_CLASSES = 10_000


class Trained(Spec):
    """Weights after `epoch` epochs of a run; or their average until then, where they are `averaged`."""

    model_config = tag_required("kind")
    kind: Literal["trained"] = "trained"
    spec: RunSpec
    epoch: int = Field(ge=0)
    averaged: bool = False


class Imported(Spec):
    """Weights trained elsewhere; `name` and `source` are what whoever brought them said."""

    model_config = tag_required("kind")
    kind: Literal["imported"] = "imported"
    name: Label
    source: Source = ""


class CheckpointCard(Spec):
    """The data set is the one that the model was made for, whose test images it is evaluated on."""

    architecture: ArchitectureSpec
    dataset: DatasetSpec
    classes: Annotated[tuple[str, ...], Listed(2, MOST_CLASSES, first_fault_only=True)]
    image_shape: ImageShape
    normalisation: Normalisation | None = None
    origin: Annotated[Trained | Imported, Field(discriminator="kind")]
    package: Label | None = Field(
        default=None, description="Of a network of a team's own: the package that it comes from, with its version."
    )

    @model_validator(mode="after")
    def _normalises_every_channel(self) -> Self:
        if self.normalisation is not None:
            self.normalisation.require_channels(self.image_shape[0])
        if isinstance(self.origin, Trained) and self.normalisation != self.origin.spec.normalisation:
            raise ValueError("the card's normalisation must be the one that its run trained behind")
        return self

    @model_validator(mode="after")
    def _images_are_not_too_large(self) -> Self:
        require_size(self.architecture, self.image_shape, ("image_shape",))
        return self


class ImportCard(Spec):
    """What whoever imports weights says of them; a card without what the data set's name says already."""

    name: Label
    source: Source = Field(default="", description="Where the weights come from, such as a paper or an address.")
    architecture: ArchitectureSpec
    dataset: DatasetSpec
    classes: Annotated[tuple[Label, ...], Listed(2, MOST_CLASSES, first_fault_only=True, distinct=True)] | None = Field(
        default=None,
        validate_default=True,
        description="In the order of the model's outputs, which must be the data set's own (for a folder, its folders' "
        "names, sorted); required for an image folder and an uploaded data set.",
    )
    image_shape: ImageShape | None = Field(
        default=None, description="(channels, height, width); if given, it must be the data set's."
    )
    normalisation: Normalisation | None = Field(
        default=None, description="What the network expects of images in [0, 1]; none is the default."
    )

    @field_validator("classes")
    @classmethod
    def _classes_are_known(cls, value: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        dataset = info.data.get("dataset")
        known = KNOWN_CLASSES.get(dataset.name) if dataset is not None else None
        if value is None:
            if dataset is not None and known is None:
                raise ValueError("classes must be listed for images of one's own, in the order of the model's outputs")
            return None
        if known is not None and len(value) != len(known):
            raise ValueError(f"the dataset has {len(known)} classes, and classes lists {len(value)}")
        if known is not None and set(value) == set(known) and value != tuple(known):
            raise ValueError(f"the model's outputs must be in the order of the data set's classes: {', '.join(known)}")
        return value

    @field_validator("image_shape")
    @classmethod
    def _images_are_the_datasets(
        cls, value: tuple[int, int, int] | None, info: ValidationInfo
    ) -> tuple[int, int, int] | None:
        dataset = info.data.get("dataset")
        if value is not None and dataset is not None and value != dataset.image_shape:
            raise ValueError(f"the dataset's images are {' × '.join(map(str, dataset.image_shape))}")
        return value

    @field_validator("normalisation")
    @classmethod
    def _normalises_every_channel(cls, value: Normalisation | None, info: ValidationInfo) -> Normalisation | None:
        dataset = info.data.get("dataset")
        if value is not None and dataset is not None:
            value.require_channels(dataset.image_shape[0])
        if value is not None:
            value.require_unit_scale()
        return value

    @model_validator(mode="after")
    def _images_are_not_too_large(self) -> Self:
        require_size(self.architecture, self.dataset.image_shape, ("dataset", "image_size"))
        return self

    def card(self) -> CheckpointCard:
        """The card of the checkpoint that the import makes."""
        return CheckpointCard(
            architecture=self.architecture,
            dataset=self.dataset,
            classes=self.classes or KNOWN_CLASSES[self.dataset.name],
            image_shape=self.dataset.image_shape,
            normalisation=self.normalisation,
            origin=Imported(name=self.name, source=self.source),
        )
