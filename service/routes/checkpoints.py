"""/v1/checkpoints: what training kept or a user brought, and its weights."""

import logging
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Response, UploadFile
from fastapi.responses import FileResponse

from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.requests import import_faults
from gauntlet.errors import CheckpointInvalid
from gauntlet.resources import Checkpoint, ImportedCheckpoint, Page, ProblemError
from gauntlet.results.finding import Finding
from gauntlet.spec.checkpoint_card import ImportCard
from gauntlet.spec.messages import printable
from gauntlet.spec.requests import CheckpointPatch
from service.admission import Gate
from service.answers import NEEDS_WEIGHTS
from service.bodies import understand
from service.data import look
from service.dependencies import After, AllowanceDep, CallerDep, DatabaseDep, IdFilter, Limit, OwnerDep, SettingsDep
from service.errors import invalid_fields
from service.pages import as_page
from service.routing import Route
from service.weights import weights_missing
from store import annotations, checkpoints, files
from store.errors import QuotaExceeded, RequestUnfit
from store.models import new_id
from store.owners import require_may_change

router = APIRouter(prefix="/v1/checkpoints", tags=["checkpoints"], route_class=Route)

# Its weights may fill 512 MiB of the disk, and trying it takes a thread and as much memory.
IMPORTS = Gate(1, "Another model is being imported; try again in a few seconds.", retry_after_s=5)

logger = logging.getLogger(__name__)


@router.post("", status_code=201, dependencies=[Depends(IMPORTS)])
def import_checkpoint(
    weights: Annotated[UploadFile, File(description="A safetensors file: the state of the network that `card` names.")],
    card: Annotated[
        str, Form(min_length=1, description="JSON: name, source, architecture, dataset, classes, normalisation.")
    ],
    database: DatabaseDep,
    settings: SettingsDep,
    owner: OwnerDep,
    allowance: AllowanceDep,
    response: Response,
) -> ImportedCheckpoint:
    """Import a model that was trained elsewhere. It is tried on noise; `findings` says what looks wrong with it."""
    described = understand(card, ImportCard, within="/card").card()
    found = look(settings, described.dataset, ("test",))
    if faults := import_faults(described, found):
        raise RequestUnfit(faults)
    with database.reading() as session:
        allowance.require_room(session)
    # Imported on the first import: torch takes seconds to load and the API starts in about one.
    from service.importing import examine

    identifier = new_id("ckpt")
    try:
        content, findings = examine(weights.file, described)
    except CheckpointInvalid as error:
        raise invalid_fields([ProblemError(pointer="/weights", message=printable(str(error)))]) from error
    stored = files.write_import(settings.storage, identifier, content)
    # If this fails the file stays, for a commit may go through whose answer is lost. A worker deletes what has no row.
    try:
        with database.writing() as session:
            shown = checkpoints.show(checkpoints.add_imported(session, identifier, described, stored, owner=owner))
            allowance.take_upload(session)
            allowance.require_bytes(session)
    except QuotaExceeded:
        files.delete_import(settings.storage, identifier)
        raise
    files.settle_import(settings.storage, identifier)
    logger.info("Checkpoint %s (%s) is imported: %d bytes.", identifier, shown.name, stored.bytes)
    response.headers["Location"] = f"/v1/checkpoints/{identifier}"
    return ImportedCheckpoint(**dict(shown), findings=(*findings, *_without_images(found)))


def _without_images(found: DatasetDescription | None) -> Iterator[Finding]:
    """A word where the images that the model was made for are not there, though it can classify pictures."""
    if found is not None and found.faults:
        message = (
            f"It can classify pictures, and cannot be evaluated before its test images are there: {found.faults[0]}"
        )
        yield Finding(kind="dataset_unavailable", severity="warning", message=message)


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


@router.patch("/{checkpoint_id}")
def change_checkpoint(
    checkpoint_id: str, patch: CheckpointPatch, database: DatabaseDep, caller: CallerDep
) -> Checkpoint:
    """Change its labels or notes: what is named, and nothing else."""
    with database.writing() as session:
        checkpoint = checkpoints.get(session, checkpoint_id)
        require_may_change(caller, checkpoint)
        annotations.change_checkpoint(checkpoint, patch)
        return checkpoints.show(checkpoint)


@router.get(
    "/{checkpoint_id}/weights",
    response_class=FileResponse,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
        **NEEDS_WEIGHTS,
    },
)
def get_weights(checkpoint_id: str, database: DatabaseDep, settings: SettingsDep) -> FileResponse:
    """The weights as safetensors; the header entry `gauntlet` says what they are. The ETag is their sha256."""
    with database.reading() as session:
        checkpoint = checkpoints.get(session, checkpoint_id)
    file = checkpoints.file_of(checkpoint, settings.storage)
    if not file.is_file():
        raise weights_missing((checkpoint, "/checkpoint_id"))
    return FileResponse(
        file,
        media_type="application/octet-stream",
        filename=f"{checkpoint.id}.safetensors",
        headers={"ETag": f'"{checkpoint.sha256}"'},
    )
