"""Making a backup of a system that runs: nobody waits for it, and all of it is of one moment."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select
from sqlalchemy.orm import Session

import gauntlet
from store.backups import rows
from store.backups.archive import FORMAT, Manifest, Writer
from store.backups.pinned import files_below, pin, pins
from store.database import Database, alembic_config, db_now
from store.errors import BackupRefused
from store.models import Checkpoint, Dataset, PictureFile, Run

# A state may be replaced by the next between the look at the rows and the link. That one comes after seconds.
_TRIES = 10


@dataclass(frozen=True)
class Taken:
    """A backup that was made; `faults` are sentences about files that its rows name and that are not what they say."""

    manifest: Manifest
    faults: tuple[str, ...]


def take(database_url: str, storage: Path, key_file: Path, target: Path) -> Taken:
    """Write the archive `target` of a database at this code's schema, its files and its key.

    Raises:
        BackupRefused: there is such a file, or the database has another schema.
        OSError: the storage cannot be read, or the archive not be written.
    """
    if target.exists():
        raise BackupRefused(f"{target} is there already; give another name, or delete it.")
    database = Database(database_url, bounded=False)
    try:
        with pins(storage) as folder, Writer(target) as writer:
            with database.reading() as session:
                revision, created_at = _require_newest(session, database_url), session.scalar(select(db_now())) or 0.0
            look = _look(database, storage, folder, writer)
            # These nobody replaces.
            pictures = [path for name in look.datasets for path in files_below(storage, f"{name}/content")]
            missing = look.missing + pin(storage, folder, pictures)
            faults = [f"The file {path} is missing, though a row names it." for path in missing]
            faults += list(_add_files(writer, folder, [*look.digests, *pictures], look.digests))
            if key_file.is_file():
                with key_file.open("rb") as key:
                    writer.add("secret.key", key)
            manifest = writer.finish(
                lambda entries: Manifest(
                    format=FORMAT,
                    gauntlet=gauntlet.__version__,
                    revision=revision,
                    created_at=created_at,
                    rows=look.counts,
                    entries=entries,
                )
            )
    finally:
        database.close()
    return Taken(manifest, tuple(faults))


def _require_newest(session: Session, database_url: str) -> str:
    has = MigrationContext.configure(session.connection()).get_current_revision()
    wants = ScriptDirectory.from_config(alembic_config(database_url)).get_current_head()
    if has is None or has != wants:
        raise BackupRefused(
            f"The database has the schema {has or 'of nothing'}, and this code needs {wants}: run `gauntlet migrate`, "
            "or the `gauntlet backup` of the version that the system runs."
        )
    return has


@dataclass(frozen=True)
class _Look:
    """What the rows of one moment say: files by their digests, those of them that are not there, ready data sets."""

    digests: dict[str, str | None]
    missing: list[str]
    datasets: list[str]
    counts: dict[str, int]


def _look(database: Database, storage: Path, folder: Path, writer: Writer) -> _Look:
    """Add the rows of a moment at which every file that they name could be pinned, or else of the last one tried."""
    tries = 1
    while True:
        with database.reading() as session:
            digests, datasets = _named_files(session), _ready_datasets(session)
            missing = pin(storage, folder, digests)
            if not missing or tries == _TRIES:
                return _Look(digests, missing, datasets, _dump(session, writer))
        tries += 1


def _named_files(session: Session) -> dict[str, str | None]:
    """The files that rows name, with their digests where they are known; those first that are soon replaced."""
    states = select(Run.resume_path, Run.resume_sha256).where(Run.resume_path.is_not(None))
    waiting = select(Dataset.id, Dataset.archive_sha256).where(
        Dataset.status == "unpacking", Dataset.deleted_at.is_(None)
    )
    weights = select(Checkpoint.path, Checkpoint.sha256)
    pictures = select(PictureFile.path, PictureFile.sha256)
    return {
        **{path: sha256 for path, sha256 in session.execute(states) if path is not None},
        **{f"{identifier}/archive": sha256 for identifier, sha256 in session.execute(waiting)},
        **{row.path: row.sha256 for row in session.execute(weights)},
        **{row.path: row.sha256 for row in session.execute(pictures)},
    }


def _ready_datasets(session: Session) -> list[str]:
    ready = select(Dataset.id).where(Dataset.status == "ready", Dataset.deleted_at.is_(None)).order_by(Dataset.id)
    return list(session.scalars(ready))


def _dump(session: Session, writer: Writer) -> dict[str, int]:
    counts = {}
    for table in rows.tables():
        with tempfile.TemporaryFile(dir=writer.folder) as file:
            counts[table.name] = rows.dump(session, table, file)
            writer.add(f"database/{table.name}.jsonl", file)
    return counts


def _add_files(writer: Writer, folder: Path, paths: list[str], digests: dict[str, str | None]) -> Iterator[str]:
    """Add the files that were pinned; a sentence for each that is not what its row says."""
    for path in paths:
        kept = folder / path
        if not kept.exists():
            continue
        with kept.open("rb") as file:
            entry = writer.add(f"files/{path}", file)
        if digests.get(path) not in (None, entry.sha256):
            yield f"The file {path} is damaged: it is not what its row says."
        # As long as it is touched, no sweeper takes it for abandoned.
        os.utime(folder)
