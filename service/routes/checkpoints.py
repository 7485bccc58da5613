"""/v1/checkpoints: what training kept or a user brought, and its weights."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, File, Form, Response, UploadFile
from fastapi.responses import FileResponse
from pydantic import ValidationError

from gauntlet.checks.requests import import_faults
from gauntlet.errors import CheckpointInvalid
from gauntlet.resources import Checkpoint, ImportedCheckpoint, Page, ProblemError
from gauntlet.spec.checkpoint_card import CheckpointCard, ImportCard
from gauntlet.spec.messages import printable
from service.data import look
from service.dependencies import After, DatabaseDep, IdFilter, Limit, SettingsDep
from service.errors import ServiceError, problem_errors
from service.pages import as_page
from store import checkpoints, files
from store.errors import RequestUnfit
from store.models import new_id

router = APIRouter(prefix="/v1/checkpoints", tags=["checkpoints"])

_one_at_a_time = threading.Lock()


@router.post("", status_code=201)
def import_checkpoint(
    weights: Annotated[UploadFile, File(description="A safetensors file: the state of the network that `card` names.")],
    card: Annotated[str, Form(description="JSON: name, source, architecture, dataset, classes, normalisation.")],
    database: DatabaseDep,
    settings: SettingsDep,
    response: Response,
) -> ImportedCheckpoint:
    """Import a model that was trained elsewhere. It is tried on noise; `findings` says what looks wrong with it."""
    # Imported on the first import: torch takes seconds to load and the API starts in about one.
    from service.importing import examine

    described = _card(card)
    found = look(settings, described.dataset, ("test",))
    if faults := import_faults(described, found):
        raise RequestUnfit(faults)
    identifier = new_id("ckpt")
    with _alone():
        try:
            content, findings = examine(weights.file, described)
        except CheckpointInvalid as error:
            raise _refused(ProblemError(pointer="/weights", message=printable(str(error)))) from error
        stored = files.write_import(settings.storage, identifier, content)
    # If this fails the file stays, for a commit may go through whose answer is lost. A worker deletes what has no row.
    with database.writing() as session:
        shown = checkpoints.show(checkpoints.add_imported(session, identifier, described, stored))
    files.settle_import(settings.storage, identifier)
    response.headers["Location"] = f"/v1/checkpoints/{identifier}"
    return ImportedCheckpoint(**dict(shown), findings=findings)


@contextmanager
def _alone() -> Iterator[None]:
    """One import at a time in the whole process, so that many at once fill neither the memory nor the server's threads.

    Raises:
        ServiceError: 429, another is under way.
    """
    if not _one_at_a_time.acquire(blocking=False):
        detail = "Another model is being imported; try again in a few seconds."
        raise ServiceError(429, "busy", detail, headers={"Retry-After": "5"})
    try:
        yield
    finally:
        _one_at_a_time.release()


def _card(text: str) -> CheckpointCard:
    try:
        return ImportCard.model_validate_json(text).card()
    except ValidationError as error:
        raise _refused(*problem_errors(error.errors(), ImportCard, within="/card")) from error


def _refused(*faults: ProblemError) -> ServiceError:
    return ServiceError(422, "invalid-request", "The request has invalid fields.", faults)


@router.get("")
def list_checkpoints(
    database: DatabaseDep,
    run: IdFilter = None,
    limit: Limit = 20,
    after: After = None,
) -> Page[Checkpoint]:
    """Checkpoints, newest first; of one run if it is named."""
    with database.reading() as session:
        found = checkpoints.page(session, run=run, after=after, limit=limit)
    return as_page(found, checkpoints.show, lambda checkpoint: checkpoint.id)


@router.get("/{checkpoint_id}")
def get_checkpoint(checkpoint_id: str, database: DatabaseDep) -> Checkpoint:
    """One checkpoint with the metrics of its epoch."""
    with database.reading() as session:
        return checkpoints.show(checkpoints.get(session, checkpoint_id))


@router.get(
    "/{checkpoint_id}/weights",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
def get_weights(checkpoint_id: str, database: DatabaseDep, settings: SettingsDep) -> FileResponse:
    """The weights as safetensors; the header entry `gauntlet` says what they are. The ETag is their sha256."""
    with database.reading() as session:
        checkpoint = checkpoints.get(session, checkpoint_id)
    file = checkpoints.file_of(checkpoint, settings.storage)
    if not file.is_file():
        raise ServiceError(409, "weights-missing", "The checkpoint's file is no longer in the storage.")
    return FileResponse(
        file,
        media_type="application/octet-stream",
        filename=f"{checkpoint.id}.safetensors",
        headers={"ETag": f'"{checkpoint.sha256}"'},
    )
