"""/v1/evaluations: checkpoints under attack."""

from fastapi import APIRouter

from gauntlet.resources import Evaluation, Page
from service.dependencies import After, DatabaseDep, IdFilter, Limit
from service.pages import as_page
from store import evaluations

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"])


@router.get("")
def list_evaluations(
    database: DatabaseDep,
    experiment: IdFilter = None,
    run: IdFilter = None,
    limit: Limit = 20,
    after: After = None,
) -> Page[Evaluation]:
    """Evaluations, newest first; of one experiment or run if it is named."""
    with database.reading() as session:
        found = evaluations.page(session, experiment=experiment, run=run, after=after, limit=limit)
    return as_page(found, evaluations.show, lambda evaluation: evaluation.id)


@router.get("/{evaluation_id}")
def get_evaluation(evaluation_id: str, database: DatabaseDep) -> Evaluation:
    """One evaluation with its progress, and its outcome once it has one."""
    with database.reading() as session:
        return evaluations.show(evaluations.get(session, evaluation_id))


@router.post("/{evaluation_id}/cancel")
def cancel_evaluation(evaluation_id: str, database: DatabaseDep) -> Evaluation:
    """Cancel the evaluation if it has not ended."""
    with database.writing() as session:
        return evaluations.show(evaluations.cancel(session, evaluation_id))
