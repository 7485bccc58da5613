"""What a spec chooses among: data sets, architectures, adversaries, optimisers; objectives and attacks are elsewhere.

Each union is told apart by one tag, `kind` or, for data sets, `name`. Defaults are those of the paper (arXiv
2012.04353) where it states a value; docs/experiments.md says what was measured where it does not.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from gauntlet.spec.eps import PixelEps

CheckpointId = Annotated[str, Field(max_length=40, pattern=r"^ckpt_[0-9a-z]+$")]
# One folder below the data root; never a path.
FolderName = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Spec(BaseModel):
    """Base of every part of a spec: frozen, no unknown fields, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def tag_required(tag: str) -> ConfigDict:
    """In JSON a union's member must name itself, though Python may leave the tag to its default."""

    def require(schema: JsonDict) -> None:
        required = schema.get("required")
        schema["required"] = [tag, *(required if isinstance(required, list) else [])]

    return ConfigDict(json_schema_extra=require)


class Digits(Spec):
    """The bundled 8×8 handwritten digits (UCI), each pixel doubled to 16×16; 1,437 for training, 360 for test."""

    model_config = tag_required("name")
    name: Literal["digits"] = "digits"
    train_samples: Annotated[int, Field(ge=1)] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return 1, 16, 16


class Cifar10(Spec):
    """CIFAR-10 in torchvision's layout below the data root; fetched on first use where the network allows."""

    model_config = tag_required("name")
    name: Literal["cifar10"] = "cifar10"
    train_samples: Annotated[int, Field(ge=1)] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return 3, 32, 32


class ImageFolder(Spec):
    """`DATA_ROOT/<folder>/<train|test>/<class>/<image>`, read as RGB at `image_size` × `image_size` pixels."""

    model_config = tag_required("name")
    name: Literal["image_folder"] = "image_folder"
    folder: FolderName
    image_size: Annotated[int, Field(ge=10, le=128)] = 32
    train_samples: Annotated[int, Field(ge=1)] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return 3, self.image_size, self.image_size


DatasetSpec = Annotated[Digits | Cifar10 | ImageFolder, Field(discriminator="name")]


def dataset_title(dataset: Digits | Cifar10 | ImageFolder) -> str:
    """The data set as a reader knows it; a folder of images goes by its own name."""
    return f"{dataset.name} {dataset.folder}" if isinstance(dataset, ImageFolder) else dataset.name


class Cnn(Spec):
    """The paper's network: the small CNN of Keras' cifar10_cnn example."""

    model_config = tag_required("kind")
    kind: Literal["cnn"] = "cnn"


class ResNet(Spec):
    """ResNet-18 as it is built for CIFAR-10: a 3 × 3 stem without stride or pooling (11,173,962 weights there)."""

    model_config = tag_required("kind")
    kind: Literal["resnet18"] = "resnet18"


ArchitectureSpec = Annotated[Cnn | ResNet, Field(discriminator="kind")]


class FgsmAdversary(Spec):
    """FGSM inside training: one signed-gradient step on the model being trained, made anew for every batch."""

    model_config = tag_required("kind")
    kind: Literal["fgsm"] = "fgsm"
    eps: PixelEps
    loss: Literal["true_label", "predicted_label", "objective"] = Field(
        default="true_label",
        description="What the attack ascends: cross-entropy on the label or on the prediction, or the objective.",
    )
    mode: Literal["eval", "train"] = Field(
        default="eval",
        description="The model's mode in the attack's pass: in train mode dropout is on, and "
        "batch normalisation goes by the batch.",
    )


class RmsProp(Spec):
    """RMSprop as Keras computes it, with its time-based decay lr / (1 + decay · iteration)."""

    model_config = tag_required("kind")
    kind: Literal["rmsprop"] = "rmsprop"
    lr: Annotated[float, Field(gt=0, le=10)] = 1e-4
    decay: Annotated[float, Field(ge=0, le=1)] = 1e-6
    rho: Annotated[float, Field(ge=0, lt=1)] = 0.9
    epsilon: Annotated[float, Field(gt=0, le=1)] = 1e-7


# The names by which the members of unions are told apart; no field has one of them as its name.
UNION_TAGS: frozenset[object] = frozenset(
    [model.model_fields["name"].default for model in (Digits, Cifar10, ImageFolder)]
    + [model.model_fields["kind"].default for model in (Cnn, ResNet)]
)
