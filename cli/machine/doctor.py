"""`gauntlet doctor`: whether a Gauntlet of this machine can work, and what to do where it cannot."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import typer
from rich.text import Text

import gauntlet
from cli.json_output import AsJson, print_json
from cli.terminal import FAILED, say
from gauntlet.client import GauntletClient, GauntletClientError
from gauntlet.client.settings import ClientSettings
from gauntlet.resources import Resource, Worker
from gauntlet.settings import SettingsInvalid
from store.settings import StoreSettings
from store.texts import masked

# A training keeps its state beside its checkpoints: below this the next one may not fit.
_LEAST_FREE: Final = 1 << 30
# Leases are measured by the database's clock; this machine's stands in logs and answers.
_MOST_APART_S: Final = 2.0
_BROKER_PATIENCE_S: Final = 2.0


class Finding(Resource):
    """One thing that was looked at; `told` says how it stands, or what to do."""

    name: str
    ok: bool
    told: str


def doctor(*, json: AsJson = False) -> None:
    """Look at settings, database, broker, folders, disk, workers, versions and clock. Exit status 1 if one is not well.

    For the server's machine: it reads the settings there, and looks at what they name.
    """
    found = list(_examined())
    if json:
        print_json(found)
    else:
        width = max(len(finding.name) for finding in found)
        for finding in found:
            word, style = ("ok   ", "green") if finding.ok else ("FAULT", "red")
            say(Text.assemble((word, style), f" {finding.name:{width}}  {finding.told}"))
    if not all(finding.ok for finding in found):
        raise typer.Exit(FAILED)


def _examined() -> Iterator[Finding]:
    # Imported here, as in up: the commands that only talk to a service start without SQLAlchemy and the rest.
    from service.settings import ServiceSettings
    from worker.settings import WorkerSettings

    try:
        settings: StoreSettings = ServiceSettings.from_environment()
        WorkerSettings.from_environment()
        ClientSettings.from_environment()
    except SettingsInvalid as error:
        yield _fault("settings", f"{error} `gauntlet settings` lists all of them.")
        return
    yield _ok("settings", f"All are valid; home is {settings.home}.")
    yield from _stored(settings)
    yield _broker(settings)
    yield from _storage(settings)
    yield _folder("data", settings.data_root, "Image folders would lie there; digits need none.", written=False)
    yield _service()


def _stored(settings: StoreSettings) -> Iterator[Finding]:
    """The database, and what its rows tell: who works, and with which version; its clock."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import select
    from sqlalchemy.exc import SQLAlchemyError

    from store.database import Database, alembic_config, db_now
    from store.queue import workers

    url = masked(settings.database_url)
    if settings.one_machine and not Path(settings.database_url.removeprefix("sqlite:///")).is_file():
        yield _fault("database", f"{url} is not there yet: `gauntlet up` or `gauntlet migrate` makes it.")
        return
    database = Database(settings.database_url)
    try:
        with database.reading_apart() as session:
            has = MigrationContext.configure(session.connection()).get_current_revision()
            wants = ScriptDirectory.from_config(alembic_config(settings.database_url)).get_current_head()
            if has != wants:
                told = (
                    f"{url} has the schema {has or 'of nothing'}, and this code needs {wants}: run `gauntlet migrate`."
                )
                yield _fault("database", told)
                return
            yield _ok("database", f"{url} answers, with the schema of this code.")
            apart = abs((session.scalar(select(db_now())) or 0.0) - time.time())
            found = workers.show(session)
    except SQLAlchemyError as error:
        yield _fault("database", f"{url} does not answer: {masked(str(getattr(error, 'orig', None) or error))}.")
        return
    finally:
        database.close()
    yield from _workers(found)
    if apart > _MOST_APART_S:
        told = f"The database's clock is {apart:.0f} s from this machine's: set both by a time server."
        yield _fault("clock", told)
    else:
        yield _ok("clock", "The database's clock is this machine's.")


def _workers(found: list[Worker]) -> Iterator[Finding]:
    alive = [worker for worker in found if worker.alive]
    if not alive:
        told = "None was seen within 30 s, so jobs wait: `gauntlet up` or `python -m worker` starts one."
        yield _fault("workers", told)
        return
    slots = sum(worker.slots for worker in alive)
    yield _ok("workers", f"{', '.join(worker.name for worker in alive)}: {slots} jobs at once.")
    others = [worker for worker in alive if worker.version != gauntlet.__version__]
    if others:
        named = ", ".join(f"{worker.name} is {worker.version}" for worker in others)
        yield _fault("versions", f"This is {gauntlet.__version__}, and {named}: install one version everywhere.")
    else:
        yield _ok("versions", f"All are {gauntlet.__version__}.")


def _broker(settings: StoreSettings) -> Finding:
    from kombu.exceptions import OperationalError

    from store.queue.broker import create_celery

    url = masked(settings.broker_url)
    app = create_celery(settings.broker_url, socket_timeout_s=_BROKER_PATIENCE_S)
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
    except (OperationalError, OSError) as error:
        told = f"{url} does not answer ({masked(str(error)).rstrip('.')}): start it, or set GAUNTLET_BROKER_URL."
        return _fault("broker", f"{told} Until then jobs start some seconds late.")
    finally:
        app.close()
    return _ok("broker", f"{url} answers.")


def _storage(settings: StoreSettings) -> Iterator[Finding]:
    """Where files lie, and the room on the disk that they, or copies of them, are on."""
    from store.storage import FolderStorage

    storage = settings.storage
    if isinstance(storage, FolderStorage):
        yield _folder("storage", storage.root, "It is made when the first checkpoint is kept.", written=True)
        yield _disk(storage.root)
        return
    try:
        storage.require()
    except OSError as error:
        yield _fault("storage", f"{storage} does not answer, or refuses: {masked(str(error))}.")
    else:
        yield _ok("storage", f"{storage} answers.")
    yield _folder("cache", settings.cache, "It is made when the first file is read.", written=True)
    yield _disk(settings.cache)


def _folder(name: str, folder: Path, absent: str, *, written: bool) -> Finding:
    if not folder.exists():
        above = next(each for each in folder.parents if each.exists())
        if written and not os.access(above, os.W_OK):
            return _fault(
                name, f"{folder} is not there, and cannot be made: make it, or let this user write to {above}."
            )
        return _ok(name, f"{folder} is not there. {absent}")
    if not os.access(folder, os.R_OK | os.X_OK | (os.W_OK if written else 0)):
        doing = "read and write" if written else "read"
        return _fault(name, f"This user cannot {doing} {folder}: change its owner or mode.")
    return _ok(name, f"{folder} can be {'read and written' if written else 'read'}.")


def _disk(storage: Path) -> Finding:
    there = next(each for each in (storage, *storage.parents) if each.exists())
    free = shutil.disk_usage(there).free
    told = f"{free / (1 << 30):.3g} GiB are free at {there}"
    if free < _LEAST_FREE:
        return _fault("disk", f"{told}: make room, or delete what is not needed (`gauntlet delete`).")
    return _ok("disk", f"{told}.")


def _service() -> Finding:
    try:
        with GauntletClient(timeout_s=5) as client:
            if client.ready():
                return _ok("service", f"{client.url} answers, and can serve.")
            return _fault("service", f"{client.url} does not answer, or not well: `gauntlet up` starts one.")
    except GauntletClientError as error:
        return _fault("service", str(error))


def _ok(name: str, told: str) -> Finding:
    return Finding(name=name, ok=True, told=told)


def _fault(name: str, told: str) -> Finding:
    return Finding(name=name, ok=False, told=told)
