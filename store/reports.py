"""The report of an experiment, put together anew from rows each time it is read."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from gauntlet import resources
from gauntlet.report import EvaluationOutcome, Report, ReportRow, report_row
from store import experiments
from store.models import Checkpoint, Evaluation, Run, RunEvent

# Events that a reader of the numbers must know.
_SUSPECT = ("one_class", "uniform_output", "overconfident", "resumed_elsewhere")


def build(session: Session, experiment_id: str) -> Report:
    """The experiment's report as far as its evaluations have come.

    Raises:
        NotFound: there is no such experiment.
    """
    (shown,) = experiments.show(session, [experiments.get(session, experiment_id)])
    found = session.execute(
        select(Run, Checkpoint, Evaluation)
        .join(Evaluation, Evaluation.run_id == Run.id)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .where(Run.experiment_id == experiment_id, Evaluation.outcome.is_not(None))
        .order_by(Run.ordinal, Evaluation.id)
    ).all()
    rows = [row for run, checkpoint, evaluation in found for row in _rows(run, checkpoint, evaluation)]
    return Report(
        experiment=shown.id,
        name=shown.name,
        status=shown.status,
        complete=shown.status in resources.TERMINAL,
        spec=shown.spec,
        rows=tuple(rows),
        warnings=tuple(_warnings(session, experiment_id)),
    )


def _rows(run: Run, checkpoint: Checkpoint, evaluation: Evaluation) -> list[ReportRow]:
    outcome = EvaluationOutcome.model_validate(evaluation.outcome)
    return [
        report_row(
            objective=run.objective,
            seed=run.seed,
            run=run.id,
            checkpoint=checkpoint.id,
            epoch=checkpoint.epoch,
            selection=selection,
            train_accuracy=checkpoint.metrics["train_accuracy"],
            train_n=int(checkpoint.metrics["train_accuracy_n"]),
            outcome=outcome,
        )
        for selection in evaluation.selection
    ]


def _warnings(session: Session, experiment_id: str) -> list[str]:
    events = session.execute(
        select(Run.objective, Run.seed, RunEvent.epoch, RunEvent.message)
        .join(RunEvent, RunEvent.run_id == Run.id)
        .where(Run.experiment_id == experiment_id, RunEvent.kind.in_(_SUSPECT))
        .order_by(Run.ordinal, RunEvent.id)
    ).all()
    told: dict[tuple[str, int, str], int | None] = {}
    for event in events:
        told.setdefault((event.objective, event.seed, event.message), event.epoch)
    failed = session.execute(
        select(Run.objective, Run.seed, Run.status_reason, Run.status_detail)
        .where(Run.experiment_id == experiment_id, Run.status == "failed")
        .order_by(Run.ordinal)
    ).all()
    return [
        *(f"{objective}, seed {seed}, from epoch {epoch}: {text}" for (objective, seed, text), epoch in told.items()),
        *(f"{run.objective}, seed {run.seed}, failed: {run.status_detail or run.status_reason}" for run in failed),
    ]
