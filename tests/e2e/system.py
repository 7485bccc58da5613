"""A whole Gauntlet for a test: real processes on real sockets, each of which the test may kill."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from sqlalchemy import select, update

from gauntlet.client import GauntletClient
from gauntlet.resources import TERMINAL
from store.database import Database, migrate
from store.models import Checkpoint, Evaluation, Run

_FAST = {
    # Not short: a process that gets no processor for so long is taken for dead (`expire_leases`).
    "GAUNTLET_LEASE_S": "60",
    "GAUNTLET_HEARTBEAT_S": "0.2",
    "GAUNTLET_RECONCILE_S": "0.5",
    "GAUNTLET_RETRY_S": "0.5",
    # Twice a second it took an idle worker two thirds of its twelfth of a core.
    "GAUNTLET_SWEEP_S": "2",
    "GAUNTLET_STATE_EVERY_S": "0.001",
    # So that nothing of a run that failed or was cancelled stays.
    "GAUNTLET_RETRY_DAYS": "0",
    "GAUNTLET_THREADS": "1",
}
# What a machine that others keep busy may take; pytest ends a test after 300.
_PATIENCE_S = 240.0
_ROOT = Path(__file__).parents[2]
_ARMED = _ROOT / "tests/faults/everywhere"


class System:
    """API and workers on one database and broker, in a `with` block that ends them all."""

    def __init__(
        self,
        home: Path,
        database_url: str,
        broker_url: str,
        orders: Path | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.home = home
        self.client = GauntletClient(f"http://127.0.0.1:{self.port}")
        self._environment = os.environ | _FAST | settings
        self._environment |= {
            "GAUNTLET_HOME": str(home),
            "GAUNTLET_PORT": str(self.port),
            "GAUNTLET_DATABASE_URL": database_url,
            "GAUNTLET_BROKER_URL": broker_url,
        }
        if orders is not None:
            self._environment |= _armed(orders)
        self.database_url = database_url
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        migrate(database_url)

    def __enter__(self) -> Self:
        self.service = self.start("service")
        await_that(self.client.ready)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self._end("worker")
        self._end("service")

    def start(self, module: str, orders: Path | None = None, **environment: str) -> subprocess.Popen[bytes]:
        """Start the service or a worker as the leader of a process group of its own.

        With `orders` its processes end where those say (`tests.faults.arming`).
        """
        if orders is not None:
            environment |= _armed(orders)
        log = self.home / f"{module}-{len(self._processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", module],
                env=self._environment | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes[log.stem] = process
        return process

    def _end(self, module: str) -> None:
        ended = [process for name, process in self._processes.items() if name.startswith(module)]
        for process in ended:
            process.send_signal(signal.SIGTERM)
        for process in ended:
            process.wait(_PATIENCE_S)

    def rest(self) -> None:
        """End the workers, and leave nothing to do for the next one."""
        self._end("worker")
        for experiment in self.client.experiments():
            if experiment.status not in TERMINAL:
                self.client.cancel_experiment(experiment.id)
        for evaluation in self.client.evaluations():
            if evaluation.status not in TERMINAL:
                self.client.cancel_evaluation(evaluation.id)

    def logged(self, module: str) -> str:
        """What the processes of the service or the workers, and of their jobs, have logged."""
        return "".join(file.read_text() for file in sorted(self.home.glob(f"{module}-*.log")))

    def leaves_no_orphan(self) -> bool:
        """Whether the stored files are exactly those that rows name, and runs that ended keep no training state."""
        storage = self.home / "checkpoints"
        stored = {str(file.relative_to(storage)) for file in storage.rglob("*") if file.is_file()}
        database = Database(self.database_url)
        with database.reading() as session:
            states = session.execute(select(Run.status, Run.resume_path).where(Run.resume_path.is_not(None))).all()
            recorded = set(session.scalars(select(Checkpoint.path))) | {path for _, path in states}
        database.close()
        return stored == recorded and not any(status in TERMINAL for status, _ in states)

    def expire_leases(self) -> None:
        """Let the leases of the runs at work run out now instead of in a while: their worker died."""
        database = Database(self.database_url)
        with database.writing() as session:
            session.execute(update(Run).where(Run.status == "running").values(lease_expires_at=0.0))
        database.close()

    def forget_measurements(self) -> None:
        """Keep later evaluations of the same weights from taking over what was measured so far."""
        database = Database(self.database_url)
        with database.writing() as session:
            # Not of those at work, which could not be helped with then.
            ended = Evaluation.status.in_(TERMINAL)
            session.execute(update(Evaluation).where(ended).values(implementation=None))
        database.close()


def _armed(orders: Path) -> dict[str, str]:
    return {"FAILPOINTS": str(orders), "PYTHONPATH": f"{_ARMED}{os.pathsep}{_ROOT}"}


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """`kill -9` of a process and all its children at once, as when a machine goes down."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def await_that(condition: Callable[[], bool], patience_s: float = _PATIENCE_S) -> None:
    """Look until the condition holds; the longer it takes the less often, for to look may cost a request."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        assert waited < patience_s, "it did not come to pass"
        time.sleep(min(max(0.05, waited / 20), 0.5))
