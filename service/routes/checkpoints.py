"""/v1/checkpoints: what training kept or a user brought, and its weights."""

import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.requests import import_faults
from gauntlet.errors import CheckpointInvalid
from gauntlet.resources import Checkpoint, ImportedCheckpoint, Page, ProblemError
from gauntlet.results.finding import Finding
from gauntlet.spec.asked.requests import CheckpointPatch
from gauntlet.spec.checkpoint_card import CheckpointCard, ImportCard
from gauntlet.spec.reading.messages import printable
from service.answering.pages import as_page
from service.data import look
from service.dependencies import (
    After,
    AllowanceDep,
    CallerDep,
    DatabaseDep,
    IdFilter,
    Limit,
    OwnerDep,
    SettingsDep,
    StorageReadsDep,
)
from service.errors import invalid_fields
from service.pictures.imports import examine
from service.pictures.weights import weights_of
from service.requests.answers import NEEDS_WEIGHTS
from service.requests.bodies import understand
from service.requests.routing import Route
from service.settings import ServiceSettings
from service.transport.admission import LISTS, Gate
from store import files, models
from store.accounts.owners import require_may_change
from store.accounts.quotas import Allowance
from store.database import Database
from store.errors import QuotaExceeded, RequestUnfit
from store.models import new_id
from store.storage import StoredFile
from store.subjects import annotations, checkpoints, datasets

router = APIRouter(prefix="/v1/checkpoints", tags=["checkpoints"], route_class=Route)

# Its weights may fill 512 MiB of the disk, and trying it takes a processor and up to 2 GiB of memory.
IMPORTS = Gate(
    1,
    "Another model is being imported, or waits for a storage that does not answer; try again in a few seconds.",
    retry_after_s=5,
)

logger = logging.getLogger(__name__)


@router.post("", status_code=201, dependencies=[Depends(IMPORTS)])
async def import_checkpoint(
    weights: Annotated[UploadFile, File(description="A safetensors file: the state of the network that `card` names.")],
    card: Annotated[
        str, Form(min_length=1, description="JSON: name, source, architecture, dataset, classes, normalisation.")
    ],
    database: DatabaseDep,
    settings: SettingsDep,
    reads: StorageReadsDep,
    owner: OwnerDep,
    allowance: AllowanceDep,
    response: Response,
) -> ImportedCheckpoint:
    """Import a model that was trained elsewhere. It is tried on noise; `findings` says what looks wrong with it."""
    described, found = await run_in_threadpool(_understood, card, settings, database)
    await run_in_threadpool(_require_room, database, allowance)
    identifier = new_id("ckpt")
    async with AsyncExitStack() as begun:
        file = await reads.write(partial(files.begin_import, settings.storage, identifier))
        begun.push_async_callback(reads.write, file.close)
        try:
            examined = await examine(weights.file, described, file, most_seconds=settings.max_import_s)
            stored = await reads.write(partial(files.keep_import, settings.storage, identifier, file))
        except Exception as error:
            # Of one whose client left, a worker deletes what is there.
            await reads.write(partial(files.delete_unsettled, settings.storage, identifier))
            if isinstance(error, CheckpointInvalid):
                raise invalid_fields([ProblemError(pointer="/weights", message=printable(str(error)))]) from error
            raise
    checkpoint = identifier, described, stored
    shown = await reads.write(partial(_record, database, settings, checkpoint, owner, allowance))
    logger.info("Checkpoint %s (%s) is imported: %d bytes.", identifier, shown.name, stored.bytes)
    response.headers["Location"] = f"/v1/checkpoints/{identifier}"
    return ImportedCheckpoint(
        **dict(shown),
        findings=(*examined.findings, *_without_images(found)),
        renamed=examined.renamed,
        left_out=examined.left_out,
    )


def _understood(
    card: str, settings: ServiceSettings, database: Database
) -> tuple[CheckpointCard, DatasetDescription | None]:
    """What is imported, and what lies there of its test images."""
    described = understand(card, ImportCard, within="/card").card()
    found = look(settings, described.dataset, ("test",))
    with database.reading() as session:
        found = datasets.seen(session, described.dataset, found, ("test",))
    if faults := import_faults(described, found):
        raise RequestUnfit(faults)
    return described, found


def _require_room(database: Database, allowance: Allowance) -> None:
    """Look whether the owner may import any more, before the model is tried."""
    with database.reading() as session:
        allowance.require_room(session)


def _record(
    database: Database,
    settings: ServiceSettings,
    checkpoint: tuple[str, CheckpointCard, StoredFile],
    owner: str | None,
    allowance: Allowance,
) -> Checkpoint:
    identifier, card, stored = checkpoint
    # If this fails the file stays, for a commit may go through whose answer is lost. A worker deletes what has no row.
    try:
        with database.writing() as session:
            shown = checkpoints.show(checkpoints.add_imported(session, identifier, card, stored, owner=owner))
            allowance.take_upload(session)
            allowance.require_bytes(session)
    except QuotaExceeded:
        files.delete_unsettled(settings.storage, identifier)
        raise
    files.settle(settings.storage, identifier)
    return shown


def _without_images(found: DatasetDescription | None) -> Iterator[Finding]:
    """A word where the images that the model was made for are not there, though it can classify pictures."""
    if found is not None and found.faults:
        message = (
            f"It can classify pictures, and cannot be evaluated before its test images are there: {found.faults[0]}"
        )
        yield Finding(kind="dataset_unavailable", severity="warning", message=message)


@router.get("", dependencies=[Depends(LISTS)])
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
        annotations.change_checkpoint(session, checkpoint, patch)
        return checkpoints.show(checkpoint)


@router.get(
    "/{checkpoint_id}/weights",
    response_class=FileResponse,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
        **NEEDS_WEIGHTS,
    },
)
async def get_weights(
    checkpoint_id: str, database: DatabaseDep, settings: SettingsDep, reads: StorageReadsDep
) -> FileResponse:
    """The weights as safetensors; the header entry `gauntlet` says what they are. The ETag is their sha256."""
    checkpoint = await run_in_threadpool(_found, database, checkpoint_id)
    return FileResponse(
        await reads.bring(partial(weights_of, checkpoint, settings.storage, "/checkpoint_id")),
        media_type="application/octet-stream",
        filename=f"{checkpoint.id}.safetensors",
        headers={"ETag": f'"{checkpoint.sha256}"'},
    )


def _found(database: Database, checkpoint_id: str) -> models.Checkpoint:
    with database.reading() as session:
        return checkpoints.get(session, checkpoint_id)
