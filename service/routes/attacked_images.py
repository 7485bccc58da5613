"""/v1/evaluations/{id}/images/{position}.png: the test images themselves."""

import math
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from gauntlet.report.image_results import image_results
from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.reading.messages import printable
from service.dependencies import WHOLE, ClassifierDep, DatabaseDep, StorageReadsDep
from service.errors import ServiceError
from service.pictures.classification import NotClassified
from service.pictures.png import as_png
from service.requests.routing import Route
from service.transport.admission import Gate
from store.database import Database
from store.queue import batches
from store.subjects import checkpoints, evaluations

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"], route_class=Route)

# A page of small ones is asked for at once; each takes milliseconds, or as long as a folder takes to list.
PICTURES = Gate(64, "Other test images are being looked for; try again in a second.", retry_after_s=1, at_once=1)

Position = Annotated[int, Field(ge=0, le=1_000_000), WHOLE, Path(description="In the order of the test set.")]


@router.get(
    "/{evaluation_id}/images/{position}.png",
    response_class=Response,
    dependencies=[Depends(PICTURES)],
    responses={200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def get_image(
    evaluation_id: str,
    position: Position,
    database: DatabaseDep,
    reads: StorageReadsDep,
    classifier: ClassifierDep,
) -> Response:
    """A test image that the evaluation attacked, as its model sees it, where the API sees the data set."""
    card, label, sha256 = await run_in_threadpool(_attacked_image, database, evaluation_id, position)
    pixels = math.prod(card.image_shape)
    root = await reads.root_of(card.dataset)
    order = {
        "dataset": card.dataset.model_dump(mode="json"),
        "data_root": str(root),
        "position": position,
        "label": label,
        "sha256": sha256,
    }
    try:
        found = await classifier.find_image(order, size=pixels)
    except NotClassified as error:
        raise ServiceError(404, "not-found", printable(str(error))) from error
    return Response(await run_in_threadpool(as_png, found, card.image_shape), media_type="image/png")


def _attacked_image(database: Database, evaluation_id: str, position: int) -> tuple[CheckpointCard, str, str | None]:
    """What the evaluation's model is made for, the class of the image, and the digest of the pictures it is one of."""
    with database.reading() as session:
        evaluation = evaluations.get(session, evaluation_id)
        card = checkpoints.card_of(checkpoints.get(session, evaluation.checkpoint_id))
        found = batches.between(session, evaluation_id, position, position)
        read = evaluations.pictures_read(evaluation)
    results = image_results(evaluations.specified(evaluation), found, card.classes)
    label = next((result.label for result in results if result.position == position), None)
    if label is None:
        raise ServiceError(404, "not-found", "The evaluation has not looked at an image of this position.")
    return card, label, None if read is None else read.sha256
