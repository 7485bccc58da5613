"""What the API sees of the data that a request is about: files listed and not read, where they are on this machine."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial

from sqlalchemy.orm import Session

from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.machine import UNKNOWN, Machine, this_machine
from gauntlet.checks.requests import Cards
from gauntlet.data.survey import survey
from gauntlet.spec.kinds import SPLITS, DatasetSpec, Digits, ImageFolder, Parquet, Split, Uploaded
from service.answering.disks import Bounded
from service.settings import ServiceSettings
from service.transport.admission import Gate
from store.queue import workers

logger = logging.getLogger(__name__)

# Measured: 60,000 files take 0.26 s of a core. A larger folder is left to the worker.
_MOST_ENTRIES = 500_000
# At most four of the server's threads wait for a file system, five seconds each: as long as a busy one may take.
_LOOKING = Gate(4, "Other folders of images are being looked at; try again in a second.", retry_after_s=1)
_LOOKS = Bounded("look at a data set", most=8, patience_s=5.0)


def look(
    settings: ServiceSettings, dataset: DatasetSpec, splits: Sequence[Split] = SPLITS
) -> DatasetDescription | None:
    """What lies there of a data set, None where the API cannot see it, or not soon; the worker looks again.

    Of an uploaded one its row tells, which whoever makes something of it looks at (`store.subjects.datasets.seen`).

    Raises:
        ServiceError: 429, others are being looked at.
    """
    if isinstance(dataset, Uploaded):
        return None
    see = partial(survey, dataset, settings.data_root, splits, most_entries=_MOST_ENTRIES)
    if isinstance(dataset, Digits):
        # They lie beside the library.
        return see()
    # A published set is a file or two, and takes no time.
    with _LOOKING.admit() if isinstance(dataset, ImageFolder | Parquet) else nullcontext():
        try:
            return _LOOKS(see)
        except OSError as error:
            # It does not answer, or has given up on its disk.
            logger.warning("The data root cannot be read here, so a worker is the first to look there: %s", error)
            return None


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


def machine_of_workers(session: Session, settings: ServiceSettings) -> Machine:
    """What jobs will be computed on, where it is known to be this machine, and what workers say that they have."""
    return (this_machine() if settings.one_machine else UNKNOWN)._replace(networks=workers.networks(session))
