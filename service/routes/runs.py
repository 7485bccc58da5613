"""/v1/runs: status, metrics, cancel."""

import csv
import io
import logging
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse

from gauntlet.resources import EpochMetrics, Page, Run
from service.answering.pages import as_page
from service.answering.versions import RowVersion
from service.dependencies import After, AfterNumber, CallerDep, DatabaseDep, IdFilter, Limit, StatusFilter
from service.requests.routing import Route
from service.transport.admission import LISTS
from store.accounts.owners import require_may_change
from store.shown import versions
from store.subjects import runs

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=Route)

_RUN = RowVersion(lambda session, request: versions.of_run(session, request.path_params["run_id"]))

logger = logging.getLogger(__name__)

# A run has at most this many epochs, so one CSV holds all of them.
_ALL_EPOCHS = 10_000


@router.get("", dependencies=[Depends(LISTS)])
def list_runs(
    database: DatabaseDep,
    experiment: IdFilter = None,
    status: StatusFilter = [],  # noqa: B006  # the framework copies it
    limit: Limit = 20,
    after: After = None,
) -> Page[Run]:
    """Runs, newest first; of one experiment if it is named, and only those that stand as asked for."""
    with database.reading() as session:
        found = runs.page(session, experiment=experiment, statuses=status, after=after, limit=limit)
    return as_page(found, runs.show, lambda run: run.id)


@router.get("/{run_id}", dependencies=[Depends(_RUN)])
def get_run(run_id: str, database: DatabaseDep) -> Run:
    """One run with its progress."""
    with database.reading() as session:
        return runs.show(runs.get(session, run_id))


@router.post("/{run_id}/cancel")
def cancel_run(run_id: str, database: DatabaseDep, caller: CallerDep) -> Run:
    """Cancel the run if it has not ended; a running one stops at its next batch."""
    with database.writing() as session:
        require_may_change(caller, runs.get(session, run_id))
        shown = runs.show(runs.cancel(session, run_id))
    logger.info("Run %s is cancelled by its user.", run_id)
    return shown


@router.get(
    "/{run_id}/metrics",
    response_model=Page[EpochMetrics],
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def list_metrics(
    run_id: str,
    database: DatabaseDep,
    name: Annotated[str | None, Query(max_length=100, description="Only the metric of this name.")] = None,
    limit: Limit = 20,
    after: AfterNumber = None,
    format: Annotated[Literal["json", "csv"], Query(description="csv holds all epochs at once.")] = "json",
) -> Page[EpochMetrics] | PlainTextResponse:
    """A run's epochs in order."""
    with database.reading() as session:
        runs.get(session, run_id)
        count = _ALL_EPOCHS if format == "csv" else limit
        found = runs.metrics_page(session, run_id, after=after, limit=count)
    page = as_page(found, lambda row: _only(runs.show_metrics(row), name), lambda row: row.epoch)
    return PlainTextResponse(_csv(page.data), media_type="text/csv") if format == "csv" else page


def _only(row: EpochMetrics, name: str | None) -> EpochMetrics:
    if name is None:
        return row
    return row.model_copy(update={"metrics": {key: value for key, value in row.metrics.items() if key == name}})


def _csv(rows: tuple[EpochMetrics, ...]) -> str:
    names = sorted({name for row in rows for name in row.metrics})
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["epoch", *names, "seconds", "images_per_second"])
    for row in rows:
        values = [row.metrics.get(name, "") for name in names]
        table.writerow([row.epoch, *values, row.seconds, row.images_per_second])
    return written.getvalue()
