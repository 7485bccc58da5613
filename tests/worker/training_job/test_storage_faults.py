"""A run whose storage is away or full waits, and goes on when it is back."""

from pathlib import Path

from gauntlet.spec.experiment import ExperimentSpec
from store import files
from store.database import Database
from store.models import Checkpoint
from store.queue import jobs
from store.queue.jobs import Claim, JobProgress
from store.subjects import runs
from tests.worker.training_job.attempts import (
    AT_ONCE,
    claim,
    kept,
    result,
    resume_path,
    spec_with,
    starting_from,
    state_files,
    submit,
    train,
)
from worker.jobs.child import _work
from worker.jobs.heartbeat import Heartbeat
from worker.settings import WorkerSettings


class FillsTheDisk(Heartbeat):
    """Once the job has begun, its state after two batches of the second epoch has nowhere to go."""

    def __init__(self, database: Database, held: Claim, settings: WorkerSettings) -> None:
        super().__init__(database, held, settings)
        self._folder = settings.storage.root / files.attempt_folder(held)

    def tell(self, progress: JobProgress) -> None:
        full = self._folder / "epoch-00002-batch-00002.state.safetensors.partial"
        if progress.phase == "training" and not full.is_symlink():
            self._folder.mkdir(parents=True, exist_ok=True)
            full.symlink_to("/dev/full")


def test_a_storage_that_is_away_does_not_fail_the_run(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, source: Checkpoint
) -> None:
    """The run waits in the queue, and trains once the storage is back."""
    soon = settings.model_copy(update={"retry_s": AT_ONCE})
    run = submit(database, starting_from(tiny_spec, source))
    away = settings.storage.root.with_name("away")
    settings.storage.root.rename(away)
    held = claim(database, run)
    _work(database, held, soon, Heartbeat(database, held, soon))
    with database.reading() as session:
        row = runs.get(session, run)
    assert (row.status, row.status_reason, row.crashes) == ("queued", "storage", 1)
    assert row.status_detail == (
        "A file of the job could not be read or written: No such file or directory. Its worker's log says which."
    )
    away.rename(settings.storage.root)
    train(database, settings, run)
    assert len(kept(database, run)) == 1


def test_on_a_full_disk_the_run_waits_for_room(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """However often there is none, it keeps what it has, uses up no attempt, and in the end comes out the same."""
    soon = settings.model_copy(update={"retry_s": AT_ONCE})
    spec = spec_with(tiny_spec)
    whole, hindered = submit(database, spec), submit(database, spec)
    train(database, settings, whole)
    for _ in range(jobs.MOST_CRASHES + 1):
        held = claim(database, hindered)
        _work(database, held, soon, FillsTheDisk(database, held, soon))
        with database.reading() as session:
            row = runs.get(session, hindered)
        assert (row.status, row.status_reason, row.crashes) == ("queued", "storage", 0)
        assert "No space left" in str(row.status_detail)
        assert resume_path(database, hindered) == f"{hindered}/attempt-1/epoch-00002-batch-00001.state.safetensors"
        assert [Path(path).name for path in state_files(settings)] == ["epoch-00002-batch-00001.state.safetensors"]
    train(database, settings, hindered)
    assert result(database, hindered) == result(database, whole)
