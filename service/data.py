"""What the API sees of the data that a request is about: files listed and not read, where they are on this machine."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.requests import Cards
from gauntlet.data.survey import survey
from gauntlet.spec.kinds import SPLITS, DatasetSpec, ImageFolder, Split
from service.errors import ServiceError
from service.settings import ServiceSettings

# Measured: 60,000 files take 0.26 s of a core. A larger folder is left to the worker.
_MOST_ENTRIES = 500_000
# A file system that does not answer may hold so many of the server's threads and no more.
_MOST_AT_ONCE = 4

_looking = threading.BoundedSemaphore(_MOST_AT_ONCE)


def look(
    settings: ServiceSettings, dataset: DatasetSpec, splits: Sequence[Split] = SPLITS
) -> DatasetDescription | None:
    """What lies there of a data set, None where the API cannot see it; the worker looks again.

    Raises:
        ServiceError: 429, others are being looked at.
    """
    if not isinstance(dataset, ImageFolder):
        return survey(dataset, settings.data_root, splits)
    with _one_of_few():
        return survey(dataset, settings.data_root, splits, most_entries=_MOST_ENTRIES)


def look_at_tests(settings: ServiceSettings, cards: Cards) -> Mapping[str, DatasetDescription]:
    """What lies there of the test images of each checkpoint, as far as the API can see it.

    Raises:
        ServiceError: 429, others are being looked at.
    """
    found: dict[DatasetSpec, DatasetDescription | None] = {}
    for card in cards.values():
        if card is not None and card.dataset not in found:
            found[card.dataset] = look(settings, card.dataset, ("test",))
    seen = {identifier: found[card.dataset] for identifier, card in cards.items() if card is not None}
    return {identifier: each for identifier, each in seen.items() if each is not None}


@contextmanager
def _one_of_few() -> Iterator[None]:
    if not _looking.acquire(blocking=False):
        detail = "Other folders of images are being looked at; try again in a second."
        raise ServiceError(429, "busy", detail, headers={"Retry-After": "1"})
    try:
        yield
    finally:
        _looking.release()
