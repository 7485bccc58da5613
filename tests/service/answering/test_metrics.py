"""What Prometheus is told, read back by its own parser; and the dashboard that shows it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from gauntlet.spec.asked.webhooks import WebhookRequest
from gauntlet.spec.experiment import ExperimentSpec
from service.app import create_app
from service.settings import ServiceSettings
from store import events, webhooks
from store.database import Database
from store.events import News
from store.models import Run
from store.queue import jobs
from store.subjects import experiments
from tests.service.logins import login
from tests.store.recorded import submit, train

DASHBOARD = Path(__file__).parents[3] / "docker" / "grafana" / "gauntlet.json"


@pytest.fixture
def database(settings: ServiceSettings) -> Iterator[Database]:
    database = Database(settings.database_url)
    yield database
    database.close()


def scraped(api: TestClient) -> dict[str, float]:
    """Every sample by its name and labels, as `name{a=1,b=2}`."""
    answer = api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        f"{sample.name}{{{','.join(f'{key}={value}' for key, value in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_jobs_are_counted_from_rows(api: TestClient, database: Database, tiny_spec: ExperimentSpec) -> None:
    """By kind and status, those that wait with the age of the oldest, leases that ran out, workers, and speed."""
    _, slow = submit(database, tiny_spec)
    _, lost = submit(database, tiny_spec)
    _, ended = submit(database, tiny_spec)
    for held in (slow, lost, ended):
        train(database, tiny_spec, held, range(1, 3))
    with database.writing() as session:
        jobs.finish(session, ended, "failed")
        session.execute(update(Run).where(Run.id == lost.id).values(lease_expires_at=0.0, worker="other"))
        _, (waits, later) = experiments.create(session, tiny_spec.model_copy(update={"seeds": (0, 1)}), None)
        session.execute(update(Run).where(Run.id == waits).values(created_at=Run.created_at - 500))
        session.execute(update(Run).where(Run.id == later).values(not_before=1e12))
        newest = events.newest(session)
        webhooks.create(session, WebhookRequest(url="https://example.org/"), None)
        events.tell(session, News("alarm", "one_class", slow.id, "All alike."))
    with database.writing() as session:
        webhooks.gather(session)
    found = scraped(api)
    assert found["gauntlet_jobs{kind=run,status=running}"] == 2
    assert found["gauntlet_jobs{kind=run,status=queued}"] == 2
    assert found["gauntlet_jobs{kind=run,status=failed}"] == 1
    assert found["gauntlet_jobs{kind=evaluation,status=queued}"] == 0
    assert found["gauntlet_queue_depth{kind=run}"] == 1
    assert 500 <= found["gauntlet_queue_oldest_seconds{kind=run}"] < 1_000
    assert found["gauntlet_leases{kind=run,state=held}"] == 1
    assert found["gauntlet_leases{kind=run,state=expired}"] == 1
    assert found["gauntlet_busy_workers{}"] == 2
    assert found["gauntlet_training_images_per_second{}"] == 2 * 64.0
    assert found["gauntlet_events_total{}"] > newest
    assert found["gauntlet_webhook_deliveries{status=waiting}"] == 2
    assert found["gauntlet_webhook_deliveries{status=failed}"] == 0
    assert found["gauntlet_disk_free_bytes{place=home}"] > 0
    assert found["gauntlet_database_up{}"] == 1


def test_requests_are_timed_by_route(api: TestClient) -> None:
    """By the template and not the path, of which anybody could make as many as they like; HEAD, and what is nowhere."""
    for identifier in ("run_1", "run_2"):
        api.get(f"/v1/runs/{identifier}")
    api.head("/v1/runs")
    api.get("/no/such/place")
    found = scraped(api)
    counts = {
        name: value for name, value in found.items() if name.startswith("gauntlet_http_request_duration_seconds_count")
    }
    labels = {name.partition("{")[2]: value for name, value in counts.items()}
    assert labels["method=GET,route=/v1/runs/{run_id},status=404}"] == 2
    assert labels["method=HEAD,route=/v1/runs,status=200}"] == 1
    assert labels["method=GET,route=none,status=404}"] == 1
    assert not any("run_1" in name for name in found)


def test_a_database_that_is_away_is_told_of(settings: ServiceSettings, tmp_path: Path) -> None:
    """The scrape succeeds with what is known without it."""
    away = settings.model_copy(update={"database_url": f"sqlite:///{tmp_path}/nothing.db"})
    with TestClient(create_app(away)) as api:
        found = scraped(api)
    assert found["gauntlet_database_up{}"] == 0
    assert not any(name.startswith("gauntlet_jobs") for name in found)


def test_metrics_take_a_login(guarded_api: TestClient, guarded: ServiceSettings) -> None:
    """A token of scope read, where the service wants any."""
    assert guarded_api.get("/metrics").status_code == 401
    assert guarded_api.get("/metrics", headers=login(guarded, "prometheus", "read")).status_code == 200


def test_the_dashboard_shows_what_there_is(api: TestClient) -> None:
    """Every metric in it is told, and every metric of ours is in it."""
    api.get("/v1/runs")
    told = {name.partition("{")[0] for name in scraped(api)}
    expressions = [
        target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]
    ]
    shown = {name for text in expressions for name in re.findall(r"\b(?:gauntlet|process)_[a-z_]+", text)}
    assert shown <= told
    ours = {name for name in told if name.startswith("gauntlet_") and not name.endswith(("_created", "_sum"))}
    assert ours <= shown
