"""What happened, page by page."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from gauntlet.spec.experiment import ExperimentSpec
from service.settings import ServiceSettings
from store import events
from store.database import Database
from store.events import News
from tests.store.recorded import submit


@pytest.fixture
def database(settings: ServiceSettings) -> Iterator[Database]:
    database = Database(settings.database_url)
    yield database
    database.close()


def test_pages_are_of_all_or_of_one_thing(api: TestClient, database: Database, tiny_spec: ExperimentSpec) -> None:
    """In order, by type; a run's page is its notes unless it is asked for more."""
    experiment, held = submit(database, tiny_spec)
    with database.writing() as session:
        events.tell(session, News("note", "said", held.id, "Something.", experiment))

    def kinds(path: str) -> list[str]:
        return [event["kind"] for event in api.get(f"/v1/{path}").json()["data"]]

    assert kinds("events") == ["queued", "running", "running", "said"]
    assert kinds(f"experiments/{experiment}/events?type=note&type=alarm") == ["said"]
    assert kinds(f"runs/{held.id}/events") == ["said"]
    assert kinds(f"runs/{held.id}/events?type=status") == ["queued", "running"]
    page = api.get("/v1/events?limit=3").json()
    assert [event["kind"] for event in api.get(f"/v1/events?after={page['next']}").json()["data"]] == ["said"]
    for path in ("experiments/exp_0", "runs/run_0", "evaluations/eval_0"):
        assert api.get(f"/v1/{path}/events").status_code == 404
    assert api.get("/v1/events", headers={"Last-Event-ID": "x"}).status_code == 422
    assert api.get("/v1/events?type=birth").status_code == 422
