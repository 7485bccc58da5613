"""What is deleted for good. What others stand on is refused with 409, and named."""

import logging

from fastapi import APIRouter

from service.dependencies import CallerDep, DatabaseDep
from service.requests.answers import MAY_BE_REFUSED
from service.requests.routing import Route
from store.accounts.owners import require_may_change
from store.subjects import checkpoints, deletions, evaluations, experiments

router = APIRouter(prefix="/v1", route_class=Route)

logger = logging.getLogger(__name__)


@router.delete("/experiments/{experiment_id}", status_code=204, tags=["experiments"], responses=MAY_BE_REFUSED)
def delete_experiment(experiment_id: str, database: DatabaseDep, caller: CallerDep) -> None:
    """Delete an experiment that has ended, with its runs, checkpoints and evaluations."""
    with database.writing() as session:
        experiment = experiments.get(session, experiment_id)
        require_may_change(caller, experiment)
        deletions.delete_experiment(session, experiment)
    logger.info("Experiment %s is deleted.", experiment_id)


@router.delete("/checkpoints/{checkpoint_id}", status_code=204, tags=["checkpoints"], responses=MAY_BE_REFUSED)
def delete_checkpoint(checkpoint_id: str, database: DatabaseDep, caller: CallerDep) -> None:
    """Delete a checkpoint that nothing stands on: no evaluation of it, no run from it, no attack with its examples."""
    with database.writing() as session:
        checkpoint = checkpoints.get(session, checkpoint_id)
        require_may_change(caller, checkpoint)
        deletions.delete_checkpoint(session, checkpoint)
    logger.info("Checkpoint %s is deleted.", checkpoint_id)


@router.delete("/evaluations/{evaluation_id}", status_code=204, tags=["evaluations"], responses=MAY_BE_REFUSED)
def delete_evaluation(evaluation_id: str, database: DatabaseDep, caller: CallerDep) -> None:
    """Delete an evaluation that was asked for by itself and has ended."""
    with database.writing() as session:
        evaluation = evaluations.get(session, evaluation_id)
        require_may_change(caller, evaluation)
        deletions.delete_evaluation(session, evaluation)
    logger.info("Evaluation %s is deleted.", evaluation_id)


@router.delete("/evaluations/{evaluation_id}/pictures", status_code=204, tags=["evaluations"], responses=MAY_BE_REFUSED)
def delete_pictures(evaluation_id: str, database: DatabaseDep, caller: CallerDep) -> None:
    """Delete the attacked pictures that an evaluation kept, and nothing else of it."""
    with database.writing() as session:
        evaluation = evaluations.get(session, evaluation_id)
        require_may_change(caller, evaluation)
        deletions.delete_pictures(session, evaluation)
    logger.info("The pictures of evaluation %s are deleted.", evaluation_id)
