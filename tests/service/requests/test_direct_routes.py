"""Routes in general that are answered past the framework: which may be."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Cookie, Depends, FastAPI, File, Form, Header, Request, Response
from fastapi.testclient import TestClient
from pydantic import AliasChoices, BaseModel, Json

from service.answering.versions import Version
from service.errors import ServiceError
from service.requests.directly import directly
from service.requests.routing import Route
from service.routes import checkpoints, experiments
from service.transport.admission import Gate

GATE = Gate(4, "Come again.", retry_after_s=2)
VERSION = Version(lambda *_: "one")
Text = Annotated[str, Form()]


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
    """An app with one route, as it is unless the app needs more or includes it."""
    router = APIRouter(route_class=Route)
    router.post(path, dependencies=list(needs), response_model=None)(function)
    if not (app_needs or included):
        return FastAPI(routes=router.routes), router
    app = FastAPI(dependencies=list(app_needs))
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
