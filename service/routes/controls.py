"""What users ask of experiments, runs and evaluations: to pause, go on, be done again, be sooner or later."""

import logging
from functools import partial

from fastapi import APIRouter, Response

from gauntlet.resources import Evaluation, Experiment, Run
from gauntlet.spec.asked.priorities import PriorityRequest
from service.dependencies import AllowanceDep, CallerDep, CeleryDep, DatabaseDep, SettingsDep
from service.requests.answers import MAY_BE_REFUSED
from service.requests.routing import Route
from service.storage_reads import LOOKS
from store.accounts.owners import require_may_change
from store.queue import retries
from store.queue.broker import wake
from store.subjects import evaluations, experiments, runs

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


@router.post("/runs/{run_id}/retry", status_code=202, tags=["runs"], responses=MAY_BE_REFUSED)
def retry_run(
    run_id: str,
    response: Response,
    database: DatabaseDep,
    celery: CeleryDep,
    settings: SettingsDep,
    caller: CallerDep,
    allowance: AllowanceDep,
) -> Run:
    """Queue a run in the place of this one, which failed or was cancelled; it goes on from the last saved state."""
    lost_state = LOOKS(partial(retries.find_lost_state, database, run_id, settings.storage))
    with database.writing() as session:
        require_may_change(caller, runs.get(session, run_id))
        run, is_new = retries.retry_run(session, run_id, lost_state)
        if is_new:
            allowance.require_jobs(session, 1)
        shown = runs.show(run)
    if is_new:
        wake(celery, 1)
        logger.info("Run %s is retried as %s.", run_id, shown.id)
    response.headers["Location"] = f"/v1/runs/{shown.id}"
    return shown


@router.post("/evaluations/{evaluation_id}/retry", status_code=202, tags=["evaluations"], responses=MAY_BE_REFUSED)
def retry_evaluation(
    evaluation_id: str,
    response: Response,
    database: DatabaseDep,
    celery: CeleryDep,
    caller: CallerDep,
    allowance: AllowanceDep,
) -> Evaluation:
    """Queue an evaluation in the place of this one, which failed or was cancelled; what is done is not done again."""
    with database.writing() as session:
        require_may_change(caller, evaluations.get(session, evaluation_id))
        evaluation, is_new = retries.retry_evaluation(session, evaluation_id)
        if is_new:
            allowance.require_jobs(session, 1)
        (shown,) = evaluations.show(session, [evaluation])
    if is_new:
        wake(celery, 1)
        logger.info("Evaluation %s is retried as %s.", evaluation_id, shown.id)
    response.headers["Location"] = f"/v1/evaluations/{shown.id}"
    return shown


@router.post("/experiments/{experiment_id}/priority", tags=["experiments"])
def prioritise_experiment(
    experiment_id: str, request: PriorityRequest, database: DatabaseDep, caller: CallerDep
) -> Experiment:
    """Give the experiment another priority; what of it runs goes on."""
    with database.writing() as session:
        experiment = experiments.get(session, experiment_id)
        require_may_change(caller, experiment)
        experiments.prioritise(session, experiment_id, request.priority)
        (shown,) = experiments.show(session, [experiment])
    logger.info("Experiment %s has priority %s.", experiment_id, request.priority)
    return shown


@router.post("/evaluations/{evaluation_id}/priority", tags=["evaluations"])
def prioritise_evaluation(
    evaluation_id: str, request: PriorityRequest, database: DatabaseDep, caller: CallerDep
) -> Evaluation:
    """Give the evaluation another priority, unless it has ended."""
    with database.writing() as session:
        require_may_change(caller, evaluations.get(session, evaluation_id))
        (shown,) = evaluations.show(session, [evaluations.prioritise(session, evaluation_id, request.priority)])
    logger.info("Evaluation %s has priority %s.", evaluation_id, request.priority)
    return shown
