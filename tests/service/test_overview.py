"""Workers, usage and the catalog over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi.testclient import TestClient

from gauntlet.spec.catalog import catalog
from service.settings import ServiceSettings
from store.database import Database
from store.queue import workers
from store.queue.workers import Presence


def test_workers_are_listed(api: TestClient, settings: ServiceSettings) -> None:
    """Those that say that they live."""
    assert api.get("/v1/workers").json()["data"] == []
    database = Database(settings.database_url)
    with database.writing() as session:
        workers.enter(session, Presence("here:1", 4, "0.1"))
    database.close()
    (worker,) = api.get("/v1/workers").json()["data"]
    assert (worker["name"], worker["alive"], worker["slots"], worker["jobs"]) == ("here:1", True, 4, [])
    assert worker["started_at"] == worker["seen_at"]


def test_usage_and_catalog_are_answered(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """What waits, and what can be asked for."""
    api.post("/v1/experiments", json=tiny_document)
    usage = api.get("/v1/usage").json()
    assert (usage["runs"], usage["queue"]["waiting"]) == ({"queued": 1}, 1)
    assert [each["owner"] for each in usage["owners"]] == [None]
    listed = api.get("/v1/catalog").json()
    presets = {preset["name"]: preset["reproduces"] for preset in listed["presets"]}
    assert presets.keys() == {"paper", "paper_sampled", "quickstart", "wong2020", "madry", "trades"}
    assert presets["quickstart"] is None
    assert {"value": 0.4321, "tolerance": 0.015}.items() <= presets["wong2020"]["claims"][1].items()
    assert "resnet18" in {entry["name"] for entry in listed["architectures"]}


def test_all_that_ask_at_once_for_the_catalog_are_given_one(api: TestClient) -> None:
    """It is made once, by the first."""
    catalog.cache_clear()
    with ThreadPoolExecutor(6) as senders:
        answers = list(senders.map(lambda _: api.get("/v1/catalog"), range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert catalog.cache_info().misses == 1
