"""The report of an experiment, put together anew from rows each time it is read."""

import json
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session, defer

from gauntlet import resources
from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.sentences import doubts
from gauntlet.report.curves import RunCurve
from gauntlet.report.report import Report, RunCost, assemble
from gauntlet.report.report_row import ReportRow, report_row
from gauntlet.results.outcome import EvaluationOutcome
from gauntlet.results.protocol import with_equal_fingerprints
from gauntlet.results.suspicions import OVERFITTING, overfitting
from gauntlet.spec.evaluations.evaluation import Selected
from gauntlet.spec.runs.objective_labels import objective_title
from store import events
from store.models import Checkpoint, EpochMetrics, Evaluation, EvaluationBatch, Event, Run
from store.queue import sweeps
from store.subjects import experiments

# Up to 10 kB for each of a thousand runs, and all of it stands in the experiment's.
_WITHOUT_SPEC = defer(Run.spec, raiseload=True)
# What happened to a run that a reader of its numbers must know.
_TOLD_EVENTS = ("resumed_elsewhere", "data_changed", OVERFITTING)


def build(session: Session, experiment_id: str) -> Report:
    """The experiment's report as far as its evaluations have come.

    Raises:
        NotFound: there is no such experiment.
    """
    (shown,) = experiments.show(session, [experiments.get(session, experiment_id)])
    of_experiment = _runs_of(experiment_id)
    runs = session.scalars(of_experiment.options(_WITHOUT_SPEC)).all()
    measured = _measured(session, experiment_id)
    found = session.execute(
        of_experiment.options(_WITHOUT_SPEC, defer(Checkpoint.card, raiseload=True))
        .join(Evaluation, Evaluation.run_id == Run.id)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .add_columns(Checkpoint, Evaluation.id)
        .where(Evaluation.outcome.is_not(None))
        .order_by(Evaluation.id)
    ).all()
    outcomes = _widest_outcomes(measured, [identifier for _, _, identifier in found])
    rows = [
        row
        for (run, checkpoint, identifier), outcome in zip(found, outcomes, strict=True)
        for row in _rows(run, checkpoint, measured[identifier].selection, outcome)
    ]
    read = [(run, DatasetDescription.model_validate(run.data)) for run in runs if run.data is not None]
    return assemble(
        experiment=shown.id,
        name=shown.name,
        status=shown.status,
        complete=shown.status in resources.TERMINAL,
        spec=shown.spec,
        dataset=read[0][1] if read else None,
        # As the rows were written: an earlier service called some objectives otherwise than their spec does today.
        objectives=dict.fromkeys(run.objective for run in runs),
        rows=rows,
        curves=_curves(session, runs),
        costs=_costs(session, runs),
        sweep=sweeps.result(session, shown.spec, runs),
        warnings=[*_doubts_of_data(read), *_absences(session, experiment_id)],
    )


def weight(session: Session, experiment_id: str) -> int:
    """How much a report or series of the experiment is put together of: its epochs, and ten for a run or evaluation.

    Measured: a report takes 0.3 ms for each run and each evaluation, a series 10 µs for an epoch.
    """
    runs = select(Run.id).where(Run.experiment_id == experiment_id)
    counts = [
        select(func.count()).select_from(model).where(column.in_(runs)).scalar_subquery() * each
        for model, column, each in (
            (Run, Run.id, 10),
            (Evaluation, Evaluation.run_id, 10),
            (EpochMetrics, EpochMetrics.run_id, 1),
        )
    ]
    return sum(session.execute(select(*counts)).one())


def _runs_of(experiment_id: str) -> Select[Run]:
    """Its runs in their order; of one that was retried, the retry alone."""
    return select(Run).where(Run.experiment_id == experiment_id, Run.retried_by.is_(None)).order_by(Run.ordinal)


def _measured(session: Session, experiment_id: str) -> dict[str, Evaluation]:
    """All evaluations with an outcome of the checkpoints that the experiment's own measured, by id and in its order."""
    own = select(Evaluation.checkpoint_id).where(
        Evaluation.experiment_id == experiment_id, Evaluation.outcome.is_not(None)
    )
    of_them = select(Evaluation).where(Evaluation.checkpoint_id.in_(own), Evaluation.outcome.is_not(None))
    return {evaluation.id: evaluation for evaluation in session.scalars(of_them.order_by(Evaluation.id))}


def _widest_outcomes(measured: Mapping[str, Evaluation], asked: Sequence[str]) -> list[EvaluationOutcome]:
    """What each evaluation found, on as many images as have been measured alike for all of them.

    An evaluation by itself of the same checkpoint, which differs in nothing but more samples, extends the experiment's
    own; a report stays on the fewer images until every line has been extended.
    """
    outcomes = {key: EvaluationOutcome.model_validate(each.outcome, extra="ignore") for key, each in measured.items()}
    protocols = {key: _protocols(each) for key, each in measured.items()}
    alike: dict[tuple[str, str], dict[int, EvaluationOutcome]] = {}
    for identifier, outcome in outcomes.items():
        alike.setdefault(protocols[identifier], {})[outcome.natural.n] = outcome
    by_images = [alike[protocols[identifier]] for identifier in asked]
    common = set[int]().union(*by_images).intersection(*by_images)
    # Without a common number each shows its own: test sets of one experiment are equal, so this is a set that changed.
    return [
        found[max(common)] if common else outcomes[identifier]
        for found, identifier in zip(by_images, asked, strict=True)
    ]


def _protocols(evaluation: Evaluation) -> tuple[str, str]:
    """Equal for evaluations of one checkpoint that differ in the number of samples alone."""
    spec = {name: value for name, value in evaluation.spec.items() if name != "samples"}
    how = [spec, evaluation.dataset_sha256, with_equal_fingerprints(evaluation.implementation or "")]
    return evaluation.checkpoint_id, json.dumps(how, sort_keys=True)


def _rows(
    run: Run, checkpoint: Checkpoint, selections: Sequence[Selected], outcome: EvaluationOutcome
) -> list[ReportRow]:
    assert checkpoint.epoch is not None  # a run's checkpoint has one
    return [
        report_row(
            objective=run.objective,
            seed=run.seed,
            run=run.id,
            checkpoint=checkpoint.id,
            epoch=checkpoint.epoch,
            selection=selection,
            metrics=checkpoint.metrics,
            outcome=outcome,
        )
        for selection in selections
    ]


def _curves(session: Session, runs: Sequence[Run]) -> Iterator[RunCurve]:
    """A curve for each run that has finished an epoch."""
    by_run: dict[str, dict[int, Mapping[str, float]]] = {}
    # Values and not objects, of which there would be ten thousands.
    recorded = select(EpochMetrics.run_id, EpochMetrics.epoch, EpochMetrics.metrics)
    of_them = recorded.where(EpochMetrics.run_id.in_([run.id for run in runs]))
    for run_id, epoch, metrics in session.execute(of_them.order_by(EpochMetrics.run_id, EpochMetrics.epoch)):
        by_run.setdefault(run_id, {})[epoch] = metrics
    for run in runs:
        if epochs := by_run.get(run.id):
            yield RunCurve(
                run=run.id,
                objective=run.objective,
                seed=run.seed,
                epochs=tuple(epochs),
                train_accuracy=_metric(epochs, "train_accuracy"),
                test_accuracy=_metric(epochs, "test_accuracy"),
                test_fgsm_accuracy=_metric(epochs, "test_fgsm_accuracy"),
                train_adversarial_accuracy=_metric(epochs, "train_adversarial_accuracy"),
                probe_accuracy=_metric(epochs, "probe_accuracy"),
                overfitting=tuple(epoch for epoch, metrics in epochs.items() if overfitting(metrics)),
            )


def _metric(epochs: Mapping[int, Mapping[str, float]], name: str) -> tuple[float | None, ...]:
    return tuple(metrics.get(name) for metrics in epochs.values())


def _costs(session: Session, runs: Sequence[Run]) -> Iterator[RunCost]:
    identifiers = [run.id for run in runs]
    training = select(EpochMetrics.run_id, func.sum(EpochMetrics.seconds)).where(EpochMetrics.run_id.in_(identifiers))
    evaluating = (
        select(Evaluation.run_id, func.sum(EvaluationBatch.seconds))
        .join(EvaluationBatch, EvaluationBatch.evaluation_id == Evaluation.id)
        .where(Evaluation.run_id.in_(identifiers))
    )
    trained = dict(session.execute(training.group_by(EpochMetrics.run_id)).all())
    evaluated = dict(session.execute(evaluating.group_by(Evaluation.run_id)).all())
    for run in runs:
        yield RunCost(
            run=run.id,
            objective=run.objective,
            seed=run.seed,
            device=run.device,
            training_seconds=trained.get(run.id, 0.0),
            evaluation_seconds=evaluated.get(run.id, 0.0),
        )


def _doubts_of_data(read: Sequence[tuple[Run, DatasetDescription]]) -> Iterator[str]:
    """What makes the data suspect, as the first run read it; and which runs read other data than those before."""
    if not read:
        return
    first, found = read[0]
    yield from doubts(found)
    by_number: dict[object, tuple[Run, DatasetDescription]] = {}
    for run, seen in read:
        # A sweep's trials on fewer training images read a part of them.
        number = (run.trial or {"values": {}})["values"].get("dataset.train_samples")
        alike, before = by_number.setdefault(number, (run, seen))
        test_differs = seen.content[-1:] != found.content[-1:]
        if seen.content != before.content or test_differs:
            other = first if test_differs else alike
            yield f"{_named(run)}, did not read the same data as {_named(other)}: their numbers do not compare."


def _absences(session: Session, experiment_id: str) -> Iterator[str]:
    """What a reader must know of how the runs went, and of what is missing."""
    runs = _runs_of(experiment_id)
    resumed = runs.join(Event, and_(Event.subject == Run.id, Event.type.in_(events.NOTES))).add_columns(Event)
    for run, event in session.execute(resumed.where(Event.kind.in_(_TOLD_EVENTS))):
        yield f"{_named(run)}{'' if event.epoch is None else f', epoch {event.epoch}'}: {event.message}"
    for run in session.scalars(runs.where(Run.status == "failed")):
        yield f"{_named(run)}: training failed. {run.status_detail or run.status_reason}"
    evaluated = runs.join(Evaluation, Evaluation.run_id == Run.id).add_columns(Evaluation)
    for run, evaluation in session.execute(
        evaluated.where(Evaluation.status == "failed", Evaluation.retried_by.is_(None))
    ):
        yield f"{_named(run)}: evaluation failed. {evaluation.status_detail or evaluation.status_reason}"


def _named(run: Run) -> str:
    return f"{objective_title(run.objective)}, seed {run.seed}"
