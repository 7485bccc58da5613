"""Data sets of one's own."""

from datetime import datetime
from typing import Literal

from gauntlet.checks.description import DatasetDescription, PictureSizes, Skipped
from gauntlet.resources.base import Progress, Resource
from gauntlet.spec.asked.uploads import SplitDraw
from gauntlet.spec.kinds import DatasetSpec

DatasetStatus = Literal["unpacking", "ready", "failed"]


class Dataset(Resource):
    """A data set that specs may name, and how: `spec`. Uploaded ones have a date, an owner, counts and a digest.

    `progress` is of its unpacking; its total is 0 while that is not known. Of an image folder nothing is counted in a
    list, and of CIFAR-10 it is not said whether its files are whole.
    """

    id: str
    object: Literal["dataset"] = "dataset"
    created_at: datetime | None
    owner: str | None
    name: str
    status: DatasetStatus
    status_reason: str | None = None
    status_detail: str | None = None
    progress: Progress | None = None
    spec: DatasetSpec
    classes: int | None = None
    train_images: int | None = None
    test_images: int | None = None
    bytes: int | None = None
    sha256: str | None = None


class DatasetThumbnail(Resource):
    """A small picture of a data set: its class, which image it is of, and where it is."""

    label: str
    image: str
    path: str


class DatasetDetails(Dataset):
    """All that is known of one. `skipped` is what its archive held beside its pictures, and pictures that were damaged.

    `split` says how test images were drawn, if they were; `same_as` names other uploads with the very same pictures.
    """

    finished_at: datetime | None = None
    notes: str = ""
    split: SplitDraw | None = None
    archive_bytes: int | None = None
    archive_sha256: str | None = None
    description: DatasetDescription | None = None
    skipped: tuple[Skipped, ...] = ()
    sizes: PictureSizes | None = None
    thumbnails: tuple[DatasetThumbnail, ...] = ()
    same_as: tuple[str, ...] = ()
