"""What is deleted, what is refused, and what is left; on both databases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.orm import ORMExecuteState, Session

from gauntlet.spec.asked.requests import CheckpointPatch, ExperimentPatch
from gauntlet.spec.evaluations.evaluation import EvaluationRequest
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import overlay
from store import events
from store.database import Database
from store.errors import NotFound, Refused
from store.models import Base, Checkpoint
from store.queue import batches, jobs, retries
from store.shown import comparisons, reports
from store.storage import FolderStorage
from store.subjects import annotations, checkpoints, deletions, evaluation_requests, evaluations, experiments, runs
from tests.evaluations import FGSM, begun, card, finished, imported, queued, recorded
from tests.evaluations import batch as batch_of
from tests.postgres import await_lock
from tests.store.recorded import train_and_evaluate
from worker.beside.sweeper import sweep


def delete(database: Database, identifier: str) -> None:
    with database.writing() as session:
        remove(session, identifier)


def remove(session: Session, identifier: str) -> None:
    match identifier.partition("_")[0]:
        case "exp":
            deletions.delete_experiment(session, experiments.get(session, identifier))
        case "ckpt":
            deletions.delete_checkpoint(session, checkpoints.get(session, identifier))
        case _:
            deletions.delete_evaluation(session, evaluations.get(session, identifier))


def counts(database: Database) -> dict[str, int]:
    """How many rows each table has, but for what tells of others."""
    told = {"events", "discarded_folders"}
    with database.reading() as session:
        return {
            name: session.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
            if name not in told
        }


def ended_experiment(database: Database, spec: ExperimentSpec) -> tuple[str, str, list[str]]:
    """An experiment whose evaluation is done; its run, and its checkpoints, the newest first."""
    experiment, held = train_and_evaluate(database, spec)
    with database.writing() as session:
        annotations.change_experiment(
            session, experiments.get(session, experiment), ExperimentPatch(labels=("a label",))
        )
        jobs.finish(session, held, "failed", "internal_error")
        (run,) = runs.page(session, experiment=experiment, after=None, limit=10).rows
        kept = [row.id for row in checkpoints.page(session, run=run.id, after=None, limit=10).rows]
    return experiment, run.id, kept


def test_an_experiment_goes_with_all_it_made(database: Database, tiny_spec: ExperimentSpec, tmp_path: Path) -> None:
    """Rows at once, another's stay; files at the sweeper's next look; of the events there is one that says so."""
    before = counts(database)
    experiment, run, _ = ended_experiment(database, tiny_spec)
    other = imported(database, "other")
    with database.reading() as session:
        retried = retries.retry_evaluation
        (evaluation,) = evaluations.page(session, experiment=experiment, after=None, limit=10).rows
    with database.writing() as session:
        retry, _ = retried(session, evaluation.id)
        evaluations.cancel(session, retry.id)
    storage = FolderStorage(tmp_path)
    storage.write(f"{run}/attempt-1/weights", b"content")
    kept = storage.write("run_of_another_database/attempt-1/weights", b"content")
    delete(database, experiment)
    assert counts(database) == before | {"checkpoints": 1}
    for _ in range(2):
        sweep(database, storage, events_days=30, audit_days=30, retry_days=7)
        assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("weights")] == [kept.path]
    with database.reading() as session:
        assert deletions.discarded(session) == []
        assert checkpoints.get(session, other).id == other
        last = events.page(session, subject=experiment, after=None, limit=100).rows[-1]
        assert events.page(session, subject=run, types=events.NOTES, after=None, limit=100).rows == []
    assert (last.type, last.kind, last.message) == ("status", "deleted", "The experiment is deleted.")
    with pytest.raises(NotFound):
        delete(database, experiment)


@pytest.mark.parametrize("status", ["queued", "running", "paused"])
def test_what_has_not_ended_is_not_deleted(database: Database, tiny_spec: ExperimentSpec, status: str) -> None:
    """An experiment is refused with the id of its job, an evaluation by itself too; nothing is changed."""
    with database.writing() as session:
        experiment, (run,) = experiments.create(session, tiny_spec, None)
    alone = queued(database, imported(database, "one"), FGSM)
    with database.writing() as session:
        if status == "running":
            jobs.claim(session, "run", run, "worker", 60)
            jobs.claim(session, "evaluation", alone, "worker", 60)
        if status == "paused":
            runs.pause(session, run)
            evaluations.pause(session, alone)
    before = counts(database)
    with pytest.raises(Refused, match=f"have not ended; cancel them first: {run}"):
        delete(database, experiment.id)
    with pytest.raises(Refused, match=f"is {status}; cancel it first"):
        delete(database, alone)
    assert counts(database) == before


def test_what_others_stand_on_is_not_deleted(database: Database, tiny_spec: ExperimentSpec) -> None:
    """A checkpoint that was evaluated, started from or used as a source of examples, and the experiment it is of."""
    experiment, _, (last, first) = ended_experiment(database, tiny_spec)
    (own,) = ids(database, experiment)
    with pytest.raises(Refused, match=own):
        delete(database, first)
    started = {"training": {"initial_checkpoint": last}}
    spec = ExperimentSpec.model_validate(overlay(tiny_spec.model_dump(mode="json"), started))
    with database.writing() as session:
        another = experiments.create(session, spec, None)[0].id
    for refused in (last, experiment):
        with pytest.raises(Refused, match=another):
            delete(database, refused)
    with database.writing() as session:
        experiments.cancel(session, another)
    delete(database, another)
    transfer = queued(database, imported(database, "one"), {"kind": "transfer", "eps": "8/255", "source": last})
    for refused in (last, experiment):
        with pytest.raises(Refused, match=transfer):
            delete(database, refused)
    with database.writing() as session:
        evaluations.cancel(session, transfer)
    delete(database, transfer)
    delete(database, last)
    with database.reading() as session:
        kept = session.scalars(select(Checkpoint.epoch).where(Checkpoint.run_id.is_not(None))).all()
    assert kept == [2]
    delete(database, experiment)


def ids(database: Database, experiment: str) -> list[str]:
    with database.reading() as session:
        found = evaluations.page(session, experiment=experiment, after=None, limit=10).rows
    return [evaluation.id for evaluation in found]


def test_a_report_is_not_robbed_of_its_lines(database: Database, tiny_spec: ExperimentSpec) -> None:
    """An experiment's own evaluation goes with it alone; one that extended it may go, and the report is as before."""
    experiment, held = train_and_evaluate(database, tiny_spec)
    with database.writing() as session:
        jobs.release(session, held, None)
    finished(database, held.id, natural=12, robust=8)
    with database.reading() as session:
        before = reports.build(session, experiment)
        evaluation = evaluations.get(session, held.id)
    fields = evaluation.spec | {"samples": 20}
    wider = queued(database, evaluation.checkpoint_id, *fields.pop("attacks"), **fields)
    finished(database, wider, natural=15, robust=10)
    with database.reading() as session:
        assert [row.n for row in reports.build(session, experiment).rows] == [20]
    with pytest.raises(Refused, match=f"is part of {experiment}"):
        delete(database, held.id)
    delete(database, wider)
    with database.reading() as session:
        assert reports.build(session, experiment).rows == before.rows


def test_what_others_took_over_is_theirs(database: Database) -> None:
    """An evaluation whose batches serve another is deleted: the other's outcome, and the leaderboard, do not change."""
    checkpoint = imported(database, "one")
    first = queued(database, checkpoint, FGSM)
    finished(database, first, natural=3, robust=2)
    second = queued(database, checkpoint, FGSM)
    held = begun(database, second)
    with database.reading() as session:
        reusable = batches.reusable(session, second)
        known = [(row.stage, row.batch, row.images, row.predicted) for row in reusable]
    assert len(known) == 2
    delete(database, first)
    for stage, number, images, predicted in known:
        recorded(database, held, batch_of(stage, number, images, predicted), seconds=0.0)
    with database.writing() as session:
        evaluations.complete(session, held)
    with database.reading() as session:
        outcome = evaluations.get(session, second).outcome
        board = comparisons.leaderboard(session, attack=None, dataset=None, limit=5)
    assert outcome is not None
    assert (outcome["natural"]["value"], outcome["attacks"][0]["accuracy"]["value"]) == (0.75, 0.5)
    assert [entry.evaluation for group in board.groups for entry in group.entries] == [second]


def test_a_deleted_retry_can_be_made_again(database: Database) -> None:
    """The evaluation whose place it took is no longer said to be retried."""
    old = queued(database, imported(database, "one"), FGSM)
    with database.writing() as session:
        evaluations.cancel(session, old)
        retry, _ = retries.retry_evaluation(session, old)
        evaluations.cancel(session, retry.id)
    delete(database, retry.id)
    with database.writing() as session:
        again, is_new = retries.retry_evaluation(session, old)
    assert is_new
    assert again.id != retry.id


def test_an_imported_checkpoint_goes_with_its_file(database: Database, tmp_path: Path) -> None:
    """Its folder is deleted by the sweeper."""
    storage = FolderStorage(tmp_path / "checkpoints")
    stored = storage.write("ckpt_mine/weights.safetensors", b"content")
    with database.writing() as session:
        checkpoints.add_imported(session, "ckpt_mine", card("mine"), stored)
    delete(database, "ckpt_mine")
    sweep(database, storage, events_days=30, audit_days=30, retry_days=7)
    assert list(storage.root.rglob("*.safetensors")) == []
    assert not (storage.root / "ckpt_mine").exists()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_deletes_and_who_begins_to_stand_on_it_take_turns(database: Database) -> None:
    """A checkpoint whose evaluation is just being queued is refused once that is there, and not lost under it."""
    checkpoint = imported(database, "one")
    request = EvaluationRequest.model_validate({"checkpoint": checkpoint, "attacks": [FGSM]})
    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            evaluation_requests.create(session, request, None)
            deleting = pool.submit(delete, database, checkpoint)
        with pytest.raises(Refused, match="stand on the checkpoint"):
            deleting.result()


def change(session: Session, identifier: str) -> None:
    match identifier.partition("_")[0]:
        case "exp":
            patch = ExperimentPatch(labels=("a label",))
            annotations.change_experiment(session, experiments.get(session, identifier), patch)
        case "ckpt":
            patched = CheckpointPatch(notes="a note")
            annotations.change_checkpoint(session, checkpoints.get(session, identifier), patched)
        case _:
            deletions.delete_pictures(session, evaluations.get(session, identifier))


def prioritise(session: Session, identifier: str) -> None:
    experiments.prioritise(session, identifier, "high")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("which", "work"),
    [
        *((which, work) for which in ("experiment", "checkpoint", "import", "evaluation") for work in (remove, change)),
        ("experiment", prioritise),
    ],
)
def test_what_is_deleted_meanwhile_is_not_found(
    database: Database, tiny_spec: ExperimentSpec, which: str, work: Callable[[Session, str], None]
) -> None:
    """By whoever deletes or changes it too, and had seen it before."""
    experiment, _, (unevaluated, *_) = ended_experiment(database, tiny_spec)
    identifier = {"experiment": experiment, "checkpoint": unevaluated, "import": imported(database, "one")}.get(which)
    if identifier is None:
        identifier = queued(database, imported(database, "another"))
        with database.writing() as session:
            evaluations.cancel(session, identifier)

    def also() -> None:
        with database.writing() as session:
            work(session, identifier)

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            remove(session, identifier)
            late = pool.submit(also)
            await_lock(database)
        with pytest.raises(NotFound):
            late.result()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("ask", [runs.cancel, runs.pause, runs.resume])
def test_a_run_that_is_deleted_as_it_is_asked_something_is_not_found(
    database: Database, tiny_spec: ExperimentSpec, ask: Callable[[Session, str], object]
) -> None:
    """Between the look whether it is there and the answer, which tells how it stands."""
    experiment, run, _ = ended_experiment(database, tiny_spec)
    require_not_found(database, experiment, lambda session: ask(session, run))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "ask", [evaluations.cancel, evaluations.pause, evaluations.resume, partial(evaluations.prioritise, priority="low")]
)
def test_an_evaluation_that_is_deleted_as_it_is_asked_something_is_not_found(
    database: Database, ask: Callable[[Session, str], object]
) -> None:
    """As a run is."""
    identifier = queued(database, imported(database, "one"))
    with database.writing() as session:
        evaluations.cancel(session, identifier)
    require_not_found(database, identifier, lambda session: ask(session, identifier))


def require_not_found(database: Database, identifier: str, ask: Callable[[Session], object]) -> None:
    """See that nothing is found by what is asked if another deletes that right before the first UPDATE."""
    deletes = iter([identifier])

    def first(state: ORMExecuteState) -> None:
        for each in deletes if state.is_update else ():
            delete(database, each)

    with database.writing() as session:
        event.listen(session, "do_orm_execute", first)
        with pytest.raises(NotFound):
            ask(session)
