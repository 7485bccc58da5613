"""What happens when a job's process is killed at one place, as often as it is told; by one worker for all of these."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gauntlet.resources import TERMINAL
from tests.e2e.system import System, await_that
from tests.e2e.test_faults import finish, only_run
from tests.faults.arming import order

pytestmark = pytest.mark.long(seconds=15)


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
