"""`gauntlet backup` and `gauntlet restore`: on the server's machine, by its database and its storage."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.json_output import AsJson, print_plain
from cli.machine.faults import faults_told
from cli.terminal import FAILED, errors, give_up, inaccessible, say
from gauntlet.settings import SettingsInvalid

if TYPE_CHECKING:
    from service.settings import ServiceSettings
    from store.backups.archive import Manifest

_Archive = Annotated[Path, typer.Argument(metavar="FILE", help="The archive, such as gauntlet-2026-11-27.tar.")]


def backup(file: _Archive, *, json: AsJson = False) -> None:
    """Write rows, files and the key that tokens are hashed with into one archive, while the system goes on.

    For the server's machine: it reads what the settings there name. Exit status 1 if a file that a row names is
    missing or damaged; the archive has all others then.
    """
    # Imported here, as in up: the commands that only talk to a service start without SQLAlchemy and the rest.
    from store.backups.taking import take
    from store.errors import StoreError

    settings = _settings()
    with faults_told(settings.database_url):
        try:
            taken = take(settings.database_url, _folder(settings), settings.secret_key_file, file)
        except (StoreError, OSError) as error:
            give_up(f"No backup was made. {_told(error)}")
    _tell("backed up", taken.manifest, file, faults=taken.faults, as_json=json)
    if taken.faults:
        raise typer.Exit(FAILED)


def restore(
    file: _Archive,
    *,
    check: Annotated[bool, typer.Option("--check", help="Only look whether the archive is whole.")] = False,
    json: AsJson = False,
) -> None:
    """Put a backup into an empty home, with every digest checked before anything is there.

    For the server's machine, where nothing runs yet: it writes to what the settings there name, SQLite or PostgreSQL.
    Jobs that ran when the backup was made wait in the queue and go on.
    """
    from store.backups import restoring
    from store.errors import StoreError

    settings = _settings()
    with faults_told(settings.database_url):
        try:
            if check:
                manifest = restoring.check(file)
            else:
                manifest = restoring.restore(file, settings.database_url, _folder(settings), settings.secret_key_file)
        except (StoreError, OSError) as error:
            give_up(_told(error) if check else f"Nothing was restored. {_told(error)}")
    _tell("whole" if check else "restored", manifest, file, faults=(), as_json=json)


def _told(error: Exception) -> str:
    return inaccessible(error) if isinstance(error, OSError) else str(error)


def _settings() -> "ServiceSettings":
    from service.settings import ServiceSettings

    try:
        return ServiceSettings.from_environment()
    except SettingsInvalid as error:
        give_up(str(error))


def _folder(settings: "ServiceSettings") -> Path:
    """Where the files lie.

    Raises:
        BackupRefused: it is a bucket.
    """
    from store.errors import BackupRefused
    from store.storage import FolderStorage

    if isinstance(settings.storage, FolderStorage):
        return settings.storage.root
    raise BackupRefused(
        f"Files lie in {settings.storage}, and a second copy of them is the object store's business. Workers delete "
        "files that rows named a moment ago. So before the database is taken by its own means (pg_dump) either have "
        "the store keep versions of objects, deleted ones too, until they are copied; or stop the workers until both "
        "the database and the bucket are copied."
    )


def _tell(how: str, manifest: "Manifest", file: Path, *, faults: tuple[str, ...], as_json: bool) -> None:
    files = [entry.bytes for name, entry in manifest.entries.items() if name.startswith("files/")]
    rows = sum(manifest.rows.values())
    if as_json:
        told: dict[str, Any] = {
            "archive": str(file),
            "gauntlet": manifest.gauntlet,
            "created_at": manifest.created_at,
            "rows": rows,
            "files": len(files),
            "bytes": sum(files),
            "faults": list(faults),
        }
        print_plain(told)
        return
    say(f"{file} is {how}: {rows:,} rows and {len(files):,} files of {sum(files) / 1e6:,.1f} MB.")
    for fault in faults:
        say(fault, errors, "red")
