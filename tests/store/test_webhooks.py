"""Webhooks that are changed while a worker looks for what to tell them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.orm import Session

from store import webhooks
from store.database import Database
from tests.postgres import await_lock
from tests.worker.beside.test_webhooks import alarm, deliveries, hooked


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("order", ["deleted first", "told first"])
def test_one_that_is_deleted_as_events_are_gathered_leaves_nothing(database: Database, order: str) -> None:
    """Who comes second waits, and then finds no webhook to make deliveries for, or those that were made for it."""
    identifier, _ = hooked(database, "http://127.0.0.1:1/")
    alarm(database)

    def remove(session: Session) -> None:
        webhooks.remove(session, webhooks.get(session, identifier))
        session.flush()

    first, second = (remove, webhooks.gather) if order == "deleted first" else (webhooks.gather, remove)

    def also() -> None:
        with database.writing() as session:
            second(session)

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            first(session)
            late = pool.submit(also)
            await_lock(database)
        late.result()
    assert deliveries(database) == []
