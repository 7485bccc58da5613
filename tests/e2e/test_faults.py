"""What happens when parts die: nothing is lost, nothing is done twice, and the result is the same."""

import select
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gauntlet.client import GauntletClient
from gauntlet.resources import TERMINAL, Run
from tests.broker import REDIS, running_broker, socket_path
from tests.e2e.system import System, await_that, kill_group

pytestmark = [pytest.mark.long(seconds=55), pytest.mark.thorough]

MEGABYTE = 1 << 20


def only_run(client: GauntletClient, experiment: str) -> Run:
    (run,) = client.runs(experiment)
    return run


def result(client: GauntletClient, experiment: str) -> tuple[list[Any], list[Any], Any]:
    """Everything of a run that must be reproducible: metric rows, weights' digests, evaluation."""
    run = only_run(client, experiment)
    metrics = [(row.epoch, row.metrics) for row in client.metrics(run.id)]
    weights = [(checkpoint.epoch, checkpoint.sha256) for checkpoint in client.checkpoints(run.id)]
    (evaluation,) = client.evaluations(run=run.id)
    return metrics, weights, evaluation.outcome


def finish(client: GauntletClient, experiment: str, patience_s: float = 240) -> None:
    await_that(lambda: client.experiment(experiment).status in TERMINAL, patience_s)
    assert client.experiment(experiment).status == "succeeded"


def test_a_run_survives_the_death_of_its_worker_bit_by_bit(system: System, tiny_document: dict[str, Any]) -> None:
    """After kill -9 in mid-training another worker resumes from the last state, and everything comes out the same."""
    client = system.client
    document = tiny_document | {
        # One that takes its time, so that the run goes on when its worker is killed.
        "architecture": {"kind": "cnn"},
        "training": {"epochs": 10, "checkpoint_every": 5},
        "objectives": [{"kind": "policy_gradient"}],
    }
    victim = system.start("worker")
    killed = client.submit(document).id
    await_that(lambda: len(list(client.metrics(only_run(client, killed).id))) >= 3)
    kill_group(victim)
    assert only_run(client, killed).status == "running", "the run ended before the kill"

    system.expire_leases()
    system.start("worker")
    finish(client, killed)
    system.forget_measurements()
    undisturbed = client.submit(document).id
    finish(client, undisturbed)

    run = only_run(client, killed)
    assert [event.kind for event in client.events(run.id) if event.epoch is None] == ["data", "started", "resumed"]
    assert run.attempt == 2
    assert result(client, killed) == result(client, undisturbed)
    await_that(system.leaves_no_orphan)


def test_an_orderly_stop_puts_a_run_back(system: System, tiny_document: dict[str, Any]) -> None:
    """SIGTERM ends a worker within seconds; its run waits, uncounted, and continues elsewhere."""
    client = system.client
    worker = system.start("worker")
    # It does not end by itself.
    experiment = client.submit(tiny_document | {"training": {"epochs": 10_000, "compile": "off"}}).id

    def epochs() -> list[int]:
        return [row.epoch for row in client.metrics(only_run(client, experiment).id)]

    await_that(lambda: len(epochs()) >= 2)
    worker.terminate()
    assert worker.wait(90) == 0
    run = only_run(client, experiment)
    assert (run.status, run.status_reason) == ("queued", "worker_shutdown")
    done = len(epochs())
    system.start("worker")
    await_that(lambda: len(epochs()) > done)
    told = epochs()
    assert told == list(range(1, len(told) + 1))
    assert "resumed" in [event.kind for event in client.events(run.id)]


@pytest.mark.parametrize(
    ("database_url", "broker"),
    [
        ("sqlite", None),
        pytest.param("postgresql", REDIS, marks=pytest.mark.skipif(REDIS is None, reason="no redis-server is here")),
    ],
    indirect=["database_url"],
    ids=["sqlite, valkey", "postgresql, redis"],
)
def test_a_broker_that_is_lost_or_hangs_delays_a_run_but_does_not_lose_it(
    tmp_path: Path, database_url: str, broker: str | None, tiny_document: dict[str, Any]
) -> None:
    """Runs submitted while no broker was ever up, or between two brokers, or while one takes connections and never
    answers, start once a worker's reconciler looks; so do the service and the worker that start beside such a one.
    """
    with socket_path() as path, System(tmp_path, database_url, f"redis+socket://{path}") as system:

        def submitted() -> str:
            return system.client.submit(tiny_document | {"training": {"epochs": 1}}).id

        early = submitted()
        worker = system.start("worker")
        finish(system.client, early)
        with running_broker(path, broker):
            finish(system.client, submitted())
        between = submitted()
        with running_broker(path, broker):
            finish(system.client, between)
            finish(system.client, submitted())
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(str(path))
            silent.listen()
            finish(system.client, submitted())
            # Nor do those wait for it that start now.
            kill_group(worker)
            system.service.terminate()
            system.service.wait(90)
            system.start("service")
            await_that(system.client.ready)
            worker = system.start("worker")
            finish(system.client, submitted())
        # The worker's connection fails once nobody listens, which lets it end.
        worker.terminate()
        assert worker.wait(90) == 0


def test_a_huge_chunked_body_is_refused_long_before_its_end(system: System) -> None:
    """Of 100 MB sent in chunks the service takes a few and answers 413."""
    address = urlsplit(system.client.url)
    chunk = f"{MEGABYTE:x}\r\n".encode() + b" " * MEGABYTE + b"\r\n"
    request = "POST /v1/experiments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    sent = 0
    with socket.create_connection((address.hostname, address.port), timeout=90) as connection:
        connection.sendall((request + "Transfer-Encoding: chunked\r\n\r\n").encode())
        while sent < 100 and not select.select([connection], [], [], 0.05)[0]:
            connection.sendall(chunk)
            sent += 1
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413")
    assert sent < 20
    assert system.client.ready()
