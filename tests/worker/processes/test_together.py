"""Runs that share a process, and a run that has several."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from store import job_logs
from store.database import Database
from store.subjects import experiments, runs
from tests.e2e.system import await_that
from tests.worker.processes.attempts import NEVER, found, is_there, started, trains
from worker import settings as settings_module
from worker.beside.reconciler import reconcile
from worker.processes import JobProcesses
from worker.settings import WorkerSettings

pytestmark = [pytest.mark.long(seconds=15), pytest.mark.thorough]


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
    worker.preparation.device_type = device
    with database.writing() as session:
        experiments.create(session, tiny_spec.model_copy(update={"seeds": (0, 1)}), None)
    assert len(worker._claim()) == claimed
