"""/v1/checkpoints: what training kept, and its weights."""

from fastapi import APIRouter
from fastapi.responses import FileResponse

from gauntlet.resources import Checkpoint, Page
from service.dependencies import After, DatabaseDep, IdFilter, Limit, SettingsDep
from service.errors import ServiceError
from service.pages import as_page
from store import checkpoints

router = APIRouter(prefix="/v1/checkpoints", tags=["checkpoints"])


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
