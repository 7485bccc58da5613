"""Putting a backup into an empty home, whole or not at all; jobs that ran when it was made wait in the queue."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.util import CommandError
from sqlalchemy import Table, update

from store.backups import rows
from store.backups.archive import MANIFEST, Entry, Manifest, copy, read_manifest, reading, require_whole
from store.database import Database, engine_for_migrations, migrate, migrate_to
from store.errors import ArchiveUnusable, BackupRefused
from store.models import Dataset
from store.queue import jobs

_ASIDE = "restoring"


def check(archive: Path) -> Manifest:
    """Read an archive and hold every entry against its digest; nothing is written.

    Raises:
        ArchiveUnusable: with what is wrong.
        OSError: it cannot be read.
    """
    return _unpack(archive, None)


def restore(archive: Path, database_url: str, storage: Path, key_file: Path) -> Manifest:
    """Put all that the archive holds where these say; the schema is this code's then.

    Raises:
        BackupRefused: there is something already.
        ArchiveUnusable: the archive is damaged; nothing of it is left.
        OSError: the archive cannot be read, or there is no room; nothing of it is left.
    """
    _require_empty(database_url, storage, key_file)
    with _aside(storage) as aside:
        manifest = _unpack(archive, aside)
        try:
            migrate_to(database_url, manifest.revision)
        except CommandError as error:
            raise ArchiveUnusable(
                f"The archive is of Gauntlet {manifest.gauntlet}, whose schema {manifest.revision} this version does "
                "not know: restore it with that version, or a later one."
            ) from error
        try:
            _load(aside, manifest, database_url, storage, key_file)
        except BaseException:
            _move_out(aside, storage, key_file)
            raise
    migrate(database_url)
    _put_back(database_url)
    return manifest


def _require_empty(database_url: str, storage: Path, key_file: Path) -> None:
    if storage.exists() and (left := sorted(path.name for path in storage.iterdir())):
        raise BackupRefused(
            f"The storage {storage} is not empty: it has {left[0]}. A backup is restored into an empty home only."
        )
    if key_file.exists():
        raise BackupRefused(f"There is a secret key, {key_file}. A backup is restored into an empty home only.")
    engine = engine_for_migrations(database_url)
    try:
        with engine.begin() as connection:
            if rows.any_rows(connection):
                raise BackupRefused("The database is not empty. A backup is restored into an empty home only.")
    finally:
        engine.dispose()


@contextmanager
def _aside(storage: Path) -> Iterator[Path]:
    """A folder in the storage, whose files are renamed where they belong: it may be a disk of its own."""
    aside = storage / _ASIDE
    storage.mkdir(parents=True, exist_ok=True)
    # Nobody else reads the key in it.
    aside.mkdir(mode=0o700)
    try:
        yield aside
    finally:
        shutil.rmtree(aside)


def _unpack(archive: Path, folder: Path | None) -> Manifest:
    """Write the entries below `folder`, or only look at them; all is as the manifest says."""
    found: dict[str, Entry] = {}
    manifest: Manifest | None = None
    with reading(archive) as entries:
        for name, source in entries:
            if name == MANIFEST:
                manifest = read_manifest(source)
                continue
            target = Path("/dev/null") if folder is None else folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                found[name] = copy(source, file)
    return require_whole(manifest, found)


def _load(aside: Path, manifest: Manifest, database_url: str, storage: Path, key_file: Path) -> None:
    """Insert all rows in one transaction; the files are in their places before it is committed."""
    engine = engine_for_migrations(database_url)
    try:
        with engine.begin() as connection:
            there = rows.reflected(connection)
            for name in _in_order(there):
                if name in manifest.rows:
                    with (aside / "database" / f"{name}.jsonl").open("rb") as lines:
                        rows.load(connection, there[name], lines)
            _move_in(aside, storage, key_file)
    finally:
        engine.dispose()


def _in_order(there: dict[str, Table]) -> list[str]:
    """Tables after those that their rows refer to."""
    metadata = next(iter(there.values())).metadata
    return [table.name for table in metadata.sorted_tables]


def _move_in(aside: Path, storage: Path, key_file: Path) -> None:
    key, files = aside / "secret.key", aside / "files"
    if key.exists():
        key_file.parent.mkdir(parents=True, exist_ok=True)
        # For its owner alone.
        key.chmod(0o600)
        shutil.copy(key, key_file)
    for entry in sorted(files.iterdir()) if files.exists() else ():
        entry.rename(storage / entry.name)
    # File by file it would take milliseconds each.
    os.sync()


def _move_out(aside: Path, storage: Path, key_file: Path) -> None:
    """Leave the home as it was found: with nothing in it."""
    key_file.unlink(missing_ok=True)
    for entry in storage.iterdir():
        if entry != aside:
            entry.rename(aside / entry.name)


def _put_back(database_url: str) -> None:
    """Queue what ran when the backup was made, without a crash to its name: its worker did not die of it."""
    database = Database(database_url)
    try:
        with database.writing() as session:
            for model in jobs.JOB_MODELS.values():
                jobs.requeue_running(session, model, "restored")
            unpacked = update(Dataset).where(Dataset.status == "unpacking")
            session.execute(unpacked.values(worker=None, lease_expires_at=None))
    finally:
        database.close()
