"""The data sets that need no upload: the bundled digits, and what lies in the data root as far as the API sees it.

They have ids too, made from their names, so that one list can hold them all.
"""

import hashlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from gauntlet.checks.description import DatasetDescription
from gauntlet.data.sets.cifar10_c import FOLDER
from gauntlet.data.sets.folders import folders_in, not_to_be_read
from gauntlet.data.sets.parquet import is_parquet
from gauntlet.data.sets.published import TORCHVISION, published
from gauntlet.resources import Dataset, DatasetDetails, DatasetThumbnail
from gauntlet.spec.kinds import (
    AnyDataset,
    Cifar10,
    Cifar100,
    Digits,
    FashionMnist,
    ImageFolder,
    Kmnist,
    Mnist,
    OwnPictures,
    Parquet,
    Svhn,
    dataset_title,
)
from gauntlet.spec.reading.texts import FOLDER_NAME
from service.answering.disks import Patient
from service.data import look
from service.errors import ServiceError
from service.settings import ServiceSettings
from store.errors import NotFound

logger = logging.getLogger(__name__)

_PREFIX = "local_"
# A data root holds a few; of another folder that was taken for one not everything is told.
_MOST_FOLDERS = 1_000
# To see what lies there: a thousand folders of a network's disk that is busy, and not one that hangs.
_PATIENCE_S = 5.0
# Folders that may not be read, of which the log tells already.
_left_out: set[Path] = set()
_SIDE, _MOST_THUMBNAILS = 96, 100


def is_one(identifier: str) -> bool:
    """Whether the id is of such a data set, if of any."""
    return identifier.startswith(_PREFIX)


Lying = Patient[list[AnyDataset]]


def lying_in(data_root: Path) -> Lying:
    """What looks for them."""
    return Patient(lambda: list(_all(data_root)), "look at the data root", patience_s=_PATIENCE_S)


def listed(lying: Lying, *, after: str | None) -> list[Dataset]:
    """All of them, or those that follow one; where that has gone, none.

    Of a data root that hangs there is none, as of a folder that may not be read.
    """
    there = lying()
    if there is None:
        logger.warning("The data root does not answer: no data set is made of what lies there.")
    found = [_shown(dataset) for dataset in there or [Digits()]]
    if after is None:
        return found
    place = next((number for number, dataset in enumerate(found) if dataset.id == after), len(found))
    return found[place + 1 :]


def details(settings: ServiceSettings, lying: Lying, identifier: str) -> DatasetDetails:
    """One of them, its images counted if the API can.

    Raises:
        NotFound: there is none.
        ServiceError: 429, others are being looked at; 503, the data root hangs.
    """
    dataset = named(lying, identifier)
    seen = look(settings, dataset)
    shown = dict(_shown(dataset))
    if seen is not None:
        train, test = seen.train, seen.test
        shown |= {
            "classes": None if train is None else len(train.classes),
            "train_images": None if train is None else train.images,
            "test_images": None if test is None else test.images,
            "thumbnails": _thumbnails(identifier, seen),
        }
        if seen.faults:
            shown |= {
                "status": "failed",
                "status_reason": "dataset_unavailable",
                "status_detail": " ".join(seen.faults),
            }
    return DatasetDetails(**shown, description=seen)


def named(lying: Lying, identifier: str) -> AnyDataset:
    """The one with that id.

    Raises:
        NotFound: there is none.
        ServiceError: 503, the data root hangs.
    """
    if identifier == _id(Digits()):
        return Digits()
    there = lying()
    if there is None:
        detail = "The folder of the data sets does not answer now; try again later."
        raise ServiceError(503, "busy", detail, headers={"Retry-After": "5"})
    dataset = next((each for each in there if _id(each) == identifier), None)
    if dataset is None:
        raise NotFound("data set", identifier)
    return dataset


def at_thumbnail_size(dataset: AnyDataset) -> AnyDataset:
    """The same, pictures of one's own as large as small pictures are."""
    return dataset.model_copy(update={"image_size": _SIDE}) if isinstance(dataset, OwnPictures) else dataset


def _thumbnails(identifier: str, seen: DatasetDescription) -> tuple[DatasetThumbnail, ...]:
    """One of each class: the first of its test images."""
    names = () if seen.test is None or seen.faults else seen.test.names[:_MOST_THUMBNAILS]
    return tuple(
        DatasetThumbnail(
            label=name, image="the first test image", path=f"/v1/datasets/{identifier}/thumbnails/{at}.png"
        )
        for at, name in enumerate(names)
    )


def _all(data_root: Path) -> Iterator[AnyDataset]:
    yield Digits()
    if not _is_open(data_root, str(data_root)):
        return
    for dataset in (Cifar10(), Cifar100(), Svhn(), Mnist(), FashionMnist(), Kmnist()):
        if published(dataset).is_there(data_root):
            yield dataset
    for name in [name for name in folders_in(data_root) or () if re.match(FOLDER_NAME, name)][:_MOST_FOLDERS]:
        # One that is not this service's to read is no fault of those beside it.
        if _is_open(data_root / name, name) and name not in (TORCHVISION, FOLDER):
            yield Parquet(folder=name) if is_parquet(data_root / name) else ImageFolder(folder=name)


def _is_open(folder: Path, name: str) -> bool:
    """Whether it may be read; if not, that is logged, and again only after it could be: the page asks for it often."""
    unread = not_to_be_read(folder, name)
    if unread is None:
        _left_out.discard(folder)
    elif folder not in _left_out:
        _left_out.add(folder)
        logger.warning("No data set is made of it: %s", unread)
    return unread is None


def _id(dataset: AnyDataset) -> str:
    return _PREFIX + hashlib.sha256(dataset_title(dataset).encode()).hexdigest()[:20]


def _shown(dataset: AnyDataset) -> Dataset:
    name = dataset.folder if isinstance(dataset, ImageFolder | Parquet) else dataset.name
    return Dataset(id=_id(dataset), created_at=None, owner=None, name=name, status="ready", spec=dataset)
