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
from service.data import look
from service.settings import ServiceSettings
from store.errors import NotFound

logger = logging.getLogger(__name__)

_PREFIX = "local_"
# A data root holds a few; of another folder that was taken for one not everything is told.
_MOST_FOLDERS = 1_000
# Folders that may not be read, of which the log tells already.
_left_out: set[Path] = set()
_SIDE, _MOST_THUMBNAILS = 96, 100


def is_one(identifier: str) -> bool:
    """Whether the id is of such a data set, if of any."""
    return identifier.startswith(_PREFIX)


def listed(settings: ServiceSettings, *, after: str | None) -> list[Dataset]:
    """All of them, or those that follow one; where that has gone, none."""
    found = [_shown(dataset) for dataset in _all(settings.data_root)]
    if after is None:
        return found
    place = next((number for number, dataset in enumerate(found) if dataset.id == after), len(found))
    return found[place + 1 :]


def details(settings: ServiceSettings, identifier: str) -> DatasetDetails:
    """One of them, its images counted if the API can.

    Raises:
        NotFound: there is none.
        ServiceError: 429, others are being looked at.
    """
    dataset = named(settings, identifier)
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


def named(settings: ServiceSettings, identifier: str) -> AnyDataset:
    """The one with that id.

    Raises:
        NotFound: there is none.
    """
    dataset = next((each for each in _all(settings.data_root) if _id(each) == identifier), None)
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
