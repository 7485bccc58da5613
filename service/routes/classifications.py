"""/v1/classifications: pictures in, predictions out."""

import threading
from functools import cache
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, File, Form, UploadFile
from PIL import Image

from gauntlet.errors import CheckpointInvalid
from gauntlet.resources import Classification, Page, ProblemError
from service import images
from service.dependencies import DatabaseDep, SettingsDep
from service.errors import ServiceError, printable
from service.settings import ServiceSettings
from store import checkpoints
from store.models import Checkpoint

if TYPE_CHECKING:
    from service.classification import Classifier

router = APIRouter(prefix="/v1/classifications", tags=["classifications"])

_one_at_a_time = threading.Lock()


@router.post("")
def classify(
    image: Annotated[list[UploadFile], File(min_length=1, max_length=16, description="PNG or JPEG.")],
    checkpoint: Annotated[list[str], Form(min_length=1, max_length=16, description="Ids of checkpoints.")],
    database: DatabaseDep,
    settings: SettingsDep,
) -> Page[Classification]:
    """Each image seen by each checkpoint, in the order given; an image is resized to what the model was trained on."""
    with database.reading() as session:
        chosen = [checkpoints.get(session, identifier) for identifier in checkpoint]
    seen: list[Classification] = []
    # One picture is decoded at a time in the whole process, so that many uploads at once cannot fill the memory.
    with _one_at_a_time:
        for position, upload in enumerate(image):
            picture = images.decode(upload.file.read(), f"/image/{position}", max_pixels=settings.max_image_pixels)
            name = printable(upload.filename or "image")
            seen += [_classify(picture, name, row, settings) for row in chosen]
    return Page(data=tuple(seen), has_more=False, next=None)


def _classify(picture: Image.Image, name: str, row: Checkpoint, settings: ServiceSettings) -> Classification:
    file = checkpoints.file_of(row, settings.storage)
    try:
        return _classifier().classify(picture, name, checkpoint=row.id, sha256=row.sha256, file=file)
    except CheckpointInvalid as error:
        fault = ProblemError(pointer="/checkpoint", message=str(error))
        raise ServiceError(409, "weights-missing", str(error), [fault]) from error


@cache
def _classifier() -> "Classifier":
    # Imported on the first classification: torch takes seconds to load and the API starts in about one.
    from service.classification import Classifier

    return Classifier()
