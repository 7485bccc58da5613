"""A run's process that is killed for real between its files and its rows, and the attempt that goes on."""

import multiprocessing
import signal

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from store import checkpoints, jobs
from store.database import Database
from tests.worker.training_job.attempts import AT_ONCE, CPU, claim, kept, result, spec_with, submit, train
from tests.worker.training_job.conftest import Undisturbed
from worker.heartbeat import Heartbeat
from worker.settings import WorkerSettings
from worker.sweeper import sweep
from worker.training_job import train_run


@pytest.mark.parametrize("place", ["partial_written:9", "state_written:5", "files_written:3", "epoch_recorded:3"])
def test_a_run_survives_a_kill_at_any_point(
    database: Database,
    settings: WorkerSettings,
    tiny_spec: ExperimentSpec,
    undisturbed: Undisturbed,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    """In writing a file, between files and row, or after the row: the result is the same, and no file is left over."""
    spec = spec_with(tiny_spec)
    run = submit(database, spec)
    held = claim(database, run)
    database.close()

    def attempt() -> None:
        own = Database(settings.database_url)
        train_run(own, held, settings, Heartbeat(own, held, settings), CPU)

    monkeypatch.setenv("GAUNTLET_FAILPOINT", place)
    process = multiprocessing.get_context("fork").Process(target=attempt)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    monkeypatch.delenv("GAUNTLET_FAILPOINT")

    with database.writing() as session:
        jobs.abandon(session, held, "Its process was killed.", retry_s=AT_ONCE)
    train(database, settings, run)
    assert result(database, run) == undisturbed(spec)
    sweep(database, settings.storage, events_days=1, audit_days=1, retry_days=0)
    stored = {str(file.relative_to(settings.storage)) for file in settings.storage.rglob("*") if file.is_file()}
    with database.reading() as session:
        assert stored == checkpoints.paths(session) == {checkpoint.path for checkpoint in kept(database, run)}
