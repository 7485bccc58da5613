"""A request's query and headers: only what its route declares, each once unless it is a list, and as UTF-8."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl

from fastapi.dependencies.models import Dependant
from starlette.datastructures import Headers

from gauntlet.resources import ProblemError
from gauntlet.spec.reading.documents import json_pointer
from gauntlet.spec.reading.messages import MOST_FAULTS, no_such, printable
from service.errors import ServiceError, invalid_fields

# Of two, each reader may take another one.
_SINGLE_HEADERS = {
    name: name.lower().encode()
    for name in (
        "Content-Type",
        "Content-Length",
        "Content-Encoding",
        "Idempotency-Key",
        "Last-Event-ID",
        "Range",
        "Authorization",
        "Host",
    )
}
# By these a client is sure that it changes what it has seen, and nothing else: nobody here looks at them.
_CONDITIONS = ("If-Match", "If-Unmodified-Since")
_READING = ("GET", "HEAD")

_MOST_PAIRS = 100


def declared(dependant: Dependant) -> dict[str, bool]:
    """The query parameters that a route's function and its dependencies take, and whether each may be repeated."""
    return {
        field.alias: is_list(field.field_info.annotation)
        for part in with_dependencies(dependant)
        for field in part.query_params
    }


def declared_headers(dependant: Dependant) -> frozenset[str]:
    """The headers that they take, in small letters."""
    return frozenset(field.alias.lower() for part in with_dependencies(dependant) for field in part.header_params)


def document(schema: dict[str, Any]) -> None:
    """Say in the API's schema that a parameter is left out or has a value; there is no null in a query or a header."""
    for path in schema["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                told = parameter["schema"]
                values = [value for value in told.pop("anyOf", ()) if value != {"type": "null"}]
                parameter["schema"] = told | (values[0] if len(values) == 1 else {"anyOf": values} if values else {})


def with_dependencies(dependant: Dependant) -> Iterator[Dependant]:
    """A route's function, and all that it depends on."""
    yield dependant
    for needed in dependant.dependencies:
        yield from with_dependencies(needed)


def is_list(annotation: Any) -> bool:
    """Whether a parameter or a field of that type may come several times."""
    return get_origin(annotation) is list or any(get_origin(member) is list for member in get_args(annotation))


def require_declared(query: bytes, known: Mapping[str, bool]) -> None:
    """Refuse parameters that the route does not take, or takes once.

    Raises:
        ServiceError: 422, with a pointer to each.
    """
    if not query:
        return
    given = Counter(name for name, _ in read_pairs("query", query))
    unknown = [(name, no_such("parameter", name, list(known))) for name in given if name not in known]
    repeated = [
        (name, f"This parameter may be given once, and is given {count} times.")
        for name, count in given.items()
        if count > 1 and known.get(name) is False
    ]
    if unknown or repeated:
        raise invalid_fields(
            [
                ProblemError(pointer=json_pointer(["query", printable(name)]), message=printable(message))
                for name, message in [*unknown, *repeated][:MOST_FAULTS]
            ]
        )


def read_pairs(what: str, content: bytes) -> list[tuple[str, str]]:
    """The names and values of a query, or of a form that is written as one.

    Raises:
        ServiceError: 422, they are too many to be meant, or not UTF-8.
    """
    if content.count(b"&") >= _MOST_PAIRS:
        raise ServiceError(422, "invalid-request", f"The {what} holds more than {_MOST_PAIRS} names and values.")
    try:
        return parse_qsl(content.decode(), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise ServiceError(422, "invalid-request", f"The {what} is not UTF-8.") from error


def require_meant(method: str, headers: Headers, taken: Collection[str]) -> None:
    """Refuse headers that would be trusted in vain, and a second one of those that mean one thing.

    Args:
        method: the request's.
        headers: the request's.
        taken: those that the route declares, in small letters.

    Raises:
        ServiceError: 422, with a pointer to each.
    """
    given = [name for name, _ in headers.raw]
    faults = [
        (name, "This header may be given once only.") for name, sent in _SINGLE_HEADERS.items() if given.count(sent) > 1
    ]
    conditions = _CONDITIONS if method in _READING else (*_CONDITIONS, "If-None-Match")
    faults += [
        (name, "Such a condition is not looked at here, so nothing is done; leave the header out.")
        for name in conditions
        if name in headers
    ]
    if method not in _READING and "idempotency-key" in headers and "idempotency-key" not in taken:
        faults.append(("Idempotency-Key", "No key is remembered for this request; leave the header out."))
    if faults:
        raise invalid_fields(
            [ProblemError(pointer=json_pointer(["header", name.lower()]), message=message) for name, message in faults]
        )
