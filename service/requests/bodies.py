"""A request's body, read as what its route declares: UTF-8 only, and off the loop in which every request waits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, TypeVar, get_args

import anyio
from fastapi import Request, params
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.requests import ClientDisconnect

from gauntlet.errors import DocumentInvalid
from gauntlet.resources import ProblemError
from gauntlet.spec.reading.documents import read_json
from gauntlet.spec.reading.messages import printable
from service.errors import ServiceError, invalid_fields, problem_errors
from service.requests import forms
from service.requests.multipart import MultipartReader
from service.requests.parameters import read_pairs
from service.requests.plain_multipart import PlainParts
from service.settings import ServiceSettings
from service.storage_reads import StorageReads

T = TypeVar("T", bound=BaseModel)

_PATIENCE_S = 30.0
_LONGEST_TYPE = 1_000
# So many bytes are taken apart sooner than a thread is told to. A form of so many stays in memory, as its files do.
_SHORT, _IN_MEMORY = 8_192, 1 << 20
# To read one holds Python's lock for up to 10 ms, which threads that do so together hand to one another.
_LARGE_DOCUMENTS = anyio.Semaphore(1)
_SLOWEST = 65_536  # bytes a second, once the patience is used up


# Where what takes long is done: where a file goes to the storage, which may hang, in none of the server's few threads.
_Apart = Callable[[Callable[[], None]], Awaitable[None]]


class _Stored(FormData):
    """What came of a form with files in the storage, which are closed where that is written to."""

    def __init__(self, form: forms.Form, reads: StorageReads) -> None:
        super().__init__(form.items)
        self._form, self._reads = form, reads

    async def close(self) -> None:
        await self._reads.write(self._form.close)


class ReadRequest(Request):
    """A request whose body has been read, if it has one. The framework is given what it means, and reads nothing.

    It has no cookies, for no route takes any, and the framework would read them on every request: Python up to 3.11.9
    and 3.12.5 takes the square of a cookie's length (CVE-2024-7592), 13 s for 60 kB.
    """

    def __init__(self, request: Request, meaning: Any = None) -> None:
        super().__init__(request.scope, request.receive)
        self._meaning = meaning

    @property
    def cookies(self) -> dict[str, str]:
        return {}

    async def body(self) -> bytes:
        """What tells the framework that there is a body."""
        return b"read"

    async def json(self) -> Any:
        return self._meaning

    def form(self, **_limits: Any) -> Any:
        return self.json()


def reader(route: APIRoute) -> Callable[[Request], Awaitable[Request]]:
    """What reads the body of a route's requests."""
    field = route.body_field
    if field is None:
        return _require_none
    if isinstance(field.field_info, params.Form):
        fields = forms.declared(route.dependant)

        async def read_form(request: Request) -> Request:
            require_plain(request)
            settings: ServiceSettings = request.app.state.settings
            form = forms.Form(fields, most_text_bytes=settings.max_json_bytes, storage=settings.storage)
            try:
                await _fill(form, request, run_in_threadpool, in_memory=_is_in_memory(request))
            except BaseException:
                form.close()
                raise
            return ReadRequest(request, FormData(form.items))

        async def read_stored_form(request: Request) -> Request:
            require_plain(request)
            settings: ServiceSettings = request.app.state.settings
            reads: StorageReads = request.app.state.storage_reads
            form = forms.Form(fields, most_text_bytes=settings.max_json_bytes, storage=settings.storage)
            try:
                await _fill(form, request, reads.write, in_memory=False)
            except BaseException:
                await reads.write(form.close)
                raise
            return ReadRequest(request, _Stored(form, reads))

        return read_stored_form if any(each.into_storage for each in fields.values()) else read_form
    models = _models(field.field_info.annotation)

    async def read_document(request: Request) -> Request:
        require_plain(request)
        _require_json(request)
        content = b"".join([piece async for piece in arriving(request)])
        async with _LARGE_DOCUMENTS if len(content) > _SHORT else nullcontext():
            return ReadRequest(request, await run_in_threadpool(understand, content, *models))

    return read_document


def understand(content: bytes | str, *models: type[T], within: str = "") -> T:
    """The value of a JSON document, which is the whole request or its field `within`.

    Of several models it is meant for the first whose required fields it has, or else for the last.

    Raises:
        ServiceError: 422, it is no such document; the answer says where and why.
    """
    model = models[-1]
    try:
        document = read_json(content)
        model = next((each for each in models[:-1] if _has_required(document, each)), model)
        return model.model_validate(document)
    except DocumentInvalid as error:
        if error.pointer or within:
            fault = ProblemError(pointer=within + printable(error.pointer), message=printable(str(error)))
            raise invalid_fields([fault]) from error
        raise ServiceError(422, "invalid-json", f"The body cannot be read. {printable(str(error))}") from error
    except ValidationError as error:
        raise invalid_fields(problem_errors(error.errors(include_url=False), model, within)) from error


def _models(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models of a body: one, or those of a union."""
    models = get_args(annotation) or (annotation,)
    assert all(isinstance(model, type) and issubclass(model, BaseModel) for model in models)
    return models


def _has_required(document: object, model: type[BaseModel]) -> bool:
    return isinstance(document, Mapping) and all(
        name in document for name, field in model.model_fields.items() if field.is_required()
    )


async def arriving(request: Request) -> AsyncIterator[bytes]:
    """The body's pieces, as long as they come.

    Raises:
        ServiceError: 408, they come more slowly than `_SLOWEST`, or no longer.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE_S
    pieces = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                piece = await anext(pieces, None)
        except (TimeoutError, ClientDisconnect) as error:
            raise ServiceError(408, "request-timeout", "The body did not arrive in time.") from error
        if piece is None:
            return
        deadline += len(piece) / _SLOWEST
        yield piece


def require_plain(request: Request) -> None:
    """Refuse a compressed body.

    Raises:
        ServiceError: 415.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ServiceError(415, "unsupported-media-type", "The body must not be compressed.")


def _content_type(request: Request) -> tuple[bytes, dict[bytes, bytes]]:
    """The body's type with its parameters.

    Raises:
        ServiceError: 415, it is too long to be one.
    """
    written = request.headers.get("content-type", "")
    if len(written) > _LONGEST_TYPE:
        raise ServiceError(415, "unsupported-media-type", "The Content-Type is too long.")
    return parse_options_header(written)


def _require_json(request: Request) -> None:
    kind, options = _content_type(request)
    if not (kind.startswith(b"application/") and kind.removeprefix(b"application/").split(b"+")[-1] == b"json"):
        raise ServiceError(415, "unsupported-media-type", "The body must be sent as application/json.")
    forms.require_utf8(options)


async def _fill(form: forms.Form, request: Request, apart: _Apart, *, in_memory: bool) -> None:
    """Read a form, apart from the loop what is long.

    Raises:
        ServiceError: 415 if the body is no form, or says that it is not UTF-8; 422 if it is broken or holds what is not
            declared.
        OSError: there is no room for its files.
    """
    kind, options = _content_type(request)
    forms.require_utf8(options)
    match kind:
        case b"multipart/form-data":
            await _fill_from_parts(form, request, options.get(b"boundary", b""), apart, in_memory=in_memory)
        case b"application/x-www-form-urlencoded":
            content = bytearray()
            async for piece in arriving(request):
                form.make_room(len(piece))
                content += piece
            await run_in_threadpool(_read_urlencoded, bytes(content), form)
        case _:
            raise ServiceError(415, "unsupported-media-type", "The body must be sent as multipart/form-data.")


async def _fill_from_parts(
    form: forms.Form, request: Request, boundary: bytes, apart: _Apart, *, in_memory: bool
) -> None:
    reader = MultipartReader(boundary, form)
    plain = PlainParts(boundary, form) if in_memory else None
    async for piece in arriving(request):
        rest = piece if plain is None else plain.feed(piece)
        if rest is None:
            continue
        plain = None
        if in_memory and len(rest) <= _SHORT:
            reader.feed(rest)
        else:
            await apart(partial(reader.feed, rest))
    reader.require_end()


def _is_in_memory(request: Request) -> bool:
    length = request.headers.get("content-length", "")
    return length.isdecimal() and int(length[:20]) <= _IN_MEMORY


def _read_urlencoded(content: bytes, form: forms.Form) -> None:
    for name, text in read_pairs("form", content):
        form.expect(name)
        form.add_text(name, text)


async def _require_none(request: Request) -> Request:
    headers = request.headers
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        async for piece in arriving(request):
            if piece:
                raise ServiceError(422, "invalid-request", "This request takes no body.")
    return ReadRequest(request)
