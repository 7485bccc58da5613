"""Who works and what that takes, on both databases."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from gauntlet.spec.experiment import ExperimentSpec
from store.accounts import usage
from store.accounts.quotas import Quotas
from store.database import Database, db_now
from store.models import EvaluationHelper, Worker
from store.queue import jobs, workers
from store.queue.workers import Presence
from store.storage import FolderStorage
from store.subjects import experiments
from tests.evaluations import claimed, imported, queued
from tests.store.recorded import submit, train_and_evaluate

ONE = Presence("host:1", 2, "0.1")


def shown(database: Database) -> list[object]:
    with database.reading() as session:
        return [(row.name, row.alive, row.device, [job.kind for job in row.jobs]) for row in workers.show(session)]


def beat(database: Database, worker: Presence) -> None:
    with database.writing() as session:
        workers.beat(session, worker)


def age(database: Database, name: str, seconds: float) -> None:
    with database.writing() as session:
        session.execute(update(Worker).where(Worker.name == name).values(seen_at=db_now() - seconds))


def test_a_worker_lives_as_long_as_it_says_so(database: Database) -> None:
    """It is dead half a minute after its last word, alive with the next, and gone when it stops."""
    with database.writing() as session:
        workers.enter(session, ONE)
    assert shown(database) == [("host:1", True, None, [])]
    age(database, "host:1", 40)
    assert shown(database) == [("host:1", False, None, [])]
    beat(database, ONE)
    assert shown(database) == [("host:1", True, None, [])]
    with database.writing() as session:
        workers.leave(session, "host:1")
    assert shown(database) == []


def test_the_networks_of_a_team_are_those_of_workers_that_live(database: Database) -> None:
    """Where none lives it is not known which there are; one that has none says so."""
    with database.writing() as session:
        assert workers.networks(session) is None
        workers.enter(session, ONE)
        assert workers.networks(session) == frozenset()
        workers.enter(session, Presence("host:2", 1, "0.1", {"mine": "team-nets 1.2"}))
        assert workers.networks(session) == {"mine"}
        assert [worker.networks for worker in workers.show(session)] == [{}, {"mine": "team-nets 1.2"}]
    age(database, "host:2", 40)
    with database.reading() as session:
        assert workers.networks(session) == frozenset()


def test_who_was_not_seen_for_a_day_is_forgotten(database: Database) -> None:
    """When another one comes; and comes back as a new one with its next word."""
    beat(database, ONE)
    age(database, "host:1", 90_000)
    with database.writing() as session:
        workers.enter(session, Presence("host:2", 1, "0.1"))
    assert [name for name, *_ in shown(database)] == ["host:2"]
    beat(database, ONE)
    assert [name for name, *_ in shown(database)] == ["host:1", "host:2"]


def test_a_worker_shows_its_jobs_and_their_device(database: Database, tiny_spec: ExperimentSpec) -> None:
    """As long as it holds them; the device stays."""
    _, held = submit(database, tiny_spec)
    holder = Presence("worker", 1, "0.1")
    beat(database, holder)
    with database.writing() as session:
        jobs.note_device(session, held, "a GPU")
    beat(database, holder)
    assert shown(database) == [("worker", True, "a GPU", ["run"])]
    with database.writing() as session:
        jobs.finish(session, held, "failed", "internal_error")
    beat(database, holder)
    assert shown(database) == [("worker", True, "a GPU", [])]


def test_a_worker_shows_what_it_helps_with(database: Database) -> None:
    """An entry for each slot, as long as its lease runs; the evaluation is another worker's job."""
    held = claimed(database, queued(database, imported(database, "model"), samples=40))
    for worker in (ONE, Presence("worker", 1, "0.1")):
        beat(database, worker)
    with database.writing() as session:
        for number, until in enumerate((60, 60, -1)):
            row = {"id": f"help_{number}", "evaluation_id": held.id, "worker": ONE.name}
            session.add(EvaluationHelper(**row, lease_expires_at=db_now() + until))
    with database.reading() as session:
        helping, holding = workers.show(session)
    assert (helping.name, [helped.id for helped in helping.helps], helping.jobs) == (ONE.name, [held.id] * 2, ())
    assert ([job.id for job in holding.jobs], holding.helps) == ([held.id], ())


def test_usage_counts_what_there_is(
    database: Database, tiny_spec: ExperimentSpec, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Jobs by status, the queue with its age, each owner's part and the quotas; the disk, where there is one."""
    quotas = Quotas(jobs=5, bytes=0, uploads_a_day=7)
    home = tmp_path_factory.getbasetemp()
    with database.reading() as session:
        empty = usage.show(session, quotas, FolderStorage(home / "not" / "there").room())
    assert (empty.runs, empty.queue.waiting, empty.queue.oldest_at, empty.owners, empty.disk) == ({}, 0, None, (), None)
    train_and_evaluate(database, tiny_spec)
    for _ in range(2):
        with database.writing() as session:
            experiments.create(session, tiny_spec, None, owner="ada")
    with database.reading() as session:
        told = usage.show(session, quotas, FolderStorage(home).room())
    assert (told.runs, told.evaluations) == ({"succeeded": 1, "queued": 2}, {"running": 1})
    assert told.queue.waiting == 2
    assert told.queue.oldest_at is not None
    assert told.queue.oldest_at <= datetime.now(UTC)
    assert [(each.owner, each.jobs, each.bytes) for each in told.owners] == [("ada", 2, 0), (None, 1, 20)]
    assert (told.quotas.jobs, told.quotas.uploads_a_day) == (5, 7)
    assert told.disk is not None
    assert 0 < told.disk.free_bytes <= told.disk.total_bytes
