"""/v1/results: what was measured with the library elsewhere, kept beside what is measured here, and never ranked."""

import logging
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from gauntlet.checks.names import is_text
from gauntlet.rendering.elsewhere import MEDIA_TYPES, ElsewhereFormat, render_elsewhere
from gauntlet.resources import Page, ProblemError, Result
from gauntlet.results.elsewhere import ElsewhereResult
from service.answering.pages import as_page
from service.dependencies import After, CallerDep, DatabaseDep, Limit, OwnerDep
from service.errors import invalid_fields
from service.requests.routing import Route
from service.transport.admission import LISTS
from store.accounts.owners import require_may_change
from store.subjects import results

router = APIRouter(prefix="/v1/results", tags=["results"], route_class=Route)

logger = logging.getLogger(__name__)


@router.post("", status_code=201)
def bring_result(request: ElsewhereResult, response: Response, database: DatabaseDep, owner: OwnerDep) -> Result:
    """Keep what an evaluation by the library found elsewhere: taken at its word, and marked wherever it is shown."""
    if (text := next((text for text in _texts(request.outcome.model_dump()) if not is_text(text)), None)) is not None:
        message = f"A text of the outcome, {text!a:.80}, has a control character or half of a character."
        raise invalid_fields([ProblemError(pointer="/outcome", message=message)])
    with database.writing() as session:
        kept = results.show(results.add(session, request, owner=owner))
    logger.info("Result %s (%s), measured elsewhere, is kept.", kept.id, kept.name)
    response.headers["Location"] = f"/v1/results/{kept.id}"
    return kept


def _texts(document: Any) -> Iterator[str]:
    """All of a document, its keys too."""
    if isinstance(document, dict):
        document = [*document, *document.values()]
    if isinstance(document, list | tuple):
        for each in document:
            yield from _texts(each)
    elif isinstance(document, str):
        yield document


@router.get("", dependencies=[Depends(LISTS)])
def list_results(database: DatabaseDep, limit: Limit = 20, after: After = None) -> Page[Result]:
    """Results that were measured elsewhere, newest first."""
    with database.reading() as session:
        found = results.page(session, after=after, limit=limit)
    return as_page(found, results.show, lambda row: row.id)


@router.get(
    "/{result_id}",
    response_model=Result,
    responses={200: {"content": {MEDIA_TYPES[form]: {"schema": {"type": "string"}} for form in ("md", "csv")}}},
)
def get_result(
    result_id: str,
    database: DatabaseDep,
    format: Annotated[ElsewhereFormat, Query(description="md to read, csv for statistics; each says so.")] = "json",
) -> Result | Response:
    """One result that was measured elsewhere."""
    with database.reading() as session:
        row = results.get(session, result_id)
        if format == "json":
            return results.show(row)
        return Response(render_elsewhere(results.brought(row), format), media_type=MEDIA_TYPES[format])


@router.delete("/{result_id}", status_code=204)
def delete_result(result_id: str, database: DatabaseDep, caller: CallerDep) -> None:
    """Forget a result."""
    with database.writing() as session:
        row = results.get(session, result_id)
        require_may_change(caller, row)
        results.delete(session, row)
    logger.info("Result %s is deleted.", result_id)
