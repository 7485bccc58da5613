"""No token in a URL: it is refused wherever it stands, and nobody writes it down."""

import logging
from typing import cast
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from store.accounts.token_text import new_token
from tests.service.logins import bearer
from tests.service.transport.test_origins import every_request


def test_a_token_in_a_query_is_refused_and_not_logged(
    api: TestClient, guarded_api: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Under any name, on every route, with a login or without one; neither the log nor the answer repeats it."""
    caplog.set_level(logging.DEBUG)
    for method, path in every_request(cast("FastAPI", api.app)):
        token = new_token()
        for service, headers in ((api, {}), (guarded_api, bearer(token))):
            caplog.clear()
            answer = service.request(method, f"{path}?access_token={token}&limit=1", headers=headers)
            assert answer.status_code == 422, (method, path)
            if method != "HEAD":
                assert answer.json()["type"] == "urn:gauntlet:problem:token-in-url"
            ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
            assert token not in answer.text + "".join(ours)


def test_nor_in_a_path_nor_in_other_letters(api: TestClient) -> None:
    """Per cent signs hide nothing, and what is around it neither."""
    token = new_token()
    hidden = "".join(f"%{ord(letter):02x}" for letter in token)
    for place in ("/v1/tokens/{}", "/v1/runs?x={}", "/v1/runs?{}", "/v1/runs?x=a{}b", "/{}"):
        for written in (token, hidden, quote(token, safe="")):
            assert api.get(place.format(written)).json()["type"].endswith("token-in-url"), place
        assert not api.get(place.format(token[:-6])).json().get("type", "").endswith("token-in-url"), place
