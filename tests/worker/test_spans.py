"""Spans come from jobs' processes to their worker, and no process waits for it."""

import threading
from dataclasses import replace

import pytest

from store.database import Database
from store.queue.jobs import Claim
from store.traces.spans import Span
from tests.e2e.system import await_that
from worker.settings import WorkerSettings
from worker.spans import Spans, teller

A_SPAN = Span("epochs", "00-a-b-01", "00-a-c-01", 1.25, 2.5, {"gauntlet.first": 1, "gauntlet.busy_s": 0.5}, "storage")


@pytest.fixture
def database(settings: WorkerSettings) -> Database:
    return Database(settings.database_url)


def test_what_is_told_is_handed_on_before_the_end(database: Database) -> None:
    """As it was, in its order; what is no span is left out, and what cannot be written."""
    told: list[Span] = []
    spans = Spans(database, told.append)
    assert spans.theirs is not None
    theirs = spans.theirs.dup()
    tell = teller(theirs)
    theirs.send(b"")
    tell(A_SPAN)
    await_that(lambda: told == [A_SPAN])
    theirs.send(b"no span")
    for moment in (-1.0, float("nan"), 1e300):
        tell(replace(A_SPAN, ended=moment))
    tell(replace(A_SPAN, attributes={"gauntlet.count": object()}))  # type: ignore[dict-item]  # what none has
    tell(A_SPAN)
    theirs.close()
    spans.close()
    assert told == [A_SPAN, A_SPAN]


def test_a_worker_that_does_not_listen_holds_no_job_up(database: Database) -> None:
    """What the system does not keep is dropped."""
    listens, told = threading.Event(), []

    def hear(span: Span) -> None:
        listens.wait()
        told.append(span)

    spans = Spans(database, hear)
    assert spans.theirs is not None
    theirs = spans.theirs.dup()
    tell = teller(theirs)
    for _ in range(5_000):
        tell(A_SPAN)
    listens.set()
    theirs.close()
    spans.close()
    assert 1 <= len(told) < 5_000


def test_that_nothing_can_be_told_of_a_lost_attempt_raises_nothing(settings: WorkerSettings) -> None:
    """Other jobs are still to be given back by whoever asks; here the database has no tables."""
    away = settings.home / "empty.db"
    spans = Spans(Database(f"sqlite:///{away}"), [].append)
    spans.tell_of_lost([Claim("run", "run_1", 1, None, A_SPAN.parent)])
    spans.close()


def test_without_traces_a_process_is_given_nothing(database: Database) -> None:
    """And its end is as before."""
    spans = Spans(database, None)
    spans.tell_of_lost([])
    spans.close()
    assert spans.theirs is None
