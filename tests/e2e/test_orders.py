"""What happens when a job's process is killed at one place, as often as it is told; by one worker for all of these."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gauntlet.resources import TERMINAL
from tests.collector import Collector
from tests.e2e.system import System, await_that
from tests.e2e.test_faults import finish, only_run
from tests.faults.arming import order

pytestmark = [pytest.mark.long(seconds=15), pytest.mark.thorough]


@pytest.fixture(scope="module")
def armed(api: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Path]]:
    """The shared API and a worker, whose processes end where the orders in that folder say."""
    orders = tmp_path_factory.mktemp("orders")
    api.start("worker", orders=orders)
    yield api, orders
    api.rest()


def test_an_evaluation_by_itself_is_woken_and_survives_a_kill(
    armed: tuple[System, Path], tiny_document: dict[str, Any]
) -> None:
    """Killed after its second batch, another attempt goes on; the next one, longer, takes over what both found."""
    system, orders = armed
    client = system.client
    attack = {"kind": "fgsm", "eps": "16/255"}
    experiment = client.submit(tiny_document | {"training": {"epochs": 1}}).id
    finish(client, experiment)
    checkpoint = next(client.checkpoints(only_run(client, experiment).id)).id
    order(orders, "batch_recorded", 2)
    killed = client.evaluate({"checkpoint": checkpoint, "attacks": [attack], "samples": 24, "batch_size": 8}).id
    await_that(lambda: client.evaluation(killed).status in TERMINAL)
    longer = client.evaluate({"checkpoint": checkpoint, "attacks": [attack], "samples": 32, "batch_size": 8}).id
    await_that(lambda: client.evaluation(longer).status in TERMINAL)
    first, second = client.evaluation(killed), client.evaluation(longer)
    assert (first.status, second.status, first.attempt > 1) == ("succeeded", "succeeded", True)
    assert [(attack.status, attack.completed) for attack in second.attacks] == [("done", 32)]
    assert list(client.images(killed)) == list(client.images(longer))[:24]


def test_a_request_is_traced_to_the_rows_that_come_of_it(
    armed: tuple[System, Path], collector: Collector, tiny_document: dict[str, Any]
) -> None:
    """In its caller's trace: what waited and for how long, the attempt that was killed and the one after it, and what
    each did; the evaluation that followed; and nothing that a user called anything.
    """
    system, orders = armed
    order(orders, "epoch_recorded", 1)
    caller = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    document = tiny_document | {"name": "sir bors", "training": {"epochs": 2}, "labels": ["sir bors"]}
    answer = httpx2.post(
        f"http://127.0.0.1:{system.port}/v1/experiments", json=document, headers={"traceparent": caller}
    )
    experiment = answer.json()["id"]
    finish(system.client, experiment)
    run = only_run(system.client, experiment)
    (evaluation,) = system.client.evaluations(run=run.id)
    trace = caller.split("-")[1]
    await_that(lambda: bool(collector.of(trace, "evaluation attempt")))
    await_that(lambda: len(collector.of(trace, "run attempt")) == 2)
    (request,) = collector.of(trace, "POST /v1/experiments")
    killed, second = collector.of(trace, "run attempt")
    (evaluated,) = collector.of(trace, "evaluation attempt")
    assert (request.parent, request.service) == (caller.split("-")[2], "gauntlet-api")
    assert request.attributes["gauntlet.experiment.id"] == experiment
    assert {span.parent for span in (killed, second, evaluated)} == {request.id}
    assert {span.service for span in (killed, second, evaluated)} == {"gauntlet-worker"}
    told = [(span.attributes["gauntlet.attempt"], span.attributes["gauntlet.status"]) for span in (killed, second)]
    assert told == [(1, "queued"), (2, "succeeded")]
    assert (killed.is_error, killed.attributes["error.type"], second.is_error) == (True, "worker_lost", False)
    assert {span.attributes["gauntlet.run.id"] for span in (killed, second, evaluated)} == {run.id}
    assert evaluated.attributes["gauntlet.evaluation.id"] == evaluation.id
    # The database's clock has milliseconds, and the time that it is asked counts.
    begun = [span.began for span in (killed, second, evaluated)]
    assert [span.ended for span in collector.of(trace, "queued")] == pytest.approx(begun, abs=5)
    epochs = [(span.parent, span.attributes["gauntlet.first"]) for span in collector.of(trace, "epochs")]
    assert epochs == [(killed.id, 1), (second.id, 2)]
    parts = {span.name for span in collector.of(trace) if span.parent == collector.of(trace, "epochs")[0].id}
    assert parts == {"write files", "record rows"}
    attacked = [span.attributes["gauntlet.first"] for span in collector.of(trace, "attacks")]
    assert attacked[0] == "natural"
    assert len(attacked) == 2
    assert {span.parent for span in collector.of(trace, "attacks")} == {evaluated.id}
    assert b"sir bors" not in collector.raw


def test_a_run_that_kills_its_process_each_time_fails(
    armed: tuple[System, Path], tiny_document: dict[str, Any]
) -> None:
    """Three crashes without a state in between are enough: the run fails, does not circle, and leaves no file."""
    system, orders = armed
    client = system.client
    for _ in range(3):
        order(orders, "partial_written")
    experiment = client.submit(tiny_document).id
    await_that(lambda: client.experiment(experiment).status in TERMINAL)
    run = only_run(client, experiment)
    assert (run.status, run.status_reason, run.attempt) == ("failed", "worker_lost", 3)
    await_that(system.leaves_no_orphan)
