"""Slots with nothing to do help with an evaluation that another worker holds, until a job waits."""

import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import forkserver
from pathlib import Path

import pytest
from sqlalchemy import select, update

from gauntlet.data.datasets import digest, load_split
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import Digits, ImageFolder
from store.database import Database
from store.models import Evaluation, TakenBatch
from store.queue import helpers
from store.subjects import evaluations, experiments
from store.subjects.evaluations import AttackedSet
from tests.e2e.system import await_that
from tests.evaluations import claimed, queued, untrained
from tests.worker.processes.attempts import NEVER, found, is_there
from worker import processes as module
from worker.beside.reconciler import reconcile
from worker.processes import JobProcesses
from worker.settings import WorkerSettings
from worker.unhelped import NOTHING_LEFT

pytestmark = [pytest.mark.long(seconds=15), pytest.mark.thorough]


@pytest.fixture
def helped(database: Database, settings: WorkerSettings) -> str:
    """An evaluation that another worker holds and is slow about."""
    checkpoint = untrained(database, settings.storage)
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
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # as the worker looks
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
    assert forkserver._forkserver._forkserver_pid == server  # type: ignore[attr-defined]  # as the worker looks
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


@pytest.mark.parametrize(("status", "warned"), [(NOTHING_LEFT, False), (1, True)])
def test_a_helper_that_finds_nothing_to_do_is_no_fault(
    status: int,
    warned: bool,
    database: Database,
    processes: JobProcesses,
    helped: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The evaluation is left alone for a while all the same; only of a fault the log has a warning."""
    monkeypatch.setattr(module, "enter", partial(_ends_with, status))
    processes.help()
    await_that(lambda: processes._unhelped.ids() == (helped,) and processes.free_slots == 1)
    assert helpers_of(database, helped) == 0
    assert any("ended with exit status" in record.getMessage() for record in caplog.records) == warned


def _ends_with(status: int, *_: object) -> None:
    sys.exit(status)


def test_a_helper_that_outlived_its_fork_server_is_no_fault(
    database: Database,
    processes: JobProcesses,
    helped: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody can tell how it ended, which may be well: nothing is said of it, and the evaluation is not left alone."""
    monkeypatch.setattr(module, "enter", partial(_ends_once, tmp_path / "told"))
    processes.help()
    await_that(lambda: bool(processes._jobs) and processes._jobs[0].process.pid is not None)
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # as the worker looks
    os.kill(server, signal.SIGKILL)
    await_that(lambda: "The process goes on." in caplog.text)
    caplog.clear()
    (tmp_path / "told").touch()
    await_that(lambda: processes.free_slots == 1)
    assert helpers_of(database, helped) == 0
    assert processes._unhelped.ids() == ()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def _ends_once(told: Path, *_: object) -> None:
    await_that(told.exists)


def test_a_worker_that_is_told_not_to_helps_nobody(database: Database, settings: WorkerSettings, helped: str) -> None:
    """With GAUNTLET_HELPS off a free slot stays free."""
    idle = JobProcesses(settings.model_copy(update={"helps": "off"}), database)
    idle.help()
    assert helpers_of(database, helped) == 0
