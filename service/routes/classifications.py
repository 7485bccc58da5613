"""/v1/classifications: pictures in, predictions out."""

from functools import cache
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, File, Form, UploadFile

from gauntlet.errors import CheckpointInvalid
from gauntlet.resources import Classification, Page, ProblemError
from service import images
from service.dependencies import DatabaseDep, SettingsDep
from service.errors import ServiceError
from store import checkpoints

if TYPE_CHECKING:
    from service.classification import Classifier

router = APIRouter(prefix="/v1/classifications", tags=["classifications"])


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
    pictures = [
        images.decode(upload.file.read(), f"/image/{position}", max_pixels=settings.max_image_pixels)
        for position, upload in enumerate(image)
    ]
    try:
        seen = tuple(
            _classifier().classify(
                picture,
                upload.filename or "image",
                checkpoint=row.id,
                sha256=row.sha256,
                file=checkpoints.file_of(row, settings.storage),
            )
            for picture, upload in zip(pictures, image, strict=True)
            for row in chosen
        )
    except CheckpointInvalid as error:
        raise ServiceError(
            409, "weights-missing", str(error), [ProblemError(pointer="/checkpoint", message=str(error))]
        ) from error
    return Page(data=seen, has_more=False, next=None)


@cache
def _classifier() -> "Classifier":
    # Imported on the first classification: torch takes seconds to load and the API starts in about one.
    from service.classification import Classifier

    return Classifier()
