"""`gauntlet up`: one command brings everything up, and one signal takes all of it down."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cli.embedded import address, free_port
from client import GauntletClient
from service.settings import ServiceSettings
from tests.e2e.system import await_that

pytestmark = pytest.mark.long


def descendants(pid: int) -> set[int]:
    """The processes below `pid`, from Linux's process table."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                found.add(child)
                waiting.append(child)
    return found


def is_alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def start(tmp_path: Path, **environment: str) -> tuple[subprocess.Popen[str], GauntletClient]:
    port = free_port("127.0.0.1", 0)
    environment = os.environ | {"GAUNTLET_HOME": str(tmp_path / "home"), "GAUNTLET_PORT": str(port)} | environment
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "up"], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert any("Gauntlet runs at" in line for line in process.stdout)
    return process, GauntletClient(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it(tmp_path: Path, number: signal.Signals) -> None:
    """Broker, API, worker and fork server are gone, the exit status is 0, and nothing was left behind.

    What was asked of the API meanwhile is in no log. The environment's proxies have no part in it.
    """
    process, client = start(tmp_path, http_proxy="http://127.0.0.1:9", all_proxy="socks5://127.0.0.1:9", no_proxy="")
    await_that(lambda: "ready." in (tmp_path / "home/logs/worker.log").read_text())
    below = descendants(process.pid)
    assert len(below) >= 3
    # Where the API looks for images: it can tell a folder that is not there from data that it cannot see.
    assert (tmp_path / "home/data").is_dir()
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert output.rstrip().endswith("Stopped.")
    assert not client.ready()
    client.close()
    await_that(lambda: not any(map(is_alive, below)), patience_s=5)
    assert not (tmp_path / "home/broker.sock").exists()
    log = (tmp_path / "home/logs/api.log").read_text()
    assert "Uvicorn running" in log
    assert "/readyz" not in log


def test_a_long_path_leaves_nothing_behind(tmp_path: Path) -> None:
    """The broker's socket lies in a temporary folder where its own path would be too long; it goes with the system."""
    with tempfile.TemporaryDirectory(dir="/tmp") as elsewhere:
        process, client = start(tmp_path / ("long" * 30), TMPDIR=elsewhere)
        client.close()
        assert list(Path(elsewhere).glob("gauntlet-*/broker.sock"))
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 0
        assert not list(Path(elsewhere).glob("gauntlet-*"))


def test_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path) -> None:
    """After kill -9 its children end by themselves."""
    process, client = start(tmp_path)
    below = descendants(process.pid)
    process.kill()
    process.communicate()
    await_that(lambda: not any(map(is_alive, below)), patience_s=30)
    client.close()


def test_a_fallen_api_comes_back(tmp_path: Path) -> None:
    """The supervisor starts a dead child again."""
    process, client = start(tmp_path)
    (api,) = (pid for pid in descendants(process.pid) if b"-m\0service" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(api, signal.SIGKILL)
    await_that(lambda: not is_alive(api))
    await_that(client.ready)
    client.close()
    process.terminate()
    assert "The api ended with -9" in " ".join(process.communicate(timeout=30)[0].split())


def test_a_folder_has_one_system(tmp_path: Path) -> None:
    """A second one on the same folder is refused, on whatever port, and does not disturb the first."""
    process, client = start(tmp_path)
    environment = os.environ | {
        "GAUNTLET_HOME": str(tmp_path / "home"),
        "GAUNTLET_PORT": str(free_port("127.0.0.1", 0)),
    }
    second = subprocess.run(
        [sys.executable, "-m", "cli", "up"], env=environment, capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "GAUNTLET_HOME" in second.stderr
    assert (tmp_path / "home/broker.sock").exists()
    assert client.ready()
    client.close()
    process.terminate()
    process.communicate(timeout=30)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """The command says what to change and starts nothing."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        environment = os.environ | {"GAUNTLET_HOME": str(tmp_path), "GAUNTLET_PORT": port}
        ended = subprocess.run(
            [sys.executable, "-m", "cli", "up"], env=environment, capture_output=True, text=True, check=False
        )
    assert ended.returncode == 1
    assert "GAUNTLET_PORT" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_host_of_another_machine_is_named(tmp_path: Path) -> None:
    """The command says so and starts nothing; 192.0.2.1 is nobody's."""
    environment = os.environ | {"GAUNTLET_HOME": str(tmp_path), "GAUNTLET_HOST": "192.0.2.1"}
    ended = subprocess.run(
        [sys.executable, "-m", "cli", "up"], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "Nothing can listen on 192.0.2.1: " in " ".join(ended.stderr.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("10.0.0.7", "http://10.0.0.7:8000"),
        ("box", "http://box:8000"),
    ],
)
def test_the_address_can_be_visited(tmp_path: Path, host: str, url: str) -> None:
    """What listens everywhere is reached by loopback."""
    assert address(ServiceSettings(home=tmp_path, host=host)) == url


def test_a_free_port_is_used_as_wanted() -> None:
    """A taken one is replaced by another."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        assert free_port("127.0.0.1", taken) != taken
    assert free_port("127.0.0.1", taken) == taken
