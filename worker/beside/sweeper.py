"""Deletes files that no row needs, and old events and entries of the audit list. Every worker does it, harmlessly."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from gauntlet.data.decoded.decoded_cache import DecodedCache
from store import dataset_files, events, failpoints, files, pictures, webhooks
from store.accounts import audit
from store.backups import pinned
from store.database import Database
from store.queue import helpers
from store.storage import FolderStorage, Storage
from store.subjects import checkpoints, datasets, deletions, retention, runs

logger = logging.getLogger(__name__)

_S_PER_DAY = 86_400.0
# No file takes so long to be copied into a backup.
_BACKUP_GRACE_S = _S_PER_DAY


class _Later:
    """Rows that cannot be written are left to the next sweep; why, and which, is said once for all of them."""

    def __init__(self) -> None:
        self._left: dict[str, list[str]] = {}

    @contextmanager
    def unless_forgotten(self, what: str) -> Iterator[None]:
        """Try to forget it in the block."""
        try:
            yield
        except OperationalError as error:
            # The driver's words alone: statements differ.
            self._left.setdefault(str(error.orig).strip(), []).append(what)

    def tell(self) -> None:
        """Say what was left."""
        for why, what in self._left.items():
            logger.warning("Not forgotten yet, as rows cannot be written (%s): %s.", why, "; ".join(what))


def sweep(
    database: Database,
    storage: Storage,
    *,
    events_days: int,
    audit_days: int,
    retry_days: int,
    decoded: DecodedCache | None = None,
) -> None:
    """Delete the training states of runs that ended, what attempts left, imports that came to nothing, and what is old.

    What this database never knew is left alone, so that another one on the same storage loses nothing. Of `decoded`
    pictures what was left half done goes, and what is beyond their bound.

    Rows come first: a storage that is away for long keeps none that are old. Pictures on a disk that is full or failing
    keep no files elsewhere, nor do rows that cannot be written: it may be their disk that is full of such files.

    Raises:
        OSError: the storage does not answer, or refuses.
        OperationalError: the database cannot even be read.
    """
    # So a database that is wholly away is told once, and not for each kind of row.
    with database.reading() as session:
        session.execute(select(1))
    later = _Later()
    try:
        _sweep_rows(database, later, events_days=events_days, audit_days=audit_days, retry_days=retry_days)
        _sweep_files(database, storage, later, decoded)
    finally:
        later.tell()


def _sweep_files(database: Database, storage: Storage, later: _Later, decoded: DecodedCache | None) -> None:
    try:
        if decoded is not None:
            decoded.sweep()
    except OSError as error:
        logger.warning("Decoded pictures cannot be swept: %s", error)
    if isinstance(storage, FolderStorage):
        pinned.forget_abandoned(storage, _BACKUP_GRACE_S)
    _delete_discarded(database, storage, later)
    unsettled = files.unsettled(storage, "ckpt", files.GRACE_S)
    with database.reading() as session:
        ended, recorded = runs.ended(session), checkpoints.paths(session) | runs.state_paths(session)
        imported = checkpoints.existing(session, unsettled)
    files.sweep_ended(storage, "run", ended, recorded)
    _sweep_pictures(database, storage)
    _sweep_datasets(database, storage, later)
    for identifier in unsettled:
        if identifier in imported:
            files.settle(storage, identifier)
        else:
            logger.warning("The import %s was never recorded; its file is deleted.", identifier)
            try:
                files.delete_unsettled(storage, identifier)
            except OSError as error:
                logger.warning("The files of %s cannot be deleted yet: %s", identifier, error)


def _sweep_rows(database: Database, later: _Later, *, events_days: int, audit_days: int, retry_days: int) -> None:
    """Forget the states of runs that ended, what is not kept, what whole files have replaced, and what is old."""
    with later.unless_forgotten("states of runs that ended"), database.writing() as session:
        runs.forget_states_of_ended(session, older_than_s=retry_days * _S_PER_DAY)
    with later.unless_forgotten("helpers of evaluations that ended"), database.writing() as session:
        helpers.forget_ended(session)
    with later.unless_forgotten("checkpoints that are not kept"):
        _prune(database)
    with later.unless_forgotten("parts of pictures"), database.writing() as session:
        pictures.forget_parts_of_ended(session)
    with later.unless_forgotten("old deliveries to webhooks"), database.writing() as session:
        webhooks.forget_old(session, older_than_days=events_days)
    with later.unless_forgotten("old events"):
        if count := events.forget_old(database, older_than_days=events_days):
            logger.info("%d events older than %d days are forgotten.", count, events_days)
    with later.unless_forgotten("old entries of the audit list"):
        if count := audit.forget_old(database, older_than_days=audit_days):
            logger.info("%d entries of the audit list older than %d days are forgotten.", count, audit_days)


def _sweep_pictures(database: Database, storage: Storage) -> None:
    """Delete what evaluations that ended left of their pictures, but for whole files."""
    known = files.jobs_with_files(storage, "eval")
    with database.reading() as session:
        ended, recorded = pictures.ended(session, known), pictures.paths(session)
    files.sweep_ended(storage, "eval", ended, recorded)


def _sweep_datasets(database: Database, storage: Storage, later: _Later) -> None:
    """Delete the files of deleted data sets, then their rows; what unpacking left; uploads that were never whole."""
    storage.forget_drafts(files.GRACE_S)
    with database.reading() as session:
        deleted = datasets.deleted(session)
    for identifier in deleted:
        if _delete_dataset(storage, identifier):
            with later.unless_forgotten(f"the deleted data set {identifier}"):
                _forget_dataset(database, identifier)
    begun, unsettled = list(dataset_files.begun(storage)), files.unsettled(storage, "dset", files.GRACE_S)
    with database.reading() as session:
        statuses = datasets.statuses(session, begun)
    for identifier in begun:
        if identifier in statuses:
            files.settle(storage, identifier)
            if statuses[identifier] == "ready":
                dataset_files.tidy(storage, identifier)
            elif statuses[identifier] == "failed":
                # A bucket may hold what was sent before it failed.
                _delete_dataset(storage, identifier)
        elif identifier in unsettled:
            logger.warning("The upload %s was never recorded; its files are deleted.", identifier)
            _delete_dataset(storage, identifier)


def _forget_dataset(database: Database, identifier: str) -> None:
    with database.writing() as session:
        forgotten = datasets.forget(session, identifier, arriving_s=files.GRACE_S)
    if forgotten:
        logger.info("The files of the deleted data set %s are gone.", identifier)


def _delete_dataset(storage: Storage, identifier: str) -> bool:
    """Delete its files; False if the next sweep has to try again."""
    try:
        dataset_files.delete(storage, identifier)
    except OSError as error:
        logger.warning("The files of the data set %s cannot be deleted yet: %s", identifier, error)
        return False
    return True


def _prune(database: Database) -> None:
    """Delete the rows of checkpoints that are not kept; their files are then what no row names."""
    with database.reading() as session:
        ended = retention.due(session)
    for identifier in ended:
        with database.writing() as session:
            count = retention.prune(session, identifier)
        if count:
            logger.info("%d checkpoints that experiment %s does not keep are deleted.", count, identifier)


def _delete_discarded(database: Database, storage: Storage, later: _Later) -> None:
    with database.reading() as session:
        folders = deletions.discarded(session)
    for name in folders:
        try:
            storage.delete_folder(name)
        except OSError as error:
            logger.warning("The folder %s, whose rows are deleted, cannot be deleted yet: %s", name, error)
            continue
        failpoints.reach("folder_deleted")
        with later.unless_forgotten(f"the deleted folder {name}"), database.writing() as session:
            deletions.forget_discarded(session, name)
