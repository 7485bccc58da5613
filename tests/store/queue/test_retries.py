"""Jobs that take the place of others, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from gauntlet.spec.experiment import ExperimentSpec
from store import events
from store.database import Database
from store.errors import NotFound, Refused
from store.models import Run, new_id
from store.queue import batches, jobs, retries
from store.queue.jobs import Claim
from store.shown import reports
from store.storage import FolderStorage
from store.subjects import checkpoints, evaluations, experiments, runs
from tests.evaluations import begun
from tests.reports import judged
from tests.store.recorded import EPOCHS, submit, train, train_and_evaluate
from tests.store.shown.test_reports import NumberedBatch

LONG = 60.0


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    """Where a state lies that rows name."""
    (tmp_path / "state-2").touch()
    return FolderStorage(tmp_path)


def failed_after_two_epochs(
    database: Database, spec: ExperimentSpec, reason: str = "out_of_memory"
) -> tuple[str, Claim]:
    experiment, held = submit(database, spec)
    train(database, spec, held, range(1, 3))
    with database.writing() as session:
        jobs.finish(session, held, "failed", reason, "A sentence.")
    return experiment, held


def retry(database: Database, run: str, storage: FolderStorage) -> str:
    lost_state = retries.find_lost_state(database, run, storage)
    with database.writing() as session:
        return retries.retry_run(session, run, lost_state)[0].id


def read(database: Database, run: str) -> Run:
    with database.reading() as session:
        return runs.get(session, run)


def epochs(database: Database, run: str) -> list[int]:
    with database.reading() as session:
        return [row.epoch for row in runs.metrics_page(session, run, after=None, limit=10).rows]


def kept(database: Database, run: str) -> list[int | None]:
    with database.reading() as session:
        return [row.epoch for row in checkpoints.page(session, run=run, after=None, limit=10).rows]


def claim(database: Database, kind: jobs.JobKind, identifier: str) -> Claim:
    with database.writing() as session:
        held = jobs.claim(session, kind, identifier, "worker", LONG)
    assert held is not None
    return held


def test_a_retry_goes_on_from_the_last_state(
    database: Database, tiny_spec: ExperimentSpec, storage: FolderStorage
) -> None:
    """It has the epochs, the notes, the checkpoint and the state; the old one stays failed, with its epochs."""
    _, old = failed_after_two_epochs(database, tiny_spec)
    new = retry(database, old.id, storage)
    before, after = read(database, old.id), read(database, new)
    assert (before.status, before.status_reason, before.retried_by) == ("failed", "out_of_memory", new)
    assert (after.status, after.attempt, after.crashes, after.retry_of) == ("queued", 0, 0, old.id)
    assert (after.ordinal, after.objective, after.seed, after.spec) == (0, "cross_entropy", 0, before.spec)
    assert (before.resume_path, after.resume_path, after.resume_sha256) == (None, "state-2", "0" * 64)
    assert epochs(database, old.id) == epochs(database, new) == [1, 2]
    assert (kept(database, old.id), kept(database, new)) == ([], [2])
    with database.reading() as session:
        told = events.page(session, subject=new, types=events.NOTES, after=None, limit=10).rows
    assert [(event.kind, event.epoch) for event in told] == [("note", 1), ("note", 2), ("retry", None)]
    assert told[-1].message == (
        f"This run takes the place of {old.id}, which failed (out_of_memory), and continues from its last saved state."
    )


@pytest.mark.parametrize("why", ["diverged", "no state", "lost state"])
def test_a_retry_that_cannot_go_on_starts_over(
    database: Database, tiny_spec: ExperimentSpec, storage: FolderStorage, why: str
) -> None:
    """Where it diverged, no state is known or its file is gone: nothing of the old run becomes the new one's."""
    _, old = failed_after_two_epochs(database, tiny_spec, "diverged" if why == "diverged" else "out_of_memory")
    if why == "no state":
        with database.writing() as session:
            runs.forget_states_of_ended(session, older_than_s=0)
    if why == "lost state":
        (storage.root / "state-2").unlink()
    new = retry(database, old.id, storage)
    assert read(database, new).resume_path is None
    assert (epochs(database, new), kept(database, new), kept(database, old.id)) == ([], [], [2])


def test_asked_twice_there_is_one_retry(database: Database, tiny_spec: ExperimentSpec, storage: FolderStorage) -> None:
    """Eight that ask at once get the same one; a retry that fails itself can be retried."""
    _, old = failed_after_two_epochs(database, tiny_spec)

    def ask(_: int) -> tuple[str, bool]:
        with database.writing() as session:
            run, is_new = retries.retry_run(session, old.id, None)
            return run.id, is_new

    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(ask, range(8)))
    assert len({run for run, _ in asked}) == 1
    assert sum(is_new for _, is_new in asked) == 1
    first = asked[0][0]
    with database.writing() as session:
        runs.cancel(session, first)
    second = retry(database, first, storage)
    assert read(database, second).retry_of == first
    assert epochs(database, second) == [1, 2]


@pytest.mark.parametrize("status", ["queued", "running", "paused", "succeeded"])
def test_what_did_not_come_to_nothing_is_not_retried(
    database: Database, tiny_spec: ExperimentSpec, storage: FolderStorage, status: str
) -> None:
    """Refused, and nothing is queued."""
    experiment, held = submit(database, tiny_spec)
    with database.writing() as session:
        match status:
            case "queued":
                jobs.release(session, held, None)
            case "paused":
                runs.pause(session, held.id)
                jobs.release(session, held, None)
            case "succeeded":
                jobs.finish(session, held, "succeeded")
    with pytest.raises(Refused, match=f"is {status}; only what failed"):
        retry(database, held.id, storage)
    with pytest.raises(NotFound):
        retry(database, "run_none", storage)
    with database.reading() as session:
        assert len(runs.page(session, experiment=experiment, after=None, limit=10).rows) == 1


def test_a_place_has_one_run_that_counts(database: Database, tiny_spec: ExperimentSpec) -> None:
    """The schema holds it."""
    _, held = submit(database, tiny_spec)
    row = read(database, held.id)
    twin = Run(
        id=new_id("run"),
        created_at=0.0,
        experiment_id=row.experiment_id,
        ordinal=row.ordinal,
        objective=row.objective,
        seed=row.seed,
        spec=row.spec,
    )
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(twin)


def test_the_report_of_an_experiment_is_that_of_its_retries(
    database: Database, tiny_spec: ExperimentSpec, storage: FolderStorage
) -> None:
    """One row, one curve, no word of a failure: the retry of the run, and then that of its evaluation, count alone."""
    experiment, old = failed_after_two_epochs(database, tiny_spec)
    assert status_of(database, experiment) == "failed"
    new = retry(database, old.id, storage)
    assert status_of(database, experiment) == "queued"
    held = claim(database, "run", new)
    train(database, tiny_spec, held, range(3, EPOCHS + 1))
    with database.writing() as session:
        (first,) = runs.complete(session, held)
        lost = jobs.claim(session, "evaluation", first, "worker", LONG)
        assert lost is not None
        jobs.finish(session, lost, "failed", "internal_error", "A sentence.")
    with database.reading() as session:
        failed = reports.build(session, experiment)
    assert (failed.status, failed.rows, len(failed.warnings)) == ("failed", (), 1)
    with database.writing() as session:
        second, is_new = retries.retry_evaluation(session, first)
        again, is_newer = retries.retry_evaluation(session, first)
    assert (second.id == again.id, is_new, is_newer) == (True, True, False)
    done = claim(database, "evaluation", second.id)
    for stage in ("natural", "fgsm@8/255"):
        with database.writing() as session:
            finished = NumberedBatch(**vars(judged(stage, [True, False], first=0)))
            evaluations.record_batch(session, done, finished, seconds=0.25)
    with database.writing() as session:
        evaluations.complete(session, done)
    with database.reading() as session:
        report = reports.build(session, experiment)
    assert (report.status, report.complete, report.warnings) == ("succeeded", True, ())
    assert [(row.run, row.seed) for row in report.rows] == [(new, 0)]
    assert [(curve.run, curve.epochs) for curve in report.curves] == [(new, tuple(range(1, EPOCHS + 1)))]
    assert [(cost.run, cost.training_seconds) for cost in report.costs] == [(new, 1.5 * EPOCHS)]


def status_of(database: Database, experiment: str) -> str:
    with database.reading() as session:
        (shown,) = experiments.show(session, [experiments.get(session, experiment)])
    return shown.status


def test_a_retried_evaluation_takes_over_what_was_done(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Its batches serve the retry as any other evaluation's of the same weights would."""
    _, held = train_and_evaluate(database, tiny_spec)
    with database.writing() as session:
        evaluations.note_start(session, held, evaluations.AttackedSet("d" * 64, 16), "gauntlet, cpu")
        measured = judged("natural", [True, False], first=0)
        finished = NumberedBatch(**vars(replace(measured, margins=[[0.9, 0.9, 2.0, 100.0, 4.0]] * 2)))
        evaluations.record_batch(session, held, finished, seconds=0.25)
        jobs.finish(session, held, "failed", "internal_error")
        new, _ = retries.retry_evaluation(session, held.id)
    assert (new.selection, new.run_id, new.retry_of) == (["best_fgsm"], read_evaluation(database, held.id), held.id)
    again = begun(database, new.id)
    with database.writing() as session:
        evaluations.note_start(session, again, evaluations.AttackedSet("d" * 64, 16), "gauntlet, cpu")
        known = batches.reusable(session, new.id)
    assert [(batch.stage, batch.images) for batch in known] == [("natural", [0, 1])]


def read_evaluation(database: Database, identifier: str) -> str | None:
    with database.reading() as session:
        return evaluations.get(session, identifier).run_id
