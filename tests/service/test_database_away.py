"""A database that is down, locked or busy: 503 with Retry-After within seconds, and the service lives on."""

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from service.app import create_app
from service.settings import ServiceSettings
from store import events
from store.database import Database, migrate
from tests.e2e.system import await_that
from tests.postgres import create_database, running_postgres


@contextmanager
def service_on(settings: ServiceSettings, database_url: str) -> Iterator[TestClient]:
    app = create_app(settings.model_copy(update={"database_url": database_url}))
    with TestClient(app, raise_server_exceptions=False) as api:
        yield api


def database_of(api: TestClient) -> Database:
    database: Database = cast("FastAPI", api.app).state.database
    return database


def refused(answer: Any) -> bool:
    """Whether the answer says to come again."""
    told = (answer.status_code, answer.headers.get("retry-after"), answer.headers["content-type"])
    return told == (503, "2", "application/problem+json")


def test_a_port_where_nothing_listens(settings: ServiceSettings, tiny_document: dict[str, Any]) -> None:
    """Reading, writing and /readyz are refused at once; the process is healthy."""
    with service_on(settings, "postgresql://gauntlet@127.0.0.1:1/gauntlet") as api:
        assert refused(api.get("/v1/experiments"))
        assert refused(api.post("/v1/experiments", json=tiny_document))
        assert refused(api.get("/readyz"))
        assert api.get("/healthz").status_code == 200


def test_a_server_that_does_not_answer(settings: ServiceSettings) -> None:
    """It takes connections and says nothing: refused after seconds, where libpq would wait on."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://gauntlet@127.0.0.1:{silent.getsockname()[1]}/gauntlet"
        with service_on(settings, url) as api:
            assert refused(api.get("/v1/experiments"))


def test_a_server_that_is_stopped(settings: ServiceSettings, tiny_document: dict[str, Any]) -> None:
    """Under a service that holds connections to it: refused, while the process stays healthy."""
    with ExitStack() as server:
        url = create_database(server.enter_context(running_postgres()), "gauntlet")
        migrate(url)
        with service_on(settings, url) as api:
            assert api.post("/v1/experiments", json=tiny_document).status_code == 202
            server.close()
            assert refused(api.get("/v1/experiments"))
            assert refused(api.post("/v1/experiments", json=tiny_document))
            assert api.get("/healthz").status_code == 200


def test_a_service_that_was_stopped_in_a_transaction(
    settings: ServiceSettings, postgres_server: str, tiny_document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ended it meanwhile: that is refused, nothing of it is kept, and it can be sent again."""
    url = create_database(postgres_server, "stopped", "gauntlet_template")
    with service_on(settings, url) as api, closing(Database(url)) as other:

        def stay(session: Session) -> None:
            here = session.scalar(text("SELECT pg_backend_pid()"))
            gone = text("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = :pid").bindparams(pid=here)

            def is_gone() -> bool:
                with other.reading() as outside:
                    return bool(outside.scalar(gone))

            await_that(is_gone)

        sessions = database_of(api)._write.class_
        event.listen(sessions, "before_commit", stay)
        try:
            with monkeypatch.context() as stopped:
                stopped.setattr(events, "_LET_GO_AFTER_S", 0.01)
                assert refused(api.post("/v1/experiments", json=tiny_document))
        finally:
            event.remove(sessions, "before_commit", stay)
        assert api.get("/v1/experiments").json()["data"] == []
        assert api.post("/v1/experiments", json=tiny_document).status_code == 202


def test_sqlite_that_another_writer_holds(
    settings: ServiceSettings, sqlite_url: str, tiny_document: dict[str, Any]
) -> None:
    """Writing is refused once the wait is over, reading goes on, and so does writing afterwards."""
    with service_on(settings, sqlite_url) as api:
        event.listen(database_of(api)._engine, "connect", _impatient)
        other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert refused(api.post("/v1/experiments", json=tiny_document))
        assert api.get("/v1/experiments").json()["data"] == []
        other.execute("ROLLBACK")
        other.close()
        assert api.post("/v1/experiments", json=tiny_document).status_code == 202


def _impatient(connection: Any, _: object) -> None:
    connection.execute("PRAGMA busy_timeout=100")


def test_a_row_that_another_transaction_holds(
    settings: ServiceSettings, postgres_server: str, tiny_document: dict[str, Any]
) -> None:
    """On PostgreSQL one that waits too long for a lock is refused, and reading goes on."""
    url = create_database(postgres_server, "locked", "gauntlet_template")
    with service_on(settings, f"{url}&options=-c%20lock_timeout%3D100ms") as api:
        experiment = api.post("/v1/experiments", json=tiny_document).json()["id"]
        other = Database(url)
        with other.writing() as session:
            session.execute(text("SELECT * FROM runs FOR UPDATE"))
            assert refused(api.post(f"/v1/experiments/{experiment}/cancel"))
            assert api.get(f"/v1/experiments/{experiment}").json()["status"] == "queued"
        other.close()
        assert api.post(f"/v1/experiments/{experiment}/cancel").json()["status"] == "cancelled"
