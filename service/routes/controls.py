"""What users ask of experiments, runs and evaluations that have not ended: to pause, and to go on."""

import logging

from fastapi import APIRouter

from gauntlet.resources import Evaluation, Experiment, Run
from service.dependencies import CallerDep, CeleryDep, DatabaseDep
from service.routing import Route
from store import evaluations, experiments, runs
from store.broker import wake
from store.owners import require_may_change

router = APIRouter(prefix="/v1", route_class=Route)

logger = logging.getLogger(__name__)


@router.post("/experiments/{experiment_id}/pause", tags=["experiments"])
def pause_experiment(experiment_id: str, database: DatabaseDep, caller: CallerDep) -> Experiment:
    """Pause what has not ended; running jobs save their state and stop at their next batch."""
    with database.writing() as session:
        experiment = experiments.get(session, experiment_id)
        require_may_change(caller, experiment)
        experiments.pause(session, experiment_id)
        (shown,) = experiments.show(session, [experiment])
    logger.info("Experiment %s is paused by its user.", experiment_id)
    return shown


@router.post("/experiments/{experiment_id}/resume", tags=["experiments"])
def resume_experiment(experiment_id: str, database: DatabaseDep, celery: CeleryDep, caller: CallerDep) -> Experiment:
    """Let what is paused go on where it stopped."""
    with database.writing() as session:
        experiment = experiments.get(session, experiment_id)
        require_may_change(caller, experiment)
        waiting = experiments.resume(session, experiment_id)
        (shown,) = experiments.show(session, [experiment])
    wake(celery, waiting)
    logger.info("Experiment %s is resumed by its user.", experiment_id)
    return shown


@router.post("/runs/{run_id}/pause", tags=["runs"])
def pause_run(run_id: str, database: DatabaseDep, caller: CallerDep) -> Run:
    """Pause the run, or the evaluations that follow it; what runs saves its state and stops at its next batch."""
    with database.writing() as session:
        require_may_change(caller, runs.get(session, run_id))
        shown = runs.show(runs.pause(session, run_id))
    logger.info("Run %s is paused by its user.", run_id)
    return shown


@router.post("/runs/{run_id}/resume", tags=["runs"])
def resume_run(run_id: str, database: DatabaseDep, celery: CeleryDep, caller: CallerDep) -> Run:
    """Let the paused run, or the evaluations that follow it, go on where it stopped."""
    with database.writing() as session:
        require_may_change(caller, runs.get(session, run_id))
        run, waiting = runs.resume(session, run_id)
        shown = runs.show(run)
    wake(celery, waiting)
    logger.info("Run %s is resumed by its user.", run_id)
    return shown


@router.post("/evaluations/{evaluation_id}/pause", tags=["evaluations"])
def pause_evaluation(evaluation_id: str, database: DatabaseDep, caller: CallerDep) -> Evaluation:
    """Pause the evaluation; a running one stops once its batch is done."""
    with database.writing() as session:
        require_may_change(caller, evaluations.get(session, evaluation_id))
        (shown,) = evaluations.show(session, [evaluations.pause(session, evaluation_id)])
    logger.info("Evaluation %s is paused by its user.", evaluation_id)
    return shown


@router.post("/evaluations/{evaluation_id}/resume", tags=["evaluations"])
def resume_evaluation(evaluation_id: str, database: DatabaseDep, celery: CeleryDep, caller: CallerDep) -> Evaluation:
    """Let the paused evaluation go on after the batches that are done."""
    with database.writing() as session:
        require_may_change(caller, evaluations.get(session, evaluation_id))
        evaluation, waiting = evaluations.resume(session, evaluation_id)
        (shown,) = evaluations.show(session, [evaluation])
    wake(celery, waiting)
    logger.info("Evaluation %s is resumed by its user.", evaluation_id)
    return shown
