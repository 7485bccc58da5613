"""What a form means to a route that is answered past the framework: what the framework makes of it."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, Form, Response
from fastapi.testclient import TestClient
from pydantic import AfterValidator
from pydantic_core import to_json

from service import errors
from service.requests.directly import directly
from service.settings import ServiceSettings
from tests.service.requests.test_direct_routes import Text, app_of, guard_of_request
from tests.service.requests.test_forms import part

FORM = {"Content-Type": "multipart/form-data; boundary=b"}
END = b"--b--\r\n"
Texts = Annotated[list[str], Form(max_length=3)]
NAMES = ["a"]


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
