"""Workers on hosts of their own, whose clocks are hours apart; one is cut off while it trains."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.models import Checkpoint, EpochMetrics, Run
from store.subjects import experiments, runs
from tests import hosts
from tests.e2e.system import await_that
from tests.hosts import Host

_CANNOT = hosts.unavailable()
pytestmark = [
    pytest.mark.skipif(_CANNOT is not None, reason=str(_CANNOT)),
    pytest.mark.long(seconds=20),
    pytest.mark.thorough,
]

_AHEAD_S, _BEHIND_S = 3_700, -3_700


class Site:
    """One database that hosts reach over their cables, and a storage that all of them have."""

    def __init__(self, home: Path, database_url: str, stack: ExitStack) -> None:
        self._home, self._stack = home, stack
        self._clock = hosts.wrong_clock(home)
        parts = urlsplit(database_url)
        self._socket = Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432"
        self._name = parts.path
        self.database = Database(database_url)

    def work(self, host: Host, *, ahead_s: int) -> None:
        """Start a worker there, whose clock is so far ahead."""
        port = self._stack.enter_context(hosts.relay(host, self._socket))
        environment = {
            "LD_PRELOAD": str(self._clock),
            "CLOCK_AHEAD_S": str(ahead_s),
            "GAUNTLET_HOME": str(self._home),
            "GAUNTLET_DATABASE_URL": f"postgresql://postgres@{host.gateway}:{port}{self._name}",
            "GAUNTLET_BROKER_URL": "redis://127.0.0.1:1/0",
            "GAUNTLET_WORKER_NAME": host.name,
            "GAUNTLET_WORKER_SLOTS": "1",
            "GAUNTLET_DEVICE": "cpu",
            "GAUNTLET_THREADS": "1",
            "GAUNTLET_LEASE_S": "8",
            "GAUNTLET_HEARTBEAT_S": "0.2",
            "GAUNTLET_RECONCILE_S": "0.5",
            "GAUNTLET_STATE_EVERY_S": "0.001",
        }
        self._stack.callback(hosts.end, host.start("worker", self.log(host), environment))

    def log(self, host: Host) -> Path:
        return self._home / f"{host.name}.log"

    def submit(self, spec: ExperimentSpec) -> str:
        with self.database.writing() as session:
            (run_id,) = experiments.create(session, spec, None)[1]
        return run_id

    def run(self, run_id: str) -> Run:
        with self.database.reading() as session:
            return runs.get(session, run_id)

    def epochs(self, run_id: str) -> list[int]:
        with self.database.reading() as session:
            rows = select(EpochMetrics.epoch).where(EpochMetrics.run_id == run_id).order_by(EpochMetrics.epoch)
            return list(session.scalars(rows))

    def weights(self, run_id: str) -> list[str]:
        with self.database.reading() as session:
            return list(session.scalars(select(Checkpoint.sha256).where(Checkpoint.run_id == run_id)))


@pytest.fixture
def site(tmp_path: Path, postgresql_url: str) -> Iterator[Site]:
    with ExitStack() as stack:
        site = Site(tmp_path, postgresql_url, stack)
        stack.callback(site.database.close)
        yield site
    # Shown where the test fails.
    for log in tmp_path.glob("*.log"):
        print(log.name, log.read_text(), sep="\n")  # noqa: T201  # the worker's own words, for who reads the failure


def test_who_is_cut_off_is_replaced_and_writes_nothing_more(site: Site, tiny_spec: ExperimentSpec) -> None:
    """Another host goes on with the run, an hour behind or ahead of the first; what the first one still wants to write
    when its cable is whole again touches nothing, and the run is the one that nobody disturbed.
    """
    training = tiny_spec.training.model_copy(update={"epochs": 12, "checkpoint_every": 12, "compile": "off"})
    spec = tiny_spec.model_copy(update={"training": training})
    with hosts.hosts(2) as (first, second):
        run_id = site.submit(spec)
        site.work(first, ahead_s=_AHEAD_S)
        await_that(lambda: len(site.epochs(run_id)) >= 2)
        first.cut()
        assert site.run(run_id).worker == first.name
        site.work(second, ahead_s=_BEHIND_S)
        await_that(lambda: site.run(run_id).status == "succeeded")
        ended = site.run(run_id)
        epochs, weights = site.epochs(run_id), site.weights(run_id)
        first.join()
        await_that(lambda: "has taken the run over" in site.log(first).read_text())
        again = site.submit(spec)
        await_that(lambda: site.run(again).status == "succeeded")
    assert (ended.attempt, ended.crashes, epochs) == (2, 0, list(range(1, 13)))
    assert ended.started_at is not None
    assert ended.finished_at is not None
    # By the database's clock, whatever the hosts' say.
    assert ended.created_at < ended.started_at < ended.finished_at < ended.created_at + 600
    assert (site.run(run_id).finished_at, site.epochs(run_id), site.weights(run_id)) == (
        ended.finished_at,
        epochs,
        weights,
    )
    assert site.weights(again) == weights
