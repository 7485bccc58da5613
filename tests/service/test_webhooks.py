"""Webhooks over HTTP: made, shown, and taken away."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from gauntlet.spec.asked.tokens import Scope
from service.settings import ServiceSettings
from tests.service.logins import login

URL = "https://chat.example.org/T0/secret"


def test_the_secret_is_shown_once_and_the_url_to_its_owner(guarded_api: TestClient, guarded: ServiceSettings) -> None:
    """The URL may be a secret too: others see where it leads, and neither may they delete it."""
    scopes: dict[str, Scope] = {"ada": "submit", "bob": "submit", "root": "admin"}
    ada, bob, root = (login(guarded, owner, scope) for owner, scope in scopes.items())
    made = guarded_api.post("/v1/webhooks", json={"url": URL, "events": ["alarm"]}, headers=ada)
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    path = f"/v1/webhooks/{made.json()['id']}"
    seen = [guarded_api.get(path, headers=caller).json() for caller in (ada, bob, root)]
    assert [each["url"] for each in seen] == [URL, "https://chat.example.org/…", URL]
    (listed,) = guarded_api.get("/v1/webhooks", headers=bob).json()["data"]
    assert listed == seen[1]
    assert "secret" not in seen[0]
    assert guarded_api.delete(path, headers=bob).status_code == 403
    assert guarded_api.get(f"{path}/deliveries", headers=ada).json()["data"] == []
    assert guarded_api.delete(path, headers=ada).status_code == 200
    assert guarded_api.get(path, headers=ada).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"url": "ftp://example.org/"},
        {"url": "https://me:pass@example.org/"},
        {"url": "https://example.org/#part"},
        {"url": "https://"},
        {"url": "https://[::1/"},
        {"url": "https://example.org/\r\nX: y"},
        {"url": URL, "events": []},
        {"url": URL, "events": ["birth"]},
    ],
)
def test_what_is_no_url_or_event_is_refused(api: TestClient, body: dict[str, Any]) -> None:
    """With 422, and nothing is made."""
    assert api.post("/v1/webhooks", json=body).status_code == 422
    assert api.get("/v1/webhooks").json()["data"] == []


def test_webhooks_are_bounded(api: TestClient) -> None:
    """One past the bound is refused with what to do."""
    for _ in range(100):
        assert api.post("/v1/webhooks", json={"url": URL}).status_code == 201
    refused = api.post("/v1/webhooks", json={"url": URL})
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:gauntlet:problem:quota-exceeded")
