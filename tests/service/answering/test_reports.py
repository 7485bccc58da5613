"""What is put together of many rows in a process of its own: the same, bounded, and over when nobody waits for it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.answering.reports import Reporter
from service.errors import ServiceError
from service.settings import ServiceSettings
from store.database import Database
from store.errors import NotFound
from store.models import Experiment
from tests.e2e.system import await_that

EVERYTHING: list[dict[str, Any]] = [{"format": name} for name in ("json", "html", "md", "csv", "tex")]
EVERYTHING += [{"series": []}, {"series": ["train_accuracy"]}, {"figure": "training"}, {"figure": "gap"}]


@pytest.fixture
def database(settings: ServiceSettings, trained_run: str) -> Iterator[Database]:
    assert trained_run
    database = Database(settings.database_url)
    yield database
    database.close()


@pytest.fixture
def experiment(database: Database) -> str:
    with database.reading() as session:
        return session.scalars(select(Experiment.id)).one()


@asynccontextmanager
async def reporting(database: Database, url: str, **bounds: Any) -> AsyncIterator[Reporter]:
    """One that puts nothing together here."""
    reporter = Reporter(database, url, most_here=0, **bounds)
    try:
        yield reporter
    finally:
        await reporter.close()
    assert reporter.process.pid is None


def test_the_process_writes_what_is_written_here(
    settings: ServiceSettings, database: Database, experiment: str, tmp_path: Path
) -> None:
    """To the byte, one after the other; and it says what is missing, and that a database is away."""

    async def compare() -> None:
        here = Reporter(database, settings.database_url)
        async with reporting(database, settings.database_url) as reporter:
            for wanted in EVERYTHING:
                found = await reporter.write(experiment, wanted)
                assert found is not None
                assert found == await here.write(experiment, wanted), wanted
            pid = reporter.process.pid
            assert await reporter.write(experiment, {"figure": "confusion"}) is None
            for missing in ("exp_0", "no id"):
                # Where nothing is there, few rows are.
                with pytest.raises(NotFound):
                    await reporter._written_aside(missing, {"format": "json"})
            reporter._url = f"sqlite:///{tmp_path / 'nothing.db'}"
            with pytest.raises(ServiceError) as away:
                await reporter.write(experiment, {"format": "json"})
            assert away.value.status == 503
            assert reporter.process.pid == pid
        assert here.process.pid is None

    asyncio.run(compare())


def test_the_process_is_ended_when_nobody_waits_for_it(
    settings: ServiceSettings, database: Database, experiment: str
) -> None:
    """Where its asker leaves and it does not get through soon, and when nothing was asked of it for a while.

    Where it breaks down, its asker is told to come again. Each time it starts anew for whoever comes next.
    """

    async def leave() -> None:
        async with reporting(database, settings.database_url, kept_s=0.01, grace_s=0.01) as reporter:
            for end, becomes in ((signal.SIGSTOP, asyncio.CancelledError), (signal.SIGKILL, ServiceError)):
                asking = asyncio.ensure_future(reporter.write(experiment, {"format": "json"}))
                await asyncio.to_thread(await_that, lambda: reporter.process.pid is not None)
                pid = reporter.process.pid
                assert pid is not None
                os.kill(pid, end)
                if end == signal.SIGSTOP:
                    asking.cancel()
                with pytest.raises(becomes) as told:
                    await asking
                assert getattr(told.value, "status", 503) == 503
                assert reporter.process.pid is None
                with pytest.raises(ProcessLookupError):
                    os.kill(pid, 0)
            assert await reporter.write(experiment, {"format": "csv"})
            # Whoever asks while it is being ended has another.
            reporter._end()
            assert await reporter.write(experiment, {"format": "csv"})
            await asyncio.to_thread(await_that, lambda: reporter.process.pid is None)

    asyncio.run(leave())


def test_what_takes_too_much_is_refused(settings: ServiceSettings, database: Database, experiment: str) -> None:
    """And its process is ended, as the kernel does when it has computed for so long."""

    async def ask() -> None:
        async with reporting(database, settings.database_url, most_seconds=0.001) as reporter:
            with pytest.raises(ServiceError, match="too much for one answer") as refused:
                await reporter.write(experiment, {"format": "html"})
            assert refused.value.status == 422
            assert reporter.process.pid is None

    asyncio.run(ask())
