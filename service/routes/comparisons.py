"""/v1/leaderboard and /v1/transfers: evaluations beside one another."""

import logging
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from gauntlet.report.compared.leaderboard import Leaderboard
from gauntlet.report.compared.transfers import TransferMatrix
from gauntlet.resources import Evaluation, Page
from gauntlet.spec.eps import Eps, format_eps
from gauntlet.spec.evaluations.attacks import AttackKind, GradientLoss, Norm
from gauntlet.spec.evaluations.transfers import FEWEST_CHECKPOINTS, MOST_CHECKPOINTS, TransferRequest
from gauntlet.spec.reading.texts import CheckpointId
from service.answering.versions import Version
from service.data import look_at_tests
from service.dependencies import WHOLE, AllowanceDep, CeleryDep, DatabaseDep, IdempotencyKey, OwnerDep, SettingsDep
from service.pictures.weights import find_missing, refuse_missing
from service.requests.answers import NAMES_CHECKPOINTS, NEEDS_WEIGHTS
from service.requests.routing import Route
from service.transport.admission import ORDERS, SUMMARIES
from store.queue.broker import wake
from store.shown import comparisons, versions
from store.subjects import checkpoints, evaluation_requests, evaluations

_Steps = Annotated[int, Field(ge=1, le=10_000), WHOLE]

_COMPARED = Version(
    lambda session, request: versions.of_comparisons(session, request.query_params.getlist("checkpoint"))
)

router = APIRouter(prefix="/v1", tags=["comparisons"], route_class=Route)

logger = logging.getLogger(__name__)


@router.get("/leaderboard", dependencies=[Depends(SUMMARIES), Depends(_COMPARED)])
def get_leaderboard(
    database: DatabaseDep,
    attack: Annotated[AttackKind | None, Query(description="Only attacks of this kind.")] = None,
    dataset: Annotated[str | None, Query(max_length=200, description="Only this data set.")] = None,
    limit: Annotated[int, Field(ge=1, le=100), WHOLE, Query(description="How many places a list has at most.")] = 20,
) -> Leaderboard:
    """Checkpoints by robust accuracy, one list per protocol: numbers that were measured differently never mix."""
    with database.reading() as session:
        return comparisons.leaderboard(session, attack=attack, dataset=dataset, limit=limit)


@router.post("/transfers", status_code=202, dependencies=[Depends(ORDERS)], responses=NEEDS_WEIGHTS)
def submit_transfers(
    request: TransferRequest,
    response: Response,
    database: DatabaseDep,
    celery: CeleryDep,
    settings: SettingsDep,
    owner: OwnerDep,
    allowance: AllowanceDep,
    idempotency_key: IdempotencyKey = None,
) -> Page[Evaluation]:
    """Queue one evaluation per checkpoint: attacked with examples made on each of them, itself too."""
    with database.reading() as session:
        cards = checkpoints.cards(session, request.checkpoints)
    found = look_at_tests(settings, cards)
    pointers = [f"/checkpoints/{position}" for position in range(len(request.checkpoints))]
    gone = find_missing(database, settings.storage, zip(request.checkpoints, pointers, strict=True))
    with database.writing() as session:
        queued = evaluation_requests.create_transfers(session, request, idempotency_key, found, owner=owner)
        if queued.waiting:
            allowance.require_jobs(session, len(queued.waiting))
            refuse_missing(gone)
        shown = evaluations.show(session, queued.evaluations)
    for row in queued.evaluations if queued.waiting else ():
        logger.info("Evaluation %s of checkpoint %s is queued.", row.id, row.checkpoint_id)
    wake(celery, len(queued.waiting))
    filters = [("checkpoint", identifier) for identifier in request.checkpoints]
    filters += [("eps", format_eps(request.eps)), ("norm", request.norm)]
    filters += [("steps", str(request.steps)), ("loss", request.loss)]
    response.headers["Location"] = f"/v1/transfers?{urlencode(filters)}"
    return Page(data=tuple(shown), has_more=False, next=None)


@router.get("/transfers", dependencies=[Depends(SUMMARIES), Depends(_COMPARED)], responses=NAMES_CHECKPOINTS)
def get_transfers(
    database: DatabaseDep,
    checkpoint: Annotated[list[CheckpointId], Query(min_length=FEWEST_CHECKPOINTS, max_length=MOST_CHECKPOINTS)],
    eps: Annotated[Eps, Query()],
    norm: Norm = "Linf",
    steps: Annotated[_Steps | None, Query(description="Only PGD of so many steps.")] = None,
    loss: Annotated[GradientLoss | None, Query(description="Only PGD on this loss.")] = None,
) -> TransferMatrix:
    """The matrix of these checkpoints, as far as it has been measured by one protocol."""
    with database.reading() as session:
        return comparisons.transfers(
            session, tuple(dict.fromkeys(checkpoint)), eps=eps, norm=norm, steps=steps, loss=loss
        )
