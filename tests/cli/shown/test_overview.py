"""Who works, what there is, what can be asked for; and whether this machine can work."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import gauntlet as code
from cli.commands import app
from cli.shown.overview import _of_worker
from gauntlet.resources import HeldJob, HelpedEvaluation, Worker
from store.database import Database
from store.queue import workers
from store.queue.workers import Presence
from tests.e2e.system import System


@pytest.fixture
def working(database: Database) -> Any:
    """A worker that lives."""
    with database.writing() as session:
        workers.enter(session, Presence("here:1", 2, code.__version__))
    yield
    with database.writing() as session:
        workers.leave(session, "here:1")


@pytest.mark.usefixtures("working")
def test_workers_are_listed(gauntlet: Any) -> None:
    """A line each, with what it works on."""
    heading, line = gauntlet("workers").output.splitlines()
    assert heading.split() == ["worker", "state", "device", "jobs", "seen", "since"]
    assert line.startswith("here:1  alive          0 of 2")
    assert json.loads(gauntlet("workers", "--json").output)[0]["name"] == "here:1"


def test_a_worker_that_helps_is_not_idle() -> None:
    """It says with which evaluation, beside the jobs that it has."""
    now = datetime.now(UTC)
    worker = Worker(
        name="here:1",
        alive=True,
        device=None,
        slots=2,
        version="0",
        started_at=now,
        seen_at=now,
        jobs=(HeldJob(kind="run", id="run_1", experiment=None),),
        helps=(HelpedEvaluation(id="eval_2", experiment=None),),
    )
    assert _of_worker(worker)[3] == "run_1, helps eval_2"


def test_usage_is_told(gauntlet: Any) -> None:
    """Jobs by status, the queue, the disk, and what each owner has."""
    gauntlet("submit", "quickstart")
    told = gauntlet("usage").output
    assert "queued" in told
    assert "GiB free" in told
    assert "nobody" in told
    assert json.loads(gauntlet("usage", "--json").output)["queue"]["waiting"] > 0


def test_the_catalog_is_listed(gauntlet: Any) -> None:
    """All of it, or the fields of one thing with what they take; a name may be several things'."""
    told = gauntlet("catalog").output
    assert all(f"  {name} " in told for name in ("resnet18", "ppo", "autoattack", "quickstart"))
    one = gauntlet("catalog", "pgd").output
    assert one.count("kind: pgd") == 2
    assert "integer; ≥ 1, ≤ 10000; default 50." in one
    assert "Madry et al. 2018" in one
    assert gauntlet("catalog", "no-such").exit_code == 1
    assert "attacks" in json.loads(gauntlet("catalog", "--json").output)


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run it on a home of its own, where nothing is, and say how each thing is."""
    monkeypatch.setenv("GAUNTLET_HOME", str(tmp_path))
    monkeypatch.setenv("GAUNTLET_URL", "http://127.0.0.1:9")

    def run() -> tuple[int, dict[str, tuple[bool, str]]]:
        result = CliRunner().invoke(app, ["doctor", "--json"])
        return result.exit_code, {each["name"]: (each["ok"], each["told"]) for each in json.loads(result.output)}

    return run


def test_a_machine_without_anything_is_told_what_to_do(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing and how it comes; nothing is made by looking. A setting that is not valid ends the look."""
    status, found = doctor()
    assert status == 1
    assert {name for name, (ok, _) in found.items() if not ok} == {"database", "broker", "service"}
    assert "gauntlet up" in found["database"][1]
    assert doctor() == (status, found)
    lines = CliRunner().invoke(app, ["doctor"]).output.splitlines()
    assert len(lines) == len(found)
    assert {line.split()[0] for line in lines} == {"ok", "FAULT"}
    monkeypatch.setenv("GAUNTLET_LEASE_S", "-1")
    status, found = doctor()
    assert (status, list(found)) == (1, ["settings"])


@pytest.mark.usefixtures("working")
def test_a_system_that_works_is_well(
    doctor: Any,
    system: System,
    service_database_url: str,
    broker_url: str,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit status 0; a worker of another version, or none that lives, is a fault."""
    monkeypatch.setenv("GAUNTLET_URL", system.client.url)
    monkeypatch.setenv("GAUNTLET_DATABASE_URL", service_database_url)
    monkeypatch.setenv("GAUNTLET_BROKER_URL", broker_url)
    status, found = doctor()
    assert {name: told for name, (ok, told) in found.items() if not ok} == {}
    assert status == 0
    assert set(found) >= {"settings", "database", "broker", "workers", "versions", "clock", "disk", "service"}
    with database.writing() as session:
        workers.enter(session, Presence("here:1", 2, "0.0.1"))
    assert doctor()[1]["versions"][0] is False
    with database.writing() as session:
        workers.leave(session, "here:1")
    assert doctor()[1]["workers"][0] is False


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_shells_complete_commands(shell: str) -> None:
    """By what the command tells them itself."""
    told = CliRunner().invoke(app, [], prog_name="gauntlet", env={"_GAUNTLET_COMPLETE": f"source_{shell}"})
    assert "_GAUNTLET_COMPLETE=complete_" in told.output
    words = {"COMP_WORDS": "gauntlet work", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "gauntlet work"}
    asked = words | {"_GAUNTLET_COMPLETE": f"complete_{shell}"}
    assert "workers" in CliRunner().invoke(app, [], prog_name="gauntlet", env=asked).output
