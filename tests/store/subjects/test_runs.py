"""What a worker records of a run, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select

from gauntlet.events import BatchAttacked
from gauntlet.spec.evaluations.evaluation import EvaluationRequest, ExperimentEvaluationSpec
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import overlay
from store import events
from store.database import Database
from store.errors import LeaseLost
from store.models import Checkpoint, EpochMetrics, Evaluation, Event
from store.queue import jobs
from store.shown import reports
from store.storage import StoredFile
from store.subjects import checkpoints, evaluation_requests, evaluations, experiments, runs
from store.subjects.runs import Note
from tests.evaluations import FGSM
from tests.postgres import await_lock
from tests.store.kept import kept_weights
from tests.store.recorded import EPOCHS, record, record_with_averages, submit, train, train_and_evaluate


def test_an_epoch_is_recorded_whole(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Metrics, notes, checkpoint and resume state appear together; the state that is replaced is named."""
    _, held = submit(database, tiny_spec)
    with database.writing() as session:
        assert runs.record_epoch(session, held, record(tiny_spec, 1, keep=False)) is None
        assert runs.record_epoch(session, held, record(tiny_spec, 2, keep=True)) == "state-1"
    with database.reading() as session:
        run = runs.get(session, held.id)
        assert run.resume_path == "state-2"
        assert [row.epoch for row in runs.metrics_page(session, held.id, after=None, limit=10).rows] == [1, 2]
        told = events.page(session, subject=held.id, types=("alarm", "epoch"), after=None, limit=10).rows
        assert [(event.type, event.epoch) for event in told] == [("alarm", 1), ("epoch", 1), ("alarm", 2), ("epoch", 2)]
        assert told[1].data == {
            "metrics": record(tiny_spec, 1, keep=False).metrics,
            "seconds": 1.5,
            "images_per_second": 64.0,
        }
        (checkpoint,) = checkpoints.page(session, run=held.id, after=None, limit=10).rows
        assert (checkpoint.epoch, checkpoint.metrics["test_fgsm_accuracy"]) == (2, 0.6)


def test_an_epoch_may_keep_the_weights_of_one_before(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Where a guard ended training: the checkpoint is the earlier epoch's, with its metrics, and is evaluated."""
    _, held = submit(database, tiny_spec)
    with database.writing() as session:
        runs.record_epoch(session, held, record(tiny_spec, 1, keep=False))
        runs.record_epoch(session, held, record(tiny_spec, 2, keep=False))
        ending = replace(record(tiny_spec, 3, keep=False), weights=[kept_weights(tiny_spec, 2)])
        runs.record_epoch(session, held, ending)
        (waiting,) = runs.complete(session, held)
    with database.reading() as session:
        checkpoint = checkpoints.get(session, evaluations.get(session, waiting).checkpoint_id)
        assert (checkpoint.epoch, checkpoint.metrics["test_fgsm_accuracy"]) == (2, 0.6)


def test_a_checkpoint_of_the_average_has_the_averages_metrics(database: Database, tiny_spec: ExperimentSpec) -> None:
    """What it is selected by are its own accuracies; the epoch's row has both."""
    _, held = submit(database, tiny_spec)
    plain = record(tiny_spec, 1, keep=True)
    kept = [kept_weights(tiny_spec, 1, averaged=True)]
    measured = {**plain.metrics, "average_test_fgsm_accuracy": 0.5}
    with database.writing() as session:
        runs.record_epoch(session, held, replace(plain, metrics=measured, weights=kept))
    with database.reading() as session:
        (checkpoint,) = checkpoints.page(session, run=held.id, after=None, limit=10).rows
        assert checkpoint.metrics == {**plain.metrics, "test_fgsm_accuracy": 0.5}
        assert runs.metrics_page(session, held.id, after=None, limit=10).rows[0].metrics == measured


def test_the_weights_and_their_average_are_selected_each_by_its_own_accuracies(
    database: Database, tiny_spec: ExperimentSpec
) -> None:
    """Two checkpoints an epoch: FGSM favours the weights of epoch 3 and the average of epoch 2; the last is of 4."""
    both = ExperimentSpec.model_validate(
        overlay(tiny_spec.model_dump(mode="json"), {"evaluation": {"select": ["best_fgsm", "last"]}})
    )
    _, held = submit(database, both)
    record_with_averages(database, held, both)
    with database.writing() as session:
        runs.complete(session, held)
    with database.reading() as session:
        found = {}
        for evaluation in session.scalars(select(Evaluation).where(Evaluation.run_id == held.id)):
            checkpoint = checkpoints.get(session, evaluation.checkpoint_id)
            found[tuple(evaluation.selection)] = (checkpoint.epoch, checkpoint.averaged)
    assert found == {
        ("best_fgsm",): (3, False),
        ("last",): (4, False),
        ("average_best_fgsm",): (2, True),
        ("average_last",): (4, True),
    }


def test_a_state_within_an_epoch_takes_the_place_of_the_last(database: Database, tiny_spec: ExperimentSpec) -> None:
    """It and the next epoch's name what they replace; recorded twice, as after a lost answer, it replaces nothing."""
    _, held = submit(database, tiny_spec)
    within = StoredFile("state-1-batch-2", "5" * 64, 10)
    with database.writing() as session:
        runs.record_epoch(session, held, record(tiny_spec, 1, keep=False))
    with database.writing() as session:
        assert runs.record_state(session, held, within) == "state-1"
    with database.writing() as session:
        assert runs.record_state(session, held, within) is None
    with database.reading() as session:
        run = runs.get(session, held.id)
        assert (run.resume_path, run.resume_sha256) == (within.path, within.sha256)
        assert [row.epoch for row in runs.metrics_page(session, held.id, after=None, limit=10).rows] == [1]
    with database.writing() as session:
        assert runs.record_epoch(session, held, record(tiny_spec, 2, keep=True)) == within.path


def test_a_lost_attempt_records_nothing(database: Database, tiny_spec: ExperimentSpec) -> None:
    """The transaction of a fenced-off worker leaves no row behind."""
    _, held = submit(database, tiny_spec)
    with database.writing() as session:
        jobs.release(session, held, "worker_shutdown")
    with pytest.raises(LeaseLost), database.writing() as session:
        runs.record_epoch(session, held, record(tiny_spec, 2, keep=True))
    with pytest.raises(LeaseLost), database.writing() as session:
        runs.record_state(session, held, StoredFile("state", "0" * 64, 10))
    with database.reading() as session:
        assert runs.get(session, held.id).resume_path is None
        for model in (EpochMetrics, Checkpoint):
            assert session.scalars(select(model)).all() == []
        assert set(session.scalars(select(Event.type))) == {"status"}


def test_rewinding_forgets_what_will_be_done_again(database: Database, tiny_spec: ExperimentSpec) -> None:
    """After a resume from epoch 2 the epochs can be recorded again without a duplicate."""
    _, held = submit(database, tiny_spec)
    train(database, tiny_spec, held, range(1, EPOCHS + 1))
    with database.writing() as session:
        runs.rewind(session, held, to_epoch=2)
        assert runs.recorded_files(session, held.id) == {"weights-2", "state-4"}
    train(database, tiny_spec, held, range(3, EPOCHS + 1))
    with database.reading() as session:
        epochs = [row.epoch for row in runs.metrics_page(session, held.id, after=None, limit=10).rows]
    assert epochs == [1, 2, 3, 4]


def test_rewinding_leaves_what_others_stand_on(database: Database, tiny_spec: ExperimentSpec) -> None:
    """A run that starts over, as its state is damaged, leaves the checkpoint that another experiment starts from."""
    _, held = submit(database, tiny_spec)
    train(database, tiny_spec, held, range(1, EPOCHS + 1))
    with database.writing() as session:
        _, named = checkpoints.page(session, run=held.id, after=None, limit=9).rows
        training = tiny_spec.training.model_copy(update={"initial_checkpoint": named.id})
        experiments.create(session, tiny_spec.model_copy(update={"training": training}), None)
    with database.writing() as session:
        runs.rewind(session, held, to_epoch=0)
    train(database, tiny_spec, held, range(1, EPOCHS + 1))
    with database.reading() as session:
        _, kept = checkpoints.page(session, run=held.id, after=None, limit=9).rows
    assert kept.id == named.id


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_rewinds_waits_for_who_begins_to_stand_on_a_checkpoint(
    database: Database, tiny_spec: ExperimentSpec
) -> None:
    """An evaluation that is just being queued keeps its checkpoint, and the attempt is not broken off by it."""
    _, held = submit(database, tiny_spec)
    train(database, tiny_spec, held, range(1, EPOCHS + 1))
    with database.reading() as session:
        last, _ = checkpoints.page(session, run=held.id, after=None, limit=9).rows

    def rewind() -> None:
        with database.writing() as session:
            runs.rewind(session, held, to_epoch=0)

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            request = EvaluationRequest.model_validate({"checkpoint": last.id, "attacks": [FGSM]})
            evaluation_requests.create(session, request, None)
            late = pool.submit(rewind)
            await_lock(database)
        late.result()
    with database.reading() as session:
        assert [row.id for row in checkpoints.page(session, run=held.id, after=None, limit=9).rows] == [last.id]


def test_an_event_id_is_never_given_twice(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Whoever has seen the newest events, which a rewind then forgets, is shown what comes instead."""
    _, held = submit(database, tiny_spec)
    train(database, tiny_spec, held, range(1, EPOCHS + 1))
    with database.reading() as session:
        seen = events.page(session, subject=held.id, after=None, limit=20).rows[-1].id
    with database.writing() as session:
        runs.rewind(session, held, to_epoch=2)
        runs.note(session, held, [Note("resumed", "It goes on.")])
    with database.reading() as session:
        assert [row.kind for row in events.page(session, subject=held.id, after=seen, limit=10).rows] == ["resumed"]


def test_a_finished_run_queues_an_evaluation_per_selected_checkpoint(
    database: Database, tiny_spec: ExperimentSpec
) -> None:
    """Best under FGSM is the earliest of equals among the kept checkpoints; a run asked for both gets two."""
    both = ExperimentEvaluationSpec.model_validate(
        tiny_spec.evaluation.model_dump() | {"select": ["best_fgsm", "last"]}
    )
    _, held = submit(database, tiny_spec.model_copy(update={"evaluation": both}))
    train(database, tiny_spec, held, range(1, EPOCHS + 1))
    with database.writing() as session:
        waiting = runs.complete(session, held)
    with database.reading() as session:
        queued = [evaluations.get(session, identifier) for identifier in waiting]
        epochs = [checkpoints.get(session, evaluation.checkpoint_id).epoch for evaluation in queued]
        assert runs.get(session, held.id).status == "succeeded"
    assert [(evaluation.status, evaluation.selection) for evaluation in queued] == [
        ("queued", ["best_fgsm"]),
        ("queued", ["last"]),
    ]
    assert epochs == [2, 4]


@pytest.mark.parametrize(("select_on", "best"), [("test", 2), ("validation", 4)])
def test_the_best_checkpoint_is_that_of_the_set_it_is_selected_on(
    database: Database, tiny_spec: ExperimentSpec, select_on: str, best: int
) -> None:
    """Where test and validation disagree the spec's choice counts, and the report names it."""
    evaluation = ExperimentEvaluationSpec.model_validate(tiny_spec.evaluation.model_dump() | {"select_on": select_on})
    experiment_id, held = submit(database, tiny_spec.model_copy(update={"evaluation": evaluation}))
    for epoch, on_test, on_validation in ((2, 0.6, 0.3), (4, 0.5, 0.4)):
        measured = {"test_fgsm_accuracy": on_test, "validation_fgsm_accuracy": on_validation}
        plain = record(tiny_spec, epoch, keep=True)
        with database.writing() as session:
            runs.record_epoch(session, held, replace(plain, metrics={**plain.metrics, **measured}))
    with database.writing() as session:
        (waiting,) = runs.complete(session, held)
    with database.reading() as session:
        checkpoint = checkpoints.get(session, evaluations.get(session, waiting).checkpoint_id)
        assert reports.build(session, experiment_id).selected_on == select_on
    assert checkpoint.epoch == best


def test_masking_is_looked_for_with_the_experiments_other_checkpoints(
    database: Database, tiny_spec: ExperimentSpec
) -> None:
    """Its own other checkpoint and the last of every trained run of the experiment are sources; nobody's otherwise."""
    wanted = tiny_spec.evaluation.model_dump() | {"masking": {"samples": 8}}
    changes = {"evaluation": ExperimentEvaluationSpec.model_validate(wanted), "seeds": (0, 1)}
    queued = []
    with database.writing() as session:
        _, waiting = experiments.create(session, tiny_spec.model_copy(update=changes), None)
    for run in waiting:
        with database.writing() as session:
            held = jobs.claim(session, "run", run, "worker", 60)
        assert held is not None
        train(database, tiny_spec, held, range(1, EPOCHS + 1))
        with database.writing() as session:
            queued += runs.complete(session, held)
    with database.reading() as session:
        kept = {run: checkpoints.page(session, run=run, after=None, limit=9).rows for run in waiting}
        by_epoch = {run: {checkpoint.epoch: checkpoint.id for checkpoint in rows} for run, rows in kept.items()}
        found = [evaluations.specified(evaluations.get(session, identifier)) for identifier in queued]
    first, second = waiting
    sources = [list(spec.masking.sources) for spec in found if spec.masking is not None]
    # The best is that of epoch 2, so its run's other checkpoint is the last.
    assert sources == [[by_epoch[first][4]], [by_epoch[second][4], by_epoch[first][4]]]
    assert {spec.attacks for spec in found} == {tiny_spec.evaluation.attacks}


def test_progress_clears_the_count_of_crashes(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Workers lost now and then over a long run, or a long epoch, do not add up to a failure."""
    _, held = submit(database, tiny_spec)
    for place in range(1, 2 * EPOCHS + 1):
        if place <= EPOCHS:
            train(database, tiny_spec, held, range(place, place + 1))
        else:
            with database.writing() as session:
                runs.record_state(session, held, StoredFile(f"state-batch-{place}", "0" * 64, 10))
        with database.writing() as session:
            jobs.abandon(session, held, "It died.", retry_s=60)
        with database.writing() as session:
            again = jobs.claim(session, "run", held.id, "worker", 60)
        assert again is not None
        held = again


def test_a_cancelled_evaluation_has_no_outcome(database: Database, tiny_spec: ExperimentSpec) -> None:
    """A cancel that arrives before its end keeps it out of the report."""
    experiment_id, evaluation = train_and_evaluate(database, tiny_spec)
    with database.writing() as session:
        natural = BatchAttacked("natural", 0, (0,), (3,), (3,), (False,), 0, 0)
        evaluations.record_batch(session, evaluation, natural, seconds=0.1)
        evaluations.cancel(session, evaluation.id)
    with database.writing() as session:
        evaluations.complete(session, evaluation)
    with database.reading() as session:
        assert reports.build(session, experiment_id).rows == ()


def test_a_cancelled_run_queues_no_evaluation(database: Database, tiny_spec: ExperimentSpec) -> None:
    """A cancel that arrives before the last write wins."""
    _, held = submit(database, tiny_spec)
    train(database, tiny_spec, held, range(1, EPOCHS + 1))
    with database.writing() as session:
        runs.cancel(session, held.id)
    with database.writing() as session:
        assert runs.complete(session, held) == []
    with database.reading() as session:
        assert session.scalars(select(Evaluation)).all() == []
