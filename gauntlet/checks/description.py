"""What was seen of a data set: images and classes of each split, what is passed over, what cannot be read or used."""

from pydantic import BaseModel, ConfigDict

from gauntlet.spec.kinds import Fit


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassImages(_Value):
    """How many images one class has."""

    name: str
    images: int


class Skipped(_Value):
    """What is passed over for one reason: how many files or folders, and the first of them."""

    reason: str
    entries: int
    examples: tuple[str, ...]


class Unreadable(_Value):
    """A file that is named as a picture and cannot be read as one."""

    path: str
    why: str


class Repeated(_Value):
    """Images that are the same, byte for byte, as an earlier one; `examples` says which, `this is that`."""

    images: int = 0
    examples: tuple[str, ...] = ()


class PicturesRead(_Value):
    """What reading a split's pictures has shown; of a part of the split where `train_samples` draws one.

    `unreadable` names the first of the `unreadable_files`; `sha256` is over the read files' digests in their order.
    """

    images: int
    unreadable_files: int = 0
    unreadable: tuple[Unreadable, ...] = ()
    not_square: int = 0
    levels_cut: int = 0
    repeated: Repeated = Repeated()
    sha256: str


class SplitDescription(_Value):
    """One split as it lies there; `classes` in the order of the labels. `read` is None where it was only listed."""

    classes: tuple[ClassImages, ...]
    skipped: tuple[Skipped, ...] = ()
    read: PicturesRead | None = None

    @property
    def images(self) -> int:
        """How many there are."""
        return sum(each.images for each in self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names; a label is a position among them."""
        return tuple(each.name for each in self.classes)


class DatasetDescription(_Value):
    """What was seen of a data set. A split is None where it is not there or was not looked at.

    `unused` are folders beside the splits, `in_both` test images that are training images too (None where the pictures
    were not read). `fit` is what becomes of pictures that are not square. `notes` are sentences worth knowing; each of
    the `faults` makes the data set unusable.
    """

    dataset: str
    train: SplitDescription | None = None
    test: SplitDescription | None = None
    unused: tuple[str, ...] = ()
    in_both: Repeated | None = None
    fit: Fit = "stretch"
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def content(self) -> tuple[object, ...]:
        """Equal for equal classes of equal pictures, whatever lies beside them."""
        return tuple(
            (split.names, split.read.sha256 if split.read else None) for split in (self.train, self.test) if split
        )


class PictureSizes(_Value):
    """How large pictures are, (width, height) in pixels; `smallest` and `largest` by side, not of one picture."""

    smallest: tuple[int, int]
    largest: tuple[int, int]
    commonest: tuple[int, int]
    commonest_images: int


class Thumbnail(_Value):
    """A small picture to look at: its class, and which image it is of."""

    label: str
    image: str


class DatasetContents(_Value):
    """A data set as it was made of an archive. `bytes` is what its pictures' files have together.

    Equal `sha256`: the same pictures under the same names in the same classes and splits. `skipped` is what was passed
    over or left out of the archive; `thumbnails` are in the order of their files' numbers.
    """

    description: DatasetDescription
    skipped: tuple[Skipped, ...]
    sizes: PictureSizes
    thumbnails: tuple[Thumbnail, ...]
    sha256: str
    bytes: int
