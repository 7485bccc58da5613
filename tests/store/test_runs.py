"""What a worker records of a run, on both databases."""

from dataclasses import dataclass, replace

import pytest
from sqlalchemy import select

from gauntlet.events import BatchAttacked
from gauntlet.spec.evaluation import EvaluationRequest, ExperimentEvaluationSpec
from gauntlet.spec.experiment import ExperimentSpec
from store import checkpoints, evaluation_requests, evaluations, experiments, jobs, reports, runs
from store.database import Database
from store.errors import LeaseLost
from store.files import StoredFile
from store.jobs import Claim
from store.models import Checkpoint, EpochMetrics, Evaluation, RunEvent
from store.runs import EpochRecord, Note
from tests.reports import Batch, judged
from tests.store.kept import kept_weights

EPOCHS = 4
FGSM = {1: 0.2, 2: 0.6, 3: 0.9, 4: 0.6}


@dataclass(frozen=True)
class NumberedBatch(Batch):
    """A made-up batch with its place in its stage."""

    batch: int = 0


def submit(database: Database, spec: ExperimentSpec) -> tuple[str, Claim]:
    with database.writing() as session:
        experiment, (run, *_) = experiments.create(session, spec, None)
        held = jobs.claim(session, "run", run, "worker", 60)
    assert held is not None
    return experiment.id, held


def record(spec: ExperimentSpec, epoch: int, *, keep: bool) -> EpochRecord:
    metrics = {
        "test_fgsm_accuracy": FGSM[epoch],
        "train_accuracy": 0.75,
        "train_accuracy_n": 96.0,
        "mean_confidence": 0.5,
        "mean_uniformity": 0.1,
        "predicted_classes": 10.0,
    }
    state = StoredFile(f"state-{epoch}", "0" * 64, 10)
    weights = kept_weights(spec, epoch) if keep else None
    return EpochRecord(epoch, metrics, 1.5, 64.0, [Note("note", "something", epoch)], state, weights)


def train(database: Database, spec: ExperimentSpec, held: Claim, epochs: range) -> None:
    for epoch in epochs:
        with database.writing() as session:
            runs.record_epoch(session, held, record(spec, epoch, keep=epoch % 2 == 0))


def train_and_evaluate(database: Database, spec: ExperimentSpec) -> tuple[str, Claim]:
    """A trained run's experiment, and its evaluation claimed by a worker."""
    experiment_id, held = submit(database, spec)
    train(database, spec, held, range(1, EPOCHS + 1))
    with database.writing() as session:
        (waiting,) = runs.complete(session, held)
        evaluation = jobs.claim(session, "evaluation", waiting, "worker", 60)
    assert evaluation is not None
    return experiment_id, evaluation


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
        assert [event.epoch for event in runs.events_page(session, held.id, after=None, limit=10).rows] == [1, 2]
        (checkpoint,) = checkpoints.page(session, run=held.id, after=None, limit=10).rows
        assert (checkpoint.epoch, checkpoint.metrics["test_fgsm_accuracy"]) == (2, 0.6)


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
        for model in (EpochMetrics, Checkpoint, RunEvent):
            assert session.scalars(select(model)).all() == []


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


def test_an_event_id_is_never_given_twice(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Whoever has seen the newest events, which a rewind then forgets, is shown what comes instead."""
    _, held = submit(database, tiny_spec)
    train(database, tiny_spec, held, range(1, EPOCHS + 1))
    with database.reading() as session:
        seen = runs.events_page(session, held.id, after=None, limit=10).rows[-1].id
    with database.writing() as session:
        runs.rewind(session, held, to_epoch=2)
        runs.note(session, held, [Note("resumed", "It goes on.")])
    with database.reading() as session:
        assert [row.kind for row in runs.events_page(session, held.id, after=seen, limit=10).rows] == ["resumed"]


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
            jobs.abandon(session, held, retry_s=60)
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


def test_an_evaluation_becomes_a_line_of_the_report(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Batches are counted into accuracies, and the row joins them with the checkpoint's training accuracy."""
    experiment_id, evaluation = train_and_evaluate(database, tiny_spec)
    with database.reading() as session:
        unfinished = reports.build(session, experiment_id)
    assert (unfinished.complete, unfinished.rows) == (False, ())

    for stage, robust in (("natural", [True, True, True, False]), ("fgsm@8/255", [True, False, False, False])):
        for batch in range(2):
            half = judged(stage, robust[2 * batch : 2 * batch + 2], first=2 * batch)
            with database.writing() as session:
                finished = NumberedBatch(**vars(half), batch=batch)
                evaluations.record_batch(session, evaluation, finished, seconds=0.25)
    with database.writing() as session:
        evaluations.complete(session, evaluation)
    with database.reading() as session:
        report = reports.build(session, experiment_id)
    (row,) = report.rows
    assert (report.complete, report.status) == (True, "succeeded")
    assert (row.objective, row.seed, row.epoch, row.selection, row.n) == ("cross_entropy", 0, 2, "best_fgsm", 4)
    assert (row.natural_accuracy, row.fgsm_accuracy, row.autoattack_accuracy) == (0.75, 0.25, None)
    assert (row.train_accuracy, row.train_n, row.generalisation_gap) == (0.75, 96, 0.0)
    assert report.warnings == ()
    assert [(one.objective, one.seeds) for one in report.summaries] == [("cross_entropy", (0,))]


def test_a_report_warns_of_masked_gradients(database: Database, tiny_spec: ExperimentSpec) -> None:
    """A checkpoint without gradients on two of four images is named, with what was seen."""
    wanted = tiny_spec.evaluation.model_dump() | {"masking": {"samples": 4}}
    changes = {"evaluation": ExperimentEvaluationSpec.model_validate(wanted)}
    experiment_id, evaluation = train_and_evaluate(database, tiny_spec.model_copy(update=changes))
    natural = replace(judged("natural", [True] * 4), zero_gradient=[True, True, False, False])
    for batch in (natural, judged("fgsm@8/255", [True] * 4)):
        with database.writing() as session:
            evaluations.record_batch(session, evaluation, NumberedBatch(**vars(batch)), seconds=0.25)
    with database.writing() as session:
        evaluations.complete(session, evaluation)
    with database.reading() as session:
        report = reports.build(session, experiment_id)
    (warning,) = report.warnings
    assert warning.startswith("cross_entropy, seed 0, epoch 2: its gradients may be masked.")
    assert "exactly zero at 2 of 4" in warning


def attack(database: Database, held: Claim, robust: list[bool]) -> None:
    """Record that FGSM leaves those images right, which all are naturally, and end the evaluation."""
    for batch in (judged("natural", [True] * len(robust)), judged("fgsm@8/255", robust)):
        with database.writing() as session:
            evaluations.record_batch(session, held, NumberedBatch(**vars(batch)), seconds=0.25)
    with database.writing() as session:
        evaluations.complete(session, held)


@pytest.mark.parametrize(("changes", "n"), [({"samples": 20}, 6), ({"samples": 20, "seed": 1}, 4)])
def test_a_report_is_extended_by_an_evaluation_of_more_images(
    database: Database, tiny_spec: ExperimentSpec, changes: dict[str, int], n: int
) -> None:
    """One by itself that differs in samples alone takes the place of the experiment's own; any other does not."""
    experiment_id, own = train_and_evaluate(database, tiny_spec)
    attack(database, own, [True] * 4)
    with database.writing() as session:
        row = evaluations.get(session, own.id)
        request = EvaluationRequest.model_validate(row.spec | changes | {"checkpoint": row.checkpoint_id})
        (wider,) = evaluation_requests.create(session, request, None).evaluations
        held = jobs.claim(session, "evaluation", wider.id, "worker", 60)
    assert held is not None
    with database.reading() as session:
        assert [row.n for row in reports.build(session, experiment_id).rows] == [4]
    attack(database, held, [True, False, False] * 2)
    with database.reading() as session:
        (row,) = reports.build(session, experiment_id).rows
    assert (row.n, row.fgsm_accuracy) == ((6, 1 / 3) if n == 6 else (4, 1.0))


def test_a_report_has_the_curves_and_costs_of_every_run(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Epochs in order with what each measured, None where it did not; seconds of epochs and of attacked batches."""
    experiment_id, evaluation = train_and_evaluate(database, tiny_spec.model_copy(update={"seeds": (0, 1)}))
    for batch in range(3):
        with database.writing() as session:
            finished = NumberedBatch("natural", [batch], [0], [0], [False], batch)
            evaluations.record_batch(session, evaluation, finished, seconds=0.25)
    with database.reading() as session:
        report = reports.build(session, experiment_id)
    (curve,) = report.curves
    assert (curve.objective, curve.seed, curve.epochs) == ("cross_entropy", 0, (1, 2, 3, 4))
    assert curve.train_accuracy == (0.75,) * EPOCHS
    assert curve.test_fgsm_accuracy == tuple(FGSM.values())
    assert curve.test_accuracy == (None,) * EPOCHS
    trained, waiting = report.costs
    assert (trained.seed, trained.training_seconds, trained.evaluation_seconds) == (0, 1.5 * EPOCHS, 0.75)
    assert (waiting.seed, waiting.training_seconds, waiting.evaluation_seconds) == (1, 0.0, 0.0)
    assert waiting.device is None


def test_a_failed_run_is_named_in_the_report(database: Database, tiny_spec: ExperimentSpec) -> None:
    """A missing row is explained, not silently absent."""
    experiment_id, held = submit(database, tiny_spec)
    with database.writing() as session:
        jobs.finish(session, held, "failed", "diverged", "The loss was nan.")
    with database.reading() as session:
        report = reports.build(session, experiment_id)
    assert report.status == "failed"
    assert report.warnings == ("cross_entropy, seed 0: training failed. The loss was nan.",)
