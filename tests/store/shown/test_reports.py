"""Reports put together from rows, on both databases."""

from dataclasses import dataclass, replace

import pytest

from gauntlet.results.masking import MASKING_PREFIX, masking_attacks
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.evaluations.evaluation import EvaluationRequest, ExperimentEvaluationSpec
from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.queue import helpers, jobs
from store.queue.jobs import Claim
from store.shown import reports
from store.subjects import evaluation_requests, evaluations
from tests.reports import Batch, judged
from tests.store.recorded import EPOCHS, FGSM, submit, train_and_evaluate


@dataclass(frozen=True)
class NumberedBatch(Batch):
    """A made-up batch with its place in its stage."""

    batch: int = 0


def test_a_report_weighs_what_it_is_put_together_of(database: Database, tiny_spec: ExperimentSpec) -> None:
    """An epoch each, and ten for a run and for an evaluation; of its own experiment alone."""
    experiment_id, _ = train_and_evaluate(database, tiny_spec)
    other, _ = submit(database, tiny_spec)
    with database.reading() as session:
        assert reports.weight(session, experiment_id) == 10 + 10 + EPOCHS
        assert reports.weight(session, other) == 10
        assert reports.weight(session, "exp_nobody") == 0


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
    assert (row.natural_accuracy, row.accuracies) == (0.75, {"fgsm@8/255": 0.25})
    assert (row.train_accuracy, row.train_n, row.generalisation_gap) == (0.75, 96, 0.125)
    assert report.warnings == ()
    assert [(one.objective, one.seeds) for one in report.summaries] == [("cross_entropy", (0,))]


def test_a_report_warns_of_masked_gradients(database: Database, tiny_spec: ExperimentSpec) -> None:
    """A checkpoint without gradients on two of four images is named, with what was seen."""
    wanted = tiny_spec.evaluation.model_dump() | {"masking": {"samples": 4}}
    changes = {"evaluation": ExperimentEvaluationSpec.model_validate(wanted)}
    experiment_id, evaluation = train_and_evaluate(database, tiny_spec.model_copy(update=changes))
    with database.reading() as session:
        spec = evaluations.specified(evaluations.get(session, evaluation.id))
    natural = replace(judged("natural", [True] * 4), zero_gradient=[True, True, False, False])
    checks = [f"{MASKING_PREFIX}{attack_label(attack)}" for attack in masking_attacks(spec)]
    for batch in (natural, judged("fgsm@8/255", [True] * 4), *(judged(name, [False] * 4) for name in checks)):
        with database.writing() as session:
            evaluations.record_batch(session, evaluation, NumberedBatch(**vars(batch)), seconds=0.25)
    with database.writing() as session:
        evaluations.complete(session, evaluation)
    with database.reading() as session:
        report = reports.build(session, experiment_id)
    (warning,) = report.warnings
    assert warning.startswith("cross-entropy, seed 0, epoch 2: Its gradients may be masked.")
    assert "no number throughout 2 of 4" in warning


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
    assert (row.n, row.accuracies["fgsm@8/255"]) == ((6, 1 / 3) if n == 6 else (4, 1.0))


def test_a_report_has_the_curves_and_costs_of_every_run(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Epochs in order with what each measured, None where it did not; seconds of epochs and of attacked batches."""
    experiment_id, evaluation = train_and_evaluate(database, tiny_spec.model_copy(update={"seeds": (0, 1)}))
    for batch in range(3):
        with database.writing() as session:
            finished = NumberedBatch("natural", [batch], [0], [0], [False], batch=batch)
            evaluations.record_batch(session, evaluation, finished, seconds=0.25)
    with database.reading() as session:
        report = reports.build(session, experiment_id)
    (curve,) = report.curves
    assert (curve.objective, curve.seed, curve.epochs) == ("cross_entropy", 0, (1, 2, 3, 4))
    assert curve.train_accuracy == (0.75,) * EPOCHS
    assert curve.test_fgsm_accuracy == tuple(FGSM.values())
    assert curve.test_accuracy == (0.625,) * EPOCHS
    assert curve.train_adversarial_accuracy == (None,) * EPOCHS
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
    assert report.warnings == ("cross-entropy, seed 0: training failed. The loss was nan.",)


@pytest.mark.parametrize(("device", "n"), [("cpu", 6), ("cuda", 4)])
def test_a_report_is_extended_where_only_what_nan_is_taken_for_differs(
    database: Database, tiny_spec: ExperimentSpec, device: str, n: int
) -> None:
    """Their numbers have one fingerprint. `gauntlet` 1.0.0 noted code without that; a device's seed is its own."""
    experiment_id, own = train_and_evaluate(database, tiny_spec)
    attack(database, own, [True] * 4)
    with database.writing() as session:
        row = evaluations.get(session, own.id)
        row.implementation = "gauntlet 2, pyautoattack 0.2.0, cpu"
        request = EvaluationRequest.model_validate(row.spec | {"samples": 20, "checkpoint": row.checkpoint_id})
        (wider,) = evaluation_requests.create(session, request, None).evaluations
        held = jobs.claim(session, "evaluation", wider.id, "worker", 60)
        evaluations.get(session, wider.id).implementation = helpers.implementation(device)
    assert held is not None
    attack(database, held, [True, False, False] * 2)
    with database.reading() as session:
        assert [row.n for row in reports.build(session, experiment_id).rows] == [n]
