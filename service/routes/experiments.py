"""/v1/experiments: submit, look, cancel, and read the report."""

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field

from gauntlet.rendering import CONTENT_SECURITY_POLICY, FIGURES, MEDIA_TYPES, Format
from gauntlet.report.report import Report
from gauntlet.resources import Check, Experiment, Page, ProblemError, Series
from gauntlet.spec.asked.requests import ExperimentDraft, ExperimentPatch, ExperimentRequest, LikeRequest
from service.answering.pages import as_page
from service.answering.versions import RowVersion, Version
from service.data import look, machine_of_workers
from service.dependencies import (
    AfterInOrder,
    AllowanceDep,
    CallerDep,
    CeleryDep,
    DatabaseDep,
    IdempotencyKey,
    LabelFilter,
    Limit,
    NameFilter,
    OwnerDep,
    OwnerFilter,
    ReporterDep,
    SettingsDep,
    SinceFilter,
    StatusFilter,
    UntilFilter,
)
from service.errors import ServiceError, invalid_fields
from service.pictures.weights import find_missing, refuse_missing
from service.requests.answers import NEEDS_WEIGHTS
from service.requests.routing import Route
from service.submissions import check, specified, weights_of
from service.transport.admission import DRAFTS, LISTS, ORDERS, SUMMARIES
from store.accounts.owners import require_may_change
from store.queue.broker import wake
from store.shown import experiment_lists, versions
from store.shown.experiment_lists import NEWEST_FIRST, Order, Wanted
from store.subjects import annotations, experiments

logger = logging.getLogger(__name__)

_RENDERED = [media_type for name, media_type in MEDIA_TYPES.items() if name != "json"]

_EXPERIMENT = RowVersion(lambda session, request: versions.of_experiment(session, request.path_params["experiment_id"]))
_REPORT = Version(lambda session, request: versions.of_report(session, request.path_params["experiment_id"]))

# A name that is none of these is a 404, as a path that leads nowhere should be, and no invalid field.
FigureParameter = Annotated[str, Path(json_schema_extra={"enum": list(FIGURES)})]

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=Route)


@router.post("", status_code=202, dependencies=[Depends(ORDERS)], responses=NEEDS_WEIGHTS)
def submit(
    request: LikeRequest | ExperimentRequest,
    response: Response,
    database: DatabaseDep,
    celery: CeleryDep,
    settings: SettingsDep,
    owner: OwnerDep,
    allowance: AllowanceDep,
    idempotency_key: IdempotencyKey = None,
) -> Experiment:
    """Queue an experiment: a whole spec, a preset with any field overridden, or what another one was with changes."""
    with database.reading() as session:
        spec = specified(session, request)
    found = look(settings, spec.dataset)
    gone = find_missing(database, settings.storage, weights_of(spec))
    with database.writing() as session:
        machine = machine_of_workers(session, settings)
        beside: dict[str, Any] = {"owner": owner, "labels": request.labels, "notes": request.notes}
        beside |= {"priority": request.priority, "keep": request.keep}
        experiment, waiting = experiments.create(session, spec, idempotency_key, found, machine, **beside)
        if waiting:
            allowance.require_jobs(session, len(waiting))
            allowance.require_bytes(session)
            refuse_missing(gone)
    if waiting:
        logger.info("Experiment %s (%s) is queued: %s.", experiment.id, experiment.name, ", ".join(waiting))
    wake(celery, len(waiting))
    response.headers["Location"] = f"/v1/experiments/{experiment.id}"
    return _read(database, experiment.id)


@router.post("/validate", dependencies=[Depends(DRAFTS)])
def validate(draft: ExperimentDraft, database: DatabaseDep, settings: SettingsDep) -> Check:
    """What submitting this would come to: all its faults, or its runs, its data, and what it takes. Stores nothing."""
    return check(database, settings, draft.root)


@router.get("", dependencies=[Depends(LISTS)])
def list_experiments(
    database: DatabaseDep,
    status: StatusFilter = [],  # noqa: B006  # the framework copies it
    owner: OwnerFilter = None,
    label: LabelFilter = [],  # noqa: B006  # the framework copies it
    name: NameFilter = None,
    since: SinceFilter = None,
    until: UntilFilter = None,
    order: Annotated[Order, Query(description="- stands for the largest, or newest, first.")] = NEWEST_FIRST,
    limit: Limit = 20,
    after: AfterInOrder = None,
) -> Page[Experiment]:
    """Experiments, newest first unless another order is asked for; only those that have all that is named."""
    if after is not None and not experiment_lists.is_cursor_of(order, after):
        fault = ProblemError(pointer="/query/after", message="This cursor is of a list in another order.")
        raise invalid_fields([fault])
    wanted = Wanted(status, owner, label, name, since, until)
    with database.reading() as session:
        found = experiment_lists.page(session, wanted, order=order, after=after, limit=limit)
        shown = {resource.id: resource for resource in experiments.show(session, found.rows)}
    return as_page(found, lambda row: shown[row.id], lambda row: experiment_lists.cursor(row, order))


@router.get("/{experiment_id}", dependencies=[Depends(_EXPERIMENT)])
def get_experiment(experiment_id: str, database: DatabaseDep) -> Experiment:
    """One experiment with its status."""
    return _read(database, experiment_id)


@router.patch("/{experiment_id}")
def change_experiment(
    experiment_id: str, patch: ExperimentPatch, database: DatabaseDep, caller: CallerDep
) -> Experiment:
    """Change its name, labels, notes or what it keeps: what is named, and nothing else. Its spec never changes."""
    with database.writing() as session:
        experiment = experiments.get(session, experiment_id)
        require_may_change(caller, experiment)
        annotations.change_experiment(session, experiment, patch)
    return _read(database, experiment_id)


@router.post("/{experiment_id}/cancel")
def cancel_experiment(experiment_id: str, database: DatabaseDep, caller: CallerDep) -> Experiment:
    """Cancel what has not ended; running jobs stop at their next batch. Repeating it changes nothing."""
    with database.writing() as session:
        require_may_change(caller, experiments.get(session, experiment_id))
        experiments.cancel(session, experiment_id)
    logger.info("Experiment %s is cancelled by its user.", experiment_id)
    return _read(database, experiment_id)


@router.get("/{experiment_id}/series", response_model=Series, dependencies=[Depends(SUMMARIES), Depends(_REPORT)])
async def get_series(
    experiment_id: str,
    reporter: ReporterDep,
    name: Annotated[
        list[Annotated[str, Field(max_length=100)]],
        Query(max_length=20, description="Only metrics of these names; all where none is given."),
    ] = [],  # noqa: B006  # the framework copies it
) -> Response:
    """The metrics of every run by epoch, all runs at once, as they are drawn."""
    return Response(await reporter.write(experiment_id, {"series": name}), media_type="application/json")


@router.get(
    "/{experiment_id}/report",
    response_model=Report,
    dependencies=[Depends(SUMMARIES), Depends(_REPORT)],
    responses={200: {"content": {media_type: {"schema": {"type": "string"}} for media_type in _RENDERED}}},
)
async def get_report(
    experiment_id: str,
    reporter: ReporterDep,
    format: Annotated[Format, Query()] = "json",
) -> Response:
    """The report so far: JSON, or the same as a page (HTML), Markdown, a table per attack (CSV) or tables for LaTeX."""
    content = await reporter.write(experiment_id, {"format": format})
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY} if format == "html" else {}
    return Response(content, headers=headers, media_type=MEDIA_TYPES[format])


@router.get(
    "/{experiment_id}/figures/{name}.svg",
    response_class=Response,
    dependencies=[Depends(SUMMARIES), Depends(_REPORT)],
    responses={200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}}},
)
async def get_figure(experiment_id: str, name: FigureParameter, reporter: ReporterDep) -> Response:
    """A figure of the report so far: training, gap, eps, cost or confusion."""
    if name not in FIGURES:
        raise ServiceError(404, "not-found", f"There is no such figure; there are {', '.join(FIGURES)}.")
    document = await reporter.write(experiment_id, {"figure": name})
    if document is None:
        raise ServiceError(404, "not-found", f"The report has nothing to draw in the figure {name} yet.")
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return Response(document, headers=headers, media_type="image/svg+xml")


def _read(database: DatabaseDep, experiment_id: str) -> Experiment:
    with database.reading() as session:
        (shown,) = experiments.show(session, [experiments.get(session, experiment_id)])
    return shown
