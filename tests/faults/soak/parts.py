"""The processes of a system by kind, and whoever starts anew what died."""

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.broker import REDIS, server_command
from tests.e2e.system import System

_LOOK_EVERY_S = 0.5
# So long a part stays away, as where somebody has to notice first.
_AWAY_S = 1.5
WORKERS = 2


@dataclass(frozen=True)
class Process:
    """One of the system's, `start` ticks after the machine's: a number that is given again is another process."""

    pid: int
    parent: int
    start: int
    kind: str


class Parts:
    """Broker, service and workers, each started anew when it has died, while the block runs."""

    def __init__(self, system: System, broker_socket: Path, postgres: Path | None) -> None:
        self._system, self._socket, self._postgres = system, broker_socket, postgres
        self._mark = f"GAUNTLET_HOME={system.home}".encode()
        self._running = {"api": system.service}
        self._running |= {f"worker {number}": system.start("worker") for number in range(WORKERS)}
        # With PostgreSQL goes Redis, where there is one.
        self._server = None if postgres is None else REDIS
        self._broker = start_broker(broker_socket, self._server)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper")
        self.restarts = 0

    def __enter__(self) -> Self:
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._keeper.join()
        if error is not None:
            self.end_broker()

    @property
    def broker(self) -> str:
        """What it is called."""
        return "Valkey" if self._server is None else "Redis"

    def end_broker(self) -> None:
        """The last of all."""
        self._broker.terminate()
        self._broker.wait()

    def _keep(self) -> None:
        while not self._over.wait(_LOOK_EVERY_S):
            dead = [name for name, process in self._running.items() if process.poll() is not None]
            broker_died = self._broker.poll() is not None
            if not dead and not broker_died:
                continue
            time.sleep(_AWAY_S)
            with self._lock:
                for name in dead:
                    self._running[name] = self._system.start("service" if name == "api" else "worker")
                if broker_died:
                    self._broker = start_broker(self._socket, self._server)
            self.restarts += len(dead) + broker_died

    def alive(self) -> list[Process]:
        """All of the system that live now, orphans too."""
        with self._lock:
            leaders = {process.pid: name.partition(" ")[0] for name, process in self._running.items()}
            broker = self._broker
        found = [Process(broker.pid, os.getpid(), _start_of(broker.pid), "broker")] if broker.poll() is None else []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, ValueError, IndexError):
                if self._mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(_described(folder, leaders))
        return found + self._database_sessions()

    def _database_sessions(self) -> list[Process]:
        """The processes of PostgreSQL that serve somebody."""
        if self._postgres is None:
            return []
        server = int((self._postgres / "data/postmaster.pid").read_text().split()[0])
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, ValueError, IndexError):
                parent, start = _stat(folder)
                if parent == server and b" soak " in (folder / "cmdline").read_bytes():
                    found.append(Process(int(folder.name), parent, start, "database session"))
        return found

    def group_of(self, process: Process) -> list[Process]:
        """A worker and all that came of it, as a machine that goes down has them."""
        listed, group = self.alive(), {process.pid}
        for _ in range(4):
            group |= {each.pid for each in listed if each.parent in group}
        return [each for each in listed if each.pid in group]


def send(process: Process, number: signal.Signals) -> bool:
    """Whether the process was there to get the signal."""
    try:
        if _stat(Path(f"/proc/{process.pid}"))[1] != process.start:
            return False
        os.kill(process.pid, number)
    except (OSError, IndexError, ValueError):
        return False
    return True


def resident_bytes(process: Process) -> int | None:
    """The memory that it has."""
    with suppress(OSError, IndexError, ValueError):
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return None


def start_broker(socket: Path, server: str | None) -> subprocess.Popen[bytes]:
    """A broker on the socket, with nothing in it."""
    return subprocess.Popen(server_command(socket, server), stdout=subprocess.DEVNULL)


def _described(folder: Path, leaders: dict[int, str]) -> Process:
    pid, (parent, start) = int(folder.name), _stat(folder)
    command = (folder / "cmdline").read_bytes()
    if pid in leaders:
        kind = leaders[pid]
    elif b"resource_tracker" in command:
        kind = "resource tracker"
    elif b"multiprocessing.forkserver" in command:
        # Its children are called as it is.
        kind = "fork server" if parent in leaders else "job"
    elif b"worker.beside.unpacking" in command:
        kind = "unpacker"
    elif b"service.aside" in command:
        kind = "aside"
    else:
        kind = "other"
    return Process(pid, parent, start, kind)


def _stat(folder: Path) -> tuple[int, int]:
    """Parent and start."""
    fields = (folder / "stat").read_text().rpartition(") ")[2].split()
    return int(fields[1]), int(fields[19])


def _start_of(pid: int) -> int:
    return _stat(Path(f"/proc/{pid}"))[1]
