"""What a spec is made of, and two of the things it chooses among: data sets and architectures.

Each union is told apart by one tag, `kind` or, for data sets, `name`. Defaults are those of the paper (arXiv
2012.04353) where it states a value; docs/experiments.md says what was measured where it does not.
"""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.config import JsonDict
from pydantic_core import InitErrorDetails, PydanticCustomError

from gauntlet.spec.reading.texts import DatasetId, FolderName, Label

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

_MOST_UNKNOWN = 20


class Spec(BaseModel):
    """Base of every part of a spec: frozen, no unknown fields, no NaN or infinity.

    Nothing is taken for what it is not: a number is neither text nor true or false. A whole number may stand for one
    with a fraction, and a list is a tuple (`gauntlet.spec.reading.lists`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _few_unknown_fields(cls, value: Any) -> Any:
        """Tell the first of very many unknown fields; pydantic would look at all of them and tell each."""
        if not isinstance(value, dict) or len(value) <= len(cls.model_fields) + _MOST_UNKNOWN:
            return value
        unknown = (name for name in value if name not in cls.model_fields)
        raise ValidationError.from_exception_data(
            cls.__name__,
            [
                InitErrorDetails(type="extra_forbidden", loc=(str(name),), input=None)
                for name, _ in zip(unknown, range(_MOST_UNKNOWN), strict=False)
            ],
        )


def faulty_fields(faults: Iterable[tuple[tuple[str | int, ...], object, str]]) -> ValidationError:
    """What a validator of a whole model raises to tell each fault, (place, value, sentence), at its own field."""
    return ValidationError.from_exception_data(
        "spec",
        [
            InitErrorDetails(
                type=PydanticCustomError("faulty_field", "{sentence}", {"sentence": sentence}), loc=place, input=value
            )
            for place, value, sentence in faults
        ],
    )


def tag_required(tag: str) -> ConfigDict:
    """In JSON a member of a union must name itself, though Python may leave the tag to its default."""

    def require(schema: JsonDict) -> None:
        required = schema.get("required")
        schema["required"] = [tag, *(required if isinstance(required, list) else [])]

    return ConfigDict(json_schema_extra=require)


Side = Annotated[int, Field(ge=10, le=256)]
Fit = Annotated[
    Literal["stretch", "crop", "pad"],
    Field(
        description="What becomes of a picture of other proportions: stretched; cropped to its middle; or whole, with "
        "black beside it."
    ),
]
Colours = Annotated[Literal["rgb", "grey"], Field(description="One channel or three; pictures are converted.")]
TrainSamples = Annotated[int, Field(ge=1, le=1_000_000_000)]


class _OfOneShape(Spec):
    """A data set whose images all have one shape, (channels, height, width)."""

    shape: ClassVar[tuple[int, int, int]]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return self.shape


class Digits(_OfOneShape):
    """Bundled 8×8 digits (Alpaydin & Kaynak 1998), each pixel doubled to 16×16; 1,437 for training, 360 for test."""

    model_config = tag_required("name")
    name: Literal["digits"] = "digits"
    train_samples: TrainSamples | None = None

    shape = 1, 16, 16


class Cifar10(_OfOneShape):
    """CIFAR-10 (Krizhevsky 2009) in torchvision's layout below the data root; fetched where the network allows."""

    model_config = tag_required("name")
    name: Literal["cifar10"] = "cifar10"
    train_samples: TrainSamples | None = None

    shape = 3, 32, 32


class Cifar10C(_OfOneShape):
    """CIFAR-10 for training, and for test CIFAR-10-C's images of one corruption (Hendrycks & Dietterich 2019).

    Its files, as published, lie in `DATA_ROOT/CIFAR-10-C`; they are not fetched.
    """

    model_config = tag_required("name")
    name: Literal["cifar10_c"] = "cifar10_c"
    corruption: Literal[
        "gaussian_noise",
        "shot_noise",
        "impulse_noise",
        "defocus_blur",
        "glass_blur",
        "motion_blur",
        "zoom_blur",
        "snow",
        "frost",
        "fog",
        "brightness",
        "contrast",
        "elastic_transform",
        "pixelate",
        "jpeg_compression",
        "speckle_noise",
        "gaussian_blur",
        "spatter",
        "saturate",
    ]
    severity: Annotated[int, Field(ge=1, le=5)]
    train_samples: TrainSamples | None = None

    shape = 3, 32, 32


class Cifar100(_OfOneShape):
    """CIFAR-100 and its 100 fine classes (Krizhevsky 2009), likewise."""

    model_config = tag_required("name")
    name: Literal["cifar100"] = "cifar100"
    train_samples: TrainSamples | None = None

    shape = 3, 32, 32


class Svhn(_OfOneShape):
    """Street View house numbers, cropped digits in RGB (Netzer et al. 2011); 73,257 for training, 26,032 for test."""

    model_config = tag_required("name")
    name: Literal["svhn"] = "svhn"
    train_samples: TrainSamples | None = None

    shape = 3, 32, 32


class Mnist(_OfOneShape):
    """Handwritten digits in grey (LeCun et al. 1998), 28×28; 60,000 for training, 10,000 for test."""

    model_config = tag_required("name")
    name: Literal["mnist"] = "mnist"
    train_samples: TrainSamples | None = None

    shape = 1, 28, 28


class FashionMnist(_OfOneShape):
    """Articles of clothing in grey, in MNIST's format and numbers (Xiao et al. 2017)."""

    model_config = tag_required("name")
    name: Literal["fashion_mnist"] = "fashion_mnist"
    train_samples: TrainSamples | None = None

    shape = 1, 28, 28


class Kmnist(_OfOneShape):
    """Cursive Japanese letters in grey, in MNIST's format and numbers (Clanuwat et al. 2018)."""

    model_config = tag_required("name")
    name: Literal["kmnist"] = "kmnist"
    train_samples: TrainSamples | None = None

    shape = 1, 28, 28


class ImageFolder(Spec):
    """`DATA_ROOT/<folder>/<train|test>/<class>/<image>`, read at `image_size` × `image_size` pixels."""

    model_config = tag_required("name")
    name: Literal["image_folder"] = "image_folder"
    folder: FolderName
    image_size: Side = 32
    fit: Fit = "stretch"
    channels: Colours = "rgb"
    train_samples: TrainSamples | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return 1 if self.channels == "grey" else 3, self.image_size, self.image_size


class Uploaded(Spec):
    """A data set that was uploaded to the service, read at `image_size` × `image_size` pixels."""

    model_config = tag_required("name")
    name: Literal["uploaded"] = "uploaded"
    id: DatasetId
    title: Label | None = Field(
        default=None, description="What reports call it; the service fills in the name that it was uploaded under."
    )
    image_size: Side = 32
    fit: Fit = "stretch"
    channels: Colours = "rgb"
    train_samples: TrainSamples | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return 1 if self.channels == "grey" else 3, self.image_size, self.image_size


class Parquet(Spec):
    """`DATA_ROOT/<folder>/[data/]<train|test>-*.parquet` as Hugging Face writes them."""

    model_config = tag_required("name")
    name: Literal["parquet"] = "parquet"
    folder: FolderName
    image: Label | None = Field(default=None, description="The column of pictures, where there are several.")
    label: Label | None = Field(default=None, description="The column of labels, where there are several.")
    image_size: Side = 32
    fit: Fit = "stretch"
    channels: Colours = "rgb"
    train_samples: TrainSamples | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return 1 if self.channels == "grey" else 3, self.image_size, self.image_size


# Read by torchvision from files of known content, or fetched.
PublishedDataset = Cifar10 | Cifar100 | Svhn | Mnist | FashionMnist | Kmnist
# Pictures of any size and kind, brought to one.
OwnPictures = ImageFolder | Uploaded | Parquet
AnyDataset = Digits | PublishedDataset | Cifar10C | OwnPictures
DatasetSpec = Annotated[AnyDataset, Field(discriminator="name")]


def fit_of(dataset: AnyDataset) -> Fit:
    """How a picture is brought to the proportions of that data set's images, here and when one is classified."""
    return dataset.fit if isinstance(dataset, OwnPictures) else "stretch"


def dataset_title(dataset: AnyDataset) -> str:
    """The data set as a reader knows it; images of one's own go by their own name."""
    match dataset:
        case ImageFolder() | Parquet():
            return f"{dataset.name} {dataset.folder}"
        case Uploaded():
            return f"{dataset.title or dataset.name} ({dataset.id})"
        case Cifar10C():
            return f"{dataset.name} {dataset.corruption} {dataset.severity}"
        case _:
            return dataset.name
