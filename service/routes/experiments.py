"""/v1/experiments: submit, look, cancel, and read the report."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse

from gauntlet.report import Report, to_markdown
from gauntlet.resources import Experiment, Page
from gauntlet.spec import ExperimentSpec
from service.dependencies import After, CeleryDep, DatabaseDep, IdempotencyKey, Limit
from service.pages import as_page
from store import experiments, reports
from store.broker import wake

router = APIRouter(prefix="/v1/experiments", tags=["experiments"])


@router.post("", status_code=202)
def submit(
    spec: ExperimentSpec,
    response: Response,
    database: DatabaseDep,
    celery: CeleryDep,
    idempotency_key: IdempotencyKey = None,
) -> Experiment:
    """Queue an experiment: a whole spec, or a preset with any field overridden."""
    with database.writing() as session:
        experiment, waiting = experiments.create(session, spec, idempotency_key)
    wake(celery, "run", waiting)
    response.headers["Location"] = f"/v1/experiments/{experiment.id}"
    return _read(database, experiment.id)


@router.get("")
def list_experiments(database: DatabaseDep, limit: Limit = 20, after: After = None) -> Page[Experiment]:
    """Experiments, newest first."""
    with database.reading() as session:
        found = experiments.page(session, after=after, limit=limit)
        shown = {resource.id: resource for resource in experiments.show(session, found.rows)}
    return as_page(found, lambda row: shown[row.id], lambda row: row.id)


@router.get("/{experiment_id}")
def get_experiment(experiment_id: str, database: DatabaseDep) -> Experiment:
    """One experiment with its status."""
    return _read(database, experiment_id)


@router.post("/{experiment_id}/cancel")
def cancel_experiment(experiment_id: str, database: DatabaseDep) -> Experiment:
    """Cancel what has not ended; running jobs stop at their next batch. Repeating it changes nothing."""
    with database.writing() as session:
        experiments.cancel(session, experiment_id)
    return _read(database, experiment_id)


@router.get(
    "/{experiment_id}/report",
    response_model=Report,
    responses={200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}},
)
def get_report(
    experiment_id: str, database: DatabaseDep, format: Annotated[Literal["json", "md"], Query()] = "json"
) -> Report | PlainTextResponse:
    """The report so far: JSON, or the same as Markdown."""
    with database.reading() as session:
        report = reports.build(session, experiment_id)
    if format == "md":
        return PlainTextResponse(to_markdown(report), media_type="text/markdown")
    return report


def _read(database: DatabaseDep, experiment_id: str) -> Experiment:
    with database.reading() as session:
        (shown,) = experiments.show(session, [experiments.get(session, experiment_id)])
    return shown
