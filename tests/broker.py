"""A real Valkey for the tests, from a Python package, on a unix socket; or a real Redis, where the machine has one."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.machine.embedded import broker_command

_READY = b"eady to accept connections"


REDIS = shutil.which("redis-server")
"""Its command; None where `redis-server` is not on the path. No package of Python brings a current one."""


def server_command(path: Path, server: str | None = None) -> list[str]:
    """The command that runs the embedded system's broker on the socket, or such a one as `server` is."""
    command = broker_command(path)
    return command if server is None else [server, *command[1:]]


@contextmanager
def socket_path() -> Iterator[Path]:
    """A path short enough for a socket, in a folder that goes with the block."""
    with tempfile.TemporaryDirectory(prefix="gauntlet-mq-", dir="/tmp") as folder:
        yield Path(folder) / "broker.sock"


@contextmanager
def running_broker(path: Path, server: str | None = None) -> Iterator[str]:
    """A broker on the socket inside the block; yields its URL."""
    running = subprocess.Popen(server_command(path, server), stdout=subprocess.PIPE)
    assert running.stdout is not None
    try:
        assert any(_READY in line for line in running.stdout), "the broker did not start"
        yield f"redis+socket://{path}"
    finally:
        running.terminate()
        running.communicate(timeout=90)
