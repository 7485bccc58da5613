"""A job's process that hangs is ended by its worker, and the job goes on. Each is stopped for real, by SIGSTOP."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from gauntlet.data.datasets import digest, load_split
from gauntlet.models.checkpoints import encode_weights
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import Digits, ImageFolder
from store import checkpoints, evaluations, experiments, files, helpers, job_logs, jobs, runs
from store.database import Database
from store.evaluations import AttackedSet
from store.models import Evaluation, Run, TakenBatch
from tests.e2e.system import await_that
from tests.evaluations import card, claimed, imported, queued
from tests.gauntlet.examples import network
from worker import processes as module
from worker import settings as settings_module
from worker.processes import JobProcesses
from worker.reconciler import reconcile
from worker.settings import WorkerSettings

pytestmark = pytest.mark.long(seconds=40)

NEVER = 1e9


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> WorkerSettings:
    """A worker with one slot, whose broker is down."""
    return WorkerSettings(
        home=tmp_path,
        database_url=sqlite_url,
        broker_url="redis+socket:///nonexistent/broker.sock",
        device="cpu",
        worker_slots=1,
        fused_runs=3,
        threads=1,
        heartbeat_s=0.1,
        stop_grace_s=0.1,
    )


@pytest.fixture
def database(settings: WorkerSettings) -> Database:
    return Database(settings.database_url)


@pytest.fixture
def processes(settings: WorkerSettings, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobProcesses]:
    """An idle worker's; what is left of its jobs ends with the test."""
    monkeypatch.setattr(module, "_LAST_GRACE_S", 0.1)
    processes = JobProcesses(settings, database)
    processes.prepare()
    yield processes
    processes.shut_down()
    await_that(lambda: not processes._jobs)


@pytest.fixture
def run_id(database: Database, tiny_spec: ExperimentSpec) -> str:
    """A run that does not end by itself."""
    endless = tiny_spec.training.model_copy(update={"epochs": 10_000, "compile": "off"})
    with database.writing() as session:
        (run_id,) = experiments.create(session, tiny_spec.model_copy(update={"training": endless}), None)[1]
    return run_id


def found(database: Database, run_id: str) -> Run:
    with database.reading() as session:
        return runs.get(session, run_id)


def trains(database: Database, run_id: str, attempt: int) -> bool:
    run = found(database, run_id)
    return (run.status, run.attempt, run.phase) == ("running", attempt, "training")


def started(database: Database, processes: JobProcesses, run_id: str) -> int:
    """Start the run; returns its process once it trains."""
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: trains(database, run_id, 1))
    (job,) = processes._jobs
    assert job.process.pid is not None
    return job.process.pid


def hang(database: Database, pid: int) -> None:
    """Stop the process, but not while it writes, which would lock the database for all."""
    with database.writing() as session:
        session.execute(select(Run.id).limit(1))
        os.kill(pid, signal.SIGSTOP)


def expire(database: Database, run_id: str) -> None:
    """Let the lease run out now instead of in a while."""
    with database.writing() as session:
        session.execute(update(Run).where(Run.id == run_id).values(lease_expires_at=0.0))


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


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
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    os.kill(server, signal.SIGSTOP)
    expire(database, run_id)
    processes.end_hung()
    await_that(lambda: processes.free_slots == 1)
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


def test_runs_that_are_trained_together_share_a_process_and_a_slot(
    database: Database, tiny_spec: ExperimentSpec, processes: JobProcesses
) -> None:
    """One that is cancelled leaves; a process that is killed gives all others back; and each has a log of its own."""
    endless = tiny_spec.training.model_copy(update={"epochs": 10_000, "compile": "off"})
    changes = {"training": endless, "seeds": (0, 1, 2)}
    with database.writing() as session:
        ids = experiments.create(session, tiny_spec.model_copy(update=changes), None)[1]
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: all(trains(database, run, 1) for run in ids))
    assert processes.free_slots == 0
    (job,) = processes._jobs
    assert (len(job.claims), job.process.pid is not None) == (3, True)

    with database.writing() as session:
        runs.cancel(session, ids[0])
    await_that(lambda: found(database, ids[0]).status == "cancelled")
    processes.end_hung()
    # And not only measured, as between two epochs.
    await_that(lambda: all(trains(database, run, 1) for run in ids[1:]))

    job.process.kill()
    await_that(lambda: processes.free_slots == 1)
    assert [found(database, run).status for run in ids] == ["cancelled", "queued", "queued"]
    assert found(database, ids[2]).status_detail == "The process of attempt 1 was ended by SIGKILL."
    with database.reading() as session:
        lines = "".join(job_logs.read(session, ids[2], after=0, limit=100))
    assert f"Run {ids[2]} of" in lines
    assert f"Run {ids[1]} of" not in lines
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: all(trains(database, run, 2) for run in ids[1:]))


def test_all_processes_of_a_run_end_with_its_job(database: Database, settings: WorkerSettings, run_id: str) -> None:
    """Those that compute it beside the job's own, when that is killed; the run is claimed again."""
    two = settings.model_copy(update={"fused_runs": 1, "devices_per_run": 2})
    divided = JobProcesses(two, database)
    pid = started(database, divided, run_id)
    children = Path(f"/proc/{pid}/task/{pid}/children")
    beside = [int(child) for child in children.read_text().split()]
    assert beside
    os.kill(pid, signal.SIGKILL)
    await_that(lambda: not any(is_there(child) for child in beside) and divided.free_slots == 1)
    assert found(database, run_id).status == "queued"


@pytest.mark.parametrize(
    ("device", "said", "claimed"), [("cpu", {}, 1), ("cuda", {}, 2), ("cpu", {"fused_runs": 2}, 2)]
)
def test_runs_are_claimed_together_where_the_device_is_a_gpu(
    tmp_path: Path,
    database: Database,
    tiny_spec: ExperimentSpec,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    said: dict[str, Any],
    claimed: int,
) -> None:
    """Where only the driver is there, as with a torch for CPUs or an empty CUDA_VISIBLE_DEVICES, each is alone.

    Unless the setting was given.
    """
    monkeypatch.setattr(settings_module, "_NVIDIA_DRIVER", tmp_path)
    worker = JobProcesses(WorkerSettings(home=tmp_path, **said), database)
    worker._device_type = device
    with database.writing() as session:
        experiments.create(session, tiny_spec.model_copy(update={"seeds": (0, 1)}), None)
    assert len(worker._claim()) == claimed


def test_a_fork_server_that_hangs_is_ended(database: Database, processes: JobProcesses, run_id: str) -> None:
    """The job that waits for its process goes back to the queue, and a new fork server starts it."""
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    os.kill(server, signal.SIGSTOP)
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: found(database, run_id).status == "running")
    expire(database, run_id)

    def look_again() -> bool:
        processes.end_hung()
        return processes.free_slots == 1

    await_that(look_again)
    assert (found(database, run_id).status, found(database, run_id).crashes) == ("queued", 1)
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: trains(database, run_id, 2))


@pytest.fixture
def helped(database: Database, settings: WorkerSettings) -> str:
    """An evaluation that another worker holds and is slow about."""
    content = encode_weights(network().state_dict(), card("untrained"))
    file = files.write(settings.storage, "untrained.safetensors", content)
    checkpoint = imported(database, "untrained", sha256=file.sha256, path=file.path)
    endless = {"kind": "pgd", "eps": "8/255", "steps": 1_000}
    held = claimed(database, queued(database, checkpoint, endless, samples=360, batch_size=1))
    test, classes = load_split(Digits(), "test", Path("unused"))
    with database.writing() as session:
        evaluations.note_start(session, held, AttackedSet(digest(test, classes), 360), helpers.implementation("cpu"))
        session.execute(update(Evaluation).values(eta_s=NEVER))
    return held.id


def batches_of(database: Database, evaluation: str) -> int:
    with database.reading() as session:
        return len(evaluations.batches(session, evaluation))


def helpers_of(database: Database, evaluation: str) -> int:
    with database.reading() as session:
        return helpers.count(session, [evaluation])[evaluation]


def test_an_idle_worker_helps_until_a_job_waits(
    database: Database, processes: JobProcesses, helped: str, tiny_spec: ExperimentSpec
) -> None:
    """It computes batches of another's evaluation; the run that comes by the broker has the slot at once, alone."""
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: batches_of(database, helped) > 0)
    assert (helpers_of(database, helped), processes.free_slots) == (1, 0)
    # Nothing waits, so nothing is disturbed.
    processes.make_room()
    assert helpers_of(database, helped) == 1

    nowhere = tiny_spec.model_copy(update={"dataset": ImageFolder(folder="nowhere", image_size=16)})
    with database.writing() as session:
        (run_id,) = experiments.create(session, nowhere, None)[1]
    processes.run()
    run = found(database, run_id)
    assert (run.status, run.status_reason, run.crashes) == ("failed", "dataset_unavailable", 0)
    assert helpers_of(database, helped) == 0


def test_room_is_made_of_no_helper_that_is_only_starting(
    database: Database, processes: JobProcesses, helped: str, tiny_spec: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is not there to be ended, and all that the fork server has made stay; once it is, the job starts."""
    monkeypatch.setattr(module, "_LOOK_EVERY_S", 0.1)
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    os.kill(server, signal.SIGSTOP)
    processes.help()
    await_that(lambda: len(processes._jobs) == 1)
    (helper,) = processes._jobs
    nowhere = tiny_spec.model_copy(update={"dataset": ImageFolder(folder="nowhere", image_size=16)})
    with database.writing() as session:
        (run_id,) = experiments.create(session, nowhere, None)[1]
    processes.make_room()
    assert helper.process.pid is None
    with ThreadPoolExecutor(1) as broker:
        ran = broker.submit(processes.run)
        os.kill(server, signal.SIGCONT)
        ran.result()
    assert found(database, run_id).status == "failed"
    assert helper.killed_at is not None
    assert helpers_of(database, helped) == 0
    assert forkserver._forkserver._forkserver_pid == server  # type: ignore[attr-defined]
    assert is_there(server)


def test_a_helper_that_is_killed_leaves_nothing_behind(
    database: Database, processes: JobProcesses, helped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had taken is free at once, and this worker does not try that evaluation again for a while."""
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: batches_of(database, helped) > 0)
    (job,) = processes._jobs
    assert job.process.pid is not None
    os.kill(job.process.pid, signal.SIGKILL)
    await_that(lambda: processes.free_slots == 1)
    with database.reading() as session:
        assert session.scalars(select(TakenBatch.batch)).all() == []
    assert helpers_of(database, helped) == 0
    processes.help()
    await_that(lambda: processes.free_slots == 1)
    assert helpers_of(database, helped) == 0

    monkeypatch.setattr(processes._unhelped, "_clock", lambda: NEVER)

    def helps() -> bool:
        # And again: the attempt before may not have let go of its slot yet.
        processes.help()
        return helpers_of(database, helped) == 1

    await_that(helps)


def test_a_worker_that_is_told_not_to_helps_nobody(database: Database, settings: WorkerSettings, helped: str) -> None:
    """With GAUNTLET_HELPS off a free slot stays free."""
    idle = JobProcesses(settings.model_copy(update={"helps": "off"}), database)
    idle.help()
    assert helpers_of(database, helped) == 0
