"""The API as a process of its own, with a broker and without workers, to be asked and measured."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cli.machine.embedded import broker_command, free_port
from cli.machine.processes import Child
from gauntlet.client import GauntletClient
from gauntlet.spec.asked.tokens import Scope, TokenRequest
from gauntlet.spec.runs.training import InferencePrecision
from service.settings import ServiceSettings
from store.accounts import secret_key, tokens
from store.database import Database, migrate

_READY_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.05
_GRACE_S = 15.0
_FIRST = 5


@dataclass(frozen=True)
class Served:
    """An API that runs with tokens on; `tokens` has one for each scope."""

    url: str
    settings: ServiceSettings
    tokens: dict[Scope, str]
    pid: int

    def client(self, scope: Scope = "submit") -> GauntletClient:
        """A client with the token of that scope."""
        return GauntletClient(self.url, token=self.tokens[scope], proxied=False)

    def bearer(self, scope: Scope = "submit") -> dict[str, str]:
        """The headers of a request with the token of that scope."""
        return {"Authorization": f"Bearer {self.tokens[scope]}"}

    def peak_bytes(self) -> int:
        """The most memory that the process has had at once, from Linux's process table."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


@contextmanager
def served(
    cores: set[int] | None = None, *, home: Path | None = None, precision: InferencePrecision = "fp32"
) -> Iterator[Served]:
    """An API with an empty SQLite database in a folder that goes with the block; on cores of its own, if named.

    With a `home` it is in that folder, goes on with what is there, and stays. It classifies in that `precision`.
    """
    with ExitStack() as ended:
        home = home or Path(ended.enter_context(tempfile.TemporaryDirectory(prefix="gauntlet-")))
        settings = ServiceSettings(home=home, port=free_port("127.0.0.1", 0), auth="on")
        settings.data_root.mkdir(parents=True, exist_ok=True)
        migrate(settings.database_url)
        shown = _make_tokens(settings)
        environment = {
            "GAUNTLET_HOME": str(home),
            "GAUNTLET_PORT": str(settings.port),
            "GAUNTLET_AUTH": settings.auth,
            "GAUNTLET_TRUSTED_PROXIES": "127.0.0.1",
            "GAUNTLET_CLASSIFY_PRECISION": precision,
        }
        broker = Child("broker", broker_command(home / "broker.sock"), home / "broker.log")
        api = Child("api", [sys.executable, "-m", "service"], home / "api.log", environment)
        for child in (broker, api):
            child.start()
            ended.callback(child.stop, _GRACE_S)
        url = f"http://127.0.0.1:{settings.port}"
        await_ready(api, url)
        assert api.pid is not None
        if cores is not None:
            keep_to(api.pid, cores)
        yield Served(url, settings, shown, api.pid)


def keep_to(process: int, cores: set[int]) -> None:
    """Keep a process and what it will start to these cores, and ahead of all others there, if this one may say so.

    A nice value would count only among the processes of one session, where Linux groups them so.
    """
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)
        with suppress(PermissionError):
            os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(_FIRST))


def weigh_above_others(process: int) -> None:
    """Give the session of a process the largest share of the cores that Linux knows, for a machine that is not idle."""
    Path(f"/proc/{process}/autogroup").write_text("-19", encoding="ascii")


@contextmanager
def working(api: Served) -> Iterator[None]:
    """A worker for it, with one slot and one thread, on the cores of whoever calls this."""
    environment = {
        "GAUNTLET_HOME": str(api.settings.home),
        "GAUNTLET_WORKER_SLOTS": "1",
        "GAUNTLET_THREADS": "1",
    }
    worker = Child("worker", [sys.executable, "-m", "worker"], api.settings.home / "worker.log", environment)
    worker.start()
    try:
        yield
    finally:
        worker.stop(_GRACE_S)


def _make_tokens(settings: ServiceSettings) -> dict[Scope, str]:
    key = secret_key.read_or_make(settings.secret_key_file)
    database = Database(settings.database_url)
    scopes: tuple[Scope, ...] = ("read", "submit", "admin")
    with database.writing() as session:
        shown = {scope: tokens.create(session, key, TokenRequest(owner=scope, scope=scope))[1] for scope in scopes}
    database.close()
    return shown


def await_ready(api: Child, url: str) -> None:
    """Wait until the server at `url` says that it is ready.

    Raises:
        RuntimeError: it ended, or does not say so within a minute.
    """
    deadline = time.monotonic() + _READY_WITHIN_S
    with GauntletClient(url, proxied=False) as client:
        while not client.ready():
            if not api.is_running or time.monotonic() > deadline:
                raise RuntimeError(f"The API did not come up: {api.log.read_text(encoding='utf-8')}")
            time.sleep(_LOOK_EVERY_S)
