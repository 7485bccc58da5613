"""Claiming, fencing and ending jobs, on both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database, db_now
from store.errors import LeaseLost
from store.models import Run
from store.queue import jobs, turns
from store.queue.jobs import Claim, JobProgress
from store.subjects import experiments, runs

EXPIRED = -1.0
LONG = 60.0
AT_ONCE = 1e-9
NEVER = 1e9


@pytest.fixture
def run_id(database: Database, tiny_spec: ExperimentSpec) -> str:
    """A queued run."""
    with database.writing() as session:
        _, (run,) = experiments.create(session, tiny_spec, None)
    return run


def claim(database: Database, run_id: str, lease_s: float = LONG) -> Claim:
    with database.writing() as session:
        held = jobs.claim(session, "run", run_id, "worker", lease_s)
    assert held is not None
    return held


def read(database: Database, run_id: str) -> Run:
    with database.reading() as session:
        return runs.get(session, run_id)


def cancel(database: Database, run_id: str) -> None:
    with database.writing() as session:
        runs.cancel(session, run_id)


def test_of_many_claimers_exactly_one_gets_the_job(database: Database, run_id: str) -> None:
    """Eight threads claim one run at once; one gets attempt 1, the others nothing."""

    def try_to_claim(_: int) -> Claim | None:
        with database.writing() as session:
            return jobs.claim(session, "run", run_id, "worker", LONG)

    with ThreadPoolExecutor(8) as pool:
        claims = [held for held in pool.map(try_to_claim, range(8)) if held is not None]
    assert [held.token for held in claims] == [1]
    assert read(database, run_id).status == "running"


def test_a_heartbeat_notes_the_progress(database: Database, run_id: str) -> None:
    """What the worker tells is what the row shows."""
    held = claim(database, run_id)
    with database.writing() as session:
        assert jobs.renew(session, held, LONG, JobProgress("training", 3, 12, "batches", 4.5)) is None
    run = read(database, run_id)
    assert (run.phase, run.completed, run.total, run.unit, run.eta_s) == ("training", 3, 12, "batches", 4.5)


@pytest.mark.parametrize(("status", "completed"), [("succeeded", 12), ("failed", 3)])
def test_a_job_that_succeeded_is_done(database: Database, run_id: str, status: jobs.EndStatus, completed: int) -> None:
    """Whatever the last heartbeat said, one that succeeded shows all of its progress, and none that ended an ETA."""
    held = claim(database, run_id)
    with database.writing() as session:
        jobs.renew(session, held, LONG, JobProgress("training", 3, 12, "batches", 4.5))
        jobs.finish(session, held, status)
    with database.reading() as session:
        progress = jobs.shown(session.get_one(Run, run_id))["progress"]
    assert (progress.completed, progress.total, progress.eta_s) == (completed, 12, None)


def test_an_expired_lease_puts_the_job_back(database: Database, run_id: str) -> None:
    """The reconciler queues the run of a dead worker and leaves a living one's alone."""
    claim(database, run_id, EXPIRED)
    with database.writing() as session:
        assert jobs.reclaim_expired(session, Run, retry_s=NEVER) == {run_id: "queued"}
    run = read(database, run_id)
    assert (run.status, run.status_reason, run.crashes) == ("queued", "worker_lost", 1)
    claim(database, run_id)
    with database.writing() as session:
        assert jobs.reclaim_expired(session, Run, retry_s=NEVER) == {}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_job_whose_row_is_locked_holds_up_no_other(database: Database, tiny_spec: ExperimentSpec) -> None:
    """A worker stopped in a transaction keeps its own job until that ends; the other lost ones are taken back."""
    with database.writing() as session:
        _, (locked, other) = experiments.create(session, tiny_spec.model_copy(update={"seeds": (0, 1)}), None)
    held = claim(database, locked, EXPIRED)
    claim(database, other, EXPIRED)
    with database.writing() as stopped:
        jobs.hold(stopped, held)
        with database.writing() as session:
            assert jobs.reclaim_expired(session, Run, retry_s=NEVER) == {other: "queued"}
    with database.writing() as session:
        assert jobs.reclaim_expired(session, Run, retry_s=NEVER) == {locked: "queued"}


def test_a_worker_that_lost_its_lease_writes_nothing_more(database: Database, run_id: str) -> None:
    """Every guarded write of the first attempt fails once a second one holds the job, and changes nothing."""
    first = claim(database, run_id, EXPIRED)
    with database.writing() as session:
        jobs.reclaim_expired(session, Run, retry_s=NEVER)
    second = claim(database, run_id)
    assert second.token == first.token + 1
    for write in (
        lambda session: jobs.renew(session, first, LONG, None),
        lambda session: jobs.hold(session, first),
        lambda session: jobs.finish(session, first, "succeeded"),
        lambda session: jobs.release(session, first, "worker_shutdown"),
        lambda session: jobs.give_up(session, first, "storage", "A sentence.", retry_s=NEVER),
        lambda session: jobs.abandon(session, first, "A sentence.", retry_s=NEVER),
    ):
        with pytest.raises(LeaseLost), database.writing() as session:
            write(session)
    assert read(database, run_id).status == "running"
    with database.writing() as session:
        jobs.finish(session, second, "succeeded")


@pytest.mark.parametrize("reason", ["worker_lost", "out_of_memory"])
def test_a_job_that_crashes_three_times_fails(database: Database, run_id: str, reason: str) -> None:
    """Attempts are capped, so a poisonous job does not circle for ever."""
    for status in ("queued", "queued", "failed"):
        crash(database, claim(database, run_id), reason, AT_ONCE)
        run = read(database, run_id)
        assert (run.status, run.status_reason) == (status, reason)
    assert run.finished_at is not None


@pytest.mark.parametrize(("reason", "pauses"), [("worker_lost", (0, 1)), ("storage", (1, 2))])
def test_a_job_that_crashed_waits_before_it_is_tried_again(
    database: Database, run_id: str, reason: str, pauses: tuple[int, int]
) -> None:
    """A lost worker's job is taken up at once, the second time later; a fault that may last is given time to go away.

    Until then nobody may claim it, and afterwards anybody.
    """
    hour = 3600.0
    for pause in pauses:
        crash(database, claim(database, run_id), reason, hour)
        with database.writing() as session:
            run = session.get_one(Run, run_id)
            wait = 0.0 if run.not_before is None else run.not_before - session.scalars(select(db_now())).one()
            assert wait == pytest.approx(pause * hour, abs=60)
            if pause:
                assert turns.whose_turn(session) is None
                assert jobs.claim(session, "run", run_id, "worker", LONG) is None
                run.not_before = EXPIRED
        with database.reading() as session:
            assert turns.whose_turn(session) == ("run", run_id)
    claim(database, run_id)
    assert read(database, run_id).not_before is None


def crash(database: Database, held: Claim, reason: str, retry_s: float) -> None:
    """End an attempt without a word, or with one of a fault that may go away."""
    with database.writing() as session:
        if reason == "worker_lost":
            jobs.abandon(session, held, "A sentence.", retry_s=retry_s)
        else:
            jobs.give_up(session, held, reason, "A sentence.", retry_s=retry_s)


def test_an_orderly_shutdown_is_no_crash(database: Database, run_id: str) -> None:
    """A released job waits again however often that happens."""
    for _ in range(5):
        held = claim(database, run_id)
        with database.writing() as session:
            jobs.release(session, held, "worker_shutdown")
    run = read(database, run_id)
    assert (run.status, run.crashes, run.attempt) == ("queued", 0, 5)


def test_a_waiting_job_is_cancelled_at_once(database: Database, run_id: str) -> None:
    """It cannot be claimed afterwards."""
    cancel(database, run_id)
    assert read(database, run_id).status == "cancelled"
    with database.writing() as session:
        assert jobs.claim(session, "run", run_id, "worker", LONG) is None


def test_a_running_job_hears_of_its_cancel(database: Database, run_id: str) -> None:
    """The next heartbeat says so, and even a success then ends as cancelled by the user."""
    held = claim(database, run_id)
    cancel(database, run_id)
    assert read(database, run_id).status == "running"
    with database.writing() as session:
        assert jobs.renew(session, held, LONG, None) == "cancel"
        assert jobs.finish(session, held, "succeeded") == "cancelled"
    assert read(database, run_id).status_reason == "user"


@pytest.mark.parametrize("ending", ["release", "abandon", "give up", "expire"])
def test_a_cancelled_job_is_not_queued_again(database: Database, run_id: str, ending: str) -> None:
    """A worker that stops or dies after the cancel leaves the job cancelled."""
    held = claim(database, run_id, EXPIRED)
    cancel(database, run_id)
    with database.writing() as session:
        match ending:
            case "release":
                jobs.release(session, held, "worker_shutdown")
            case "abandon":
                jobs.abandon(session, held, "A sentence.", retry_s=NEVER)
            case "give up":
                jobs.give_up(session, held, "storage", "A sentence.", retry_s=NEVER)
            case _:
                jobs.reclaim_expired(session, Run, retry_s=NEVER)
    run = read(database, run_id)
    assert (run.status, run.status_reason) == ("cancelled", "user")


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_a_terminal_status_never_changes(database: Database, run_id: str, status: jobs.EndStatus) -> None:
    """Neither a cancel nor a claim nor the reconciler moves an ended job."""
    held = claim(database, run_id, EXPIRED)
    with database.writing() as session:
        jobs.finish(session, held, status, "reason")
    before = read(database, run_id)
    cancel(database, run_id)
    with database.writing() as session:
        jobs.reclaim_expired(session, Run, retry_s=NEVER)
        assert jobs.claim(session, "run", run_id, "worker", LONG) is None
    after = read(database, run_id)
    assert (after.status, after.status_reason, after.finished_at) == (status, "reason", before.finished_at)


def test_an_attempt_knows_whether_it_holds_its_job(database: Database, run_id: str) -> None:
    """While its lease runs, after it ran out, and once another attempt has it or it ended."""
    first = claim(database, run_id)
    holds: list[jobs.Hold] = []

    def look() -> None:
        with database.reading() as session:
            holds.append(jobs.holds(session, [first])[first])

    look()
    with database.writing() as session:
        jobs.renew(session, first, EXPIRED, None)
    look()
    with database.writing() as session:
        jobs.reclaim_expired(session, Run, retry_s=NEVER)
    look()
    claim(database, run_id)
    look()
    assert holds == ["kept", "expired", "gone", "gone"]


def test_what_became_of_an_attempt_is_said_in_a_sentence(database: Database, run_id: str) -> None:
    """For the log: how it ended and why, or that another one has the job."""
    first = claim(database, run_id)
    with database.writing() as session:
        jobs.give_up(session, first, "storage", "No room on \udcff.", retry_s=AT_ONCE)
        assert jobs.end_of(session, first) == r"the run is queued (storage): No room on \udcff."
    claim(database, run_id)
    with database.reading() as session:
        assert jobs.end_of(session, first) == "attempt 2 has taken the run over."
        assert jobs.end_of(session, Claim("run", "run_that_was_deleted", 1)) == "the run is deleted."


@pytest.mark.parametrize(
    ("detail", "recorded"),
    [
        ("\udcff.png cannot be read.", r"\udcff.png cannot be read."),
        ("A NUL \0.", r"A NUL \x00."),
        ("redis://:secret@queue", "redis://:***@queue"),
        ("x" * 10_000_000, "x" * 1_998 + " …"),
    ],
)
def test_whatever_an_error_says_is_recorded(database: Database, run_id: str, detail: str, recorded: str) -> None:
    """What a database could not hold, or nobody should read, is escaped, masked or cut."""
    held = claim(database, run_id)
    with database.writing() as session:
        jobs.finish(session, held, "failed", "internal_error", detail)
    assert (read(database, run_id).status, read(database, run_id).status_detail) == ("failed", recorded)
