"""Routes that are answered past the framework: as it would answer them, in every respect but the time."""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi.dependencies.utils import solve_dependencies
from fastapi.testclient import TestClient
from PIL import Image

import service.app
from service.requests.directly import directly
from service.routes import checkpoints, experiments
from service.settings import ServiceSettings
from tests.service.requests.test_forms import part

PATH = "/v1/classifications"
_WRITTEN = io.BytesIO()
Image.new("RGB", (8, 8)).save(_WRITTEN, "PNG")
PICTURE = part("image", _WRITTEN.getvalue(), b"Content-Type: image/png", more=b'; filename="a.png"')
NOBODYS = part("checkpoint", b"ckpt_nobodys")
END = b"--b--\r\n"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.fixture
def both(settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TestClient, TestClient]]:
    """A service, and one that answers everything by the framework."""
    with ExitStack() as ended:
        ours = ended.enter_context(TestClient(service.app.create_app(settings), raise_server_exceptions=False))
        monkeypatch.setattr(service.app, "directly", lambda *_: {})
        theirs = ended.enter_context(TestClient(service.app.create_app(settings), raise_server_exceptions=False))
        yield ours, theirs


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"content": PICTURE + NOBODYS + END}, 404),
        ({"content": PICTURE + END}, 422),
        ({"content": NOBODYS + END}, 422),
        ({"content": END}, 422),
        ({"content": PICTURE + part("checkpoint", b"") + END}, 404),
        ({"content": PICTURE + NOBODYS * 2 + END}, 422),
        ({"content": PICTURE + NOBODYS * 9 + END}, 422),
        ({"content": part("image", b"x") + NOBODYS + END}, 422),
        ({"content": part("image", b"", more=b'; filename=""') + NOBODYS + END}, 422),
        ({"content": PICTURE + NOBODYS + part("attack", b"") + END}, 404),
        ({"content": PICTURE + NOBODYS + part("attack", b"{}") + END}, 422),
        ({"content": PICTURE + NOBODYS + part("colour", b"blue") + END}, 422),
        ({"content": PICTURE + NOBODYS}, 422),
        ({"content": b"{}", "headers": {"Content-Type": "application/json"}}, 415),
        ({"content": b"checkpoint=a", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 422),
        ({"content": PICTURE + END, "headers": FORM | {"Content-Encoding": "gzip"}}, 415),
        ({"content": PICTURE + END, "headers": FORM | {"If-Match": "a"}}, 422),
        ({"content": PICTURE + END, "params": {"colour": "blue"}}, 422),
        ({"method": "GET"}, 405),
        ({"method": "PUT", "content": PICTURE + END}, 405),
        ({"url": f"{PATH}/", "content": PICTURE + END}, 404),
    ],
)
def test_the_framework_would_say_the_same(
    both: tuple[TestClient, TestClient], request_: dict[str, Any], status: int
) -> None:
    """Of requests that are refused, each with its words and its pointers."""
    asked = {"method": "POST", "url": PATH, "headers": FORM} | request_
    answers = [client.request(**asked) for client in both]
    told = [answer.json() | {"request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [status, status]
    assert told[0] == told[1]
    names = [sorted(answer.headers) for answer in answers]
    assert names[0] == names[1]


def test_it_is_not_asked(both: tuple[TestClient, TestClient], monkeypatch: pytest.MonkeyPatch) -> None:
    """Or nothing would be spared."""
    solved: list[Any] = []
    solve = solve_dependencies

    def counted(**how: Any) -> Any:
        solved.append(how)
        return solve(**how)

    monkeypatch.setattr("fastapi.routing.solve_dependencies", counted)
    for client, times in zip(both, (0, 1), strict=True):
        solved.clear()
        assert client.post(PATH, content=PICTURE + NOBODYS + END, headers=FORM).status_code == 404
        assert len(solved) == times


def test_answers_are_counted_by_their_route(both: tuple[TestClient, TestClient]) -> None:
    """In the figures for Prometheus, as all are."""
    for client in both:
        client.post(PATH, content=PICTURE + NOBODYS + END, headers=FORM)
        assert f'method="POST",route="{PATH}",status="404"' in client.get("/metrics").text


@pytest.mark.parametrize("routes", [checkpoints, experiments])
def test_a_route_that_takes_more_is_refused(api: TestClient, routes: Any) -> None:
    """When the app is made, and not when somebody asks."""
    with pytest.raises(TypeError, match="takes more than a request and its form"):
        directly(api.app, routes.router)  # type: ignore[arg-type]  # the client names any app
