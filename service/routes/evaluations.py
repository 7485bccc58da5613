"""/v1/evaluations: checkpoints under attack."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, StreamingResponse
from sqlalchemy.orm import Session

from gauntlet.checks.requests import sources
from gauntlet.rendering.csv import images_to_csv
from gauntlet.report.image_results import image_results
from gauntlet.resources import Evaluation, ImagePage, ImageResult, Page, PictureForm
from gauntlet.spec.evaluations.evaluation import EvaluationRequest
from service.answering.pages import as_page
from service.answering.versions import RowVersion
from service.data import look_at_tests
from service.dependencies import (
    After,
    AfterImage,
    AllowanceDep,
    CallerDep,
    CeleryDep,
    DatabaseDep,
    IdempotencyKey,
    IdFilter,
    Limit,
    OwnerDep,
    SettingsDep,
    StatusFilter,
    StorageReadsDep,
)
from service.errors import ServiceError
from service.pictures.weights import find_missing, refuse_missing
from service.requests.answers import MAY_BE_REFUSED, NEEDS_WEIGHTS
from service.requests.routing import Route
from service.transport.admission import LISTS, ORDERS
from store import pictures
from store.accounts.owners import require_may_change
from store.database import Database
from store.queue import batches
from store.queue.broker import wake
from store.shown import versions
from store.storage import StoredFile
from store.subjects import checkpoints, evaluation_requests, evaluations

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"], route_class=Route)

# Of a table: measured, 15 ms of a core under four attacks.
_IMAGES_AT_ONCE = 250
_PICTURES: Mapping[PictureForm, str] = {"npz": "application/octet-stream", "png": "application/zip"}
_EVALUATION = RowVersion(lambda session, request: versions.of_evaluation(session, request.path_params["evaluation_id"]))

logger = logging.getLogger(__name__)


@router.post("", status_code=202, dependencies=[Depends(ORDERS)], responses=NEEDS_WEIGHTS)
def submit_evaluation(
    request: EvaluationRequest,
    response: Response,
    database: DatabaseDep,
    celery: CeleryDep,
    settings: SettingsDep,
    owner: OwnerDep,
    allowance: AllowanceDep,
    idempotency_key: IdempotencyKey = None,
) -> Evaluation:
    """Queue an evaluation of one checkpoint. What others measured of the same weights alike is not measured again."""
    with database.reading() as session:
        cards = checkpoints.cards(session, [request.checkpoint])
    found = look_at_tests(settings, cards).get(request.checkpoint)
    gone = find_missing(database, settings.storage, [(request.checkpoint, "/checkpoint"), *sources(request, "")])
    with database.writing() as session:
        queued = evaluation_requests.create(session, request, idempotency_key, found, owner=owner)
        if queued.waiting:
            allowance.require_jobs(session, len(queued.waiting))
            if request.keep_images:
                allowance.require_bytes(session)
            refuse_missing(gone)
        (shown,) = evaluations.show(session, queued.evaluations)
    if queued.waiting:
        logger.info("Evaluation %s of checkpoint %s is queued.", shown.id, shown.checkpoint)
    wake(celery, len(queued.waiting))
    response.headers["Location"] = f"/v1/evaluations/{shown.id}"
    return shown


@router.get("", dependencies=[Depends(LISTS)])
def list_evaluations(
    database: DatabaseDep,
    experiment: IdFilter = None,
    run: IdFilter = None,
    checkpoint: IdFilter = None,
    status: StatusFilter = [],  # noqa: B006  # the framework copies it
    limit: Limit = 20,
    after: After = None,
) -> Page[Evaluation]:
    """Evaluations, newest first; of one experiment, run or checkpoint if it is named, and that stand as asked for."""
    with database.reading() as session:
        found = evaluations.page(
            session,
            experiment=experiment,
            run=run,
            checkpoint=checkpoint,
            statuses=status,
            after=after,
            limit=limit,
        )
        shown = {resource.id: resource for resource in evaluations.show(session, found.rows)}
    return as_page(found, lambda row: shown[row.id], lambda row: row.id)


@router.get("/{evaluation_id}", dependencies=[Depends(_EVALUATION)])
def get_evaluation(evaluation_id: str, database: DatabaseDep) -> Evaluation:
    """One evaluation with its progress per attack, and its outcome once it has one."""
    with database.reading() as session:
        return evaluations.show_whole(session, evaluations.get(session, evaluation_id))


@router.get(
    "/{evaluation_id}/images",
    response_model=ImagePage,
    dependencies=[Depends(LISTS)],
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def list_images(
    evaluation_id: str,
    database: DatabaseDep,
    limit: Limit = 20,
    after: AfterImage = None,
    format: Annotated[
        Literal["json", "csv"], Query(description="csv has all images, and is sent as it is read.")
    ] = "json",
) -> ImagePage | StreamingResponse:
    """What became of each image so far, in the test set's order: robust or not, and broken by which attack."""
    first = 0 if after is None else after + 1
    with database.reading() as session:
        evaluation = evaluations.get(session, evaluation_id)
        (shown,) = evaluations.show(session, [evaluation])
        classes = checkpoints.card_of(checkpoints.get(session, evaluation.checkpoint_id)).classes
        if format == "csv":
            pages = _image_pages(database, shown, classes, batches.images_so_far(session, evaluation_id))
            return StreamingResponse(images_to_csv(shown.spec, pages, shown.doubts), media_type="text/csv")
        # One more than is shown, to know whether any follow.
        rest = _images(session, shown, classes, first, first + limit)
    data, has_more = tuple(rest[:limit]), len(rest) > limit
    following = str(data[-1].position) if has_more else None
    return ImagePage(data=data, has_more=has_more, next=following, doubts=shown.doubts)


def _image_pages(
    database: Database, evaluation: Evaluation, classes: Sequence[str], images: int
) -> Iterator[Sequence[ImageResult]]:
    """All images, each page read when it is sent: so no request holds many, nor the database for long."""
    for first in range(0, images, _IMAGES_AT_ONCE):
        with database.reading() as session:
            # Breaks off the answer where the evaluation has been deleted meanwhile.
            evaluations.get(session, evaluation.id)
            page = _images(session, evaluation, classes, first, first + _IMAGES_AT_ONCE - 1)
        yield page


def _images(
    session: Session, evaluation: Evaluation, classes: Sequence[str], first: int, last: int
) -> Sequence[ImageResult]:
    """What became of the images at these positions."""
    found = image_results(evaluation.spec, batches.between(session, evaluation.id, first, last), classes)
    return [result for result in found if first <= result.position <= last]


@router.get(
    "/{evaluation_id}/pictures",
    response_class=FileResponse,
    responses={
        200: {"content": {media: {"schema": {"type": "string", "format": "binary"}} for media in _PICTURES.values()}},
        **MAY_BE_REFUSED,
    },
)
async def get_pictures(
    evaluation_id: str,
    database: DatabaseDep,
    settings: SettingsDep,
    reads: StorageReadsDep,
    format: Annotated[
        PictureForm, Query(description="npz has them exactly; png is a zip archive of them, to be looked at.")
    ] = "npz",
) -> FileResponse:
    """The attacked pictures that the evaluation kept, once it has succeeded. The ETag is the file's sha256."""
    stored = await run_in_threadpool(_whole, database, evaluation_id, format)
    try:
        file = await reads.bring(partial(settings.storage.fetch, stored.path, stored.sha256))
    except FileNotFoundError:
        message = f"The pictures of {evaluation_id} are no longer in the storage. Bring their file back."
        raise ServiceError(409, "pictures-missing", message) from None
    return FileResponse(
        file,
        media_type=_PICTURES[format],
        filename=f"{evaluation_id}{'.npz' if format == 'npz' else '-png.zip'}",
        headers={"ETag": f'"{stored.sha256}"'},
    )


def _whole(database: Database, evaluation_id: str, form: PictureForm) -> StoredFile:
    with database.reading() as session:
        return pictures.whole(session, evaluations.get(session, evaluation_id), form)


@router.post("/{evaluation_id}/cancel")
def cancel_evaluation(evaluation_id: str, database: DatabaseDep, caller: CallerDep) -> Evaluation:
    """Cancel the evaluation if it has not ended."""
    with database.writing() as session:
        require_may_change(caller, evaluations.get(session, evaluation_id))
        (shown,) = evaluations.show(session, [evaluations.cancel(session, evaluation_id)])
    logger.info("Evaluation %s is cancelled by its user.", evaluation_id)
    return shown
