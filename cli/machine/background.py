"""The embedded system in the background of a program that needs one for a while."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from cli.machine.embedded import StartFailed, address, free_port
from cli.machine.processes import Child
from gauntlet.client import GauntletClient
from service.settings import ServiceSettings

_READY_WITHIN_S = 90.0
_STOP_WITHIN_S = 40.0


@contextmanager
def running(settings: ServiceSettings, console: Console) -> Iterator[GauntletClient]:
    """`gauntlet up` as a process of its own inside the block, so that its supervision has a main thread.

    It listens on the port of the settings, or on any other where that one is taken.

    Raises:
        StartFailed: the system did not come up; the message says where to look.
    """
    settings = settings.model_copy(update={"port": free_port(settings.host, settings.port)})
    environment = {
        "GAUNTLET_HOME": str(settings.home),
        "GAUNTLET_DATA_ROOT": str(settings.data_root),
        "GAUNTLET_PORT": str(settings.port),
    }
    log = settings.home / "logs" / "up.log"
    system = Child("system", [sys.executable, "-m", "cli", "up"], log, environment)
    system.start()
    try:
        console.print("Starting broker, API and worker …")
        with GauntletClient(address(settings), proxied=False) as client:
            _await(client, system, log)
            yield client
    finally:
        system.stop(_STOP_WITHIN_S)
        console.print("Stopped.")


def _await(client: GauntletClient, system: Child, log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not client.ready():
        if not system.is_running or time.monotonic() > deadline:
            said = log.read_text().strip().rpartition("\n")[2]
            raise StartFailed(f"The system did not come up: {said} (log: {log})")
        time.sleep(0.2)
