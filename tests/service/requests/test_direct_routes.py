"""Routes in general that are answered past the framework: which may be, and what their forms mean."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Cookie, Depends, FastAPI, File, Form, Header, Request, Response
from fastapi.testclient import TestClient
from pydantic import AfterValidator, AliasChoices, BaseModel, Json
from pydantic_core import to_json

from service import errors
from service.answering.versions import Version
from service.errors import ServiceError
from service.requests.directly import directly
from service.requests.routing import Route
from service.routes import checkpoints, experiments
from service.settings import ServiceSettings
from service.transport.admission import Gate
from tests.service.requests.test_forms import part

GATE = Gate(4, "Come again.", retry_after_s=2)
VERSION = Version(lambda *_: "one")
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
END = b"--b--\r\n"
Text = Annotated[str, Form()]
Texts = Annotated[list[str], Form(max_length=3)]
NAMES = ["a"]


class Model(BaseModel):
    """A body of JSON, or a whole form."""

    text: str


def guard() -> None:
    raise ServiceError(403, "not-yours", "It is guarded.")


async def guard_of_request(request: Request) -> str:
    if "authorization" not in request.headers:
        raise ServiceError(403, "not-yours", "It is guarded.")
    return "known"


async def asks_query(request: Request, colour: str) -> str:
    return f"{request.url} {colour}"


async def asks_otherwise(asked: Request) -> str:
    return str(asked.url)


async def asks_another(request: Request, other: Annotated[str, Depends(guard_of_request)]) -> str:
    return f"{request.url} {other}"


async def asks_form(request: Request, text: Text) -> str:
    return f"{request.url} {text}"


async def yields(request: Request) -> Any:
    yield str(request.url)


def waits(request: Request) -> str:
    return str(request.url)


async def plain(text: Text) -> Response:
    return Response(text)


async def of_query(text: Text, colour: str) -> Response:
    return Response(text + colour)


async def of_header(text: Text, colour: Annotated[str, Header()]) -> Response:
    return Response(text + colour)


async def of_cookie(text: Text, colour: Annotated[str, Cookie()]) -> Response:
    return Response(text + colour)


async def of_path(text: Text, colour: str) -> Response:
    return Response(text + colour)


async def of_json(text: Model) -> Response:
    return Response(text.text)


async def of_a_model(text: Annotated[Model, Form()]) -> Response:
    return Response(text.text)


async def of_request(text: Text, request: Request) -> Response:
    return Response(text + str(request.url))


async def of_response(text: Text, response: Response) -> Response:
    return Response(text, headers=response.headers)


async def of_tasks(text: Text, tasks: BackgroundTasks) -> Response:
    return Response(text, background=tasks)


async def of_nothing() -> Response:
    return Response()


async def of_bytes(text: Annotated[bytes, File()]) -> Response:
    return Response(text)


async def of_a_set(text: Annotated[set[str], Form(max_length=3)]) -> Response:
    return Response("".join(text))


async def of_json_text(text: Annotated[Json[list[str]], Form(max_length=3)]) -> Response:
    return Response("".join(text))


async def of_aliases(text: Annotated[str, Form(validation_alias=AliasChoices("text", "words"))]) -> Response:
    return Response(text)


async def of_a_query(text: Text, asked: Annotated[str, Depends(asks_query)]) -> Response:
    return Response(text + asked)


async def of_another_name(text: Text, asked: Annotated[str, Depends(asks_otherwise)]) -> Response:
    return Response(text + asked)


async def of_two_steps(text: Text, asked: Annotated[str, Depends(asks_another)]) -> Response:
    return Response(text + asked)


async def of_a_form_beside(words: Text, asked: Annotated[str, Depends(asks_form)]) -> Response:
    return Response(words + asked)


async def of_a_generator(text: Text, asked: Annotated[str, Depends(yields)]) -> Response:
    return Response(text + asked)


async def of_a_thread(text: Text, asked: Annotated[str, Depends(waits)]) -> Response:
    return Response(text + asked)


async def of_a_named_gate(text: Text, asked: Annotated[None, Depends(GATE)]) -> Response:
    return Response(f"{text}{asked}")


async def twice(
    text: Text, one: Annotated[str, Depends(guard_of_request)], two: Annotated[str, Depends(guard_of_request)]
) -> Response:
    return Response(text + one + two)


async def to_be_written(text: Text) -> dict[str, str]:
    return {"text": text}


def in_a_thread(text: Text) -> Response:
    return Response(text)


def app_of(
    function: Callable[..., Any],
    path: str = "/x",
    *,
    needs: Sequence[Any] = (),
    app_needs: Sequence[Any] = (),
    **included: Any,
) -> tuple[FastAPI, APIRouter]:
    """An app with one route."""
    app, router = FastAPI(dependencies=list(app_needs)), APIRouter(route_class=Route)
    router.post(path, dependencies=list(needs), response_model=None)(function)
    app.include_router(router, **included)
    return app, router


@pytest.mark.parametrize(
    "function",
    [
        of_query,
        of_header,
        of_cookie,
        of_json,
        of_a_model,
        of_request,
        of_response,
        of_tasks,
        of_nothing,
        of_bytes,
        of_a_set,
        of_json_text,
        of_aliases,
        of_a_query,
        of_another_name,
        of_two_steps,
        of_a_form_beside,
        of_a_generator,
        of_a_thread,
        of_a_named_gate,
        twice,
        to_be_written,
        in_a_thread,
    ],
)
def test_a_function_that_takes_or_returns_more_is_refused(function: Callable[..., Any]) -> None:
    """When the app is made, and not when somebody asks."""
    with pytest.raises(TypeError, match="/x takes more than a request and its form"):
        directly(*app_of(function))


@pytest.mark.parametrize(
    "more",
    [
        {"needs": [Depends(guard)]},
        {"needs": [Depends(guard_of_request)]},
        {"needs": [Depends(GATE), Depends(guard)]},
        {"app_needs": [Depends(guard)]},
        {"dependencies": [Depends(guard)]},
        {"prefix": "/v1"},
    ],
)
def test_a_guard_is_never_skipped(more: dict[str, Any]) -> None:
    """The route's, the app's, or one for where it is included: the route is refused, as it is under another path."""
    with pytest.raises(TypeError, match="/x takes more than a request and its form"):
        directly(*app_of(plain, **more))
    assert list(directly(*app_of(plain, needs=[Depends(GATE), Depends(VERSION)]))) == [("POST", "/x")]


def test_a_path_with_parameters_is_refused() -> None:
    """And so is a router that the app does not have."""
    with pytest.raises(TypeError, match="takes more than a request and its form: parameters"):
        directly(*app_of(of_path, "/x/{colour}"))
    with pytest.raises(TypeError, match="the app has it not"):
        directly(FastAPI(), app_of(plain)[1])


@pytest.mark.parametrize("routes", [checkpoints, experiments])
def test_the_service_has_routes_that_are_refused(api: TestClient, routes: Any) -> None:
    """Those that take ids and documents."""
    with pytest.raises(TypeError, match="takes more than a request and its form"):
        directly(api.app, routes.router)  # type: ignore[arg-type]  # the client names any app


async def needs_text(text: Text) -> Response:
    return Response(to_json(text))


async def needs_texts(texts: Texts) -> Response:
    return Response(to_json(texts))


async def has_text(text: Text = "a") -> Response:
    return Response(to_json(text))


async def changes_its_default(texts: Texts = NAMES) -> Response:
    texts.append("b")
    return Response(to_json(texts))


async def validates_its_default(text: Annotated[str, Form(min_length=3, validate_default=True)] = "a") -> Response:
    return Response(to_json(text))


def _refuse_none(text: str | None) -> str:
    if text is None:
        raise ValueError("There is none.")
    return text


async def validates_none(
    text: Annotated[str | None, Form(validate_default=True), AfterValidator(_refuse_none)] = None,
) -> Response:
    return Response(to_json(text))


async def makes_its_default(texts: Annotated[list[str], Form(max_length=3, default_factory=list)]) -> Response:
    texts.append("b")
    return Response(to_json(texts))


async def may_be_none(text: Annotated[str | None, Form()] = None) -> Response:
    return Response(to_json(text))


async def is_guarded(text: Text, who: Annotated[str, Depends(guard_of_request)]) -> Response:
    return Response(to_json(text + who))


def clients(function: Callable[..., Awaitable[Response]], settings: ServiceSettings) -> Iterator[TestClient]:
    """What asks a route past the framework, and what asks it by it."""
    app, router = app_of(function)
    app.state.settings = settings
    errors.install(app)
    answer = directly(app, router)["POST", "/x"]

    async def direct(scope: Any, receive: Any, send: Any) -> None:
        await answer(scope | {"app": app, "state": {"request_id": ""}}, receive, send)

    async def by_the_framework(scope: Any, receive: Any, send: Any) -> None:
        await app(scope | {"state": {"request_id": ""}}, receive, send)

    yield TestClient(direct)
    yield TestClient(by_the_framework)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (needs_text, 422),
        (needs_texts, 422),
        (has_text, "a"),
        (changes_its_default, ["a", "b"]),
        (validates_its_default, 422),
        (validates_none, 422),
        (makes_its_default, ["b"]),
        (may_be_none, None),
        (is_guarded, 403),
    ],
)
def test_what_is_left_out_is_what_the_framework_makes_of_it(
    function: Callable[..., Awaitable[Response]], told: Any, settings: ServiceSettings
) -> None:
    """A fault where it is needed, or a copy of its default, each time; and who is guarded says so first."""
    for content in (END, part("text", b"") + END, END):
        answers = [client.post("/x", content=content, headers=FORM) for client in clients(function, settings)]
        if content == END:
            assert told in (answers[0].status_code, answers[0].json())
        assert answers[0].status_code == answers[1].status_code
        assert answers[0].json() == answers[1].json()
        assert answers[0].headers == answers[1].headers


def test_what_is_given_is_what_the_framework_makes_of_it(settings: ServiceSettings) -> None:
    """Texts, a list of them, and one too many to be allowed."""
    headers = FORM | {"Authorization": "Bearer x"}
    for function, content, told in (
        (is_guarded, part("text", b"a"), "aknown"),
        (needs_texts, part("texts", b"a") * 2, ["a", "a"]),
        (validates_its_default, part("text", b"abc"), "abc"),
        (may_be_none, part("text", b"a"), "a"),
    ):
        asked = [client.post("/x", content=content + END, headers=headers) for client in clients(function, settings)]
        assert [(answer.status_code, answer.json()) for answer in asked] == [(200, told)] * 2
