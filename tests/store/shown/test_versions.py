"""What a report and a leaderboard are known by, on both databases."""

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.errors import NotFound
from store.queue import jobs
from store.shown import versions
from store.subjects import evaluations
from tests.evaluations import finished, imported, queued
from tests.store.recorded import submit, train, train_and_evaluate


def test_a_reports_version_goes_with_its_rows_alone(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Another with every epoch; the same after a heartbeat, and whatever happens to another experiment."""
    experiment, held = submit(database, tiny_spec)

    def version() -> tuple[object, ...]:
        with database.reading() as session:
            return versions.of_report(session, experiment)

    before = version()
    with database.writing() as session:
        jobs.renew(session, held, 60, jobs.JobProgress("training", 1, 4, "batches"))
    train_and_evaluate(database, tiny_spec)
    assert version() == before
    seen = {before}
    for epoch in (1, 2, 3):
        train(database, tiny_spec, held, range(epoch, epoch + 1))
        seen.add(version())
    assert len(seen) == 4


def test_a_leaderboards_version_goes_with_what_has_ended(database: Database) -> None:
    """Another once an evaluation has succeeded, or one of the named checkpoints is gone; not before."""
    checkpoint = imported(database, "one")

    def version(*named: str) -> tuple[object, ...]:
        with database.reading() as session:
            return versions.of_comparisons(session, named)

    before = version()
    first, second = (queued(database, checkpoint, samples=samples) for samples in (4, 5))
    with database.writing() as session:
        evaluations.cancel(session, second)
    assert version() == before
    finished(database, first, natural=4, robust=2)
    assert version() != before
    assert version(checkpoint) != version("ckpt_0")


def test_an_unknown_experiment_has_no_version(database: Database) -> None:
    """Nor one whose id no database takes."""
    for identifier in ("exp_0", "exp_\0", "experiment"):
        with database.reading() as session, pytest.raises(NotFound):
            versions.of_report(session, identifier)
