"""/v1/workers, /v1/usage and /v1/catalog: who works, what that takes, and what can be asked for."""

from threading import Lock

from fastapi import APIRouter, Depends

from gauntlet.resources import Page, Usage, Worker
from gauntlet.spec.catalog import Catalog, catalog
from service.dependencies import DatabaseDep, RoomDep, SettingsDep
from service.requests.routing import Route
from service.transport.admission import LISTS
from store.accounts import usage
from store.queue import workers

# The first to ask makes the catalog. Six that made it side by side kept everybody waiting for 90 ms.
_MAKING = Lock()

router = APIRouter(prefix="/v1", tags=["overview"], route_class=Route)


@router.get("/workers", dependencies=[Depends(LISTS)])
def list_workers(database: DatabaseDep) -> Page[Worker]:
    """Every worker that was seen within a day, by name, with the jobs that it has; at most 1,000."""
    with database.reading() as session:
        return Page(data=tuple(workers.show(session)), has_more=False, next=None)


@router.get("/usage", dependencies=[Depends(LISTS)])
def get_usage(database: DatabaseDep, settings: SettingsDep, room: RoomDep) -> Usage:
    """Jobs by status, the queue, what each owner has and may have, and the room on the disk if that says it."""
    # Before the transaction: a disk that hangs is waited for a little.
    there = room()
    with database.reading() as session:
        return usage.show(session, settings.quotas, there)


@router.get("/catalog")
def get_catalog() -> Catalog:
    """Everything that a spec can choose among, with its fields, defaults and bounds; and the presets."""
    with _MAKING:
        return catalog()
