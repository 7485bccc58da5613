"""Looking at a trained run over HTTP."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

from gauntlet.models.checkpoints import load_model
from gauntlet.spec.checkpoint_card import Trained
from service.settings import ServiceSettings
from store import job_logs
from store.database import Database


def test_metrics_come_epoch_by_epoch(api: TestClient, trained_run: str) -> None:
    """JSON pages in order of epoch, one name on request, and all of it as CSV."""
    page = api.get(f"/v1/runs/{trained_run}/metrics", params={"limit": 3}).json()
    assert [row["epoch"] for row in page["data"]] == [1, 2, 3]
    rest = api.get(f"/v1/runs/{trained_run}/metrics", params={"after": page["next"], "name": "loss"}).json()
    assert [(row["epoch"], list(row["metrics"])) for row in rest["data"]] == [(4, ["loss"])]
    csv = api.get(f"/v1/runs/{trained_run}/metrics", params={"format": "csv"})
    header, *lines = csv.text.splitlines()
    assert csv.headers["content-type"].startswith("text/csv")
    assert header.startswith("epoch,")
    assert "test_fgsm_accuracy" in header
    assert [line.partition(",")[0] for line in lines] == ["1", "2", "3", "4"]


def test_events_tell_what_happened(api: TestClient, trained_run: str) -> None:
    """A run begins with what was read of its data, and its start."""
    events = api.get(f"/v1/runs/{trained_run}/events").json()["data"]
    assert [(event["kind"], event["attempt"]) for event in events[:2]] == [("data", 1), ("started", 1)]


def test_a_log_is_text(api: TestClient, settings: ServiceSettings, tiny_document: dict[str, Any]) -> None:
    """Line by line, without those that are known; 404 for a run that is not there."""
    experiment = api.post("/v1/experiments", json=tiny_document).json()["id"]
    (run,) = api.get("/v1/runs", params={"experiment": experiment}).json()["data"]
    database = Database(settings.database_url)
    with database.writing() as session:
        job_logs.append(session, run["id"], ["one", "zwei …", "three"])
    database.close()
    whole = api.get(f"/v1/runs/{run['id']}/log")
    assert (whole.text, whole.headers["content-type"]) == ("one\nzwei …\nthree\n", "text/plain; charset=utf-8")
    assert api.get(f"/v1/runs/{run['id']}/log", params={"after": 1, "limit": 1}).text == "zwei …\n"
    assert api.get(f"/v1/runs/{run['id']}/log", params={"after": 3}).text == ""
    assert api.get("/v1/runs/run_none/log").status_code == 404
    assert api.get("/v1/evaluations/eval_none/log").status_code == 404


def test_weights_are_a_checkpoint_file(api: TestClient, trained_run: str, tmp_path: Path) -> None:
    """The downloaded bytes have the recorded digest and load as a model of the run's spec."""
    listed = api.get("/v1/checkpoints", params={"run": trained_run}).json()["data"]
    assert [checkpoint["epoch"] for checkpoint in listed] == [4, 2]
    assert api.get(f"/v1/checkpoints/{listed[0]['id']}").json() == listed[0]
    answer = api.get(f"/v1/checkpoints/{listed[0]['id']}/weights")
    assert hashlib.sha256(answer.content).hexdigest() == listed[0]["sha256"]
    assert answer.headers["etag"] == f'"{listed[0]["sha256"]}"'
    file = tmp_path / "weights.safetensors"
    file.write_bytes(answer.content)
    loaded = load_model(file, torch.device("cpu"))
    assert isinstance(loaded.card.origin, Trained)
    assert (loaded.card.origin.epoch, loaded.card.image_shape, len(loaded.card.classes)) == (4, (1, 16, 16), 10)


def test_missing_weights_are_a_conflict(api: TestClient, trained_run: str, tmp_path: Path) -> None:
    """A file that is gone from the storage is a 409, not a crash."""
    checkpoint = api.get("/v1/checkpoints", params={"run": trained_run}).json()["data"][0]["id"]
    for file in (tmp_path / "checkpoints").rglob("*.safetensors"):
        file.unlink()
    assert api.get(f"/v1/checkpoints/{checkpoint}/weights").status_code == 409


@pytest.mark.parametrize("path", ["metrics", "events"])
def test_an_unknown_run_has_no_lists(api: TestClient, path: str) -> None:
    """They are a 404, not empty."""
    assert api.get(f"/v1/runs/run_none/{path}").status_code == 404


def test_the_evaluation_of_a_trained_run_waits(api: TestClient, trained_run: str) -> None:
    """Training queues it; it can be looked at and cancelled."""
    (evaluation,) = api.get("/v1/evaluations", params={"run": trained_run}).json()["data"]
    assert (evaluation["status"], evaluation["selection"], evaluation["outcome"]) == ("queued", ["best_fgsm"], None)
    assert api.get(f"/v1/evaluations/{evaluation['id']}").json() == evaluation
    assert api.post(f"/v1/runs/{trained_run}/pause").json()["status"] == "succeeded"
    assert api.get(f"/v1/evaluations/{evaluation['id']}").json()["status"] == "paused"
    assert api.post(f"/v1/evaluations/{evaluation['id']}/resume").json()["status"] == "queued"
    assert api.post(f"/v1/evaluations/{evaluation['id']}/pause").json()["status"] == "paused"
    assert api.post(f"/v1/evaluations/{evaluation['id']}/cancel").json()["status"] == "cancelled"
    again = api.post(f"/v1/evaluations/{evaluation['id']}/retry")
    refused = api.delete(f"/v1/evaluations/{evaluation['id']}")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:gauntlet:problem:conflict")
    asked = api.post(f"{again.headers['location']}/priority", json={"priority": "high"})
    assert (asked.json()["priority"], again.json()["priority"]) == ("high", "normal")
    assert (again.status_code, again.json()["status"], again.json()["retry_of"]) == (202, "queued", evaluation["id"])
    assert api.get(again.headers["location"]).json()["run"] == trained_run
    assert api.get(f"/v1/evaluations/{evaluation['id']}").json()["retried_by"] == again.json()["id"]
    refused = api.post(f"/v1/runs/{trained_run}/retry")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:gauntlet:problem:conflict")
    assert api.post(f"/v1/runs/{trained_run}/cancel").json()["status"] == "succeeded"
