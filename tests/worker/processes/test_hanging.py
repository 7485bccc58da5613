"""A job's process that hangs is ended by its worker, and the job goes on. Each is stopped for real, by SIGSTOP."""

import os
import signal
from multiprocessing import forkserver

import pytest

from store.database import Database
from store.models import Run
from store.queue import jobs
from store.subjects import checkpoints, runs
from tests.e2e.system import await_that
from tests.worker.processes.attempts import NEVER, expire, found, hang, is_there, started, trains
from worker import processes as module
from worker.beside.reconciler import reconcile
from worker.preparation import DeviceUnusable
from worker.processes import JobProcesses

pytestmark = [pytest.mark.long(seconds=20), pytest.mark.thorough]


def test_a_process_that_hangs_is_ended_once_its_lease_ran_out(
    database: Database, processes: JobProcesses, run_id: str
) -> None:
    """Not before. Then its slot is free, no zombie is left, and the worker goes on with the job itself."""
    pid = started(database, processes, run_id)
    hang(database, pid)
    processes.end_hung()
    assert is_there(pid)
    assert processes.free_slots == 0

    expire(database, run_id)
    processes.end_hung()
    await_that(lambda: not is_there(pid) and processes.free_slots == 1)
    run = found(database, run_id)
    assert (run.status, run.status_reason, run.crashes) == ("queued", "worker_lost", 1)
    assert run.status_detail == "The process of attempt 1 was ended by SIGKILL."
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: trains(database, run_id, 2))


def test_nobody_is_taken_for_hung_or_dead_while_leases_say_nothing(
    database: Database, processes: JobProcesses, run_id: str
) -> None:
    """As where the database was away until just now: the process goes on as before, and has its job."""
    pid = started(database, processes, run_id)
    hang(database, pid)
    expire(database, run_id)
    reconcile(database, processes, retry_s=NEVER, may_judge=lambda _: False)
    assert is_there(pid)
    assert (found(database, run_id).status, found(database, run_id).attempt) == ("running", 1)
    os.kill(pid, signal.SIGCONT)
    before = found(database, run_id).completed
    await_that(lambda: found(database, run_id).completed != before)
    reconcile(database, processes, retry_s=NEVER)
    assert (found(database, run_id).status, found(database, run_id).attempt) == ("running", 1)


def test_a_process_that_hangs_is_ended_when_another_worker_was_quicker(
    database: Database, processes: JobProcesses, run_id: str
) -> None:
    """The job is another's by then, which is not disturbed; the process gets the grace it has for its own end."""
    pid = started(database, processes, run_id)
    hang(database, pid)
    expire(database, run_id)
    with database.writing() as session:
        jobs.reclaim_expired(session, Run, retry_s=NEVER)
        assert jobs.claim(session, "run", run_id, "another", NEVER) is not None
    processes.end_hung()
    assert is_there(pid)

    def look_again() -> bool:
        processes.end_hung()
        return not is_there(pid) and processes.free_slots == 1

    await_that(look_again)
    run = found(database, run_id)
    assert (run.status, run.attempt, run.worker) == ("running", 2, "another")


def test_a_process_that_the_kernel_keeps_holds_no_slot(
    database: Database, processes: JobProcesses, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended, and yet never seen to end, as one deep in a driver: the worker takes other work, and its job goes on."""
    monkeypatch.setattr(module, "_DIES_WITHIN_S", 0.1)
    monkeypatch.setattr(module, "_LOOK_EVERY_S", 0.1)
    started(database, processes, run_id)
    # Whoever is to tell of its end does not.
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # as the worker looks
    os.kill(server, signal.SIGSTOP)

    def is_given_up() -> bool:
        # The process goes on until it is ended, and its pulse may come between these two.
        expire(database, run_id)
        processes.end_hung()
        return processes.free_slots == 1

    await_that(is_given_up)
    run = found(database, run_id)
    assert (run.status, run.crashes) == ("queued", 1)
    assert run.status_detail is not None
    assert "the kernel does not let go of it" in run.status_detail
    os.kill(server, signal.SIGCONT)
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: trains(database, run_id, 2))


def test_a_process_revived_after_its_lease_writes_nothing(
    database: Database, processes: JobProcesses, run_id: str
) -> None:
    """The run is another's by then: no row of it changes, and the process ends by itself."""
    pid = started(database, processes, run_id)
    await_that(lambda: found(database, run_id).resume_path is not None)
    hang(database, pid)
    expire(database, run_id)
    with database.writing() as session:
        jobs.reclaim_expired(session, Run, retry_s=NEVER)
        assert jobs.claim(session, "run", run_id, "another", NEVER) is not None

    def rows() -> list[object]:
        with database.reading() as session:
            run = runs.get(session, run_id)
            metrics = runs.metrics_page(session, run_id, after=None, limit=1_000).rows
            kept = checkpoints.page(session, run=run_id, after=None, limit=1_000).rows
            return [run.attempt, run.completed, run.resume_path, run.lease_expires_at, len(metrics), len(kept)]

    before = rows()
    os.kill(pid, signal.SIGCONT)
    await_that(lambda: not is_there(pid) and processes.free_slots == 1)
    assert rows() == before


def test_a_cancelled_process_that_hangs_is_ended(database: Database, processes: JobProcesses, run_id: str) -> None:
    """It cannot hear of the cancel; the run is cancelled all the same."""
    pid = started(database, processes, run_id)
    hang(database, pid)
    with database.writing() as session:
        runs.cancel(session, run_id)
    expire(database, run_id)
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: not is_there(pid))
    assert found(database, run_id).status == "cancelled"


def test_a_process_that_hangs_does_not_keep_its_worker_from_stopping(
    database: Database, processes: JobProcesses, run_id: str
) -> None:
    """It is ended after its grace, and its run waits for the next worker without a crash to its name."""
    pid = started(database, processes, run_id)
    hang(database, pid)
    processes.shut_down()
    await_that(lambda: not is_there(pid) and not processes._jobs)
    run = found(database, run_id)
    assert (run.status, run.status_reason, run.crashes) == ("queued", "worker_shutdown", 0)


def test_a_fork_server_that_hangs_is_ended(database: Database, processes: JobProcesses, run_id: str) -> None:
    """The job that waits for its process goes back, no crash of its own, and a new fork server starts it."""
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # as the worker looks
    os.kill(server, signal.SIGSTOP)
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: found(database, run_id).status == "running")
    expire(database, run_id)

    def look_again() -> bool:
        processes.end_hung()
        return processes.free_slots == 1

    await_that(look_again)
    assert (found(database, run_id).status, found(database, run_id).crashes) == ("queued", 0)
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: trains(database, run_id, 2))


def test_a_fork_server_that_died_is_there_again_before_anything_is_claimed(processes: JobProcesses) -> None:
    """With torch, which takes seconds: else the next job's lease would run meanwhile, and on a busy machine run out.

    And with the device: while that is of no use every look says so, not the first alone.
    """
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # as the worker looks
    processes.preparation.make()
    assert forkserver._forkserver._forkserver_pid == server  # type: ignore[attr-defined]  # as the worker looks
    os.kill(server, signal.SIGKILL)
    os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)
    usable = processes.preparation._settings
    processes.preparation._settings = usable.model_copy(update={"device": "cuda:99"})
    for _ in range(2):
        with pytest.raises(DeviceUnusable):
            processes.preparation.make()
    processes.preparation._settings = usable
    processes.preparation.make()
    assert forkserver._forkserver._forkserver_pid != server  # type: ignore[attr-defined]  # as the worker looks
