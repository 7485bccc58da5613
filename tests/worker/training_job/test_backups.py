"""A backup of a system at work, restored elsewhere: the run goes on there and comes to the same."""

import multiprocessing
from pathlib import Path

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from store.backups.restoring import restore
from store.backups.taking import take
from store.database import Database
from store.subjects import runs
from tests.e2e.system import await_that
from tests.postgres import create_database
from tests.worker.training_job.attempts import CPU, claim, result, spec_with, submit, train
from tests.worker.training_job.conftest import Undisturbed
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.training_job import train_run
from worker.settings import WorkerSettings


@pytest.mark.parametrize("here", ["sqlite", "postgresql"])
def test_a_run_under_way_goes_on_where_its_backup_is_restored(
    here: str,
    sqlite_url: str,
    postgresql_url: str,
    postgres_server: str,
    settings: WorkerSettings,
    tiny_spec: ExperimentSpec,
    undisturbed: Undisturbed,
    tmp_path: Path,
) -> None:
    """Taken while it replaces its state after every batch, from either database, and restored into the other."""
    if here == "sqlite":
        source, there = sqlite_url, create_database(postgres_server, "restored")
    else:
        source, there = postgresql_url, f"sqlite:///{tmp_path / 'there/gauntlet.db'}"
    settings = settings.model_copy(update={"database_url": source})
    spec = spec_with(tiny_spec)
    database = Database(source)
    run = submit(database, spec)
    held = claim(database, run)
    database.close()

    context = multiprocessing.get_context("fork")
    backed_up = context.Event()

    class EndsLater(Heartbeat):
        def tell_at_once(self) -> None:
            # It trains on meanwhile, but is not over before there is a backup of it.
            backed_up.wait(250)

    def attempt() -> None:
        own = Database(source)
        train_run(own, held, settings, EndsLater(own, held, settings), CPU)

    process = context.Process(target=attempt)
    process.start()
    database = Database(source)

    def has_a_state() -> bool:
        with database.reading() as session:
            return runs.get(session, run).resume_path is not None

    await_that(has_a_state)
    taken = take(source, settings.storage.root, tmp_path / "secret.key", tmp_path / "backup.tar")
    assert taken.faults == ()
    backed_up.set()
    process.join()
    # That the backup was made changed nothing for it.
    assert (process.exitcode, result(database, run)) == (0, undisturbed(spec))
    database.close()

    home = tmp_path / "there"
    restored = settings.model_copy(update={"database_url": there, "storage_url": (home / "checkpoints").as_uri()})
    assert restore(tmp_path / "backup.tar", there, restored.storage.root, home / "secret.key") == taken.manifest
    database = Database(there)
    with database.reading() as session:
        row = runs.get(session, run)
    assert (row.status, row.status_reason, row.crashes, row.worker) == ("queued", "restored", 0, None)
    assert row.resume_path is not None
    train(database, restored, run)
    assert result(database, run) == undisturbed(spec)
    database.close()
