"""/v1/audit: who did what; for admins alone (`service.callers.access`)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from gauntlet.resources import AuditEntry, Page
from gauntlet.spec.asked.tokens import Owner
from service.answering.pages import as_page
from service.dependencies import AfterNumber, DatabaseDep, Limit, SinceFilter, UntilFilter
from service.requests.routing import Route
from service.transport.admission import LISTS
from store.accounts import audit

router = APIRouter(prefix="/v1/audit", tags=["tokens"], route_class=Route)


@router.get("", dependencies=[Depends(LISTS)])
def list_audit(
    database: DatabaseDep,
    owner: Annotated[Owner | None, Query(description="Only what this owner did, or was refused.")] = None,
    since: SinceFilter = None,
    until: UntilFilter = None,
    limit: Limit = 20,
    after: AfterNumber = None,
) -> Page[AuditEntry]:
    """Requests that changed something, and those refused for want of rights, newest first."""
    with database.reading() as session:
        found = audit.page(session, owner=owner, since=since, until=until, after=after, limit=limit)
    return as_page(found, audit.show, lambda entry: entry.id)
