"""A run whose storage is away or full waits, and goes on when it is back."""

from pathlib import Path

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import ImageFolder
from store import files
from store.database import Database
from store.models import Checkpoint
from store.queue import jobs
from store.queue.jobs import Claim, JobProgress
from store.subjects import runs
from tests.packing import two_splits
from tests.rights import of_mode, without_rights
from tests.worker.training_job.attempts import (
    AT_ONCE,
    claim,
    kept,
    on_each_database,
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
        self._folder = settings.home / "checkpoints" / files.attempt_folder(held)

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
    away = (settings.home / "checkpoints").with_name("away")
    (settings.home / "checkpoints").rename(away)
    held = claim(database, run)
    _work(database, held, soon, Heartbeat(database, held, soon))
    with database.reading() as session:
        row = runs.get(session, run)
    assert (row.status, row.status_reason, row.crashes) == ("queued", "storage", 1)
    assert row.status_detail == (
        "A file of the job could not be read or written: No such file or directory. Its worker's log says which."
    )
    away.rename(settings.home / "checkpoints")
    train(database, settings, run)
    assert len(kept(database, run)) == 1


def test_a_storage_that_is_closed_to_the_worker_is_waited_for(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """However often it is tried; once its operator has opened it the run trains."""
    soon = settings.model_copy(update={"retry_s": AT_ONCE})
    run = submit(database, spec_with(tiny_spec))
    settings.storage.mark("run_other")
    with of_mode(0o500, settings.home / "checkpoints"):
        for _ in range(jobs.MOST_CRASHES + 1):
            held = claim(database, run)
            without_rights(lambda held=held: _work(database, held, soon, Heartbeat(database, held, soon)))  # type: ignore[misc]  # mypy does not infer the default's type
            with database.reading() as session:
                row = runs.get(session, run)
            assert (row.status, row.status_reason, row.crashes) == ("queued", "storage", 0)
            assert row.status_detail == (
                "The storage refuses the service: Permission denied. The job goes on when its operator has mended that."
            )
    train(database, settings, run)
    assert kept(database, run)


@pytest.mark.parametrize("closed", ["data", "decoded"])
def test_another_folder_that_is_closed_is_not_told_as_the_storages(
    closed: str, database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """A data set that may not be read fails its run and is named; where the worker may not write, it is tried again."""
    settings = settings.model_copy(update={"retry_s": AT_ONCE, "mapped_from_bytes": 0})
    for name, content in two_splits().items():
        picture = settings.data_root / "pets" / name
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(content)
    spec = spec_with(tiny_spec).model_copy(update={"dataset": ImageFolder(folder="pets", image_size=16)})
    run = submit(database, spec)
    place = settings.data_root / "pets" if closed == "data" else settings.home / "decoded"
    place.mkdir(parents=True, exist_ok=True)
    held = claim(database, run)
    with of_mode(0, place):
        without_rights(lambda: _work(database, held, settings, Heartbeat(database, held, settings)))
    with database.reading() as session:
        row = runs.get(session, run)
    told = (row.status, row.status_reason, row.crashes, row.status_detail)
    if closed == "data":
        assert told == ("failed", "dataset_unavailable", 0, "The folder pets cannot be read: Permission denied.")
    else:
        why = "A file of the job could not be read or written: Permission denied. Its worker's log says which."
        assert told == ("queued", "storage", 1, why)


@on_each_database
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
