"""Evaluations: jobs that follow a run, batch results as rows, and what the API shows of them."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from gauntlet import resources
from gauntlet.report import EvaluationOutcome, summarise
from gauntlet.spec import EvaluationSpec, RunSpec, Selection, SelectOn
from store import jobs
from store.database import db_now
from store.jobs import Claim
from store.lookup import find
from store.models import Checkpoint, Evaluation, EvaluationBatch, Run, new_id
from store.pages import PageOf, newest_first


def get(session: Session, identifier: str) -> Evaluation:
    """The evaluation with that id.

    Raises:
        NotFound: there is none.
    """
    return find(session, Evaluation, "evaluation", identifier)


def page(
    session: Session, *, experiment: str | None, run: str | None, after: str | None, limit: int
) -> PageOf[Evaluation]:
    """Evaluations, newest first; of one experiment or run if it is named."""
    query = select(Evaluation)
    if experiment is not None:
        query = query.where(Evaluation.experiment_id == experiment)
    if run is not None:
        query = query.where(Evaluation.run_id == run)
    return newest_first(session, query, Evaluation.id, after=after, limit=limit)


def cancel(session: Session, identifier: str) -> Evaluation:
    """Cancel an evaluation that has not ended.

    Raises:
        NotFound: there is none.
    """
    evaluation = get(session, identifier)
    jobs.request_cancel(session, Evaluation, Evaluation.id == identifier)
    session.refresh(evaluation)
    return evaluation


def create_for(session: Session, run: Run, checkpoints: Sequence[Checkpoint]) -> list[str]:
    """Queue the evaluations that a run's spec asks for, one per selected checkpoint; returns their ids."""
    spec = RunSpec.model_validate(run.spec).evaluation
    selected: dict[str, list[Selection]] = {}
    for selection in spec.select:
        selected.setdefault(select_checkpoint(selection, spec.select_on, checkpoints).id, []).append(selection)
    created = [
        Evaluation(
            id=new_id("eval"),
            created_at=db_now(),
            experiment_id=run.experiment_id,
            run_id=run.id,
            checkpoint_id=checkpoint,
            selection=list(selections),
            spec=spec.model_dump(mode="json"),
        )
        for checkpoint, selections in selected.items()
    ]
    session.add_all(created)
    session.flush()
    return [evaluation.id for evaluation in created]


def select_checkpoint(selection: Selection, select_on: SelectOn, checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """The checkpoint that a selection means, from a run's checkpoints in order of epoch; of equals the earliest."""
    if selection == "last":
        return checkpoints[-1]
    return max(checkpoints, key=lambda checkpoint: checkpoint.metrics[f"{select_on}_fgsm_accuracy"])


def batches(session: Session, identifier: str) -> Sequence[EvaluationBatch]:
    """The batches that are done."""
    return session.scalars(select(EvaluationBatch).where(EvaluationBatch.evaluation_id == identifier)).all()


def record_batch(
    session: Session, held: Claim, *, stage: str, batch: int, images: Sequence[int], robust: Sequence[bool]
) -> None:
    """Store one finished batch.

    Raises:
        LeaseLost: the evaluation is no longer this attempt's.
    """
    jobs.hold(session, held, progressed=True)
    session.add(
        EvaluationBatch(evaluation_id=held.id, stage=stage, batch=batch, images=list(images), robust=list(robust))
    )


def complete(session: Session, held: Claim) -> None:
    """Count the stored batches into the outcome and end the evaluation.

    Raises:
        LeaseLost: the evaluation is no longer this attempt's.
    """
    if jobs.finish(session, held, "succeeded") != "succeeded":
        return
    evaluation = session.get_one(Evaluation, held.id)
    done = batches(session, held.id)
    n = sum(len(batch.robust) for batch in done if batch.stage == "natural")
    evaluation.outcome = summarise(specified(evaluation).attacks, done, n).model_dump(mode="json")


def specified(evaluation: Evaluation) -> EvaluationSpec:
    """The evaluation's spec as a value."""
    return EvaluationSpec.model_validate(evaluation.spec)


def show(evaluation: Evaluation) -> resources.Evaluation:
    """The evaluation as the API shows it."""
    outcome = evaluation.outcome
    return resources.Evaluation(
        id=evaluation.id,
        experiment=evaluation.experiment_id,
        run=evaluation.run_id,
        checkpoint=evaluation.checkpoint_id,
        selection=tuple(evaluation.selection),
        spec=specified(evaluation),
        outcome=None if outcome is None else EvaluationOutcome.model_validate(outcome),
        **jobs.shown(evaluation),
    )
