"""A real Valkey for the tests, from a Python package, on a unix socket."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.machine.embedded import broker_command

_READY = b"eady to accept connections"


@contextmanager
def socket_path() -> Iterator[Path]:
    """A path short enough for a socket, in a folder that goes with the block."""
    with tempfile.TemporaryDirectory(prefix="gauntlet-mq-", dir="/tmp") as folder:
        yield Path(folder) / "broker.sock"


@contextmanager
def running_broker(path: Path) -> Iterator[str]:
    """A broker on the socket inside the block; yields its URL."""
    server = subprocess.Popen(broker_command(path), stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        assert any(_READY in line for line in server.stdout), "the broker did not start"
        yield f"redis+socket://{path}"
    finally:
        server.terminate()
        server.communicate(timeout=90)
