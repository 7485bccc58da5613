"""What happens when parts die: nothing is lost, nothing is done twice, and the result is the same."""

import select
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gauntlet.client import GauntletClient
from gauntlet.resources import TERMINAL, Run
from tests.broker import running_broker, socket_path
from tests.e2e.system import System, await_that, kill_group
from tests.faults.arming import order
from tests.gauntlet.examples import needs_compiler

pytestmark = pytest.mark.long(seconds=70)

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
        "training": {"epochs": 16, "checkpoint_every": 8},
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


@needs_compiler
@pytest.mark.long(seconds=80, shares="compiler")
@pytest.mark.timeout(2400)
def test_a_compiled_run_survives_a_kill_within_an_epoch_bit_by_bit(
    system: System, tiny_document: dict[str, Any], tmp_path: Path
) -> None:
    """Killed after two of an epoch's three batches, it goes on with the third, and everything comes out the same.

    With all that draws random numbers: dropout in both passes, actions in the attack and in the loss.
    """
    client = system.client
    document = tiny_document | {
        # A transformer has more to compile.
        "architecture": {"kind": "cnn"},
        "training": {"epochs": 4, "checkpoint_every": 2, "compile": "on", "precision": "bf16"},
        "objectives": [{"kind": "policy_gradient", "entropy_bonus": 0.1}],
        "adversary": tiny_document["adversary"] | {"loss": "objective", "mode": "train"},
    }
    # States are recorded after the first two batches of every epoch: the sixth is of the third epoch.
    order(tmp_path / "orders", "state_recorded", 6)
    fragile = system.start("worker", orders=tmp_path / "orders")
    killed = client.submit(document).id
    # Both attempts compile the step and what measures it: a minute of two cores, eight were seen beside other tests.
    finish(client, killed, patience_s=1_000)
    fragile.terminate()
    system.start("worker")
    system.forget_measurements()
    undisturbed = client.submit(document).id
    finish(client, undisturbed, patience_s=1_000)

    run = only_run(client, killed)
    events = list(client.events(run.id))
    assert [event.kind for event in events if event.epoch is None] == ["data", "started", "resumed"]
    assert events[2].message.endswith(" continues after epoch 2 and 2 batches.")
    assert run.attempt == 2
    assert result(client, killed) == result(client, undisturbed)
    await_that(system.leaves_no_orphan)


def test_an_evaluation_by_itself_is_woken_and_survives_a_kill(
    system: System, tiny_document: dict[str, Any], tmp_path: Path
) -> None:
    """Killed after its second batch, another attempt goes on; the next one, longer, takes over what both found."""
    client = system.client
    attack = {"kind": "fgsm", "eps": "16/255"}
    system.start("worker", orders=tmp_path / "orders")
    experiment = client.submit(tiny_document | {"training": {"epochs": 1}}).id
    finish(client, experiment)
    checkpoint = next(client.checkpoints(only_run(client, experiment).id)).id
    order(tmp_path / "orders", "batch_recorded", 2)
    killed = client.evaluate({"checkpoint": checkpoint, "attacks": [attack], "samples": 24, "batch_size": 8}).id
    await_that(lambda: client.evaluation(killed).status in TERMINAL)
    longer = client.evaluate({"checkpoint": checkpoint, "attacks": [attack], "samples": 32, "batch_size": 8}).id
    await_that(lambda: client.evaluation(longer).status in TERMINAL)
    first, second = client.evaluation(killed), client.evaluation(longer)
    assert (first.status, second.status, first.attempt > 1) == ("succeeded", "succeeded", True)
    assert [(attack.status, attack.completed) for attack in second.attacks] == [("done", 32)]
    assert list(client.images(killed)) == list(client.images(longer))[:24]


def test_a_run_that_kills_its_process_each_time_fails(
    system: System, tiny_document: dict[str, Any], tmp_path: Path
) -> None:
    """Three crashes without a state in between are enough: the run fails, does not circle, and leaves no file."""
    client = system.client
    for _ in range(3):
        order(tmp_path / "orders", "partial_written")
    system.start("worker", orders=tmp_path / "orders")
    experiment = client.submit(tiny_document).id
    await_that(lambda: client.experiment(experiment).status in TERMINAL)
    run = only_run(client, experiment)
    assert (run.status, run.status_reason, run.attempt) == ("failed", "worker_lost", 3)
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


def test_a_broker_that_is_lost_or_hangs_delays_a_run_but_does_not_lose_it(
    tmp_path: Path, sqlite_url: str, tiny_document: dict[str, Any]
) -> None:
    """Runs submitted while no broker was ever up, or between two brokers, or while one takes connections and never
    answers, start once a worker's reconciler looks; so do the service and the worker that start beside such a one.
    """
    with socket_path() as path, System(tmp_path, sqlite_url, f"redis+socket://{path}") as system:

        def submitted() -> str:
            return system.client.submit(tiny_document | {"training": {"epochs": 1}}).id

        early = submitted()
        worker = system.start("worker")
        finish(system.client, early)
        with running_broker(path):
            finish(system.client, submitted())
        between = submitted()
        with running_broker(path):
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
