"""Requests that change something are told as spans, and what they queue belongs to their traces."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from service.app import create_app
from service.settings import ServiceSettings
from store.database import Database
from store.models import Run
from tests.collector import Collector, collecting
from tests.service.logins import login

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = CALLER[3:35]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """One that the environment names, with OpenTelemetry's log as it was when the test is over."""
    theirs = logging.getLogger("opentelemetry")
    before = theirs.propagate, theirs.handlers
    with collecting() as collector:
        for name, value in collector.settings.items():
            monkeypatch.setenv(name, value)
        yield collector
    theirs.propagate, theirs.handlers = before


@pytest.fixture
def traced(guarded: ServiceSettings) -> ServiceSettings:
    """A service that wants tokens, and tells of requests."""
    return guarded.model_copy(update={"traces": "on"})


def places(settings: ServiceSettings) -> dict[str, str | None]:
    database = Database(settings.database_url)
    with database.reading() as session:
        found = {row.id: row.traceparent for row in session.execute(select(Run.id, Run.traceparent))}
    database.close()
    return found


def test_what_is_queued_again_follows_what_was(
    traced: ServiceSettings, collector: Collector, tiny_document: dict[str, Any]
) -> None:
    """Submitting, resuming and retrying give a run each request's place; the later ones link to the one before.

    Who only looks, or is refused at the door, gets no span; and no span holds a token, a name or a word of a user's.
    """
    ada = login(traced, "ada", "submit")
    with TestClient(create_app(traced)) as api:
        document = tiny_document | {"name": "sir bors", "notes": "sir bors"}
        said = ada | {"traceparent": CALLER, "baggage": "user=bors", "tracestate": "vendor=bors"}
        experiment = api.post("/v1/experiments", json=document, headers=said).json()["id"]
        ((run, first),) = places(traced).items()
        assert api.post(f"/v1/runs/{run}/pause", headers=ada).status_code == 200
        assert places(traced) == {run: first}
        assert api.post(f"/v1/runs/{run}/resume", headers=ada).status_code == 200
        ((_, second),) = places(traced).items()
        assert api.post(f"/v1/experiments/{experiment}/cancel", headers=ada).status_code == 200
        retry = api.post(f"/v1/runs/{run}/retry", headers=ada).json()["id"]
        third = places(traced)[retry]
        assert api.get(f"/v1/runs/{run}", headers=ada | {"traceparent": CALLER}).status_code == 200
        assert api.post(f"/v1/runs/{run}/retry", headers={"traceparent": CALLER}).status_code == 401
        assert api.post("/v1/runs/sir bors/pause", headers=ada).status_code == 404
        # Nobody's trace is gone on with where two are named.
        twice = [*ada.items(), ("traceparent", CALLER), ("traceparent", CALLER)]
        assert api.post(f"/v1/runs/{retry}/cancel", headers=twice).status_code == 200
    assert first is not None
    assert second is not None
    assert third is not None
    assert len({first[:35], second[:35], third[:35]}) == 3
    by_name = {span.name: span for span in collector.spans}
    assert set(by_name) == {
        "POST /v1/experiments",
        "POST /v1/runs/{run_id}/pause",
        "POST /v1/runs/{run_id}/resume",
        "POST /v1/experiments/{experiment_id}/cancel",
        "POST /v1/runs/{run_id}/retry",
        "POST /v1/runs/{run_id}/cancel",
    }
    made, resumed, retried = (
        by_name[name]
        for name in ("POST /v1/experiments", "POST /v1/runs/{run_id}/resume", "POST /v1/runs/{run_id}/retry")
    )
    assert [f"00-{span.trace}-{span.id}" for span in (made, resumed, retried)] == [
        place[:52] for place in (first, second, third)
    ]
    assert (made.trace, made.parent, made.links) == (TRACE, CALLER[36:52], ())
    assert resumed.links == ((made.trace, made.id),)
    assert retried.links == ((resumed.trace, resumed.id),)
    assert by_name["POST /v1/runs/{run_id}/cancel"].parent != CALLER[36:52]
    assert len(collector.spans) == 7
    assert made.attributes["gauntlet.experiment.id"] == experiment
    assert (made.attributes["http.response.status_code"], retried.attributes["gauntlet.run.id"]) == (202, retry)
    assert ada["Authorization"].removeprefix("Bearer ").encode() not in collector.raw
    assert b"bors" not in collector.raw


def test_without_traces_nothing_is_told_or_kept(
    guarded: ServiceSettings, collector: Collector, monkeypatch: pytest.MonkeyPatch, tiny_document: dict[str, Any]
) -> None:
    """However the environment asks OpenTelemetry, or the framework, to send something."""
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    with TestClient(create_app(guarded)) as api:
        said = login(guarded, "ada", "submit") | {"traceparent": CALLER}
        assert api.post("/v1/experiments", json=tiny_document, headers=said).status_code == 202
    assert list(places(guarded).values()) == [None]
    assert collector.raw == b""


def test_a_job_keeps_its_trace_where_it_is_resumed_without_one(
    guarded: ServiceSettings, tiny_document: dict[str, Any]
) -> None:
    """By an API that has traces off beside one that has them on."""
    ada = login(guarded, "ada", "submit")
    with TestClient(create_app(guarded)) as api:
        api.post("/v1/experiments", json=tiny_document, headers=ada)
        ((run, _),) = places(guarded).items()
        database = Database(guarded.database_url)
        with database.writing() as session:
            session.execute(update(Run).values(traceparent=CALLER, status="paused"))
        database.close()
        assert api.post(f"/v1/runs/{run}/resume", headers=ada).status_code == 200
    assert places(guarded) == {run: CALLER}
