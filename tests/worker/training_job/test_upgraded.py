"""A run goes on whose database is upgraded in the middle of it; its code and files are this version's throughout."""

import pytest
from alembic import command

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database, alembic_config
from store.models import Run
from store.queue import jobs
from tests.worker.training_job.attempts import AT_ONCE, claim, result, spec_with, submit, train, train_until
from tests.worker.training_job.conftest import Undisturbed
from worker.settings import WorkerSettings


# Of runs alone; before lists, before pauses, and before what is trained together.
@pytest.mark.parametrize("revision", ["2026_11_25_retries", "2026_11_27_turns", "2026_11_27_results"])
def test_a_run_whose_database_is_taken_back_and_upgraded_comes_out_the_same(
    revision: str, settings: WorkerSettings, tiny_spec: ExperimentSpec, undisturbed: Undisturbed
) -> None:
    """Its worker is stopped within its second epoch, and it goes on from what was saved.

    Meanwhile the schema is taken back to that of an earlier version, with the rows that are there, and brought forward
    again. Begun it was by this version's code: what an earlier one's wrote otherwise into a row or a file, no test of
    this kind can tell.
    """
    spec = spec_with(tiny_spec)
    database = Database(settings.database_url)
    run = submit(database, spec)
    train_until(database, settings, run, 5)
    # What runs while its worker is stopped for good; its lease is an earlier moment by the database's clock.
    claim(database, run)
    with database.writing() as session:
        session.get_one(Run, run).lease_expires_at = 1.0
    database.close()
    config = alembic_config(settings.database_url)
    command.downgrade(config, revision)
    command.upgrade(config, "head")
    database = Database(settings.database_url)
    with database.writing() as session:
        assert jobs.reclaim_expired(session, Run, retry_s=AT_ONCE) == {run: "queued"}
    train(database, settings, run)
    with database.reading() as session:
        row = session.get_one(Run, run)
        assert (row.status, row.attempt) == ("succeeded", 3)
    assert result(database, run) == undisturbed(spec)
    database.close()
