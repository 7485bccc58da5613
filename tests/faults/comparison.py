"""All of a run that must come out the same, whatever happened to it."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.models import Checkpoint, EpochMetrics, Evaluation, EvaluationBatch, Run


def result_of(session: Session, run: str) -> list[Any]:
    """Status, metrics, digests of weights, each attacked batch and the outcomes: as many rows as there are."""
    trained = select(Run.status, Run.seed, Run.resume_path).where(Run.id == run)
    metrics = select(EpochMetrics.epoch, EpochMetrics.metrics).where(EpochMetrics.run_id == run)
    of_weights = Checkpoint.epoch, Checkpoint.averaged
    kept = select(*of_weights, Checkpoint.sha256).where(Checkpoint.run_id == run)
    batch = EvaluationBatch.stage, EvaluationBatch.batch
    attacked = (
        select(*of_weights, *batch, EvaluationBatch.images, EvaluationBatch.predicted)
        .join(Evaluation, Evaluation.id == EvaluationBatch.evaluation_id)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .where(Evaluation.run_id == run)
    )
    outcomes = (
        select(*of_weights, Evaluation.status, Evaluation.outcome)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .where(Evaluation.run_id == run)
    )
    ordered = (
        trained,
        metrics.order_by(EpochMetrics.epoch),
        kept.order_by(*of_weights),
        attacked.order_by(*of_weights, *batch),
        outcomes.order_by(*of_weights),
    )
    return [[tuple(row) for row in session.execute(query)] for query in ordered]


def measured_of(session: Session, evaluation: str) -> list[Any]:
    """The same of an evaluation that was asked for by itself: each attacked batch, and the outcome."""
    batch = EvaluationBatch.stage, EvaluationBatch.batch
    rows = select(*batch, EvaluationBatch.images, EvaluationBatch.predicted)
    rows = rows.where(EvaluationBatch.evaluation_id == evaluation).order_by(*batch)
    outcome = session.scalar(select(Evaluation.outcome).where(Evaluation.id == evaluation))
    return [*map(tuple, session.execute(rows)), outcome]
