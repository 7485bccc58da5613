"""The only place that knows HTTP errors: every one becomes RFC 9457 `application/problem+json`.

An answer names the field and the fault and never holds the body: NaN cannot be written as JSON, and a lone surrogate
not as UTF-8. What it repeats of it, such as an id, a `kind` or a field's name, is text, and bounded.
"""

import http
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.exceptions import HTTPException

from gauntlet.resources import Problem, ProblemError
from gauntlet.spec.reading.messages import MOST_FAULTS, faults, printable
from service.requests.paths import methods_of
from store.database import says_full
from store.errors import IdempotencyConflict, NotFound, NotYours, QuotaExceeded, Refused, RequestUnfit
from store.storage import STORAGE_FULL, StorageAway, StorageRefused

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class ServiceError(Exception):
    """An error of the service itself, with the answer it becomes."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        errors: Sequence[ProblemError] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.errors = tuple(errors)
        self.headers = headers


class UploadRejected(ServiceError):
    """An upload that is no acceptable image."""

    def __init__(self, status: int, pointer: str, name: str, message: str) -> None:
        kind = "unsupported-media-type" if status == http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE else "invalid-request"
        super().__init__(status, kind, f"{name}: {message}", [ProblemError(pointer=pointer, message=message)])


def invalid_fields(errors: Sequence[ProblemError]) -> ServiceError:
    """A request whose fields, parameters or headers are at fault: 422."""
    return ServiceError(422, "invalid-request", "The request has invalid fields.", errors)


def busy(detail: str, *, retry_after_s: int) -> ServiceError:
    """The refusal of a request that would be answered if it came later."""
    return ServiceError(429, "busy", detail, headers={"Retry-After": str(retry_after_s)})


def database_away() -> ServiceError:
    """The refusal of a request that cannot be answered without the database."""
    detail = "The database is not available at the moment; try again."
    return ServiceError(503, "database-unavailable", detail, headers={"Retry-After": "2"})


def storage_unavailable(error: OSError) -> ServiceError | None:
    """The refusal of a request that cannot be answered without the storage, None where that is not what is wrong.

    It says why in a few words of the store's or the system's, which hold no path, address or key.
    """
    if isinstance(error, StorageAway):
        detail = "The service's storage does not answer now; the request can be sent again later."
        return ServiceError(503, "storage-away", detail, headers={"Retry-After": "2"})
    if isinstance(error, StorageRefused):
        why = error.strerror or type(error).__name__
        detail = f"The service's storage refuses the service ({why}), which its operator has to mend."
        return ServiceError(503, "storage-refused", detail, headers={"Retry-After": "2"})
    return None


def no_connection_free() -> ServiceError:
    """The refusal of a request while others hold all connections to the database."""
    return busy("Too many requests are being answered; try again.", retry_after_s=2)


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _framework_error)
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(NotFound, _not_found)
    app.add_exception_handler(NotYours, _not_yours)
    app.add_exception_handler(QuotaExceeded, _quota_exceeded)
    app.add_exception_handler(IdempotencyConflict, _idempotency_conflict)
    app.add_exception_handler(RequestUnfit, _request_unfit)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(OSError, _storage_fault)
    app.add_exception_handler(OperationalError, _database_unavailable)
    app.add_exception_handler(NoConnectionFree, _no_connection_free)


def problem(
    request_id: str, status: int, kind: str, detail: str, errors: Iterable[ProblemError] = ()
) -> dict[str, Any]:
    """The body of a problem answer."""
    body = Problem(
        type=f"urn:gauntlet:problem:{kind}",
        title=http.HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=tuple(errors),
        request_id=request_id,
    )
    return body.model_dump(mode="json")


def _answer(
    request: Request,
    status: int,
    kind: str,
    detail: str,
    errors: Iterable[ProblemError] = (),
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    body = problem(request.state.request_id, status, kind, detail, errors)
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def problem_errors(found: Sequence[Any], model: type[BaseModel] | None = None, within: str = "") -> list[ProblemError]:
    """Pydantic's errors in a document of that model, which is itself the field `within` of the request."""
    return [ProblemError(pointer=within + fault.pointer, message=fault.message) for fault in faults(found, model)]


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    # The first part of a location is where the field was: body, query, path or header. Bodies are the common case.
    told = [{**item, "loc": item["loc"][1:] if item["loc"][:1] == ("body",) else item["loc"]} for item in found]
    return await _service_error(request, invalid_fields(problem_errors(told)))


async def _framework_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = {404: "not-found", 405: "method-not-allowed", 415: "unsupported-media-type"}.get(
        error.status_code, "http-error"
    )
    match error.status_code:
        case http.HTTPStatus.BAD_REQUEST:
            return _answer(request, 422, "invalid-request", "The body cannot be read as what its type says.")
        case http.HTTPStatus.NOT_FOUND:
            detail = "There is nothing at this path. /docs is the guide to all there is"
            slash = ", none of which ends with a slash." if request.url.path.endswith("/") else "."
            return _answer(request, 404, kind, detail + slash)
        case http.HTTPStatus.METHOD_NOT_ALLOWED:
            methods = ", ".join(methods_of(request))
            detail = f"This path takes {methods}."
            return _answer(request, 405, kind, detail, headers={"Allow": methods})
    headers = dict(error.headers or {})
    return _answer(request, error.status_code, kind, printable(str(error.detail)), headers=headers)


async def _service_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)
    return _answer(request, error.status, error.kind, str(error), error.errors, error.headers)


async def _not_found(request: Request, error: Exception) -> JSONResponse:
    return _answer(request, 404, "not-found", printable(str(error)))


async def _not_yours(request: Request, error: Exception) -> JSONResponse:
    await request.app.state.audit.note_refusal(request.scope, "not-yours")
    return _answer(request, 403, "not-yours", str(error))


async def _quota_exceeded(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, QuotaExceeded)
    if error.retry_after_s is None:
        return _answer(request, 403, "quota-exceeded", str(error))
    headers = {"Retry-After": str(error.retry_after_s)}
    return _answer(request, 429, "quota-exceeded", str(error), headers=headers)


async def _idempotency_conflict(request: Request, error: Exception) -> JSONResponse:
    return _answer(request, 422, "idempotency-conflict", str(error))


async def _request_unfit(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestUnfit)
    told = error.faults[:MOST_FAULTS]
    errors = [ProblemError(pointer=fault.pointer, message=printable(fault.message)) for fault in told]
    return await _service_error(request, invalid_fields(errors))


async def _refused(request: Request, error: Exception) -> JSONResponse:
    return _answer(request, 409, "conflict", printable(str(error)))


async def _storage_fault(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OSError)
    if (refusal := storage_unavailable(error)) is not None:
        logger.error("The storage is away, or refuses: %s", error)
        return await _service_error(request, refusal)
    if error.errno not in STORAGE_FULL:
        raise error
    return _storage_full(request, error)


def _storage_full(request: Request, error: Exception) -> JSONResponse:
    logger.error("The storage is full: %s", error)
    detail = "The service has no room to store this; its operator must free some. Nothing of the request was kept."
    return _answer(request, 507, "storage-full", detail)


async def _database_unavailable(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, OperationalError) and says_full(error):
        return _storage_full(request, error)
    logger.error("The database is unavailable: %s", error)
    return await _service_error(request, database_away())


async def _no_connection_free(request: Request, error: Exception) -> JSONResponse:
    logger.warning("No connection to the database was free: %s", error)
    return await _service_error(request, no_connection_free())
