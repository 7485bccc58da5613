"""The list of what happened: complete, in order, and written with what it tells of."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Signal

import pytest
from sqlalchemy import event, select, text, update

from gauntlet.resources import EventType
from gauntlet.spec.experiment import ExperimentSpec
from store import events
from store.accounts import audit
from store.database import Database, do_last
from store.events import News
from store.models import Event, Run
from store.queue import controls, jobs
from store.subjects import evaluations, experiments, runs
from tests.evaluations import batch, finished, imported, queued
from tests.postgres import await_lock
from tests.store.recorded import record, submit, train_and_evaluate

DAY_S = 86_400


def news(subject: str, type: EventType = "note") -> News:
    return News(type, "said", subject, "Something.")


def told(database: Database, **which: str) -> list[tuple[str, str]]:
    with database.reading() as session:
        return [(row.subject, row.kind) for row in events.page(session, after=None, limit=100, **which).rows]


def ids(database: Database, after: int | None = None) -> list[int]:
    with database.reading() as session:
        return [row.id for row in events.page(session, after=after, limit=1_000).rows]


on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@on_postgresql
def test_an_id_is_never_seen_before_a_smaller_one(database: Database) -> None:
    """A transaction whose event has its id is not overtaken: another's gets its id only after that commit."""
    numbered, go_on = Signal(), Signal()

    def slow() -> None:
        with database.writing() as session:
            events.tell(session, news("slow"))
            do_last(session, lambda _: numbered.set() or go_on.wait(90) or None)

    def quick() -> None:
        numbered.wait(90)
        with database.writing() as session:
            events.tell(session, news("quick"))

    with ThreadPoolExecutor(2) as pool:
        ends = pool.submit(slow), pool.submit(quick)
        numbered.wait(90)
        await_lock(database)
        assert told(database) == []
        go_on.set()
        for end in ends:
            end.result()
    assert told(database) == [("slow", "said"), ("quick", "said")]


def test_a_reader_who_follows_misses_nothing(database: Database) -> None:
    """Six writers at once, a third of whose transactions fail; each of the others' events is read exactly once."""

    def write(writer: int) -> None:
        for number in range(9):
            try:
                with database.writing() as session:
                    events.tell(session, news(f"{writer}-{number}"), news(f"{writer}-{number}-too"))
                    if number % 3 == 0:
                        do_last(session, lambda _: 1 / 0 and None)
            except ZeroDivisionError:
                pass

    seen: list[int] = []
    with ThreadPoolExecutor(6) as pool:
        ends = [pool.submit(write, writer) for writer in range(6)]
        while not all(end.done() for end in ends):
            seen += ids(database, after=seen[-1] if seen else None)
        for end in ends:
            end.result()
    seen += ids(database, after=seen[-1])
    assert seen == ids(database)
    assert len(seen) == 6 * 6 * 2


@on_postgresql
def test_to_tell_early_holds_up_nobody(database: Database) -> None:
    """Between an event and its transaction's end others tell and commit; two that tell and then lock cannot meet."""
    with database.writing() as first:
        events.tell(first, news("first"))
        with database.writing() as second:
            events.tell(second, news("second"))
    assert told(database) == [("second", "said"), ("first", "said")]


@on_postgresql
def test_a_priority_and_a_claim_do_not_wait_crosswise(database: Database, tiny_spec: ExperimentSpec) -> None:
    """The claim changes its experiment's status last; who changes the priority has that row after the jobs' too."""
    with database.writing() as session:
        experiment, (run,) = experiments.create(session, tiny_spec, None)
    claimed, go_on = Signal(), Signal()

    def claim() -> None:
        with database.writing() as session:
            assert jobs.claim(session, "run", run, "worker", 60) is not None
            claimed.set()
            go_on.wait(90)

    def prioritise() -> None:
        claimed.wait(90)
        with database.writing() as session:
            experiments.prioritise(session, experiment.id, "high")

    with ThreadPoolExecutor(2) as pool:
        ends = pool.submit(claim), pool.submit(prioritise)
        claimed.wait(90)
        await_lock(database)
        go_on.set()
        for end in ends:
            end.result()
    with database.reading() as session:
        shown = experiments.get(session, experiment.id)
        assert (shown.status, shown.priority, runs.get(session, run).priority) == ("running", 0, 0)


def test_who_tells_nothing_waits_for_nobody(database: Database) -> None:
    """Nor is anybody told that something came: no job was there whose status could change."""
    asked: list[str] = []
    with database.writing() as session:
        session.connection()
        event.listen(session.get_bind(), "before_cursor_execute", lambda *told: asked.append(told[2]))
        ended = update(Run).where(Run.status == "running").values(status="failed")
        assert jobs.change(session, Run, ended) == []
    assert [statement.partition(" ")[0] for statement in asked] == ["UPDATE"]


def test_what_is_rolled_back_is_not_told(database: Database, tiny_spec: ExperimentSpec) -> None:
    """An event is there exactly if what it tells of is."""

    def write() -> None:
        with database.writing() as session:
            experiments.create(session, tiny_spec, None)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert told(database) == []


def test_every_change_of_status_is_told(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Of a run, of the evaluation that follows it, and of their experiment, as each transaction leaves them."""
    experiment, held = train_and_evaluate(database, tiny_spec)
    with database.reading() as session:
        run = session.scalar(select(Run.id))
    with database.writing() as session:
        attacked = batch("fgsm@8/255", 0, range(8), range(8))
        evaluations.record_batch(session, held, attacked, seconds=1.0, tell_progress=True)
    with database.writing() as session:
        jobs.release(session, held, "worker_shutdown")
        controls.cancel(session, held.model, held.model.id == held.id)
    assert [each for each in told(database, experiment=experiment) if each[1] not in ("note", "epoch")] == [
        (run, "queued"),
        (run, "running"),
        (experiment, "running"),
        (run, "succeeded"),
        (held.id, "queued"),
        (held.id, "running"),
        (held.id, "progress"),
        (held.id, "queued"),
        (held.id, "cancelled"),
        (experiment, "cancelled"),
    ]
    with database.reading() as session:
        (progress,) = events.page(session, types=("progress",), after=None, limit=2).rows
        last = events.page(session, subject=held.id, types=("status",), after=None, limit=9).rows[-1]
    (attack,) = progress.data["attacks"]
    assert (attack["label"], attack["completed"], attack["total"]) == ("fgsm@8/255", 8, 16)
    assert (last.message, last.data) == ("The evaluation is cancelled (user).", {"reason": "user", "run": run})


@pytest.mark.parametrize("how", ["lost", "gave up", "failed"])
def test_faults_are_told_with_their_reason(database: Database, tiny_spec: ExperimentSpec, how: str) -> None:
    """What a reconciler takes back, what an attempt puts back, and what ends."""
    _, held = submit(database, tiny_spec)
    with database.writing() as session:
        match how:
            case "lost":
                session.execute(update(Run).values(lease_expires_at=0.0))
                jobs.reclaim_expired(session, Run, retry_s=1.0)
            case "gave up":
                jobs.give_up(session, held, "storage", "No answer.", retry_s=1.0)
            case _:
                jobs.finish(session, held, "failed", "diverged", "The loss was nan.")
    with database.reading() as session:
        *_, last = events.page(session, subject=held.id, after=None, limit=9).rows
    assert (last.kind, last.data["reason"], last.message) == {
        "lost": ("queued", "worker_lost", f"The run is queued (worker_lost): {jobs._RAN_OUT}"),
        "gave up": ("queued", "storage", "The run is queued (storage): No answer."),
        "failed": ("failed", "diverged", "The run is failed (diverged): The loss was nan."),
    }[how]


@on_postgresql
def test_of_runs_that_end_at_once_the_last_ends_the_experiment(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Neither transaction sees the other's run ended when it writes; the one that commits last tells."""
    with database.writing() as session:
        experiment, names = experiments.create(session, tiny_spec.model_copy(update={"seeds": (0, 1)}), None)
    with database.writing() as session:
        held = [jobs.claim(session, "run", name, "worker", 60) for name in names]
    assert held[0] is not None
    assert held[1] is not None
    with database.writing() as first:
        jobs.finish(first, held[0], "failed")
        with database.writing() as second:
            jobs.finish(second, held[1], "failed")
    assert told(database, subject=experiment.id)[-2:] == [(experiment.id, "running"), (experiment.id, "failed")]


def test_a_rewound_run_tells_its_epochs_again(database: Database, tiny_spec: ExperimentSpec) -> None:
    """What it will do again is forgotten, so that a list has each epoch once, and comes under new ids."""
    _, held = submit(database, tiny_spec)
    for epoch in (1, 2, 2):
        with database.writing() as session:
            runs.rewind(session, held, to_epoch=epoch - 1)
            runs.record_epoch(session, held, record(tiny_spec, epoch, keep=False))
    with database.reading() as session:
        rows = events.page(session, subject=held.id, types=("epoch",), after=None, limit=9).rows
    assert [row.epoch for row in rows] == [1, 2]
    assert rows[1].id - rows[0].id > 2


def test_old_events_are_forgotten_but_for_notes(database: Database) -> None:
    """What other rows say goes after its days; a run's notes stay, and so does what is younger."""
    kinds: Sequence[EventType] = ("status", "epoch", "progress", "note", "alarm")
    with database.writing() as session:
        events.tell(session, *(news(f"old {kind}", kind) for kind in kinds))
    with database.writing() as session:
        session.execute(update(Event).values(created_at=Event.created_at - 3 * DAY_S))
        events.tell(session, *(news(f"young {kind}", kind) for kind in kinds))
    assert events.forget_old(database, older_than_days=2) == 3
    left = [subject for subject, _ in told(database)]
    assert left == ["old note", "old alarm", *(f"young {kind}" for kind in kinds)]


def test_the_last_progress_of_an_evaluation_comes_before_its_end(database: Database) -> None:
    """Whoever follows it stops at the end."""
    identifier = queued(database, imported(database, "theirs"))
    finished(database, identifier, natural=4, robust=2)
    assert [kind for _, kind in told(database, subject=identifier)] == ["queued", "running", "progress", "succeeded"]


@on_postgresql
@pytest.mark.parametrize("forget", [events.forget_old, audit.forget_old], ids=["events", "audit"])
def test_what_is_old_is_found_by_an_index(database: Database, forget: Callable[..., int]) -> None:
    """And not by a look at all rows, at every sweep of every worker."""
    asked: list[tuple[str, dict[str, object]]] = []
    event.listen(database._engine, "before_cursor_execute", lambda *told: asked.append((told[2], told[3])))
    forget(database, older_than_days=30)
    ((statement, parameters),) = [told for told in asked if told[0].startswith("DELETE")]
    with database.writing() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = session.connection().exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
    assert any("Index Cond: (created_at < " in line for line in plan), plan
