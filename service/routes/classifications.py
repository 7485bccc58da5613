"""/v1/classifications: pictures in, predictions out."""

import threading
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, File, Form, UploadFile
from pydantic import AfterValidator

from gauntlet.data.pictures import Picture
from gauntlet.errors import CheckpointInvalid, OutputNotFinite
from gauntlet.resources import Classification, Page, ProblemError
from gauntlet.spec.lists import refuse_duplicates
from gauntlet.spec.messages import printable
from service import images
from service.admission import Gate
from service.answers import NAMES_CHECKPOINTS, NEEDS_WEIGHTS
from service.dependencies import DatabaseDep, SettingsDep
from service.errors import ServiceError
from service.routing import Route
from service.settings import ServiceSettings
from service.weights import require_weights
from store import checkpoints
from store.models import Checkpoint

if TYPE_CHECKING:
    from service.classification import Classifier

router = APIRouter(prefix="/v1/classifications", tags=["classifications"], route_class=Route)

# As many models stay loaded, so that a request reads each of its files once.
_MOST_CHECKPOINTS = 8
# Measured: an answer of so many takes 70 MB to put together and write.
_MOST_PROBABILITIES = 100_000

# One request is worked on at a time in the whole process, so that many uploads at once cannot fill the memory; a few
# wait for their turn.
CLASSIFICATIONS = Gate(4, "Other pictures are being classified; try again in a few seconds.", retry_after_s=2)
_one_at_a_time = threading.Lock()


def _no_checkpoint_twice(identifiers: list[str]) -> list[str]:
    refuse_duplicates("checkpoint", identifiers)
    return identifiers


@router.post("", dependencies=[Depends(CLASSIFICATIONS)], responses={**NAMES_CHECKPOINTS, **NEEDS_WEIGHTS})
def classify(
    image: Annotated[list[UploadFile], File(min_length=1, max_length=16, description="PNG or JPEG.")],
    checkpoint: Annotated[
        list[str],
        AfterValidator(_no_checkpoint_twice),
        Form(min_length=1, max_length=_MOST_CHECKPOINTS, description="Ids of checkpoints, each once."),
    ],
    database: DatabaseDep,
    settings: SettingsDep,
) -> Page[Classification]:
    """Each image seen by each checkpoint, in the order given; an image is resized to what the model was trained on."""
    with database.reading() as session:
        chosen = [checkpoints.get(session, identifier) for identifier in checkpoint]
        _require_a_short_answer(len(image), chosen)
        require_weights(session, settings.storage, [(identifier, "/checkpoint") for identifier in checkpoint])
    seen: list[Classification] = []
    with _one_at_a_time:
        for position, upload in enumerate(image):
            pointer = f"/image/{position}"
            name = printable(upload.filename or "image")
            picture = images.decode(upload.file.read(), name, pointer, max_pixels=settings.max_image_pixels)
            seen += [_classify(picture, name, pointer, row, settings) for row in chosen]
    return Page(data=tuple(seen), has_more=False, next=None)


def _require_a_short_answer(pictures: int, chosen: Sequence[Checkpoint]) -> None:
    probabilities = pictures * sum(len(checkpoints.card_of(row).classes) for row in chosen)
    if probabilities > _MOST_PROBABILITIES:
        detail = (
            f"The answer would hold more than {_MOST_PROBABILITIES} probabilities; send fewer images or checkpoints."
        )
        raise ServiceError(422, "invalid-request", detail, [ProblemError(pointer="/image", message=detail)])


def _classify(picture: Picture, name: str, pointer: str, row: Checkpoint, settings: ServiceSettings) -> Classification:
    file = checkpoints.file_of(row, settings.storage)
    try:
        return _classifier().classify(picture, name, checkpoint=row.id, sha256=row.sha256, file=file)
    except CheckpointInvalid as error:
        fault = ProblemError(pointer="/checkpoint", message=str(error))
        raise ServiceError(409, "weights-missing", str(error), [fault]) from error
    except OutputNotFinite as error:
        detail = f"What the checkpoint {row.id} makes of this picture is infinite or not a number."
        raise ServiceError(422, "output-not-finite", detail, [ProblemError(pointer=pointer, message=detail)]) from error


@cache
def _classifier() -> "Classifier":
    # Imported on the first classification: torch takes seconds to load and the API starts in about one.
    from service.classification import Classifier

    return Classifier(_MOST_CHECKPOINTS)
