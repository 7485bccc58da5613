"""A database that is away while an archive is unpacked costs neither the work nor one of its three attempts."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store.database import Database
from store.queue import unpacking
from store.subjects import datasets
from tests.e2e.system import await_that
from tests.postgres import reopen, seal
from tests.uploads import packed, receive
from worker.beside.unpacker import Unpacker
from worker.settings import WorkerSettings


class Unlucky(Unpacker):
    """Its database goes away, by `begin`, before it asks its process, or before it writes down what came of that."""

    begin: Callable[[], None]
    while_recording: bool

    def _ask(self, held: unpacking.Unpacking, archive: Path) -> dict[str, Any]:
        if not self.while_recording:
            self.begin()
        return super()._ask(held, archive)

    def _record(self, held: unpacking.Unpacking, answer: dict[str, Any], publish: Callable[[], None]) -> dict[str, Any]:
        if self.while_recording:
            self.begin()
        return super()._record(held, answer, publish)


@pytest.mark.parametrize("while_recording", [False, True])
def test_an_unpacking_outlives_an_outage_of_the_database(
    postgres_server: str,
    postgresql_url: str,
    settings: WorkerSettings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    while_recording: bool,
) -> None:
    """It waits, goes on, and is recorded by the attempt that made it."""
    database, name = Database(postgresql_url), postgresql_url.partition("?")[0].rpartition("/")[2]
    identifier = receive(database, settings.storage, packed(tmp_path))

    def end() -> None:
        await_that(lambda: "The database is away, trying again" in caplog.text)
        reopen(postgres_server, name)

    ending = threading.Thread(target=end)

    def begin() -> None:
        seal(postgres_server, name)
        ending.start()

    unpacker = Unlucky(database, settings)
    unpacker.begin, unpacker.while_recording = begin, while_recording
    unpacker.look()
    ending.join()
    with database.reading() as session:
        row = datasets.get(session, identifier)
        assert (row.status, row.attempt, row.crashes) == ("ready", 1, 0)
    database.close()


def test_a_heartbeat_that_the_database_does_not_take_ends_no_unpacking(
    postgres_server: str,
    postgresql_url: str,
    settings: WorkerSettings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody else can take the archive meanwhile; whoever did so afterwards is found out by the next one."""
    database, name = Database(postgresql_url), postgresql_url.partition("?")[0].rpartition("/")[2]
    receive(database, settings.storage, packed(tmp_path))
    with database.writing() as session:
        held = unpacking.claim_next(session, "here", 15)
    assert held is not None
    unpacker = Unpacker(database, settings)
    seal(postgres_server, name)
    unpacker._renew(held, ("unpacking", 1, 2))
    assert f"The database did not take a heartbeat of {held.id}" in caplog.text
    reopen(postgres_server, name)
    unpacker._renew(held, ("unpacking", 2, 2))
    with database.reading() as session:
        assert datasets.get(session, held.id).completed == 2
    database.close()
